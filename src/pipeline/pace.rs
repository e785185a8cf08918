//! How often to flush: at once when little is there, seldom under load.

use std::time::Duration;

/// Between two looks while nothing is there.
const IDLE: Duration = Duration::from_millis(50);
/// The longest that clicks wait for a flush.
const LONGEST: Duration = Duration::from_secs(10);
/// A flush may take this part of the time: the rows of a flush depend on the active links, not on
/// the clicks, so fewer flushes cost less.
const SHARE: u32 = 25;

/// The pause after a flush that took `busy` for `clicks`.
pub(super) fn pause(busy: Duration, clicks: usize) -> Duration {
    if clicks == 0 {
        IDLE
    } else {
        (busy * SHARE).clamp(IDLE, LONGEST)
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
