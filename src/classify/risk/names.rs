//! Hosts that borrow the name of somebody else, and alphabets that are mixed to do so.

use url::Url;

use crate::classify::brands::Likeness;
use crate::classify::risk::Asking;
use crate::classify::risk::Found;
use crate::classify::risk::Name;
use crate::classify::risk::RiskRules;
use crate::classify::words::Vocabulary;

/// Names that are one letter away from a brand and yet their own.
const OWN_NAMES: [&str; 13] = [
    "paypay", "goggle", "discard", "steamy", "amazone", "targets", "chased", "revolt", "ledgers",
    "strip", "stripes", "hermed", "lithub",
];

/// Ends that brands have.
const ENDS: [&str; 10] = [
    "com", "net", "org", "de", "co", "fr", "es", "it", "pt", "io",
];

impl RiskRules {
    pub(super) fn judge_brands(
        &self,
        name: &Name,
        asking: Asking,
        url: &Url,
        vocabulary: &Vocabulary,
        found: &mut Found,
    ) {
        // A whole address of a brand in front of another site: paypal.com.example.org, or the
        // beginning of one: paypal.com-login.example.
        for two in name
            .labels
            .windows(2)
            .take(name.labels.len().saturating_sub(2))
        {
            if let [brand, end] = two
                && (ENDS.contains(&end.as_str()) || begins_like_an_end(end))
                && self
                    .brands
                    .like(brand.strip_prefix("www-").unwrap_or(brand))
                    .is_some()
            {
                found.add(
                    format!("{brand}.{end} stands in front of another site"),
                    0.92,
                );
                return;
            }
        }
        let in_path = url
            .path()
            .split(['/', '-', '_', '.'])
            .any(|word| self.bait.contains(word));
        for (label, is_site) in name
            .below
            .iter()
            .map(|label| (label, false))
            .chain([(&name.site, true)])
        {
            let whole = self.likeness(label, vocabulary);
            let parts = label.split('-').filter(|part| part.len() < label.len());
            let part = whole.is_none().then(|| {
                let part = parts
                    .into_iter()
                    .find_map(|part| self.likeness(part, vocabulary));
                part.or_else(|| self.in_two(label))
            });
            let Some((brand, likeness)) = whole.or(part.flatten()) else {
                if let Some((brand, word)) = self.glued(label) {
                    found.add(
                        format!("the name {brand} with {word} in a foreign host"),
                        0.85,
                    );
                    return;
                }
                continue;
            };
            if self.brands.is_own(brand, &name.site) && likeness == Likeness::Same && is_site {
                // The brand's own name under an end that is mostly abused, or on a lent host.
                let weight = if name.account { 0.3 } else { 0.4 };
                found.add(
                    format!("the name {brand} where everybody may take it"),
                    weight,
                );
                continue;
            }
            match likeness {
                Likeness::Homoglyph => {
                    // Nobody registers a name by accident that only looks like another one.
                    found.certain |= !label.is_ascii() && is_site;
                    found.add(format!("the host is made to look like {brand}"), 0.95);
                }
                Likeness::LookAlike => {
                    found.certain |= !label.is_ascii() && is_site;
                    found.add(
                        format!("letters or digits in the host imitate {brand}"),
                        0.9,
                    );
                }
                Likeness::Typo => {
                    let weight = if asking.bait > 0 || in_path {
                        0.75
                    } else {
                        0.55
                    };
                    found.add(format!("the host is one letter away from {brand}"), weight);
                }
                Likeness::Same => {
                    let ambiguous = self.ambiguous.contains(brand);
                    let asks = if ambiguous {
                        asking.is_plain()
                    } else {
                        asking.bait > 0
                    };
                    let lures = label.split('-');
                    let lures = lures
                        .filter(|word| !brand.contains(word) && self.is_lure(word))
                        .count();
                    let lured = if ambiguous {
                        lures > 1 && asking.often
                    } else {
                        lures > 0
                    };
                    let risky = asks || name.lent && in_path;
                    let (weight, how) = match (risky, in_path || name.lent || asking.cheap) {
                        (true, _) => (0.85, " with a word that asks for trust"),
                        (false, _) if lured => (0.6, " with a word that asks for trust"),
                        (false, true) => (0.4, ""),
                        (false, false) => (0.3, ""),
                    };
                    found.add(format!("the name {brand}{how} in a foreign host"), weight);
                }
            }
            return;
        }
    }

