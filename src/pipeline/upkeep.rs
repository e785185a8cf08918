//! Housekeeping: judging shards that come and go, clocks, keys, gauges, old rows.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::coherence::Coherence;
use crate::service::redirect::Redirector;
use crate::service::visitors::VisitorKeys;
use crate::store::Judgement;
use crate::store::Store;
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
        if store.has_started() && !started.is_cancelled() {
            store.measure_clock().await;
            started.cancel();
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
        }
        if second % 60 == 30 {
            prune(&upkeep).await;
        }
        gauges(&upkeep);
        second += 1;
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

async fn prune(upkeep: &Upkeep) {
    upkeep.coherence.prune(upkeep.store.clock().now());
    for member in upkeep.store.usable().filter(|member| member.shard.is_up()) {
        if let Err(error) = member.shard.prune().await {
            tracing::debug!(shard = member.place, %error, "old rows stay for now");
        }
    }
}

fn gauges(upkeep: &Upkeep) {
    for member in upkeep.store.members() {
        telemetry::shard_up(member.place, member.takes_part() && member.shard.is_up());
        if let Shard::Postgres(shard) = &member.shard {
            let (size, used) = shard.pool();
            telemetry::shard_pool(member.place, size, used);
        }
    }
    if let Some(redirector) = &upkeep.redirector {
        let (entries, bytes) = redirector.near_cache().size();
        telemetry::cache_entries(entries);
        telemetry::cache_bytes(bytes);
    }
}
