//! The words, ends and hosts that the risk rules know.

use hashbrown::HashSet;

const WORDS: &str = include_str!("../data/risk_words.txt");

/// One set for each line of the file, which says what each is for.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) bait: HashSet<&'static str>,
    pub(super) soft: HashSet<&'static str>,
    pub(super) strong: HashSet<&'static str>,
    pub(super) lure: HashSet<&'static str>,
    pub(super) ambiguous: HashSet<&'static str>,
    pub(super) often: HashSet<&'static str>,
    pub(super) store: HashSet<&'static str>,
    pub(super) account: HashSet<&'static str>,
    pub(super) cheap: HashSet<&'static str>,
    pub(super) lent: HashSet<&'static str>,
    pub(super) shorteners: HashSet<&'static str>,
    pub(super) runs: HashSet<&'static str>,
    pub(super) dressed: HashSet<&'static str>,
    pub(super) harmless: HashSet<&'static str>,
    pub(super) mailbox: HashSet<&'static str>,
    pub(super) folder: HashSet<&'static str>,
    pub(super) signin: HashSet<&'static str>,
    pub(super) pages: HashSet<&'static str>,
    pub(super) tenant: HashSet<&'static str>,
    pub(super) trial: HashSet<&'static str>,
    pub(super) famous: HashSet<&'static str>,
    pub(super) gentle: HashSet<&'static str>,
    pub(super) company: HashSet<&'static str>,
    pub(super) guarded: HashSet<&'static str>,
    pub(super) honest: HashSet<&'static str>,
    pub(super) tunnel: HashSet<&'static str>,
}

fn list(kind: &str) -> HashSet<&'static str> {
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
        }
    }

    /// Words that ask for trust and that honest hosts have no use for.
    pub(super) fn is_hard(&self, word: &str) -> bool {
        self.bait.contains(word) && !self.soft.contains(word)
    }

    /// Whether `host` is one of `set`, or stands below one of it.
    pub(super) fn is_below(set: &HashSet<&'static str>, host: &str) -> bool {
        let mut ends = host
            .match_indices('.')
            .filter_map(|(at, _)| host.get(at + 1..));
        set.contains(host) || ends.any(|end| set.contains(end))
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
    fn a_host_below_one_of_a_set_is_found() {
        let set = HashSet::from(["web.app"]);
        assert!(Known::is_below(&set, "web.app"));
        assert!(Known::is_below(&set, "a.b.web.app"));
        assert!(!Known::is_below(&set, "myweb.app"));
    }
}
