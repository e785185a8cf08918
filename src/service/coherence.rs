//! What keeps caches honest: how old the feed of each slot is, and which codes changed lately.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use crate::domain::time::Timestamp;
use crate::slots::SLOTS;
use crate::slots::Slot;

/// A feed that was not read for this long is silent, microseconds.
const SILENT_AFTER: i64 = 2_000_000;
/// How long changes are remembered: as long as a far value may be refreshed from.
const REMEMBERED: i64 = 600_000_000;
/// From so many changes on, those that are a minute old are forgotten.
const MANY_CHANGES: usize = 200_000;

/// Feed times by slot, and the newest version of every code that changed lately.
#[derive(Debug)]
pub struct Coherence {
    read_at: Vec<AtomicI64>,
    changed: Mutex<Changed>,
}

/// The newest version of every code that changed lately.
#[derive(Debug)]
struct Changed {
    known: HashMap<u64, Known>,
    /// With so many it is swept: twice as many as the last sweep left, since who makes links faster
    /// than that forgets them would else sweep all of them for each.
    sweep_at: usize,
}

impl Changed {
    /// Forgets what is older than it need be remembered; of many, what is older than a minute.
    fn sweep(&mut self, now: i64) {
        let many = self.known.len() >= MANY_CHANGES;
        let age = if many { REMEMBERED / 10 } else { REMEMBERED };
        self.known.retain(|_, known| now - known.at < age);
        if self.known.capacity() > 4 * self.known.len() {
            self.known.shrink_to(2 * self.known.len());
        }
        self.sweep_at = (self.known.len() * 2).max(MANY_CHANGES);
    }
}

impl Default for Changed {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            sweep_at: MANY_CHANGES,
        }
    }
}

/// What is known of a code that changed lately.
#[derive(Clone, Copy, Debug)]
struct Known {
    version: i64,
    /// When it was noted, by the databases' clock.
    at: i64,
    /// Whether the far cache knows it.
    told: bool,
}

impl Known {
    const NOTHING: Self = Self {
        version: i64::MIN,
        at: 0,
        told: false,
    };
}

impl Default for Coherence {
    fn default() -> Self {
        let read_at = (0..SLOTS).map(|_| AtomicI64::new(i64::MIN / 2)).collect();
        Self {
            read_at,
            changed: Mutex::default(),
        }
    }
}

impl Coherence {
    /// Says that the feed of these slots was read at `now`.
    pub fn feed_read(&self, slots: &[Slot], now: Timestamp) {
        for slot in slots {
            if let Some(at) = self.read_at.get(slot.index()) {
                at.store(now.micros(), Ordering::Relaxed);
            }
        }
    }

    /// Whether changes of this slot may go unnoticed at `now`.
    #[must_use]
    pub fn is_silent(&self, slot: Slot, now: Timestamp) -> bool {
        let read = self
            .read_at
            .get(slot.index())
            .map_or(i64::MIN / 2, |at| at.load(Ordering::Relaxed));
        now.micros() - read > SILENT_AFTER
    }

    /// Notes a change that the far cache is told of; `true` if it is news.
    pub fn note(&self, hash: u64, version: i64, now: Timestamp) -> bool {
        let at = now.micros();
        self.with(hash, at, |known| {
            let news = known.version < version || (known.version == version && !known.told);
            if news {
                *known = Known {
                    version,
                    at,
                    told: true,
                };
            }
            news
        })
    }

    /// Notes a change that this process made, before the far cache knows of it: an older value
    /// found there is no answer any more, and the feed's word is still news.
    pub fn expect(&self, hash: u64, version: i64, now: Timestamp) {
        let at = now.micros();
        self.with(hash, at, |known| {
            if known.version < version {
                *known = Known {
                    version,
                    at,
                    told: false,
                };
            }
        });
    }

    fn with<T>(&self, hash: u64, now: i64, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.known.len() >= changed.sweep_at {
            changed.sweep(now);
        }
        change(changed.known.entry(hash).or_insert(Known::NOTHING))
    }

    /// Whether a value of this version is older than a change that was noted.
    #[must_use]
    pub fn is_outdated(&self, hash: u64, version: i64) -> bool {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed
            .known
            .get(&hash)
            .is_some_and(|known| version < known.version)
    }

    /// Forgets changes that no cache can contradict any more.
    pub fn prune(&self, now: Timestamp) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.sweep(now.micros());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_news_once_and_outdates_what_is_older() {
        let coherence = Coherence::default();
        let now = Timestamp::from_micros(10_000_000);
        assert!(
            coherence.note(1, 5, now) && !coherence.note(1, 5, now) && !coherence.note(1, 4, now)
        );
        assert!(coherence.is_outdated(1, 4) && !coherence.is_outdated(1, 5));
        assert!(!coherence.is_outdated(2, 0));
    }

    #[test]
    fn a_change_of_ones_own_outdates_at_once_and_is_news_until_it_was_told() {
        let coherence = Coherence::default();
        let now = Timestamp::from_micros(10_000_000);
        coherence.expect(1, 5, now);
        assert!(coherence.is_outdated(1, 4) && !coherence.is_outdated(1, 5));
        assert!(!coherence.note(1, 4, now));
        assert!(coherence.note(1, 5, now) && !coherence.note(1, 5, now));
        coherence.expect(1, 5, now);
        assert!(!coherence.note(1, 5, now));
    }

    #[test]
    fn many_changes_at_once_are_swept_now_and_then_and_not_each_time() {
        let coherence = Coherence::default();
        // Sweeping for each would be 10^11 steps: this would not end.
        for n in 0..3 * MANY_CHANGES as u64 {
            coherence.note(n, 1, Timestamp::from_micros(1));
        }
        assert!(coherence.is_outdated(0, 0), "what is new is kept");
        let later = Timestamp::from_micros(REMEMBERED / 10 + 1);
        let n = 3 * MANY_CHANGES as u64;
        for n in n..n + 2 * MANY_CHANGES as u64 {
            coherence.note(n, 1, later);
        }
        assert!(
            !coherence.is_outdated(0, 0),
            "a minute later there is no room for it"
        );
        let capacity = || coherence.changed.lock().unwrap().known.capacity();
        assert!(capacity() <= 8 * MANY_CHANGES);
        coherence.prune(Timestamp::from_micros(REMEMBERED));
        assert_eq!(capacity(), 0, "their memory goes too");
    }

    #[test]
    fn a_feed_is_silent_until_it_was_read_and_two_seconds_after() {
        let coherence = Coherence::default();
        let slot = Slot::of("a");
        let at = Timestamp::from_micros;
        assert!(coherence.is_silent(slot, at(0)));
        coherence.feed_read(&[slot], at(0));
        assert!(
            !coherence.is_silent(slot, at(2_000_000)) && coherence.is_silent(slot, at(2_000_001))
        );
    }
}
