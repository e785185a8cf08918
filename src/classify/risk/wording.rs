//! The words that a host is made of.

use url::Url;

use crate::classify::brands::digits_as_letters;
use crate::classify::risk::Asking;
use crate::classify::risk::Found;
use crate::classify::risk::Name;
use crate::classify::risk::RiskRules;
use crate::classify::risk::SUSPICIOUS;
use crate::classify::risk::known;
use crate::classify::risk::known::WordSet;
use crate::classify::risk::names;
use crate::classify::vocabulary::Vocabulary;

const REASON: &str = "the host is made of words that ask for trust";

/// Words of hosts that offer programs.
const OFFERS: [&str; 7] = [
    "download",
    "downloads",
    "crack",
    "keygen",
    "player",
    "codec",
    "free",
];

/// Whether nothing was found of the brands that a host borrows.
const fn alone_so_far(found: &Found, before: usize) -> bool {
    before == found.fired.len()
}

/// The words of a site's own name. What stands below it belongs to whoever has the site.
#[derive(Default)]
struct Wording {
    parts: usize,
    /// Words that ask for trust; those that honest hosts do not have; those that say something.
    bait: usize,
    hard: usize,
    telling: usize,
    /// Words that do beside others.
    lures: usize,
    /// What somebody tries out.
    trial: bool,
    /// A word that only forms have beside a name that is no word, or written with digits.
    named: bool,
    disguised: bool,
    offers: bool,
}

impl RiskRules {
    pub(super) fn judge_words(
        &self,
        name: &Name,
        cheap: bool,
        url: &Url,
        vocabulary: &Vocabulary,
        found: &mut Found,
    ) {
        let mut asking = Asking {
            cheap,
            often: cheap || self.words.often.contains(name.end.as_str()),
            ..Asking::default()
        };
        for token in name.words().map(known::unnumbered) {
            let asks = self.words.bait.contains(token);
            asking.bait += usize::from(asks);
            asking.soft += usize::from(asks && self.words.soft.contains(token));
        }
        asking.bait += usize::from(self.is_torn(&name.site));
        asking.bait += usize::from(self.words.helping.contains(name.end.as_str()));
        let words = self.wording(name, vocabulary);
        let before = found.fired.len();
        self.judge_brands(name, asking, url, vocabulary, found);
        let told = found.fired.iter().skip(before);
        if told.map(|(_, weight)| *weight).fold(0.0, f32::max) < SUSPICIOUS {
            names::judge_ends(name, asking.bait + words.lures > 0, found);
        }
        if self.is_broken_mailbox(name) {
            found.add("the name of a mailbox and what is wrong with it", 0.55);
        } else if alone_so_far(found, before) && self.is_in_distress(name) {
            found.add("the host is named like a message to a victim", 0.5);
        }
        if alone_so_far(found, before) {
            self.judge_pairs(name, asking, words.lures, found);
        }
        let end = url.path().rsplit_once('.').map_or("", |(_, end)| end);
        if self.words.runs.contains(end) && (asking.often || words.offers) {
            found.add("a program where a host asks for trust", 0.4);
        }
        // Beside a brand the same words have counted already.
        let alone = alone_so_far(found, before);
        let most = if alone { 0.5 } else { 0.35 };
        let several = words.parts > 1;
        let many = several && words.hard > 0 && asking.bait + words.lures >= 2;
        let together = words.bait + words.lures > 2 && (words.telling > 0 || asking.often);
        if words.disguised {
            found.add("a word that asks for trust, written with digits", 0.6);
        } else if name.lent && words.trial {
            // Somebody tries out a form.
        } else if many && (words.lures > 0 || name.lent || asking.often)
            || words.hard >= 2
            || words.hard > 0 && words.telling > 1
            || words.named
            || together
        {
            found.add(REASON, most);
        } else if asking.bait >= 2 {
            let borrowed = alone && words.telling > 1 && (name.lent || cheap);
            found.add(REASON, if borrowed { 0.4 } else { 0.35 });
        } else if asking.bait + words.lures > 1
            && (cheap || words.parts > 3 && asking.bait + words.lures > 2)
        {
            found.add(REASON, 0.4);
        } else if words.hard > 0
            && asking.often
            && several
            && (!name.lent || asking.bait + words.lures > 1)
        {
            found.add("a word that asks for trust where phishers like to be", most);
        } else if asking.bait == 1 {
            found.add("a word in the host asks for trust", 0.12);
        }
    }

    /// Words that say something only together.
    fn judge_pairs(&self, name: &Name, asking: Asking, lures: usize, found: &mut Found) {
        let has = |set: &WordSet| name.site.split('-').any(|word| set.contains(word));
        let asks = asking.bait > 0 || lures > 0 && asking.often;
        if asks && has(&self.words.short) {
            found.add("a short name with a word that asks for trust", 0.45);
        } else if has(&self.words.coins) && has(&self.words.giveaways) {
            found.add("money that is given away", 0.5);
        } else if asking.bait > 0 && self.words.filelike.contains(name.end.as_str()) {
            found.add("the host looks like a file", 0.4);
        } else if name.lent
            && !name.account
            && !has(&self.words.trial)
            && name
                .site
                .split('-')
                .any(|word| self.ends_strong(word, 4, 5))
        {
            // `mailverify`
            found.add("a word that asks for trust glued to another", 0.4);
        }
    }

    fn wording(&self, name: &Name, vocabulary: &Vocabulary) -> Wording {
        let mut words = Wording::default();
        let (mut strong, mut all_known) = (false, true);
        for word in name.site.split('-').map(known::unnumbered) {
            let bait = self.words.bait.contains(word);
            let hard = bait && !self.words.soft.contains(word);
            let lure = self.words.lure.contains(word);
            words.parts += 1;
            words.bait += usize::from(bait);
            words.hard += usize::from(hard);
            words.telling += usize::from(bait && !self.words.gentle.contains(word));
            words.lures += usize::from(lure && !bait);
            words.trial |= self.words.trial.contains(word);
            words.disguised |= self.is_disguised(word);
            words.offers |= bait || OFFERS.contains(&word);
            strong |= self.words.strong.contains(word);
            all_known &= bait || lure || word.len() < 4 || vocabulary.knows(word);
        }
        // Below the end of a country the words are those of its language, which may be unknown.
        words.named = strong && !all_known && (name.end.len() > 2 || words.bait > 1);
        words
    }

    /// A word that asks for trust, torn in two: `logi-n`.
    fn is_torn(&self, label: &str) -> bool {
        let mut pairs = label.split('-').zip(label.split('-').skip(1));
        let is_word = |part: &str| self.words.bait.contains(part);
        pairs.any(|(front, back)| {
            (front.len() < 3 || back.len() < 3)
                && !is_word(front)
                && !is_word(back)
                && self.words.is_hard(&[front, back].concat())
        })
    }

    /// A word that only forms have, with digits for letters: `l0gin`.
    fn is_disguised(&self, word: &str) -> bool {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if digits == 0 || digits == word.len() || word.len() < 5 {
            return false;
        }
        let mut readings = ["i", "l"].iter().map(|one| digits_as_letters(word, one));
        readings.any(|reading| self.words.strong.contains(reading.as_str()))
    }
}
