//! Turns at a pool: as many as it has connections, and one for the next connection.
//!
//! # Why
//!
//! Connecting takes a hundred times as long as what is asked then. A pool alone makes a connection
//! for everybody who comes while all are in use, so a burst of visitors waits for all of them at
//! once, on a busy machine longer than a visitor may wait. With one more at a time, those that are
//! there go on answering.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// The turns of one pool.
#[derive(Debug)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    /// Turns that are free or taken.
    given: AtomicUsize,
    most: usize,
    waiting: AtomicUsize,
}

/// One who waits, until it is dropped.
struct Waiting<'turns>(&'turns AtomicUsize);

impl Turns {
    /// The turns of an empty pool that may have `most` connections.
    pub(super) fn new(most: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(1)),
            given: AtomicUsize::new(1),
            most,
            waiting: AtomicUsize::new(0),
        }
    }

    /// A turn, in the order of asking; given back when it is dropped.
    pub(super) async fn next(&self) -> Option<OwnedSemaphorePermit> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        // Only a closed semaphore refuses, and this one never is.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// How many wait for a turn.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A connection was made: there is one turn more.
    pub(super) fn connected(&self) {
        let more = |given| (given < self.most).then_some(given + 1);
        let given = self
            .given
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        if given.is_ok() {
            self.free.add_permits(1);
        }
    }

    /// The connections were thrown away: they are made anew one at a time.
    pub(super) fn disconnected(&self) {
        let taken_back = self.free.forget_permits(self.most);
        if self.given.fetch_sub(taken_back, Ordering::AcqRel) == taken_back {
            self.connected(); // nobody has one, so nobody would give one back
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Takes turns until somebody would have to wait.
    fn take_all(turns: &Turns) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| turns.next().now_or_never().flatten()).collect()
    }

    #[test]
    fn there_is_one_turn_more_than_connections_up_to_the_size_of_the_pool() {
        let turns = Turns::new(3);
        let taken = take_all(&turns);
        assert_eq!(taken.len(), 1);
        turns.connected();
        assert_eq!(take_all(&turns).len(), 1);
        drop(taken);
        assert_eq!(take_all(&turns).len(), 2);
        for _ in 0..3 {
            turns.connected();
        }
        assert_eq!(take_all(&turns).len(), 3);
    }

    #[test]
    fn after_a_loss_there_is_one_turn_whether_some_were_taken_or_not() {
        let turns = Turns::new(3);
        turns.connected();
        turns.disconnected();
        let taken = take_all(&turns);
        assert_eq!(taken.len(), 1);
        turns.disconnected();
        assert!(take_all(&turns).is_empty(), "it is still taken");
        drop(taken);
        assert_eq!(take_all(&turns).len(), 1);
    }

    #[test]
    fn who_hangs_up_does_not_wait_any_more() {
        let turns = Turns::new(1);
        let taken = take_all(&turns);
        let mut next = Box::pin(turns.next());
        assert!((&mut next).now_or_never().is_none());
        assert_eq!((turns.waiting(), taken.len()), (1, 1));
        drop(next);
        assert_eq!(turns.waiting(), 0);
    }
}
