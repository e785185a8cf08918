//! Brands that phishers borrow: how a name can be made to look like one.

use std::borrow::Cow;

use hashbrown::HashMap;
use hashbrown::HashSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::classify::lengths::Lengths;
use crate::classify::letters::fold;

const BRANDS: &str = include_str!("data/brands.txt");

/// The shortest brand that a typing error may be looked for in.
const SHORTEST_TYPO: usize = 6;

/// The shortest host of a brand that is its name too.
const LONG_HOST: usize = 9;

/// How a name is like a brand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// The brand itself.
    Same,
    /// Letters of other alphabets, or with accents, that look the same.
    Homoglyph,
    /// Digits or pairs of letters that look like other letters.
    LookAlike,
    /// One letter more, less or another, or two changed places.
    Typo,
}

/// The letter at one end of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    First(u8),
    Last(u8),
}

fn ends(name: &str) -> [End; 2] {
    let bytes = name.as_bytes();
    let letter = |at: Option<&u8>| at.copied().unwrap_or(0);
    [
        End::First(letter(bytes.first())),
        End::Last(letter(bytes.last())),
    ]
}

/// The brands and their own hosts.
#[derive(Debug)]
pub(super) struct Brands {
    own: HashMap<&'static str, Vec<&'static str>>,
    /// The brands that a typing error is looked for in, by their length and the letter at one end:
    /// one change leaves the other end as it is.
    long: HashMap<(usize, End), Vec<&'static str>>,
    /// Which beginnings and ends of a label are worth comparing with the brands.
    beginnings: Lengths,
    ends: Lengths,
    /// The brands and every host of theirs.
    sites: HashSet<&'static str>,
    /// Hosts of brands that are no word of anything else, and whose they are.
    hosts: HashMap<Box<str>, &'static str>,
    /// Brands whose names nobody else has a use for.
    strict: HashSet<&'static str>,
}

impl Brands {
    pub(super) fn new() -> Self {
        let lines = BRANDS.lines().filter(|line| !line.starts_with('#'));
        let own = lines.filter_map(|line| {
            let mut names = line.trim_start_matches('!').split_ascii_whitespace();
            Some((names.next()?, names.collect()))
        });
        let own: HashMap<&'static str, Vec<&'static str>> = own.collect();
        let mut names: Vec<&'static str> = own.keys().copied().collect();
        names.sort_unstable();
        let mut long: HashMap<(usize, End), Vec<&'static str>> = HashMap::new();
        for name in names.iter().filter(|name| name.len() >= SHORTEST_TYPO) {
            for end in ends(name) {
                long.entry((name.len(), end)).or_default().push(name);
            }
        }
        let sites = names.iter().chain(own.values().flatten()).copied();
        // In one order, so that a host that two brands share is always that of the same one.
        let mut hosts: HashMap<Box<str>, &'static str> = HashMap::new();
        for brand in &names {
            let of_it = own.get(brand).into_iter().flatten();
            for host in of_it.filter(|host| host.len() >= LONG_HOST) {
                hosts.entry((*host).into()).or_insert(*brand);
                let joined = host.replace('-', "");
                hosts.entry(joined.into()).or_insert(*brand);
            }
        }
        let strict = BRANDS.lines().filter_map(|line| line.strip_prefix('!'));
        let strict = strict.filter_map(|line| line.split_ascii_whitespace().next());
        Self {
            strict: strict.collect(),
            sites: sites.collect(),
            hosts,
            long,
            beginnings: Lengths::by_beginning(names.iter().copied()),
            ends: Lengths::by_end(names.iter().copied()),
            own,
        }
    }

    /// Whether `site` is a host of the brand itself.
    pub(super) fn is_own(&self, brand: &str, site: &str) -> bool {
        let own = self.own.get(brand);
        site == brand || own.is_some_and(|sites| sites.contains(&site))
    }

    /// Whether nobody but the brand has a use for its name: a bank, a carrier, an office.
    pub(super) fn is_strict(&self, brand: &str) -> bool {
        self.strict.contains(brand)
    }

