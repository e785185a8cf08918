//! Which numbers this process gave out, and since when some of them may not be counted.
//!
//! # Why
//!
//! A shard knows the highest number that it counted of each producer and slot; only the producer
//! knows the highest one that it gave out. Where the two meet, nothing is on its way, whether the
//! clicks lie in the queue of a bus or on a disk, and however long ago they were handed over.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::slots::SLOTS;
use crate::slots::Slot;

/// The accounts of this process and of the producers whose files it adopted.
#[derive(Debug)]
pub struct Ledger {
    accounts: Mutex<BTreeMap<Uuid, Accounts>>,
    /// Whether everybody was told that nothing is held, and nothing was numbered since.
    quiet: AtomicBool,
    woken: Notify,
    /// Whether what is missing between counted numbers is sent again.
    refills: AtomicBool,
    /// Whether nobody's files were looked for.
    is_whole: AtomicBool,
}

type Accounts = [Account; SLOTS as usize];

/// One slot of one producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    /// The highest number given out.
    issued: u64,
    /// Everything up to here is counted.
    counted: u64,
    /// No click before this time is uncounted; means nothing where all are counted.
    since: Timestamp,
    /// Clicks with higher numbers were taken after this time.
    mark: (u64, Timestamp),
    /// What is missing up to here is lost for good.
    lost: u64,
}

impl Account {
    const fn is_held(&self) -> bool {
        self.counted < self.issued
    }

    fn issue(&mut self, last: u64, first_at: Timestamp) {
        if !self.is_held() {
            self.since = first_at;
            self.mark = (last, first_at);
        }
        self.issued = self.issued.max(last);
    }

    fn settle(&mut self, counted: u64, asked: Timestamp) {
        // Two questions may overtake each other; what was counted stays counted.
        self.counted = self.counted.max(counted);
        if self.is_held() && self.counted >= self.mark.0 {
            self.since = self.mark.1;
            self.mark = (self.issued, asked);
        }
    }
}

