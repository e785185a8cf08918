//! How often to flush: at once when little is there, seldom under load.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// Between two looks while nothing is there.
const IDLE: Duration = Duration::from_millis(50);
/// The longest that clicks wait for a flush.
const LONGEST: Duration = Duration::from_secs(5);
/// A loop may flush for this part of the time: the rows of a flush depend on the active links, not on
/// the clicks, so fewer flushes cost less.
const SHARE: u32 = 25;
/// Loops that flush beside each other may do so for this part of the time together.
const SHARE_OF_ALL: u32 = 4;

/// The loops of a process that flush beside each other: each clone is one of them.
#[derive(Clone, Debug)]
pub struct Loops(Arc<Mutex<Debt>>);

/// The time that flushes took beyond their share, as it was at a moment; it is paid off by waiting.
#[derive(Debug)]
struct Debt {
    at: Instant,
    owed: Duration,
}

impl Default for Loops {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Debt {
            at: Instant::now(),
            owed: Duration::ZERO,
        })))
    }
}

impl Loops {
    /// The pause of one of them after a flush that took `busy` for `clicks`. Where the others are
    /// idle it is no longer than if it were alone.
    pub(super) fn pause(&self, busy: Duration, clicks: usize) -> Duration {
        let mut debt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        share(busy, clicks).max(debt.after(busy, Instant::now()))
    }
}

impl Debt {
    /// How long it takes to pay for a flush of `busy` that ended now, and for those before it.
    fn after(&mut self, busy: Duration, now: Instant) -> Duration {
        let paid = now.saturating_duration_since(self.at) / SHARE_OF_ALL;
        // No more is owed than the longest pause pays for.
        self.owed = (self.owed.saturating_sub(paid) + busy).min(LONGEST / SHARE_OF_ALL);
        self.at = now;
        self.owed * SHARE_OF_ALL
    }
}

/// The pause of a loop that is alone, after a flush that took `busy` for `clicks`.
pub(super) fn pause(busy: Duration, clicks: usize) -> Duration {
    share(busy, clicks)
}

fn share(busy: Duration, clicks: usize) -> Duration {
    if clicks == 0 {
        IDLE
    } else {
        busy.saturating_mul(SHARE).clamp(IDLE, LONGEST)
    }
}

/// Pauses that double while something fails.
#[derive(Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    /// The next pause after a failure: 100 ms to 2 s.
    pub(super) fn next(&mut self) -> Duration {
        let pause = Duration::from_millis(100 << self.0.min(4));
        self.0 += 1;
        pause.min(Duration::from_secs(2))
    }

    /// Says that it worked.
    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_loop_pauses_for_its_own_share() {
        let busy = Duration::from_millis(10);
        assert_eq!(pause(busy, 1), busy * SHARE);
        assert_eq!(pause(busy, 0), IDLE);
        assert_eq!(pause(Duration::from_secs(2), 1), LONGEST);
        assert_eq!(Loops::default().pause(busy, 1), busy * SHARE);
    }

    #[test]
    fn many_loops_share_their_time_and_what_is_paid_is_forgotten() {
        let (busy, now) = (Duration::from_millis(10), Instant::now());
        let mut debt = Debt {
            at: now,
            owed: Duration::ZERO,
        };
        let pauses: Vec<Duration> = (0..64).map(|_| debt.after(busy, now)).collect();
        assert_eq!(pauses[0], busy * SHARE_OF_ALL);
        assert_eq!(pauses[63], busy * 64 * SHARE_OF_ALL);
        let later = now + pauses[63];
        assert_eq!(debt.after(busy, later), busy * SHARE_OF_ALL);
        assert_eq!(debt.after(LONGEST * 2, later), LONGEST);
    }
}