    /// Whether `site` belongs to any of the brands.
    pub(super) fn is_any(&self, site: &str) -> bool {
        self.sites.contains(site)
    }

    /// The brand of `least` letters or more that `label` begins with, and what follows it; or
    /// that it ends with, and what stands before.
    pub(super) fn around<'label>(
        &self,
        label: &'label str,
        least: usize,
    ) -> impl Iterator<Item = (&'static str, &'label str)> {
        let beginnings = self.beginnings.beginning_as(label.as_bytes());
        let ends = self.ends.ending_as(label.as_bytes());
        let brand = |text: &str| self.own.get_key_value(text).map(|(brand, _)| *brand);
        let front = move |at: usize| {
            let (front, rest) = label.split_at_checked(at)?;
            Some((brand(front)?, rest))
        };
        let back = move |length: usize| {
            let (rest, back) = label.split_at_checked(label.len() - length)?;
            Some((brand(back)?, rest))
        };
        let lengths = move || least..label.len();
        let fronts = lengths().filter(move |length| beginnings.may_hold(*length));
        let backs = lengths().filter(move |length| ends.may_hold(*length));
        fronts.filter_map(front).chain(backs.filter_map(back))
    }

    /// The brand that `token` is, or is with digits for letters: the cheap part of `like`.
    pub(super) fn named(&self, token: &str) -> Option<&'static str> {
        if token.len() < 3 || token.len() > 40 {
            return None;
        }
        let found = self.same(token);
        let digits = token.bytes().filter(u8::is_ascii_digit).count();
        if found.is_some() || digits == 0 || digits > 2 || token.len() < 2 * digits + 2 {
            return found; // a date, an identifier
        }
        let mut readings = look_alikes(token).into_iter();
        readings.find_map(|plain| self.same(&plain))
    }

    /// The brand whose name or unmistakable host `token` is.
    pub(super) fn same(&self, token: &str) -> Option<&'static str> {
        let own = self.own.get_key_value(token).map(|(brand, _)| *brand);
        own.or_else(|| self.hosts.get(token).copied())
    }

    /// The brand that `token` (lower case, as people read it) is or looks like.
    pub(super) fn like(&self, token: &str) -> Option<(&'static str, Likeness)> {
        if token.len() < 3 || token.len() > 40 {
            return None;
        }
        if let Some(brand) = self.same(token) {
            return Some((brand, Likeness::Same));
        }
        let skeleton = skeleton(token);
        if skeleton != token
            && let Some(brand) = self.same(&skeleton)
        {
            return Some((brand, Likeness::Homoglyph));
        }
        if !token.is_ascii()
            && let Some(brand) = self.same(&bare(token))
        {
            return Some((brand, Likeness::Homoglyph));
        }
        for plain in look_alikes(&skeleton) {
            // Two letters read as one make a short name of many a word: bmo of Brno.
            if plain.len() < 4 && plain.len() < skeleton.len() {
                continue;
            }
            if let Some((brand, _)) = self.own.get_key_value(plain.as_str()) {
                return Some((brand, Likeness::LookAlike));
            }
        }
        let length = token.len();
        let keys = ends(&skeleton)
            .into_iter()
            .flat_map(|end| (length.saturating_sub(1)..=length + 1).map(move |near| (near, end)));
        let mut near = keys.filter_map(|key| self.long.get(&key)).flatten();
        let typo = near.find(|brand| is_typo(&skeleton, brand)).copied();
        typo.map(|brand| (brand, Likeness::Typo))
    }
}

/// Latin letters for those with accents, and for the letters of other alphabets that look like
/// them.
fn skeleton(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let latin: String = text.chars().map(latin).collect();
    Cow::Owned(fold(&latin).into_owned())
}

/// The same with every mark taken off, whatever it says in a language: `ä` is `a`, as is `ạ`.
fn bare(text: &str) -> String {
    let latin = text.chars().map(latin);
    let letters = latin.nfd().filter(|c| !is_combining_mark(*c));
    fold(&letters.collect::<String>()).into_owned()
}

