//! Hosts that borrow the name of somebody else, and alphabets that are mixed to do so.

use url::Url;

use crate::classify::brands::Likeness;
use crate::classify::risk::Asking;
use crate::classify::risk::Found;
use crate::classify::risk::Name;
use crate::classify::risk::RiskRules;
use crate::classify::risk::beside::Borrowed;
use crate::classify::vocabulary::Vocabulary;

/// Names that are one letter away from a brand and yet their own.
const OWN_NAMES: [&str; 17] = [
    "telegra",
    "rankia",
    "paypay",
    "goggle",
    "discard",
    "steamy",
    "amazone",
    "targets",
    "chased",
    "revolt",
    "ledgers",
    "strip",
    "stripes",
    "hermed",
    "lithub",
    "link4din",
    "casarural",
];

/// Ends that brands have.
const ENDS: [&str; 10] = [
    "com", "net", "org", "de", "co", "fr", "es", "it", "pt", "io",
];

/// Ends of countries that are sold to anybody, mostly for how they look.
const SOLD_ENDS: [&str; 12] = [
    "cm", "cc", "pw", "ws", "su", "to", "nu", "la", "st", "vg", "gs", "ms",
];

/// Ends that phishers like and young firms too.
const HONEST_ENDS: [&str; 6] = ["app", "site", "space", "world", "systems", "agency"];

/// Whether brands take an end themselves: one of all, or that of a country.
pub(super) fn is_home(end: &str) -> bool {
    matches!(
        end,
        "com" | "net" | "org" | "edu" | "gov" | "int" | "mil" | "bank" | "coop" | "cloud" | "dev"
    ) || end.len() == 2 && !SOLD_ENDS.contains(&end)
}

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
        for two in name.labels.windows(2).take(name.below.len()) {
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
        let in_path = self.asks_in_path(url);
        let below = if self.words.tenant.contains(name.site.as_str()) {
            &[]
        } else {
            name.below.as_slice()
        };
        for (label, is_site) in below
            .iter()
            .map(|label| (label, false))
            .chain([(&name.site, true)])
        {
            let whole = self.likeness(label, vocabulary);
            let parts = label.split('-').filter(|part| part.len() < label.len());
            let part = whole.is_none().then(|| {
                let mut like = parts.filter_map(|part| self.likeness(part, vocabulary));
                let first = like.next();
                let is_one = |brand: &str| !self.words.ambiguous.contains(brand);
                let plain = first.filter(|(brand, _)| is_one(brand));
                // Two parts that are a brand say more than one that is nearly one.
                let sure = plain.filter(|(_, likeness)| *likeness != Likeness::Typo);
                sure.or_else(|| self.in_some(label))
                    .or(plain)
                    .or_else(|| first.and_then(|_| like.find(|(brand, _)| is_one(brand))))
                    .or(first)
            });
            let Some((brand, likeness)) = whole.or(part.flatten()) else {
                if let Some((brand, word)) = self.glued(label, name) {
                    found.add(
                        format!("the name {brand} with {word} in a foreign host"),
                        0.85,
                    );
                    return;
                }
                continue;
            };
            if self.brands.is_own(brand, &name.site) && likeness == Likeness::Same && is_site {
                let weight = self.taken(name, asking, brand, in_path);
                found.add(
                    format!("the name {brand} where everybody may take it"),
                    weight,
                );
                continue;
            }
            match likeness {
                Likeness::Homoglyph if !is_strange(label) => {
                    // Accents: `hermès` and `súbito` are words of their own.
                    let ambiguous = self.words.ambiguous.contains(brand);
                    let weight = match ambiguous && !self.words.english.contains(brand) {
                        true => 0.3,
                        false => 0.6,
                    };
                    found.add(format!("the host is {brand} with accents"), weight);
                }
                Likeness::Homoglyph => {
                    // Nobody registers a name by accident that only looks like another one.
                    found.certain |= is_site;
                    found.add(format!("the host is made to look like {brand}"), 0.95);
                }
                Likeness::LookAlike => {
                    found.certain |= is_strange(label) && is_site;
                    found.add(
                        format!("letters or digits in the host imitate {brand}"),
                        0.9,
                    );
                }
                Likeness::Typo => {
                    let known = brand.len() > 7 || self.words.famous.contains(brand);
                    // A house of two words likes to be found with a hyphen, too.
                    let hyphen = self.brands.is_strict(brand) && label.replace('-', "") == brand;
                    // One letter makes many a word of a name that is a word itself.
                    let weak = hyphen || self.words.ambiguous.contains(brand);
                    let weight = match asking.bait > 0 || in_path {
                        _ if hyphen && !is_site && asking.often => 0.5,
                        _ if weak && asking.bait == 0 => 0.3,
                        // At home it writes itself so.
                        _ if hyphen && name.end.len() == 2 => 0.3,
                        true => 0.75,
                        false if known => 0.55,
                        false => 0.4,
                    };
                    found.add(format!("the host is one letter away from {brand}"), weight);
                }
                Likeness::Same => {
                    let borrowed = Borrowed {
                        brand,
                        label,
                        is_site,
                        in_path,
                    };
                    let (weight, how) = self.weigh(name, asking, borrowed, vocabulary);
                    found.add(format!("the name {brand}{how} in a foreign host"), weight);
                }
            }
            return;
        }
    }

    /// How much it counts that a brand's own name stands on a lent host, or under an end that is
    /// mostly abused or that anybody takes.
    fn taken(&self, name: &Name, asking: Asking, brand: &str, in_path: bool) -> f32 {
        let ambiguous = self.words.ambiguous.contains(brand);
        let helps = self.words.helping.contains(name.end.as_str());
        let asks = in_path || asking.bait > 0 || helps;
        let sold = SOLD_ENDS.contains(&name.end.as_str());
        match (asks, ambiguous) {
            _ if name.account => 0.3,
            _ if name.lent || asking.cheap => 0.4,
            (true, false) => 0.55,
            (true, true) if asking.often && !HONEST_ENDS.contains(&name.end.as_str()) => 0.5,
            (false, false) if (asking.often || sold) && self.is_guarded(brand) => 0.5,
            _ => 0.25,
        }
    }

    /// The brand that a token is like; words of a language are no typing errors.
    fn likeness(&self, token: &str, vocabulary: &Vocabulary) -> Option<(&'static str, Likeness)> {
        let like = self.brands.like(token).or_else(|| {
            let plain = token.trim_end_matches(|c: char| c.is_ascii_digit());
            let is_shorter = plain.len() > 4 && plain.len() < token.len();
            let brand = is_shorter.then(|| self.brands.same(plain)).flatten();
            // What a brand calls the part for its customers: `mydhl`.
            let mine = || self.brands.same(token.strip_prefix("my")?);
            Some((brand.or_else(mine)?, Likeness::Same))
        });
        let (brand, likeness) = like?;
        if likeness == Likeness::Typo && self.brands.is_own(brand, token) {
            return Some((brand, Likeness::Same)); // sparkassen, of sparkasse
        }
        let own = OWN_NAMES.contains(&token) || vocabulary.knows(token);
        (likeness != Likeness::Typo || !own).then_some((brand, likeness))
    }
}

