//! Reads of the far cache that come together, so that one command carries them.
//!
//! # Why
//!
//! Alone, a read wakes the driver's thread and is woken by it, which costs more than the read
//! itself. Under load dozens of visitors ask within one turn of a worker's loop. Who asks for what
//! is already being asked waits for that answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::FarError;

/// The bytes under a key, if there are any.
pub(super) type Answer = Result<Option<Bytes>, FarError>;

/// The reads of one cache.
#[derive(Debug)]
pub(super) struct Reads {
    asked: Mutex<Asked>,
    apart: bool,
}

#[derive(Debug, Default)]
struct Asked {
    /// Who waits for which key, sent or not.
    waiting: HashMap<Bytes, Vec<oneshot::Sender<Answer>>>,
    unsent: Vec<Bytes>,
    /// Somebody sends, and will send what is unsent.
    is_sending: bool,
}

/// Keys that one caller sends now. Those that got no answer when it is dropped fail.
#[derive(Debug)]
pub(super) struct Batch {
    reads: Arc<Reads>,
    keys: Vec<Bytes>,
}

impl Reads {
    /// Nothing is asked yet. `apart`: every key is sent for itself at once, since keys live on
    /// several servers, and one that is away must not take the answers of the others along.
    pub(super) fn new(apart: bool) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            apart,
        })
    }

    /// Asks for `key`; `true`: nobody will send it, so the caller has to see to it.
    pub(super) fn ask(&self, key: Bytes) -> (oneshot::Receiver<Answer>, bool) {
        let (answer, receiver) = oneshot::channel();
        let mut asked = self.asked();
        let waiting = asked.waiting.entry(key.clone()).or_default();
        waiting.push(answer);
        if waiting.len() > 1 {
            return (receiver, false);
        }
        asked.unsent.push(key);
        // Two at a time were tried: twice the commands, half as full, and no faster.
        let is_sent = std::mem::replace(&mut asked.is_sending, true);
        (receiver, self.apart || !is_sent)
    }

    /// What was asked for since the last time, for the one who sends; he is done after `None`.
    pub(super) fn take(self: &Arc<Self>) -> Option<Batch> {
        let mut asked = self.asked();
        let keys = if self.apart {
            Vec::from_iter(asked.unsent.pop())
        } else {
            std::mem::take(&mut asked.unsent)
        };
        asked.is_sending = !keys.is_empty();
        drop(asked);
        (!keys.is_empty()).then(|| Batch {
            keys,
            reads: Arc::clone(self),
        })
    }

    fn forget(&self, key: &Bytes) -> Vec<oneshot::Sender<Answer>> {
        self.asked().waiting.remove(key).unwrap_or_default()
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// The keys.
    pub(super) fn keys(&self) -> &[Bytes] {
        &self.keys
    }

    /// Tells everybody who waits for `key`.
    pub(super) fn settle(&self, key: &Bytes, answer: &Answer) {
        for waiting in self.reads.forget(key) {
            // Who hung up is not there any more.
            drop(waiting.send(answer.clone()));
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for key in &self.keys {
            drop(self.reads.forget(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Bytes = Bytes::from_static(b"a");
    const OTHER: Bytes = Bytes::from_static(b"b");

    #[test]
    fn what_comes_while_one_sends_is_sent_by_him_once_and_told_to_everybody() {
        let reads = Reads::new(false);
        let (mut first, must_send) = reads.ask(KEY);
        assert!(must_send);
        let (mut same, must_send) = reads.ask(KEY);
        assert!(!must_send);
        let batch = reads.take().unwrap();
        assert_eq!(batch.keys(), [KEY]);
        // Sent and not answered yet: nobody sends it again.
        let (mut late, must_send) = reads.ask(KEY);
        assert!(!must_send);
        let (mut other, must_send) = reads.ask(OTHER);
        assert!(!must_send);
        batch.settle(&KEY, &Ok(Some(OTHER)));
        for receiver in [&mut first, &mut same, &mut late] {
            assert_eq!(receiver.try_recv().unwrap().unwrap(), Some(OTHER));
        }
        let batch = reads.take().unwrap();
        assert_eq!(batch.keys(), [OTHER]);
        batch.settle(&OTHER, &Err(FarError::Skipped));
        assert!(other.try_recv().unwrap().is_err());
        assert!(reads.take().is_none());
        let (_again, must_send) = reads.ask(KEY);
        assert!(must_send, "an answered key is asked anew");
    }

    #[test]
    fn keys_of_several_servers_are_sent_apart() {
        let reads = Reads::new(true);
        let (_first, must_send) = reads.ask(KEY);
        assert!(must_send);
        let (_other, must_send) = reads.ask(OTHER);
        assert!(must_send);
        let (one, two) = (reads.take().unwrap(), reads.take().unwrap());
        assert_eq!((one.keys().len(), two.keys().len()), (1, 1));
        assert!(reads.take().is_none());
        let (_same, must_send) = reads.ask(KEY);
        assert!(!must_send, "under way");
    }

    #[test]
    fn what_got_no_answer_fails_and_can_be_asked_again() {
        let reads = Reads::new(false);
        let (mut first, _) = reads.ask(KEY);
        drop(reads.take());
        assert!(first.try_recv().is_err());
        assert!(reads.take().is_none());
        let (_again, must_send) = reads.ask(KEY);
        assert!(must_send);
    }
}
