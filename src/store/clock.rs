//! The databases' time without asking a database: an offset to this process's monotonic clock.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::domain::time::Timestamp;

/// More than this between this machine's clock and a database's is worth a warning, microseconds.
pub const SKEW_WARNING: i64 = 2_000_000;

/// Time by the databases' clock. Until it is measured, by this machine's.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// The database's time at `start`, microseconds.
    offset: AtomicI64,
    /// Database minus this machine, at the last measurement.
    skew: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        let (start, wall) = (Instant::now(), wall());
        Self {
            start,
            offset: AtomicI64::new(wall),
            skew: AtomicI64::new(0),
        }
    }
}

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// The time at a moment that was measured already.
    #[must_use]
    pub fn at(&self, moment: Instant) -> Timestamp {
        let elapsed = moment.saturating_duration_since(self.start).as_micros();
        let elapsed = i64::try_from(elapsed).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.offset.load(Ordering::Relaxed).saturating_add(elapsed))
    }

    /// Takes a measurement: the database said `answer` at some time between `asked` and `answered`.
    pub fn measure(&self, asked: Instant, answered: Instant, answer: Timestamp) {
        let round_trip = answered.saturating_duration_since(asked);
        let since = answered.elapsed();
        let now = answer.plus(round_trip / 2).plus(since).micros();
        let elapsed = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.offset
            .store(now.saturating_sub(elapsed), Ordering::Relaxed);
        self.skew
            .store(now.saturating_sub(wall()), Ordering::Relaxed);
    }

    /// Database minus this machine, microseconds.
    #[must_use]
    pub fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }
}

fn wall() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}
