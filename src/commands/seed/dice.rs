//! Dice that fall the same way in every run and on every machine.
//!
//! # Why
//!
//! They are ours (`splitmix64`): a random crate may change what a seed gives.

use crate::slots::hash;

/// Numbers that follow from where they begin.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The dice of one stream of the `index`th thing of a seed.
    pub(super) fn of(seed: u64, index: u64, stream: u64) -> Self {
        let mut bytes = [0; 24];
        for (place, number) in bytes.chunks_exact_mut(8).zip([seed, index, stream]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        Self(hash(&bytes))
    }

    /// 64 bits.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// 0 to `n - 1`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }

    /// In so many of a hundred cases.
    pub(super) fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Any of them.
    pub(super) fn one<T: Copy>(&mut self, list: &[T]) -> T {
        let at = self.below(list.len() as u64);
        *pick(list, at)
    }

    /// The earlier, the likelier.
    pub(super) fn favourite<'list, T>(&mut self, list: &'list [T]) -> &'list T {
        let n = list.len() as u64;
        let at = self.below(n).min(self.below(n));
        pick(list, at)
    }
}

/// The entry `at`; the first where there is none.
pub(super) fn pick<T>(list: &[T], at: u64) -> &T {
    usize::try_from(at)
        .ok()
        .and_then(|at| list.get(at))
        .or(list.first())
        .expect("no list of the corpus is empty")
}
