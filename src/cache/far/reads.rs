//! Reads of the far cache that come together, so that one command carries them.
//!
//! # Why
//!
//! Alone, a read wakes the driver's thread and is woken by it, which costs more than the read
//! itself. Under load dozens of visitors ask within one turn of a worker's loop. Who asks for what
//! is already being asked waits for that answer.

use std::collections::HashMap;
use std::collections::VecDeque;
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
    /// Keys of one command.
    most: usize,
}

#[derive(Debug, Default)]
struct Asked {
    /// Who waits for which key, sent or not.
    waiting: HashMap<Bytes, Vec<oneshot::Sender<Answer>>>,
    unsent: VecDeque<Bytes>,
    /// Somebody sends, and will send what is unsent.
    is_sending: bool,
}

/// Keys of one command. Those that got no answer when it is dropped fail.
#[derive(Debug)]
pub(super) struct Batch {
    reads: Arc<Reads>,
    keys: Vec<Bytes>,
}

impl Reads {
    /// Nothing is asked yet; a command takes `most` keys. With one, none waits for another command:
    /// keys live on several servers, and one that is away must not take other answers along.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            most,
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
        asked.unsent.push_back(key);
        // Two at a time were tried: twice the commands, half as full, and no faster.
        let is_sent = std::mem::replace(&mut asked.is_sending, true);
        (receiver, self.most == 1 || !is_sent)
    }

    /// What was asked for and not sent, for the one who sends; he is done after `None`.
    pub(super) fn take(self: &Arc<Self>) -> Option<Batch> {
        let mut asked = self.asked();
        let most = self.most.min(asked.unsent.len());
        let keys: Vec<Bytes> = asked.unsent.drain(..most).collect();
        asked.is_sending = !keys.is_empty();
        drop(asked);
        (!keys.is_empty()).then(|| Batch {
            keys,
            reads: Arc::clone(self),
        })
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

    /// Tells everybody who waits; `found` has one value for each key.
    pub(super) fn settle(mut self, found: Result<Vec<Option<Bytes>>, FarError>) {
        let waiting = self.forget();
        let mut found = found.map(Vec::into_iter);
        for waiting in waiting {
            let answer = match &mut found {
                Ok(values) => values.next().map(Ok),
                Err(error) => Some(Err(error.clone())),
            };
            // What got no value is dropped, which the one who waits takes for a failure.
            let Some(answer) = answer else { return };
            for one in waiting {
                // Who hung up is not there any more.
                drop(one.send(answer.clone()));
            }
        }
    }

    /// Those who wait, by key; from here on the keys can be asked for anew.
    fn forget(&mut self) -> Vec<Vec<oneshot::Sender<Answer>>> {
        let keys = std::mem::take(&mut self.keys);
        if keys.is_empty() {
            return Vec::new();
        }
        let mut asked = self.reads.asked();
        let waiting = keys.iter().map(|key| asked.waiting.remove(key));
        waiting.map(Option::unwrap_or_default).collect()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        drop(self.forget());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Bytes = Bytes::from_static(b"a");
    const OTHER: Bytes = Bytes::from_static(b"b");

    #[test]
    fn what_comes_while_one_sends_is_sent_by_him_once_and_told_to_everybody() {
        let reads = Reads::new(128);
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
        batch.settle(Ok(vec![Some(OTHER)]));
        for receiver in [&mut first, &mut same, &mut late] {
            assert_eq!(receiver.try_recv().unwrap().unwrap(), Some(OTHER));
        }
        let batch = reads.take().unwrap();
        assert_eq!(batch.keys(), [OTHER]);
        batch.settle(Err(FarError::Skipped));
        assert!(other.try_recv().unwrap().is_err());
        assert!(reads.take().is_none());
        let (_again, must_send) = reads.ask(KEY);
        assert!(must_send, "an answered key is asked anew");
    }

    #[test]
    fn keys_of_several_servers_are_sent_apart() {
        let reads = Reads::new(1);
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
        let reads = Reads::new(128);
        let (mut first, _) = reads.ask(KEY);
        drop(reads.take());
        assert!(first.try_recv().is_err());
        assert!(reads.take().is_none());
        let (_again, must_send) = reads.ask(KEY);
        assert!(must_send);
    }

    #[test]
    fn who_asks_again_is_not_forgotten_with_those_who_were_told() {
        let reads = Reads::new(128);
        let (_first, _) = reads.ask(KEY);
        let (mut short, _) = reads.ask(OTHER);
        let mut batch = reads.take().unwrap();
        assert!(batch.forget().len() == 2 && short.try_recv().is_err());
        let (mut again, _) = reads.ask(KEY);
        drop(batch);
        let batch = reads.take().unwrap();
        batch.settle(Ok(vec![None]));
        assert_eq!(again.try_recv().unwrap().unwrap(), None);
    }
}