    /// The brand that a token is like; words of a language are no typing errors.
    fn likeness(&self, token: &str, vocabulary: &Vocabulary) -> Option<(&'static str, Likeness)> {
        let (brand, likeness) = self.brands.like(token)?;
        if likeness == Likeness::Typo && self.brands.is_own(brand, token) {
            return Some((brand, Likeness::Same)); // sparkassen, of sparkasse
        }
        let own = OWN_NAMES.contains(&token) || vocabulary.knows(token);
        (likeness != Likeness::Typo || !own).then_some((brand, likeness))
    }

    /// Whether a word asks for trust beside a brand; so does one that ends in such a word.
    fn is_lure(&self, word: &str) -> bool {
        let ends_so = |length: usize| {
            let end = word.len().checked_sub(length).and_then(|at| word.get(at..));
            end.is_some_and(|end| self.bait.contains(end) && !self.soft.contains(end))
        };
        self.lure.contains(word) || (5..word.len()).any(ends_so)
    }

    /// A brand of two words between others: `office-365`.
    fn in_two(&self, label: &str) -> Option<(&'static str, Likeness)> {
        let parts: Vec<&str> = label.split('-').collect();
        parts
            .windows(2)
            .filter(|_| parts.len() > 2)
            .find_map(|two| {
                let found = self.brands.like(&two.concat());
                found.filter(|(_, likeness)| *likeness == Likeness::Same)
            })
    }

    /// A brand and a word that asks for trust, written as one word.
    fn glued(&self, label: &str) -> Option<(&'static str, String)> {
        self.brands.around(label, 5).find_map(|(brand, rest)| {
            let rest = rest.trim_matches(|c: char| c == '-' || c.is_ascii_digit());
            let asks = |word: &str| self.bait.contains(word) || self.lure.contains(word);
            let all_bait = rest.split('-').all(asks) && !self.ambiguous.contains(brand);
            (rest.len() >= 3 && all_bait).then(|| (brand, rest.to_owned()))
        })
    }
}

/// `com-login`; `it-` and `co-` begin honest names.
fn begins_like_an_end(label: &str) -> bool {
    let end = label.split_once('-').map_or("", |(end, _)| end);
    ENDS.contains(&end) && !matches!(end, "it" | "co")
}

/// Letters of several alphabets in one label, and what can only be written in punycode.
pub(super) fn judge_scripts(name: &Name, found: &mut Found) {
    for label in &name.labels {
        let mut scripts: Vec<&str> = label.chars().filter_map(script).collect();
        scripts.sort_unstable();
        scripts.dedup();
        if scripts.len() > 1 && scripts.contains(&"latin") {
            found.add(
                format!("the host mixes alphabets ({})", scripts.join(" and ")),
                0.75,
            );
            return;
        }
    }
    if name.labels.iter().any(|label| !label.is_ascii()) {
        found.add("the host is written in punycode", 0.1);
    }
}

fn script(c: char) -> Option<&'static str> {
    match u32::from(c) {
        0x41..=0x5a | 0x61..=0x7a | 0xc0..=0x24f | 0x250..=0x2af => Some("latin"),
        0x370..=0x3ff | 0x1f00..=0x1fff => Some("greek"),
        0x400..=0x52f => Some("cyrillic"),
        0x530..=0x58f => Some("armenian"),
        0x590..=0x5ff => Some("hebrew"),
        0x600..=0x6ff => Some("arabic"),
        0x13a0..=0x13ff => Some("cherokee"),
        _ => None,
    }
}
