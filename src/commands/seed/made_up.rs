//! Makes links up: the n-th link of a seed number is the same in every run and on every machine.

use std::time::Duration;

use crate::commands::seed::corpus::CAMPAIGNS;
use crate::commands::seed::corpus::FOREIGN_WORDS;
use crate::commands::seed::corpus::LANGUAGES;
use crate::commands::seed::corpus::NOTES;
use crate::commands::seed::corpus::SOURCES;
use crate::commands::seed::corpus::THEMES;
use crate::commands::seed::corpus::WORDS;
use crate::commands::seed::dice::Dice;
use crate::commands::seed::dice::pick;
use crate::domain::code::RANDOM_LENGTH;
use crate::domain::code::ShortCode;
use crate::domain::link::LinkFields;
use crate::domain::query::QueryForward;
use crate::domain::route::RedirectStatus;
use crate::domain::target::TargetError;
use crate::domain::target::TargetPolicy;
use crate::domain::time::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// The code of the `index`th link; `attempt` counts up where one is taken within the same seed.
pub(in crate::commands) fn code(seed: u64, index: u64, attempt: u64) -> Option<ShortCode> {
    let mut dice = Dice::of(seed, index, attempt + 1);
    ShortCode::derived(dice.roll(), RANDOM_LENGTH)
}

/// The `index`th link. Times are days from the beginning of the day of `now`.
///
/// # Errors
/// Where this deployment's policy forbids the target.
pub(in crate::commands) fn fields(
    seed: u64,
    index: u64,
    now: Timestamp,
    policy: &TargetPolicy,
) -> Result<LinkFields, TargetError> {
    let mut dice = Dice::of(seed, index, 0);
    let theme = dice.favourite(THEMES);
    let host = dice.favourite(theme.hosts);
    let scheme = if dice.happens(3) { "http" } else { "https" };
    let pattern: &str = dice.one(theme.paths);
    let path = fill(pattern, &mut dice);
    let mut text = format!("{scheme}://{host}{path}");
    if dice.happens(20) && !text.contains(['?', '#']) {
        let (source, campaign) = (dice.one(SOURCES), dice.one(WORDS));
        text.push_str(&format!("?utm_source={source}&utm_campaign={campaign}"));
    }
    let mut fields = LinkFields::to(policy.check(&text, None)?.as_str().to_owned());
    if dice.happens(75) {
        let language = if dice.happens(40) {
            pick(LANGUAGES, 0)
        } else {
            dice.favourite(LANGUAGES)
        };
        let name = dice.one(language.names);
        fields.title = Some(dice.one(language.titles).replace("{}", name));
    }
    if dice.happens(70) {
        fields.tags.push(dice.one(theme.tags).to_owned());
    }
    if dice.happens(40) {
        fields.tags.push(dice.one(CAMPAIGNS).to_owned());
    }
    fields.tags.sort_unstable();
    fields.tags.dedup();
    if dice.happens(4) {
        fields.notes = Some(dice.one(NOTES).to_owned());
    }
    let today = now.minus(Duration::from_micros(
        u64::try_from(now.micros().rem_euclid(86_400_000_000)).unwrap_or(0),
    ));
    let days = |n: u64| DAY.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
    match dice.below(100) {
        0..5 => fields.expires_at = Some(today.plus(days(1 + dice.below(365)))),
        5..7 => fields.expires_at = Some(today.minus(days(dice.below(90)))),
        7 => fields.valid_from = Some(today.plus(days(1 + dice.below(60)))),
        8..10 => fields.disabled = true,
        _ => (),
    }
    if fields.expires_at.is_some() && dice.happens(30) {
        let url = format!("https://{host}/over");
        fields.expired_url = Some(policy.check(&url, None)?.as_str().to_owned());
    }
    fields.status = match dice.below(100) {
        0..4 => RedirectStatus::MovedPermanently,
        4..6 => RedirectStatus::Temporary,
        6..8 => RedirectStatus::Permanent,
        _ => RedirectStatus::Found,
    };
    fields.query_forward = match dice.below(100) {
        0..3 => QueryForward::Override,
        3..10 => QueryForward::Off,
        _ => QueryForward::Keep,
    };
    fields.hide_referrer = dice.happens(3);
    fields.indexable = dice.happens(5);
    Ok(fields)
}

fn fill(pattern: &str, dice: &mut Dice) -> String {
    let slug = {
        let n = 2 + dice.below(4);
        let words: Vec<&str> = (0..n)
            .map(|_| {
                let foreign = dice.happens(4);
                dice.one(if foreign { FOREIGN_WORDS } else { WORDS })
            })
            .collect();
        words.join("-")
    };
    let word = dice.one(WORDS);
    let (id, year, day) = (
        10_000 + dice.below(9_990_000),
        2019 + dice.below(8),
        10 + dice.below(20),
    );
    pattern
        .replace("{slug}", &slug)
        .replace("{word}", word)
        .replace("{id}", &id.to_string())
        .replace("{year}", &year.to_string())
        .replace("{day}", &day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const NOW: Timestamp = Timestamp::from_micros(1_764_000_000_000_000);

    #[test]
    fn the_same_number_makes_the_same_links() {
        let policy = TargetPolicy::default();
        for index in 0..500 {
            assert_eq!(code(1, index, 0), code(1, index, 0));
            assert_ne!(code(1, index, 0), code(2, index, 0));
            let made = fields(1, index, NOW, &policy).unwrap();
            assert_eq!(made, fields(1, index, NOW, &policy).unwrap());
        }
        let first = code(1, 0, 0).unwrap();
        let target = fields(1, 0, NOW, &policy).unwrap().target;
        // Pinned: who seeded with an older release finds the same links.
        let expected = ("O8aY5xA", "https://www.megastore.example/gift-cards/puzzle");
        assert_eq!((first.as_str(), target.as_str()), expected);
    }

    #[test]
    fn made_up_links_are_of_many_kinds() {
        let policy = TargetPolicy::default();
        let made: Vec<LinkFields> = (0..5_000)
            .map(|index| fields(1, index, NOW, &policy).unwrap())
            .collect();
        let share = |test: fn(&LinkFields) -> bool| made.iter().filter(|link| test(link)).count();
        assert!((100..700).contains(&share(|link| link.expires_at.is_some())));
        assert!((20..400).contains(&share(|link| link.disabled)));
        assert!((100..500).contains(&share(
            |link| link.status == RedirectStatus::MovedPermanently
        )));
        assert!(share(|link| link.title.is_some()) > 3_000);
        assert!(share(|link| link.target.contains("xn--")) > 10);
        assert!(share(|link| link.title.as_deref().is_some_and(|t| !t.is_ascii())) > 500);
        let targets: HashSet<&str> = made.iter().map(|link| link.target.as_str()).collect();
        assert!(targets.len() > 4_500, "{}", targets.len());
    }

    #[test]
    fn made_up_links_would_be_accepted_from_a_client() {
        let policy = TargetPolicy::default();
        for index in 0..2_000 {
            let link = fields(7, index, NOW, &policy).unwrap();
            let texts = [link.title.as_deref(), link.notes.as_deref()];
            for text in texts.into_iter().flatten() {
                assert!(text.chars().count() <= 512);
                assert!(!crate::service::link_input::has_control(text), "{text:?}");
            }
            assert!(
                link.tags
                    .iter()
                    .all(|tag| (1..=64).contains(&tag.chars().count()))
            );
        }
    }
}
