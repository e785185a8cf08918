//! Which lengths words have that begin, or end, with the same three letters.
//!
//! Looking for words inside a word asks a table for every piece of it, and nearly always in vain.
//! A bit for each length answers most of these questions without hashing anything.

/// What letters are told apart: a to z, and everything else.
const LETTERS: usize = 27;
/// The last bit stands for this length and all above.
const LONGEST: usize = 31;

/// One bit for each length, by three letters.
#[derive(Clone, Debug)]
pub(super) struct Lengths(Box<[u32]>);

impl Lengths {
    /// Of words, by their first three letters.
    pub(super) fn by_beginning<'word>(words: impl Iterator<Item = &'word str>) -> Self {
        Self::of(words.map(|word| (word.as_bytes().first_chunk(), word.len())))
    }

    /// Of words, by their last three letters.
    pub(super) fn by_end<'word>(words: impl Iterator<Item = &'word str>) -> Self {
        Self::of(words.map(|word| (word.as_bytes().last_chunk(), word.len())))
    }

    fn of<'word>(words: impl Iterator<Item = (Option<&'word [u8; 3]>, usize)>) -> Self {
        let mut lengths = vec![0; LETTERS * LETTERS * LETTERS].into_boxed_slice();
        for (three, length) in words {
            if let Some(bits) = three.and_then(|three| lengths.get_mut(place(three))) {
                *bits |= bit(length);
            }
        }
        Self(lengths)
    }

    /// The lengths of words that begin as `text` does.
    pub(super) fn beginning_as(&self, text: &[u8]) -> Set {
        self.set(text.first_chunk())
    }

    /// The lengths of words that end as `text` does.
    pub(super) fn ending_as(&self, text: &[u8]) -> Set {
        self.set(text.last_chunk())
    }

    fn set(&self, three: Option<&[u8; 3]>) -> Set {
        let bits = three.and_then(|three| self.0.get(place(three)));
        Set(bits.copied().unwrap_or(0))
    }
}

/// Some lengths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set(u32);

impl Set {
    /// The lengths up to `most`, shortest first.
    pub(super) fn up_to(self, most: usize) -> impl Iterator<Item = usize> {
        let mut bits = self.0 & (bit(most) | (bit(most) - 1));
        std::iter::from_fn(move || {
            let length = bits.trailing_zeros();
            bits &= bits.checked_sub(1)?;
            usize::try_from(length).ok()
        })
    }

    /// The same, and one and two.
    pub(super) const fn with_short(self) -> Self {
        Self(self.0 | bit(1) | bit(2))
    }

    /// Whether a word of this length, three or more, is worth looking for.
    pub(super) const fn may_hold(self, length: usize) -> bool {
        self.0 & bit(length) != 0
    }
}

const fn bit(length: usize) -> u32 {
    1 << if length < LONGEST { length } else { LONGEST }
}

fn place(three: &[u8; 3]) -> usize {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' => usize::from(byte - b'a'),
        _ => LETTERS - 1,
    };
    let [first, second, third] = three.map(letter);
    (first * LETTERS + second) * LETTERS + third
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lengths_that_occur_are_worth_a_look() {
        let words = ["garden", "garbage", "gar", "tv-serie", "ab"];
        let by_beginning = Lengths::by_beginning(words.into_iter());
        let held = |text: &str| {
            let set = by_beginning.beginning_as(text.as_bytes());
            let held = (3..12).filter(|length| set.may_hold(*length));
            held.collect::<Vec<usize>>()
        };
        assert_eq!(held("gardener"), vec![3, 6, 7]);
        assert_eq!(held("tv_x"), vec![8]);
        assert_eq!(held("gat"), Vec::<usize>::new());
        assert_eq!(held("ga"), Vec::<usize>::new());
        let by_end = Lengths::by_end(words.into_iter());
        assert!(by_end.ending_as(b"kindergarden").may_hold(6));
        assert!(!by_end.ending_as(b"kindergarden").may_hold(7));
        let long = "a".repeat(60);
        let set = Lengths::by_end(std::iter::once(long.as_str()));
        assert!(set.ending_as(b"aaa").may_hold(45));
    }
}
