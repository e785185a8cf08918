//! Which `analytics` process reads which partition: leases on the database's clock.
//!
//! # Why
//!
//! Leases only save work; correctness rests on the rollup's transaction. Every worker computes the
//! same assignment from the list of live workers, takes what is free of its own part and gives
//! back what is not, so that any number of processes share the partitions within seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::pipeline::consume;
use crate::pipeline::consume::Consumer;
use crate::slots::Slot;
use crate::store::StoreError;
use crate::store::rows::Lease;
use crate::telemetry;

/// Between two looks at the leases.
const EVERY: Duration = Duration::from_secs(1);
/// Between two renewals and signs of life.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// A partition that this process reads.
struct Held {
    epoch: i64,
    stop: CancellationToken,
    task: JoinHandle<()>,
    caught_up: Arc<AtomicBool>,
}

/// Reads this worker's share of the partitions of the shard at `place`, until `stop`.
pub async fn run(consumer: Consumer, place: usize, worker: String, stop: CancellationToken) {
    let mut held: BTreeMap<Slot, Held> = BTreeMap::new();
    let mut renewed: Option<Instant> = None;
    let mut workers: Vec<String> = Vec::new();
    loop {
        let due = renewed.is_none_or(|at| at.elapsed() >= RENEW_EVERY);
        match look(&consumer, place, &worker, &mut held, &mut workers, due).await {
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
    release(&consumer, place, &worker, held).await;
}

async fn look(
    consumer: &Consumer,
    place: usize,
    worker: &str,
    held: &mut BTreeMap<Slot, Held>,
    workers: &mut Vec<String>,
    renew: bool,
) -> Result<(), StoreError> {
    let Some(member) = consumer.store.members().get(place) else {
        return Ok(());
    };
    if !member.takes_part() || !member.shard.is_up() {
        return Ok(());
    }
    held.retain(|_, held| !held.task.is_finished());
    if renew {
        *workers = member.shard.beat_worker(worker).await?;
        let epochs: Vec<(Slot, i64)> = held
            .iter()
            .map(|(slot, held)| (*slot, held.epoch))
            .collect();
        let kept = member.shard.renew_leases(worker, &epochs).await?;
        for (slot, held) in held.iter().filter(|(slot, _)| !kept.contains(slot)) {
            tracing::info!(slot = slot.number(), "the lease went to somebody else");
            held.stop.cancel();
        }
    }
    let leases = member.shard.leases().await?;
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
            if let Some(lease) = member.shard.take_lease(lease.slot, worker).await? {
                held.insert(lease.slot, begin(consumer, place, lease));
            }
        } else if (!mine || lease.stopped.is_some())
            && let Some(surplus) = held.remove(&lease.slot)
        {
            give_back(surplus, member, worker, lease.slot).await;
        }
    }
    let at_end: Vec<Slot> = held
        .iter()
        .filter(|(_, held)| held.caught_up.swap(false, Ordering::Relaxed))
        .map(|(slot, _)| *slot)
        .collect();
    if !at_end.is_empty() {
        member.shard.caught_up(&at_end).await?;
    }
    telemetry::leases(place, held.len(), stopped);
    Ok(())
}

fn begin(consumer: &Consumer, place: usize, lease: Lease) -> Held {
    let (epoch, stop) = (lease.epoch, CancellationToken::new());
    let caught_up = Arc::new(AtomicBool::new(false));
    let reading = consume::partition(
        consumer.clone(),
        place,
        lease,
        Arc::clone(&caught_up),
        stop.clone(),
    );
    Held {
        epoch,
        stop,
        task: tokio::spawn(reading),
        caught_up,
    }
}

/// Ends the reader first: its last batch is committed under the lease, or not at all.
async fn give_back(held: Held, member: &crate::store::Member, worker: &str, slot: Slot) {
    held.stop.cancel();
    if let Err(error) = held.task.await {
        tracing::error!(%error, "a partition's reader failed");
    }
    if let Err(error) = member
        .shard
        .release_leases(worker, &[(slot, held.epoch)])
        .await
    {
        tracing::debug!(%error, "the lease runs out by itself");
    }
}

async fn release(consumer: &Consumer, place: usize, worker: &str, held: BTreeMap<Slot, Held>) {
    let Some(member) = consumer.store.members().get(place) else {
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
    let released = member.shard.release_leases(worker, &epochs).await;
    if let Err(error) = released.and(member.shard.forget_worker(worker).await) {
        tracing::debug!(%error, "the leases run out by themselves");
    }
}

/// The worker that reads a slot: rendezvous, so that one more or less moves only its own share.
fn assigned(slot: Slot, workers: &[String]) -> Option<&str> {
    let score = |worker: &&String| xxh3_64(format!("{worker}/{}", slot.number()).as_bytes());
    workers.iter().max_by_key(score).map(String::as_str)
}