/// Whether only an office can have the host.
pub(super) fn is_official(labels: &[String]) -> bool {
    let mut ends = labels.iter().rev().map(String::as_str);
    let (end, before) = (ends.next().unwrap_or(""), ends.next().unwrap_or(""));
    let of_a_state = matches!(
        before,
        "gov" | "gob" | "gouv" | "govt" | "go" | "gv" | "mil" | "gub" | "government"
    );
    matches!(end, "gov" | "mil" | "edu")
        || end.len() == 2 && of_a_state
        || matches!(
            (before, end),
            ("gc", "ca") | ("admin", "ch") | ("europa", "eu") | ("bund", "de") | ("nhs", "uk")
        )
}

/// Ends that stand where none belong: `bank.com.au-check.example`, `tax-gov.example`.
pub(super) fn judge_ends(name: &Name, asks: bool, found: &mut Found) {
    let office = |part: &str| matches!(part, "gov" | "gob" | "gouv" | "govt");
    let labels = || name.below.iter().chain([&name.site]);
    if labels().any(|label| label.split('-').any(office)) {
        let weight = if asks { 0.55 } else { 0.2 };
        found.add("the end of offices inside a host", weight);
    }
    let behind = name.below.iter().skip(1).any(|label| {
        matches!(label.as_str(), "com" | "net" | "org" | "co") || begins_like_an_end(label)
    });
    let begins = ["com-", "net-", "org-"]
        .iter()
        .any(|end| name.site.starts_with(end));
    if behind || !name.below.is_empty() && begins {
        let weight = match (name.lent, asks) {
            (true, _) => 0.2,
            (false, true) => 0.5,
            (false, false) => 0.4,
        };
        found.add("an end like .com in the middle of the host", weight);
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

/// Numbers in front of a site that look like an address: `192.168.0.1.example.com`.
pub(super) fn judge_numbers(name: &Name, found: &mut Found) {
    let is_number = |label: &String| {
        let hex = label.strip_prefix("0x").filter(|digits| !digits.is_empty());
        label.len() < 5
            && match hex {
                Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
                None => label.bytes().all(|byte| byte.is_ascii_digit()),
            }
    };
    let mut fours = name.below.windows(4);
    if let Some(four) = fours.find(|four| four.iter().all(is_number)) {
        let is_hex = four.iter().any(|label| label.starts_with("0x"));
        let weight = if is_hex { 0.5 } else { 0.3 };
        found.add("an address in front of another host", weight);
    }
}

/// Whether letters stand in it that no language writes among Latin ones.
fn is_strange(label: &str) -> bool {
    let foreign = |c: char| script(c).is_some_and(|script| script != "latin");
    label
        .chars()
        .any(|c| foreign(c) || matches!(c, '\u{250}'..='\u{2af}'))
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
