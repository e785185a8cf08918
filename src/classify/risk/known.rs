//! The words, ends and hosts that the risk rules know.

use hashbrown::HashSet;

/// What letters are told apart: a to z, and everything else.
const LETTERS: usize = 27;

const WORDS: &str = include_str!("../data/risk_words.txt");

/// One set for each line of the file, which says what each is for.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) bait: WordSet,
    pub(super) soft: WordSet,
    pub(super) strong: WordSet,
    pub(super) lure: WordSet,
    pub(super) ambiguous: WordSet,
    pub(super) often: WordSet,
    pub(super) store: WordSet,
    pub(super) account: WordSet,
    pub(super) cheap: WordSet,
    pub(super) lent: WordSet,
    pub(super) shorteners: WordSet,
    pub(super) runs: WordSet,
    pub(super) dressed: WordSet,
    pub(super) harmless: WordSet,
    pub(super) mailbox: WordSet,
    pub(super) folder: WordSet,
    pub(super) signin: WordSet,
    pub(super) pages: WordSet,
    pub(super) tenant: WordSet,
    pub(super) trial: WordSet,
    pub(super) famous: WordSet,
    pub(super) gentle: WordSet,
    pub(super) company: WordSet,
    pub(super) guarded: WordSet,
    pub(super) honest: WordSet,
    pub(super) tunnel: WordSet,
    pub(super) bills: WordSet,
    pub(super) telcos: WordSet,
    pub(super) distress: WordSet,
    pub(super) prizes: WordSet,
    pub(super) games: WordSet,
    pub(super) faint: WordSet,
    pub(super) weak: WordSet,
    pub(super) doubtful: WordSet,
    pub(super) plain: WordSet,
    pub(super) english: WordSet,
    pub(super) broken: WordSet,
    pub(super) mails: WordSet,
    pub(super) taxes: WordSet,
    pub(super) offices: WordSet,
    pub(super) parcels: WordSet,
    pub(super) carriers: WordSet,
    pub(super) money: WordSet,
    pub(super) banks: WordSet,
    pub(super) short: WordSet,
    pub(super) coins: WordSet,
    pub(super) giveaways: WordSet,
    pub(super) filelike: WordSet,
    pub(super) entry: WordSet,
    pub(super) helping: WordSet,
}

/// What stands behind each dot of a host.
pub(super) fn ends_of(host: &str) -> impl Iterator<Item = &str> {
    let dots = host.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
    dots.filter_map(|(at, _)| host.get(at + 1..))
}

/// A word without the number that makes it another host: `secure05b`, `login2`.
pub(super) fn unnumbered(word: &str) -> &str {
    let is_digit = |c: char| c.is_ascii_digit();
    let front = word.strip_suffix(|c: char| c.is_ascii_lowercase());
    let front = front.filter(|front| front.ends_with(is_digit));
    let plain = front.unwrap_or(word).trim_end_matches(is_digit);
    if plain.len() > 3 { plain } else { word }
}

/// Some words. Nearly every word that is asked for is none of them, which its first two letters
/// and its length mostly tell without hashing it.
pub(super) struct WordSet {
    words: HashSet<&'static str>,
    lengths: Box<[u32; LETTERS * LETTERS]>,
}

impl WordSet {
    pub(super) fn contains(&self, word: &str) -> bool {
        self.get(word).is_some()
    }

    /// The word as the set holds it.
    pub(super) fn get(&self, word: &str) -> Option<&'static str> {
        let (place, bit) = mark(word);
        let held = self.lengths.get(place).is_some_and(|bits| bits & bit != 0);
        held.then(|| self.words.get(word).copied()).flatten()
    }
}

impl FromIterator<&'static str> for WordSet {
    fn from_iter<Words: IntoIterator<Item = &'static str>>(words: Words) -> Self {
        let words: HashSet<&'static str> = words.into_iter().collect();
        let mut lengths = Box::new([0; LETTERS * LETTERS]);
        for (place, bit) in words.iter().map(|word| mark(word)) {
            if let Some(bits) = lengths.get_mut(place) {
                *bits |= bit;
            }
        }
        Self { words, lengths }
    }
}

