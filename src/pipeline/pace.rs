//! How often to flush: at once when little is there, seldom under load.

use std::sync::Arc;
use std::time::Duration;

/// Between two looks while nothing is there.
const IDLE: Duration = Duration::from_millis(50);
/// The longest that clicks wait for a flush.
const LONGEST: Duration = Duration::from_secs(15);
/// A flush may take this part of the time: the rows of a flush depend on the active links, not on
/// the clicks, so fewer flushes cost less.
const SHARE: u32 = 25;
/// Loops that flush beside each other may take this part of the time together.
const SHARE_OF_ALL: u32 = 4;

/// The loops of a process that flush beside each other: each clone is one of them.
#[derive(Clone, Debug, Default)]
pub struct Loops(Arc<()>);

impl Loops {
    /// The pause of one of them after a flush that took `busy` for `clicks`.
    pub(super) fn pause(&self, busy: Duration, clicks: usize) -> Duration {
        let loops = u32::try_from(Arc::strong_count(&self.0)).unwrap_or(u32::MAX);
        share(busy, clicks, SHARE.max(SHARE_OF_ALL.saturating_mul(loops)))
    }
}

/// The pause of a loop that is alone, after a flush that took `busy` for `clicks`.
pub(super) fn pause(busy: Duration, clicks: usize) -> Duration {
    share(busy, clicks, SHARE)
}

fn share(busy: Duration, clicks: usize, share: u32) -> Duration {
    if clicks == 0 {
        IDLE
    } else {
        busy.saturating_mul(share).clamp(IDLE, LONGEST)
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
    fn many_loops_pause_longer_than_one() {
        let busy = Duration::from_millis(10);
        assert_eq!(pause(busy, 1), busy * SHARE);
        assert_eq!(pause(busy, 0), IDLE);
        assert_eq!(pause(Duration::from_secs(2), 1), LONGEST);
        let loops = Loops::default();
        assert_eq!(loops.pause(busy, 1), busy * SHARE);
        let others: Vec<Loops> = (1..64).map(|_| loops.clone()).collect();
        assert_eq!(loops.pause(busy, 1), busy * 64 * SHARE_OF_ALL);
        drop(others);
        assert_eq!(loops.pause(busy, 1), busy * SHARE);
    }
}
