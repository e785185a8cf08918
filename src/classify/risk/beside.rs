//! What stands beside the name of a brand in a host, and what it makes of it.

use url::Url;

use crate::classify::brands::Likeness;
use crate::classify::letters::fold;
use crate::classify::risk::Asking;
use crate::classify::risk::Name;
use crate::classify::risk::RiskRules;
use crate::classify::risk::known;
use crate::classify::risk::known::WordSet;
use crate::classify::vocabulary::Vocabulary;

/// What people put in front of a name that is taken: `mypaypal`.
const SHORT: [&str; 12] = [
    "my", "the", "go", "get", "web", "app", "us", "uk", "de", "fr", "id", "net",
];

/// The shortest last part of a compound that says what it is.
const SHORTEST_LAST: usize = 6;

/// The shortest halves of a word of two.
const SHORTEST_HALF: usize = 4;

/// The name of a brand as it stands in a host.
#[derive(Clone, Copy)]
pub(super) struct Borrowed<'name> {
    pub(super) brand: &'static str,
    pub(super) label: &'name str,
    /// Whether the label is the one that was registered.
    pub(super) is_site: bool,
    /// Whether the path has words that ask for trust.
    pub(super) in_path: bool,
}

/// What the words beside a name say together.
#[derive(Clone, Copy)]
struct Said {
    /// Words that ask for trust beside the name.
    lures: usize,
    /// The only one of them says little: `online` beside the name of a maker is a shop or a fan.
    faint: bool,
    /// A word that only forms have.
    forms: bool,
    /// A club, a lawyer, a calculator: what says little beside these says nothing.
    mild: bool,
    /// Something asks for trust, so that fewer words are harmless.
    doubted: bool,
}

