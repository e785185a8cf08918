//! Random codes: drawn until one is free, on a shard that answers.

use std::time::Duration;

use crate::domain::code::RANDOM_LENGTH;
use crate::domain::code::ShortCode;
use crate::service::link_input::NewLinkInput;
use crate::service::links::Created;
use crate::service::links::LinkError;
use crate::service::links::Links;
use crate::service::links::TRIES;
use crate::service::links::new_link;
use crate::slots::Slot;
use crate::store::rows::Inserted;

/// Codes that are drawn in search of a shard that is up.
const SEARCH: usize = 64;
/// How long the first shard is waited for, where another one can take the link.
const A_MOMENT: Duration = Duration::from_millis(250);

impl Links {
    /// Draws codes until one is free. `sick`: the place of a shard that has just not answered.
    ///
    /// The first draw is waited for but a moment, where another shard can take the link: one that
    /// is frozen would hold every creation until it is known to be.
    pub(super) async fn make_random(
        &self,
        input: &NewLinkInput,
        owner: Option<&str>,
        mut sick: Option<usize>,
    ) -> Result<Created, LinkError> {
        let length = input.code_length.unwrap_or(RANDOM_LENGTH);
        let mut outage = None;
        // Five draws, then five with one character more; a sick shard costs a draw, not the link.
        for attempt in 0..2 * TRIES {
            let code = self.draw(length + attempt / TRIES, sick);
            let place = self.place(&code);
            let new = new_link(code, owner, &input.fields);
            let inserted = self.store.insert(&new, false);
            let inserted = if attempt == 0 && sick.is_none() && self.has_other(place) {
                match tokio::time::timeout(A_MOMENT, inserted).await {
                    Ok(inserted) => inserted,
                    // Should it be there after all, nobody knows its code.
                    Err(_) => {
                        sick = place;
                        continue;
                    }
                }
            } else {
                inserted.await
            };
            match inserted {
                Ok(Inserted::New(link)) => {
                    return Ok(Created {
                        link: *link,
                        reused: false,
                    });
                }
                Ok(Inserted::Taken) => (),
                Err(error) if error.is_outage() => {
                    sick = place;
                    outage = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(outage.map_or(LinkError::Taken, LinkError::Unavailable))
    }

    fn place(&self, code: &ShortCode) -> Option<usize> {
        let owner = self.store.owner(Slot::of(code.as_str()));
        owner.map(|member| member.place)
    }

    /// Whether a shard at another place answers.
    fn has_other(&self, place: Option<usize>) -> bool {
        let mut usable = self.store.usable();
        usable.any(|member| Some(member.place) != place && member.shard.is_up())
    }

    /// A random code of a shard that answers, and not of the `sick` one, if one is found.
    pub(super) fn draw(&self, length: usize, sick: Option<usize>) -> ShortCode {
        let mut rng = rand::rng();
        let mut code = ShortCode::random(&mut rng, length);
        for _ in 0..SEARCH {
            let fits = sick.is_none() || self.place(&code) != sick;
            if fits && self.store.is_up(Slot::of(code.as_str())) {
                break;
            }
            code = ShortCode::random(&mut rng, length);
        }
        code
    }
}
