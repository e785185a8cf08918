//! Housekeeping: judging shards that come and go, clocks, keys, gauges, old rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::coherence::Coherence;
use crate::service::redirect::Redirector;
use crate::service::visitors::VisitorKeys;
use crate::slots::SLOTS;
use crate::slots::Slot;
use crate::store::Judgement;
use crate::store::MemberState;
use crate::store::Store;
use crate::store::rows::Job;
use crate::store::shard::Shard;
use crate::telemetry;
use crate::telemetry::Metrics;

/// What the loop looks after.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// The shards.
    pub store: Arc<Store>,
    /// Keys that change each day; only where clicks are made.
    pub visitors: Option<Arc<VisitorKeys>>,
    /// Notes that grow old.
    pub coherence: Arc<Coherence>,
    /// Whose near cache is measured.
    pub redirector: Option<Arc<Redirector>>,
    /// Histograms that buffer.
    pub metrics: Metrics,
}

/// Looks after everything once a second until `stop`; `started` is told when the shards are known.
pub async fn run(upkeep: Upkeep, started: CancellationToken, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut second = 0_u64;
    let mut said = String::new();
    let mut absent = BTreeMap::new();
    let mut owners = vec![None; usize::from(SLOTS)];
    for member in upkeep.store.members() {
        telemetry::shard_known(member.place);
    }
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => (),
        }
        let store = &upkeep.store;
        let whole = store
            .members()
            .iter()
            .all(|member| member.takes_part() && member.shard.is_up());
        if !whole {
            judge(store, &mut said).await;
        }
        tell_absent(store, &mut absent);
        if store.has_started() && !started.is_cancelled() {
            store.measure_clock().await;
            started.cancel();
            telemetry::ready(true);
        }
        if second.is_multiple_of(5) && store.has_started() {
            store.refresh_data().await;
            store.read_owners().await;
            if let Some(visitors) = &upkeep.visitors {
                visitors.keep(store).await;
            }
            upkeep.metrics.upkeep();
        }
        if second.is_multiple_of(10) {
            store.measure_clock().await;
            look_at_partitions(store).await;
        }
        if second % 60 == 30 {
            prune(&upkeep).await;
        }
        gauges(&upkeep, &mut owners);
        rows(store, second).await;
        if let Some(redirector) = &upkeep.redirector {
            redirector.far_cache().look_after().await;
        }
        second += 1;
    }
}

/// Says which shards do not take part, and when they do; one that fails later is told by itself.
fn tell_absent(store: &Store, absent: &mut BTreeMap<usize, String>) {
    if !store.has_started() {
        return; // what is waited for is told as a whole
    }
    for member in store.members() {
        let place = member.place;
        let why = match &**member.state.load() {
            MemberState::Member => None,
            MemberState::Waiting(why) | MemberState::Failed(why) => Some(why.clone()),
        };
        match why {
            Some(why) if absent.get(&place) != Some(&why) => {
                tracing::warn!(shard = place, why, "the shard does not take part");
                absent.insert(place, why);
            }
            Some(_) => (),
            None if absent.remove(&place).is_some() => {
                tracing::info!(shard = place, "the shard takes part now");
            }
            None => (),
        }
    }
}

async fn judge(store: &Store, said: &mut String) {
    let judgement = store.judge().await;
    let word = match &judgement {
        Judgement::Started => String::new(),
        Judgement::Waiting(why) => why.clone(),
        Judgement::Refused(reasons) => {
            store.mark_refused(reasons);
            reasons.join("; ")
        }
    };
    if word != *said {
        if !word.is_empty() {
            tracing::warn!("{word}");
        }
        *said = word;
    }
}

/// How many partitions of each shard nobody may count: the probes of every role say so.
async fn look_at_partitions(store: &Store) {
    for member in store.usable().filter(|member| member.shard.is_up()) {
        if let Ok(leases) = member.shard.leases(Job::Count).await {
            let stopped = leases.iter().filter(|lease| lease.stopped.is_some());
            member.stopped.store(stopped.count(), Ordering::Relaxed);
        }
    }
}

async fn prune(upkeep: &Upkeep) {
    upkeep.coherence.prune(upkeep.store.clock().now());
    for member in upkeep.store.usable().filter(|member| member.shard.is_up()) {
        if let Err(error) = member.shard.prune().await {
            tracing::debug!(shard = member.place, %error, "old rows stay for now");
        }
    }
}

/// How many links each slot has; a server knows at once, a file has to count.
async fn rows(store: &Store, second: u64) {
    for member in store.usable().filter(|member| member.shard.is_up()) {
        let every = match &member.shard {
            Shard::Postgres(_) => 30,
            Shard::Sqlite(_) => 900,
        };
        if second % every != 3 {
            continue;
        }
        match member.shard.slot_links().await {
            Ok(slots) => {
                for (slot, links) in slots {
                    telemetry::slot_links(member.place, slot.number(), links);
                }
            }
            Err(error) => tracing::debug!(shard = member.place, %error, "rows are not counted"),
        }
    }
}

/// `owners`: the place of each slot's owner when this was called last.
fn gauges(upkeep: &Upkeep, owners: &mut [Option<usize>]) {
    let store = &upkeep.store;
    for member in store.members() {
        telemetry::shard_up(member.place, member.takes_part() && member.shard.is_up());
        let refused = matches!(&**member.state.load(), MemberState::Failed(_));
        telemetry::shard_refused(member.place, refused);
        if let Shard::Postgres(shard) = &member.shard {
            let pool = shard.pool();
            telemetry::shard_pool(
                member.place,
                pool.size,
                pool.in_use,
                pool.limit,
                pool.waiting,
            );
        }
    }
    for (slot, before) in Slot::all().zip(owners.iter_mut()) {
        let now = store.owner(slot).map(|member| member.place);
        telemetry::slot_owner(slot.number(), *before, now);
        *before = now;
    }
    let without_owner = owners.iter().filter(|owner| owner.is_none()).count();
    telemetry::slot_map(store.map().map_or(0, |map| map.epoch), without_owner);
    #[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
    telemetry::clock_skew(store.clock().skew() as f64 / 1e6);
    if let Some(redirector) = &upkeep.redirector {
        let (entries, bytes) = redirector.near_cache().size();
        telemetry::cache_entries(entries);
        telemetry::cache_bytes(bytes);
        telemetry::cache_limit(redirector.near_cache().limit());
    }
}
