//! Which worker process reads which partition: leases on the database's clock.
//!
//! # Why
//!
//! Leases only save work; correctness rests on the rollup's transaction and the labels' versions. Every worker computes the
//! same assignment from the list of live workers, takes what is free of its own part and gives
//! back what is not, so that any number of processes share the partitions within seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::time::Timestamp;
use crate::pipeline::consume;
use crate::pipeline::consume::Consumer;
use crate::pipeline::label_consume;
use crate::pipeline::label_consume::LabelConsumer;
use crate::slots::Slot;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::rows::Job;
use crate::store::rows::Lease;
use crate::telemetry;

/// Between two looks at the leases.
const EVERY: Duration = Duration::from_secs(1);
/// Between two renewals and signs of life.
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// What the names of label workers begin with.
const LABELLER: &str = "label-";

/// What a worker does with the partitions that it reads.
#[derive(Clone, Debug)]
pub enum Work {
    /// Counts clicks.
    Count(Consumer),
    /// Labels links.
    Label(LabelConsumer),
}

impl Work {
    const fn job(&self) -> Job {
        match self {
            Self::Count(_) => Job::Count,
            Self::Label(_) => Job::Label,
        }
    }

    const fn store(&self) -> &Arc<Store> {
        match self {
            Self::Count(consumer) => &consumer.store,
            Self::Label(consumer) => &consumer.labeller.store,
        }
    }

    /// A worker's name; the kinds share one list of workers and must not divide each other's work.
    fn name(&self, worker: &str) -> String {
        match self {
            Self::Count(_) => worker.to_owned(),
            Self::Label(_) => format!("{LABELLER}{worker}"),
        }
    }

    fn is_colleague(&self, name: &str) -> bool {
        name.starts_with(LABELLER) == matches!(self, Self::Label(_))
    }
}

/// A partition that this process reads.
struct Held {
    epoch: i64,
    stop: CancellationToken,
    task: JoinHandle<()>,
    caught_up: Arc<AtomicI64>,
}

/// Reads this worker's share of the partitions of the shard at `place`, until `stop`.
pub async fn run(work: Work, place: usize, worker: String, stop: CancellationToken) {
    let worker = work.name(&worker);
    let mut held: BTreeMap<Slot, Held> = BTreeMap::new();
    let mut renewed: Option<Instant> = None;
    let mut workers: Vec<String> = Vec::new();
    loop {
        let due = renewed.is_none_or(|at| at.elapsed() >= RENEW_EVERY);
        match look(&work, place, &worker, &mut held, &mut workers, due).await {
            Ok(()) if due => renewed = Some(Instant::now()),
            Ok(()) => (),
            Err(error) => tracing::debug!(place, %error, "the leases cannot be read"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep(EVERY) => (),
        }
    }
    release(&work, place, &worker, held).await;
}

async fn look(
    work: &Work,
    place: usize,
    worker: &str,
    held: &mut BTreeMap<Slot, Held>,
    workers: &mut Vec<String>,
    renew: bool,
) -> Result<(), StoreError> {
    let Some(member) = work.store().members().get(place) else {
        return Ok(());
    };
    if !member.takes_part() || !member.shard.is_up() {
        return Ok(());
    }
    held.retain(|_, held| !held.task.is_finished());
    if renew {
        *workers = member.shard.beat_worker(worker).await?;
        workers.retain(|name| work.is_colleague(name));
        let epochs: Vec<(Slot, i64)> = held
            .iter()
            .map(|(slot, held)| (*slot, held.epoch))
            .collect();
        let kept = member
            .shard
            .renew_leases(work.job(), worker, &epochs)
            .await?;
        for (slot, held) in held.iter().filter(|(slot, _)| !kept.contains(slot)) {
            tracing::info!(slot = slot.number(), "the lease went to somebody else");
            held.stop.cancel();
        }
    }
    let leases = member.shard.leases(work.job()).await?;
    let stopped = leases
        .iter()
        .filter(|lease| lease.stopped.is_some())
        .count();
    for lease in leases {
        let mine = assigned(lease.slot, workers).is_some_and(|name| name == worker);
        let free = lease
            .holder
            .as_deref()
            .is_none_or(|holder| holder == worker);
        if mine && free && lease.stopped.is_none() && !held.contains_key(&lease.slot) {
            if let Some(lease) = member
                .shard
                .take_lease(work.job(), lease.slot, worker)
                .await?
            {
                held.insert(lease.slot, begin(work, place, lease));
            }
        } else if (!mine || lease.stopped.is_some())
            && let Some(surplus) = held.remove(&lease.slot)
        {
            give_back(work, surplus, member, worker, lease.slot).await;
        }
    }
    let at_end: Vec<(Slot, Timestamp)> = held
        .iter()
        .map(|(slot, held)| (*slot, held.caught_up.swap(0, Ordering::Relaxed)))
        .filter(|(_, at)| *at > 0)
        .map(|(slot, at)| (slot, Timestamp::from_micros(at)))
        .collect();
    if !at_end.is_empty() {
        member.shard.caught_up(&at_end).await?;
    }
    if matches!(work, Work::Count(_)) {
        telemetry::leases(place, held.len(), stopped);
    }
    Ok(())
}

fn begin(work: &Work, place: usize, lease: Lease) -> Held {
    let (epoch, stop) = (lease.epoch, CancellationToken::new());
    let caught_up = Arc::new(AtomicI64::new(0));
    let task = match work.clone() {
        Work::Count(consumer) => {
            let (end, stop) = (Arc::clone(&caught_up), stop.clone());
            tokio::spawn(consume::partition(consumer, place, lease, end, stop))
        }
        Work::Label(consumer) => tokio::spawn(label_consume::partition(
            consumer,
            place,
            lease,
            stop.clone(),
        )),
    };
    Held {
        epoch,
        stop,
        task,
        caught_up,
    }
}

/// Ends the reader first: its last batch is committed under the lease, or not at all.
async fn give_back(
    work: &Work,
    held: Held,
    member: &crate::store::Member,
    worker: &str,
    slot: Slot,
) {
    held.stop.cancel();
    if let Err(error) = held.task.await {
        tracing::error!(%error, "a partition's reader failed");
    }
    if let Err(error) = member
        .shard
        .release_leases(work.job(), worker, &[(slot, held.epoch)])
        .await
    {
        tracing::debug!(%error, "the lease runs out by itself");
    }
}

async fn release(work: &Work, place: usize, worker: &str, held: BTreeMap<Slot, Held>) {
    let Some(member) = work.store().members().get(place) else {
        return;
    };
    for held in held.values() {
        held.stop.cancel();
    }
    let mut epochs = Vec::new();
    for (slot, held) in held {
        if let Err(error) = held.task.await {
            tracing::error!(%error, "a partition's reader failed");
        }
        epochs.push((slot, held.epoch));
    }
    let released = member
        .shard
        .release_leases(work.job(), worker, &epochs)
        .await;
    if let Err(error) = released.and(member.shard.forget_worker(worker).await) {
        tracing::debug!(%error, "the leases run out by themselves");
    }
}

/// The worker that reads a slot: rendezvous, so that one more or less moves only its own share.
fn assigned(slot: Slot, workers: &[String]) -> Option<&str> {
    let score = |worker: &&String| xxh3_64(format!("{worker}/{}", slot.number()).as_bytes());
    workers.iter().max_by_key(score).map(String::as_str)
}