impl Ledger {
    /// The ledger of `producer`, which gave out nothing yet.
    pub(super) fn of(producer: Uuid) -> Self {
        Self {
            accounts: Mutex::new(BTreeMap::from([(producer, new())])),
            quiet: AtomicBool::new(false),
            woken: Notify::new(),
            refills: AtomicBool::new(false),
            is_whole: AtomicBool::new(false),
        }
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<Uuid, Accounts>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom this process speaks for: itself, and adopted producers.
    #[must_use]
    pub fn producers(&self) -> Vec<Uuid> {
        self.accounts().keys().copied().collect()
    }

    /// Notes the numbers of a committed drain: by slot the last one, and the time of the first.
    pub(super) fn issue(&self, producer: Uuid, rows: impl Iterator<Item = (Slot, u64, Timestamp)>) {
        let mut accounts = self.accounts();
        let accounts = accounts.entry(producer).or_insert_with(new);
        let mut any = false;
        for (slot, last, first_at) in rows {
            if let Some(account) = accounts.get_mut(slot.index()) {
                account.issue(last, first_at);
                any = true;
            }
        }
        if any && self.quiet.swap(false, Ordering::AcqRel) {
            self.woken.notify_one();
        }
    }

    /// Speaks for an adopted file too, which holds these numbers and no click before that time.
    pub(super) fn take_over(&self, producer: Uuid, rows: &[(Slot, u64, Timestamp)]) {
        let mut accounts = self.accounts();
        let accounts = accounts.entry(producer).or_insert_with(new);
        for (slot, last, oldest) in rows {
            if let Some(account) = accounts.get_mut(slot.index()) {
                if account.is_held() {
                    account.since = account.since.min(*oldest);
                    account.issued = account.issued.max(*last);
                } else {
                    account.issue(*last, *oldest);
                }
            }
        }
    }

    /// Speaks for a producer no more: its files are gone.
    pub(super) fn forget(&self, producer: Uuid) {
        self.accounts().remove(&producer);
    }

    /// Notes what a shard counted of one slot: everything up to `seq`, but for what is missing from
    /// `gap` on. What is numbered later than now was taken after `asked`.
    pub fn settle(
        &self,
        (producer, slot): (Uuid, Slot),
        seq: u64,
        gap: Option<u64>,
        asked: Timestamp,
    ) {
        let refills = self.refills.load(Ordering::Relaxed);
        let mut accounts = self.accounts();
        let account = accounts
            .get_mut(&producer)
            .and_then(|accounts| accounts.get_mut(slot.index()));
        if let Some(account) = account {
            let counted = match gap {
                Some(first) if refills && first > account.lost => first - 1,
                _ => seq,
            };
            account.settle(counted, asked);
        }
    }

    /// Since when each producer may hold clicks of these slots.
    #[must_use]
    pub fn held(&self, slots: &[Slot]) -> BTreeMap<Uuid, Option<Timestamp>> {
        let oldest = |accounts: &Accounts| {
            slots
                .iter()
                .filter_map(|slot| accounts.get(slot.index()))
                .filter(|account| account.is_held())
                .map(|account| account.since)
                .min()
        };
        let accounts = self.accounts();
        accounts
            .iter()
            .map(|(producer, accounts)| (*producer, oldest(accounts)))
            .collect()
    }

    /// Whether this producer gave out a number: only then does a file of it lie on the disk.
    #[must_use]
    pub fn has_issued(&self, producer: Uuid) -> bool {
        let accounts = self.accounts();
        let accounts = accounts.get(&producer);
        accounts.is_some_and(|slots| slots.iter().any(|account| account.issued > 0))
    }

    /// Says that what is missing between counted numbers is sent again.
    pub fn refills(&self) {
        self.refills.store(true, Ordering::Relaxed);
    }

    /// Says that the numbers up to `to` that are missing are in no file any more.
    pub fn lose(&self, producer: Uuid, slot: Slot, to: u64) {
        let mut accounts = self.accounts();
        let account = accounts
            .get_mut(&producer)
            .and_then(|accounts| accounts.get_mut(slot.index()));
        if let Some(account) = account {
            account.lost = account.lost.max(to);
        }
    }

    /// Says that nobody's files were looked for: what they hold is in the accounts.
    pub fn complete(&self) {
        self.is_whole.store(true, Ordering::Release);
    }

    /// Whether [`complete`](Self::complete) was said.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }

    /// Begins to listen for numbers; call before asking what is [`held`](Self::held).
    pub fn listen(&self) {
        self.quiet.store(true, Ordering::Release);
    }

    /// Ends when a number was given out after [`listen`](Self::listen).
    pub async fn woken(&self) {
        self.woken.notified().await;
    }
}

fn new() -> Accounts {
    [Account::default(); SLOTS as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn settle(ledger: &Ledger, producer: Uuid, (seq, gap): (u64, Option<u64>), asked: i64) {
        ledger.settle((producer, Slot::new(3).unwrap()), seq, gap, at(asked));
    }

    fn held(ledger: &Ledger, producer: Uuid) -> Option<i64> {
        let slots: Vec<Slot> = Slot::all().collect();
        ledger.held(&slots)[&producer].map(Timestamp::micros)
    }

    #[test]
    fn what_is_numbered_is_held_until_it_is_counted() {
        let (me, slot) = (Uuid::now_v7(), Slot::new(3).unwrap());
        let ledger = Ledger::of(me);
        assert_eq!(held(&ledger, me), None);
        ledger.issue(me, [(slot, 4, at(10))].into_iter());
        assert_eq!(held(&ledger, me), Some(10));
        ledger.issue(me, [(slot, 9, at(20))].into_iter());
        settle(&ledger, me, (3, None), 30);
        assert_eq!(held(&ledger, me), Some(10));
        // The first drain is counted: what is left was taken after it.
        settle(&ledger, me, (4, None), 40);
        ledger.issue(me, [(slot, 12, at(50))].into_iter());
        settle(&ledger, me, (9, None), 60);
        assert_eq!(held(&ledger, me), Some(40));
        assert!(ledger.held(&[Slot::new(4).unwrap()])[&me].is_none());
        settle(&ledger, me, (12, None), 70);
        assert_eq!(held(&ledger, me), None);
    }

    #[test]
    fn a_gap_is_held_where_it_is_filled_and_not_lost() {
        let (me, slot) = (Uuid::now_v7(), Slot::new(3).unwrap());
        let ledger = Ledger::of(me);
        ledger.issue(me, [(slot, 4, at(10))].into_iter());
        settle(&ledger, me, (4, Some(2)), 20);
        assert_eq!(held(&ledger, me), None, "nobody sends it again");
        ledger.refills();
        ledger.issue(me, [(slot, 9, at(30))].into_iter());
        settle(&ledger, me, (9, Some(5)), 40);
        assert_eq!(held(&ledger, me), Some(30));
        settle(&ledger, me, (6, None), 50);
        assert!(held(&ledger, me).is_some(), "an older answer");
        ledger.lose(me, slot, 6);
        settle(&ledger, me, (9, Some(5)), 20);
        assert_eq!(held(&ledger, me), None);
    }

    #[test]
    fn an_adopted_producer_is_spoken_for_until_its_files_are_gone() {
        let (me, other, slot) = (Uuid::now_v7(), Uuid::now_v7(), Slot::new(3).unwrap());
        let ledger = Ledger::of(me);
        ledger.take_over(other, &[(slot, 7, at(5))]);
        ledger.take_over(other, &[(slot, 3, at(2))]);
        assert_eq!((held(&ledger, me), held(&ledger, other)), (None, Some(2)));
        settle(&ledger, other, (7, None), 9);
        assert_eq!(held(&ledger, other), None);
        ledger.forget(other);
        assert_eq!(ledger.producers(), [me]);
    }

    #[tokio::test]
    async fn a_number_after_the_silence_wakes_once() {
        let (me, slot) = (Uuid::now_v7(), Slot::new(3).unwrap());
        let ledger = Ledger::of(me);
        ledger.listen();
        ledger.issue(me, [(slot, 1, at(1))].into_iter());
        ledger.issue(me, [(slot, 2, at(2))].into_iter());
        ledger.woken().await;
        let again = futures_util::FutureExt::now_or_never(ledger.woken());
        assert_eq!(again, None);
    }
}