impl std::fmt::Debug for WordSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.words.fmt(f)
    }
}

/// Where the lengths of words that begin as this one does stand, and the bit of its own.
fn mark(word: &str) -> (usize, u32) {
    let letter = |at: usize| match word.as_bytes().get(at) {
        Some(byte @ b'a'..=b'z') => usize::from(byte - b'a'),
        _ => LETTERS - 1,
    };
    (letter(0) * LETTERS + letter(1), 1 << word.len().min(31))
}

fn list(kind: &str) -> WordSet {
    let line = WORDS.lines().find_map(|line| {
        let (name, words) = line.split_once(": ")?;
        (name == kind).then_some(words)
    });
    line.unwrap_or("").split_ascii_whitespace().collect()
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            bait: list("bait"),
            soft: list("soft"),
            strong: list("strong"),
            lure: list("lure"),
            ambiguous: list("ambiguous"),
            often: list("often"),
            store: list("store"),
            account: list("account"),
            cheap: list("cheap"),
            lent: list("lent"),
            shorteners: list("shortener"),
            runs: list("runs"),
            dressed: list("dressed"),
            harmless: list("harmless"),
            mailbox: list("mailbox"),
            folder: list("folder"),
            signin: list("signin"),
            pages: list("pages"),
            tenant: list("tenant"),
            trial: list("trial"),
            famous: list("famous"),
            gentle: list("gentle"),
            company: list("company"),
            guarded: list("guarded"),
            honest: list("honest"),
            tunnel: list("tunnel"),
            bills: list("bills"),
            telcos: list("telcos"),
            distress: list("distress"),
            prizes: list("prizes"),
            games: list("games"),
            faint: list("faint"),
            weak: list("weak"),
            doubtful: list("doubtful"),
            plain: list("plain"),
            english: list("english"),
            broken: list("broken"),
            mails: list("mails"),
            taxes: list("taxes"),
            offices: list("offices"),
            parcels: list("parcels"),
            carriers: list("carriers"),
            money: list("money"),
            banks: list("banks"),
            short: list("short"),
            coins: list("coins"),
            giveaways: list("giveaways"),
            filelike: list("filelike"),
            entry: list("entry"),
            helping: list("helping"),
        }
    }

    /// Words that ask for trust and that honest hosts have no use for.
    pub(super) fn is_hard(&self, word: &str) -> bool {
        self.bait.contains(word) && !self.soft.contains(word)
    }

    /// Whether `host` is one of `set`, or stands below one of it.
    pub(super) fn is_below(set: &WordSet, host: &str) -> bool {
        set.contains(host) || ends_of(host).any(|end| set.contains(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_of_the_file_is_read() {
        let known = format!("{:?}", Known::new());
        for line in WORDS.lines().filter(|line| !line.starts_with('#')) {
            let first = line.split_ascii_whitespace().nth(1).unwrap();
            assert!(known.contains(&format!("{first:?}")), "{line:.40}");
        }
        assert!(!known.contains("{}"), "a list is empty");
    }

    #[test]
    fn words_lose_the_numbers_of_hosts() {
        for (word, plain) in [
            ("secure05b", "secure"),
            ("login2", "login"),
            ("o365", "o365"),
            ("a1b", "a1b"),
            ("online", "online"),
            ("05", "05"),
        ] {
            assert_eq!(unnumbered(word), plain);
        }
    }

    #[test]
    fn a_host_below_one_of_a_set_is_found() {
        let set = WordSet::from_iter(["web.app"]);
        assert!(Known::is_below(&set, "web.app"));
        assert!(Known::is_below(&set, "a.b.web.app"));
        assert!(!Known::is_below(&set, "myweb.app"));
    }
}
