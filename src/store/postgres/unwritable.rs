//! Whether a server that answers takes no writes: a standby, a full disk, a lost privilege.
//!
//! Nobody can be asked whether a disk has room again; so what was noted holds for a while, and
//! whatever fails again is noted again.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio_postgres::error::SqlState;

/// How long after the last failed write the server is said to take none.
const HOLDS: Duration = Duration::from_secs(30);
/// Between two looks for another server behind the address.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What was noted last.
#[derive(Debug)]
pub(super) struct Unwritable {
    shard: usize,
    noted: Mutex<Option<(Instant, String)>>,
    looked: Mutex<Option<Instant>>,
}

impl Unwritable {
    /// Nothing was noted.
    pub(super) const fn new(shard: usize) -> Self {
        Self {
            shard,
            noted: Mutex::new(None),
            looked: Mutex::new(None),
        }
    }

    /// Whether it is time to see if the address leads to another server by now.
    pub(super) fn looks_again(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }

    /// Notes why a write failed, and tells it if it is news.
    pub(super) fn note(&self, why: &str) {
        let mut noted = self.noted();
        let is_news = !matches!(&*noted, Some((at, _)) if at.elapsed() < HOLDS);
        *noted = Some((Instant::now(), why.to_owned()));
        drop(noted);
        if is_news {
            tracing::error!(shard = self.shard, why, "the shard cannot be written");
        }
    }

    /// Why writes failed within the last 30 s.
    pub(super) fn why(&self) -> Option<String> {
        let noted = self.noted();
        let (at, why) = noted.as_ref()?;
        (at.elapsed() < HOLDS).then(|| why.clone())
    }

    fn noted(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a statement that failed with this says that others that write will fail as well.
pub(super) fn is_of_writing(state: &SqlState) -> bool {
    *state == SqlState::READ_ONLY_SQL_TRANSACTION
        || *state == SqlState::DISK_FULL
        || *state == SqlState::INSUFFICIENT_PRIVILEGE
        || *state == SqlState::IO_ERROR
}