/// The Latin letter that this one of another alphabet looks like.
const fn latin(c: char) -> char {
    match c {
        'а' | 'α' | 'ɑ' => 'a',
        'в' | 'ʙ' | 'ƅ' | 'ɓ' | 'ƀ' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' | 'ɗ' => 'd',
        'е' | 'ε' | 'є' | 'ҽ' => 'e',
        'ƒ' => 'f',
        'ɡ' | 'ɢ' | 'ɠ' => 'g',
        'һ' | 'н' => 'h',
        'і' | 'ı' | 'ι' | 'ӏ' | 'ɩ' => 'i',
        'ј' => 'j',
        'к' | 'κ' | 'ƙ' => 'k',
        'ⅼ' | 'ł' | 'ʟ' => 'l',
        'м' => 'm',
        'п' | 'η' | 'ո' | 'ɴ' => 'n',
        'о' | 'ο' | 'σ' | 'օ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'г' | 'ʀ' => 'r',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ս' => 'u',
        'ν' | 'ѵ' => 'v',
        'ѡ' | 'ω' | 'ш' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        other => other,
    }
}

/// The digits of `text` as the letters that they are written for; a 1 is `one`.
pub(super) fn digits_as_letters(text: &str, one: &str) -> String {
    text.replace('0', "o")
        .replace('1', one)
        .replace('3', "e")
        .replace('4', "a")
        .replace('5', "s")
}

/// The readings of a name whose digits and pairs stand for letters, where they differ from it.
fn look_alikes(text: &str) -> Vec<String> {
    let digits = |text: &str, one: &str| {
        digits_as_letters(text, one)
            .replace('7', "t")
            .replace("rn", "m")
            .replace("vv", "w")
    };
    let digit = |byte: u8| matches!(byte, b'0' | b'1' | b'3' | b'4' | b'5' | b'7');
    let mut pairs = text.as_bytes().windows(2);
    let mut readings = Vec::new();
    if text.bytes().any(digit) || pairs.any(|pair| pair == b"rn" || pair == b"vv") {
        readings.push(digits(text, "l"));
        readings.push(digits(text, "i"));
        // The Cyrillic palochka is an i and an l.
        readings.push(digits(text, "l").replace('i', "l"));
    }
    if text.contains('i') {
        readings.push(text.replace('i', "l"));
    }
    readings
}

/// One letter more, less or another, or two neighbours that changed places.
fn is_typo(token: &str, brand: &str) -> bool {
    let (a, b) = (token.as_bytes(), brand.as_bytes());
    let front = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(front..).unwrap_or(&[]), b.get(front..).unwrap_or(&[]));
    match (a, b) {
        ([], []) => false,
        ([x, y, rest_a @ ..], [v, w, rest_b @ ..]) if x == w && y == v => rest_a == rest_b,
        ([_, rest_a @ ..], [_, rest_b @ ..]) if rest_a == rest_b => true,
        ([_, rest @ ..], whole) if rest == whole => true,
        (whole, [_, rest @ ..]) => whole == rest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(token: &str, expected: Option<(&str, Likeness)>) {
        assert_eq!(Brands::new().like(token), expected, "{token}");
    }

    #[test]
    fn a_name_is_known_however_it_is_dressed_up() {
        check("paypal", Some(("paypal", Likeness::Same)));
        check("раураl", Some(("paypal", Likeness::Homoglyph)));
        check("аррӏе", Some(("apple", Likeness::LookAlike)));
        check("páypal", Some(("paypal", Likeness::Homoglyph)));
        check("paypa1", Some(("paypal", Likeness::LookAlike)));
        check("g00gle", Some(("google", Likeness::LookAlike)));
        check("rnicrosoft", Some(("microsoft", Likeness::LookAlike)));
        check("microsfot", Some(("microsoft", Likeness::Typo)));
        check("netfllix", Some(("netflix", Likeness::Typo)));
        check("faceboo", Some(("facebook", Likeness::Typo)));
        check("apply", None);
        check("garden", None);
    }
}
