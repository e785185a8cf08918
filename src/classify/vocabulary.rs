//! Known words, and how a text without spaces is read as some of them.

use hashbrown::HashMap;

use crate::classify::lengths::Lengths;

/// The longest text that is looked for words inside.
const MAX_COMPOUND: usize = 40;
/// The longest word inside another one.
const LONGEST_PART: usize = 20;

/// Known words with the cost of meeting them, for finding words inside a text without spaces.
#[derive(Debug)]
pub struct Vocabulary {
    cost: HashMap<Box<str>, f32>,
    lengths: Lengths,
}

impl Vocabulary {
    /// Of lists of words, the most frequent first; a word keeps its best place.
    pub fn of<'word>(lists: impl IntoIterator<Item = Vec<&'word str>>) -> Self {
        let mut cost: HashMap<Box<str>, f32> = HashMap::new();
        for list in lists {
            for (rank, word) in list.into_iter().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "a rank of a few thousand")]
                let price = ((rank + 200) as f32).ln();
                let known = cost.entry(word.into()).or_insert(price);
                *known = known.min(price);
            }
        }
        let lengths = Lengths::by_beginning(cost.keys().map(|word| &**word));
        Self { cost, lengths }
    }

    /// Whether it is a known word.
    #[must_use]
    pub fn knows(&self, word: &str) -> bool {
        self.cost.contains_key(word)
    }

    /// Whether `text` is never taken apart.
    pub(super) fn is_whole(&self, text: &str) -> bool {
        !text.is_ascii() || text.len() > MAX_COMPOUND || self.knows(text)
    }

    /// The cheapest way to read `text` (ASCII letters) as words; unknown stretches stay whole.
    #[must_use]
    pub fn split<'text>(&self, text: &'text str) -> Vec<&'text str> {
        if self.is_whole(text) {
            return vec![text];
        }
        // For each end the price of all that stands before it, and where its last word begins.
        let mut best = [(f32::MAX, 0_usize); MAX_COMPOUND + 1];
        best[0] = (0.0, 0);
        for start in 0..text.len() {
            let rest = text.get(start..).unwrap_or("");
            let lengths = self.lengths.beginning_as(rest.as_bytes());
            let (reached, ahead) = best.split_at_mut(start + 1);
            let before = reached.last().map_or(0.0, |(price, _)| *price);
            let lengths = lengths.with_short();
            for (cheapest, unknown) in ahead.iter_mut().take(rest.len()).zip(UNKNOWN) {
                let price = before + unknown;
                if price < cheapest.0 {
                    *cheapest = (price, start);
                }
            }
            // The cheaper reading counts; of three letters and more, the known one.
            for length in lengths.up_to(rest.len().min(LONGEST_PART)) {
                if let Some(known) = rest.get(..length).and_then(|piece| self.cost.get(piece))
                    && let Some(cheapest) = ahead.get_mut(length - 1)
                {
                    let price = before + price_of(length, *known);
                    if price < cheapest.0 {
                        *cheapest = (price, start);
                    }
                }
            }
        }
        let mut words = Vec::new();
        let mut end = text.len();
        while end > 0 {
            let start = best.get(end).map_or(0, |(_, start)| *start);
            words.push(text.get(start..end).unwrap_or(""));
            end = start;
        }
        words.reverse();
        words
    }
}

/// What it costs to read a known word as such.
fn price_of(letters: usize, known: f32) -> f32 {
    // Two letters are more often a piece of something than a word.
    if letters < 3 { known + 6.0 } else { known }
}

/// What it costs to read letters as a word that is not known, from one letter on.
#[expect(clippy::indexing_slicing, reason = "the compiler computes it")]
const UNKNOWN: [f32; LONGEST_PART] = {
    let mut prices = [9.0 + 3.5; LONGEST_PART];
    let mut at = 1;
    while at < LONGEST_PART {
        prices[at] = prices[at - 1] + 3.5;
        at += 1;
    }
    prices
};