impl RiskRules {
    /// How much the name of a brand counts in a foreign host, and why.
    pub(super) fn weigh(
        &self,
        name: &Name,
        asking: Asking,
        borrowed: Borrowed<'_>,
        vocabulary: &Vocabulary,
    ) -> (f32, &'static str) {
        let Borrowed {
            brand,
            label,
            is_site,
            in_path,
        } = borrowed;
        let is_brand = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_digit()) == brand;
        let by_host = |word: &str| !is_brand(word) && self.brands.same(word) == Some(brand);
        // `regionsbank` is nothing but a bank, whatever `regions` is.
        let ambiguous = self.words.ambiguous.contains(brand) && !label.split('-').any(by_host);
        let labels = [label]
            .into_iter()
            .chain(Some(name.site.as_str()).filter(|_| !is_site));
        let words = labels.flat_map(|label| label.split('-'));
        let words = words.map(known::unnumbered);
        let words = words.filter(|word| !brand.contains(word));
        let said = self.said(words.clone(), asking, borrowed, ambiguous);
        let (asks, lured) = if ambiguous {
            let of_kind = { words }.any(|word| self.is_of_kind(brand, word));
            let lured = said.lures > 1 || said.lures > 0 && said.forms || of_kind;
            (asking.is_plain(), lured)
        } else {
            let own = label.split('-').filter(|word| brand.contains(word));
            let own = own.filter(|word| self.words.bait.contains(word)).count();
            let asks = asking.bait > own + usize::from(said.faint);
            (asks, said.lures > 0)
        };
        let tried = label.split('-').any(|word| self.words.trial.contains(word));
        let lent = name.lent && !name.account && !tried && !said.mild && !ambiguous;
        if asks && !said.mild || name.lent && in_path {
            (0.85, " with a word that asks for trust")
        } else if lured && !said.mild {
            (0.6, " with a word that asks for trust")
        } else if !ambiguous && self.is_misused(name, asking, borrowed, said, vocabulary) {
            (0.55, ", which nobody else uses,")
        } else if !is_site && (asking.often || asking.cheap) && self.brands.is_strict(brand) {
            (0.5, " in front of another site")
        } else if in_path && asking.often && !said.mild && self.brands.is_strict(brand) {
            (0.5, " in front of a form")
        } else if in_path || lent || asking.cheap {
            (0.4, "")
        } else {
            (if said.mild { 0.2 } else { 0.3 }, "")
        }
    }

    fn said<'name>(
        &self,
        words: impl Iterator<Item = &'name str> + Clone,
        asking: Asking,
        borrowed: Borrowed<'_>,
        ambiguous: bool,
    ) -> Said {
        let guarded = self.is_guarded(borrowed.brand);
        let idle = |word: &str| {
            self.words.honest.contains(word) || !ambiguous && self.words.company.contains(word)
        };
        let lures = words.clone();
        let lures = lures.filter(|word| !idle(word) && self.is_lure(word));
        let faint = !guarded && lures.clone().count() == 1 && { lures.clone() }
            .all(|word| self.words.faint.contains(word));
        let lures = if faint { 0 } else { lures.count() };
        // A word that nothing is known of is a reason to doubt beside a guarded name.
        let odd = |word: &str| word.len() > 3 && !idle(word) && !self.words.plain.contains(word);
        let doubted =
            asking.often || asking.bait > 0 || lures > 0 || guarded && words.clone().any(odd);
        let is_plain = |word: &str| self.is_plain(word, doubted);
        let hard = |word: &str| self.words.is_hard(word) && !is_plain(word);
        let mut parts = borrowed.label.split('-');
        let forms = parts.any(|word| self.ends_strong(word, 1, 6));
        Said {
            lures,
            faint,
            forms,
            mild: !forms && !asking.cheap && !words.clone().any(hard) && { words }.any(is_plain),
            doubted,
        }
    }

    /// Whether the name is one that nobody but its owner has a use for, and not used by it.
    fn is_misused(
        &self,
        name: &Name,
        asking: Asking,
        borrowed: Borrowed<'_>,
        said: Said,
        vocabulary: &Vocabulary,
    ) -> bool {
        let Borrowed {
            brand,
            label,
            is_site,
            in_path,
        } = borrowed;
        let strict = self.brands.is_strict(brand);
        let words = || label.split('-').filter(|word| !brand.contains(word));
        // Of names that people talk about everywhere a word of the language is no sign.
        let strange = || words().any(|word| word.len() > 3 && !vocabulary.knows(word));
        // What a bank pays for at home, a club or a concert, stands below the end of its country.
        let anything = in_path || asking.often || name.lent;
        let abroad = name.end.len() > 2;
        is_site
            && !said.mild
            && self.is_guarded(brand)
            && (anything || abroad && (strict || strange()))
            && self.is_beside(words(), anything, strict, said.doubted)
    }

    pub(super) fn is_guarded(&self, brand: &str) -> bool {
        self.brands.is_strict(brand) || self.words.guarded.contains(brand)
    }

    /// Whether a word is what harmless hosts are made of; under ends that phishers like, fewer are.
    fn is_plain(&self, word: &str, doubted: bool) -> bool {
        (self.words.plain.contains(word) || self.words.honest.contains(word))
            && !(doubted && self.words.doubtful.contains(word))
    }

    /// Whether beside the name of a bank, a carrier or an office a word speaks of its business:
    /// then a name that means much else means that.
    fn is_of_kind(&self, brand: &str, word: &str) -> bool {
        let kinds: [(&WordSet, &WordSet); 5] = [
            (&self.words.banks, &self.words.money),
            (&self.words.carriers, &self.words.parcels),
            (&self.words.offices, &self.words.taxes),
            (&self.words.games, &self.words.prizes),
            (&self.words.telcos, &self.words.bills),
        ];
        // Of a compound the last part counts: `beitragserstattung`.
        let is_said = |words: &WordSet| {
            words.contains(word)
                || (1..word.len().saturating_sub(SHORTEST_LAST - 1))
                    .filter_map(|at| word.get(at..))
                    .any(|end| words.contains(end))
        };
        kinds
            .iter()
            .any(|(brands, words)| brands.contains(brand) && is_said(words))
    }

    /// Whether a word asks for trust beside a brand; so does one that begins or ends in such a
    /// word, and one that is made of two of them.
    pub(super) fn is_lure(&self, word: &str) -> bool {
        let asks = |part: Option<&str>| part.is_some_and(|part| self.words.is_hard(part));
        let word = fold(word.trim_end_matches(|c: char| c.is_ascii_digit()));
        let word = &*word;
        let around = |length: usize| {
            let end = word.len().checked_sub(length).and_then(|at| word.get(at..));
            asks(end) || length > 6 && asks(word.get(..length))
        };
        let half = |part: &str| {
            part.len() >= SHORTEST_HALF
                && (self.words.lure.contains(part)
                    || self.words.bait.contains(part)
                    || self.words.mails.contains(part))
        };
        let halves = |at: usize| {
            let two = word.split_at_checked(at);
            // Two words of a compound may be joined by an s.
            two.is_some_and(|(front, back)| {
                half(back) && (half(front) || front.strip_suffix('s').is_some_and(half))
            })
        };
        let own = |front: &str| word.strip_prefix(front).is_some_and(half);
        self.words.lure.contains(word)
            || self.words.bait.contains(word)
            || own("my")
            || own("new")
            || (5..word.len()).any(around)
            || (SHORTEST_HALF..word.len()).any(halves)
    }

    /// Whether a word ends in one of `least` letters or more that only forms have, behind `front`
    /// letters or more: `kontoverifizierung`.
    pub(super) fn ends_strong(&self, word: &str, front: usize, least: usize) -> bool {
        let mut ends = (front..word.len()).filter_map(|at| word.get(at..));
        ends.any(|end| end.len() >= least && self.words.strong.contains(end))
    }

    /// Whether what stands beside a name is not what its owner would put there.
    fn is_beside<'name>(
        &self,
        words: impl Iterator<Item = &'name str>,
        anything: bool,
        strict: bool,
        doubted: bool,
    ) -> bool {
        let (mut strange, mut all, mut honest_ones) = (0, 0, 0);
        for word in words {
            all += 1;
            let honest = self.words.company.contains(word)
                || self.is_plain(word, doubted)
                || self.brands.is_any(word);
            honest_ones += usize::from(honest || word.len() < 3);
            strange += usize::from(word.len() > 3 && !honest || strict && is_sum(word));
        }
        strange > 0 || all > honest_ones && anything
    }

    /// A brand of two or three words between others: `office-365`, `banco-do-brasil`.
    pub(super) fn in_some(&self, label: &str) -> Option<(&'static str, Likeness)> {
        let parts: Vec<&str> = label.split('-').collect();
        let some = parts.windows(2).chain(parts.windows(3));
        let mut some = some.filter(|some| parts.len() > some.len());
        some.find_map(|some| Some((self.brands.same(&some.concat())?, Likeness::Same)))
    }

    /// A brand and a word that asks for trust, written as one word.
    pub(super) fn glued(&self, label: &str, name: &Name) -> Option<(&'static str, String)> {
        let around = self.brands.around(label, 4);
        let mut around =
            around.filter(|(brand, _)| brand.len() > 4 || self.brands.is_strict(brand));
        around.find_map(|(brand, rest)| {
            let rest = rest.trim_matches(|c: char| c == '-' || c.is_ascii_digit());
            let asks = |word: &str| {
                (self.words.bait.contains(word) || self.words.lure.contains(word))
                    && !self.words.company.contains(word)
                    && !self.words.weak.contains(word)
            };
            let mut words = rest.split('-');
            // Further words may stand apart: `uspstrck-help`.
            let beside = match label.starts_with(brand) {
                true => words.next(),
                false => words.next_back(),
            };
            let asks_beside = rest.len() >= 3 && beside.is_some_and(asks);
            let guarded = self.is_guarded(brand);
            let lent = name.lent && !name.account && guarded && SHORT.contains(&rest);
            ((asks_beside || lent) && !self.words.ambiguous.contains(brand))
                .then(|| (brand, rest.to_owned()))
        })
    }

    /// Whether a host is called what only a message to a victim says: `fatura-atraso`.
    pub(super) fn is_in_distress(&self, name: &Name) -> bool {
        let words = || name.site.split('-');
        let is_state = |word: &str| self.words.distress.contains(word);
        let others = words().filter(|word| !is_state(word) && self.is_lure(word));
        words().any(is_state)
            && others.count() > 0
            && !words().any(|word| self.is_plain(word, false))
    }

    /// Whether a host is called a mailbox that something is wrong with: `webmail-quota-upgrade`.
    pub(super) fn is_broken_mailbox(&self, name: &Name) -> bool {
        let words = || name.site.split('-');
        let is_broken = |word: &str| self.words.broken.contains(word);
        // `mailboxfull`: names of mailboxes have seven letters.
        let both = |word: &str| {
            let two = word.split_at_checked(7);
            two.is_some_and(|(mail, rest)| self.words.mails.contains(mail) && is_broken(rest))
        };
        let is_mail = |word: &str| self.words.mails.contains(word) || both(word);
        let broken = |word: &str| is_broken(word) || both(word);
        words().any(is_mail)
            && words().any(broken)
            && !words().any(|word| self.words.plain.contains(word))
    }

    /// Whether any word of the path asks for trust.
    pub(super) fn asks_in_path(&self, url: &Url) -> bool {
        let mut words = url.path().split(['/', '-', '_', '.']);
        words.any(|word| self.words.bait.contains(word) || self.words.entry.contains(word))
    }

    /// Whether a label anybody can have is a mailbox and a word that asks for trust in one word.
    pub(super) fn is_glued_mailbox(&self, label: &str) -> bool {
        let rest = |word: &str| {
            let (front, back) = label.split_once(word)?;
            let asks = |part: &str| {
                let part = part.trim_matches(|c: char| c == '-' || c.is_ascii_digit());
                part.len() > 3
                    && (self.words.bait.contains(part) || self.words.broken.contains(part))
            };
            (asks(front) || asks(back)).then_some(())
        };
        [
            "webmail",
            "mailbox",
            "roundcube",
            "zimbra",
            "outlook",
            "office365",
        ]
        .iter()
        .any(|word| rest(word).is_some())
    }
}

/// Digits that are no year: `cashapp-750`.
fn is_sum(word: &str) -> bool {
    word.len() > 2
        && word.bytes().all(|byte| byte.is_ascii_digit())
        && !word.starts_with("20")
        && !matches!(word, "365" | "360" | "247")
}
