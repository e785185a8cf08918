//! Equal wishes share a link: found on any shard, or derived so that racers meet in one row.

use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use sha2::Sha256;

use crate::domain::code::RANDOM_LENGTH;
use crate::domain::code::ShortCode;
use crate::domain::link::Link;
use crate::domain::link::LinkFields;
use crate::domain::time::Timestamp;
use crate::service::link_input::NewLinkInput;
use crate::service::links::Created;
use crate::service::links::LinkError;
use crate::service::links::Links;
use crate::service::links::TRIES;
use crate::service::links::new_link;
use crate::store::rows::Inserted;

impl Links {
    pub(super) async fn make_or_reuse(
        &self,
        input: &NewLinkInput,
        owner: Option<&str>,
    ) -> Result<Created, LinkError> {
        let fields = &input.fields;
        let now = self.store.clock().now();
        let found = self.store.reusable(&fields.target, owner).await;
        let equal = |link: &Link| is_equal(link, owner, fields, now);
        if let Some(link) = found.into_iter().find(equal) {
            return Ok(Created { link, reused: true });
        }
        let secret = self
            .store
            .cluster()
            .map(|row| row.secret.clone())
            .unwrap_or_default();
        let (mut outage, mut taken) = (None, false);
        // Racers derive the same code and so meet in one row, without a place to look it up.
        for attempt in 0..2 * TRIES {
            let Some(code) = derived(&secret, owner, &fields.target, attempt) else {
                continue;
            };
            match self
                .store
                .insert(&new_link(code.clone(), owner, fields), true)
                .await
            {
                Ok(Inserted::New(link)) => {
                    self.redirector.publish(&code, &link.route).await;
                    return Ok(Created {
                        link: *link,
                        reused: false,
                    });
                }
                Ok(Inserted::Taken) => {
                    taken = true;
                    let there = self.store.find(&code).await?;
                    if let Some(link) = there.filter(equal) {
                        return Ok(Created { link, reused: true });
                    }
                }
                Err(error) if error.is_outage() => outage = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        match outage {
            Some(outage) if !taken => Err(LinkError::Unavailable(outage)),
            // Links that have expired or were changed hold these codes: nobody wished for them.
            _ => self.make_random(input, owner, None).await,
        }
    }
}

/// Whether `link` is what the request asks for, and is followed now.
pub(super) fn is_equal(
    link: &Link,
    owner: Option<&str>,
    fields: &LinkFields,
    now: Timestamp,
) -> bool {
    link.status_word(now) == "active"
        && link.owner.as_deref() == owner
        && LinkFields::of(link) == *fields
}

/// base62 of HMAC-SHA-256(cluster secret, owner, URL, attempt).
fn derived(secret: &[u8], owner: Option<&str>, url: &str, attempt: usize) -> Option<ShortCode> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(owner.unwrap_or("").as_bytes());
    mac.update(&[0, u8::from(owner.is_some())]);
    mac.update(url.as_bytes());
    mac.update(&[0]);
    mac.update(&attempt.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let bytes: [u8; 8] = digest.get(..8)?.try_into().ok()?;
    ShortCode::derived(u64::from_be_bytes(bytes), RANDOM_LENGTH)
}
