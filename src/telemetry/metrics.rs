//! The only place that counts: one function for each thing that happens.
//!
//! Before [`install`](super::install) they all do nothing, so that no test needs a recorder.
//!
//! # Why
//!
//! A macro with static labels costs about 80 ns, with an allocated label up to 460 ns: enough for
//! what touches a disk or a socket anyway. What every request does (cache, in flight) uses handles
//! that were looked up once; what every redirect does goes to [`Stripes`](super::Stripes).

use std::time::Duration;

use metrics::counter;
use metrics::gauge;
use metrics::histogram;

use super::describe::*;
use super::labels::CacheResult;
use super::labels::CacheTier;
use super::labels::DropReason;
use super::labels::SHARD_ERROR_KINDS;
use super::recorder::HANDLES;

/// An answer, of whatever route; `route` is the template (`/api/links/{code}`), never the path.
pub fn http_request(route: &'static str, method: &'static str, status: u16, elapsed: Duration) {
    counter!(HTTP_REQUESTS.name, "route" => route, "method" => method, "code" => status.to_string())
        .increment(1);
    histogram!(HTTP_DURATION.name, "route" => route, "method" => method).record(elapsed);
}

/// One more request in flight, or (-1) one less.
pub fn http_in_flight(delta: i64) {
    if let Some(handles) = HANDLES.get() {
        handles.in_flight.increment(delta as f64);
    }
}

/// A request refused because its client sent too many; `what` is `create` or `miss`.
pub fn rate_limited(what: &'static str) {
    counter!(RATE_LIMITED.name, "what" => what).increment(1);
}

/// A question to a cache.
pub fn cache_requests(tier: CacheTier, result: CacheResult) {
    let handles = HANDLES.get();
    let of_tier = handles.and_then(|handles| handles.cache.get(tier as usize));
    if let Some(counter) = of_tier.and_then(|tier| tier.get(result as usize)) {
        counter.increment(1);
    }
}

/// Links in the near cache now.
pub fn cache_entries(n: u64) {
    gauge!(CACHE_ENTRIES.name).set(n as f64);
}

/// Memory the near cache takes now.
pub fn cache_bytes(n: u64) {
    gauge!(CACHE_BYTES.name).set(n as f64);
}

/// Memory the near cache may take.
pub fn cache_limit(n: u64) {
    gauge!(CACHE_LIMIT.name).set(n as f64);
}

/// A link pushed out of the near cache by another.
pub fn cache_evicted() {
    if let Some(handles) = HANDLES.get() {
        handles.evictions.increment(1);
    }
}

/// A request that another one's look-up of the same code answered.
pub fn shared_load() {
    counter!(SHARED_LOADS.name).increment(1);
}

/// Clicks lost; every loss is counted here.
pub fn clicks_dropped(reason: DropReason, n: u64) {
    counter!(CLICKS_DROPPED.name, "reason" => reason.label()).increment(n);
}

/// Clicks written to the spool.
pub fn clicks_spooled(n: u64) {
    counter!(CLICKS_SPOOLED.name).increment(n);
}

/// Clicks the bus has acknowledged.
pub fn clicks_shipped(n: u64) {
    counter!(CLICKS_SHIPPED.name).increment(n);
}

/// Clicks in the statistics; `kind` is `human`, `bot`, `preview` or `head`.
pub fn clicks_counted(kind: &'static str, n: u64) {
    counter!(CLICKS_COUNTED.name, "kind" => kind).increment(n);
}

/// Copies of clicks that were counted already.
pub fn clicks_duplicate(n: u64) {
    counter!(CLICKS_DUPLICATE.name).increment(n);
}

/// Clicks on links that are unknown or purged.
pub fn clicks_ignored(n: u64) {
    counter!(CLICKS_IGNORED.name).increment(n);
}

/// Clicks set aside because nobody can read them.
pub fn clicks_dead(n: u64) {
    counter!(CLICKS_DEAD.name).increment(n);
}

/// Holes in the numbering of clicks, over all slots, that may still be filled.
pub fn gaps_open(n: f64) {
    gauge!(CLICKS_GAPS.name).set(n);
}

/// From a click to its place in the statistics; clocks that disagree count as no delay.
pub fn click_delay(seconds: f64) {
    histogram!(CLICK_DELAY.name).record(seconds.max(0.0));
}

/// What the spool holds now.
pub fn spool_bytes(n: u64) {
    gauge!(SPOOL_BYTES.name).set(n as f64);
}

/// What the spool may hold.
pub fn spool_limit(n: u64) {
    gauge!(SPOOL_LIMIT.name).set(n as f64);
}

/// Age of the oldest click in the spool, 0 while it is empty.
pub fn spool_oldest(seconds: f64) {
    gauge!(SPOOL_OLDEST.name).set(seconds);
}

/// A batch the bus did not take.
pub fn ship_errors(kind: &'static str) {
    counter!(SHIP_ERRORS.name, "kind" => kind).increment(1);
}

/// A batch that the bus acknowledged, or did not.
pub fn produce(elapsed: Duration) {
    histogram!(PRODUCE_DURATION.name).record(elapsed);
}

/// Whether the bus answers; a process without one never says.
pub fn kafka_up(up: bool) {
    gauge!(KAFKA_UP.name).set(f64::from(u8::from(up)));
}

/// Whether the far cache answers; a process without one never says.
pub fn redis_up(up: bool) {
    gauge!(REDIS_UP.name).set(f64::from(u8::from(up)));
}

/// A command the far cache did not answer.
pub fn redis_errors(kind: &'static str) {
    counter!(REDIS_ERRORS.name, "kind" => kind).increment(1);
}

/// A command of the far cache, answered or not.
pub fn redis_command(elapsed: Duration) {
    histogram!(REDIS_DURATION.name).record(elapsed);
}

/// Whether the shard answers.
pub fn shard_up(ordinal: usize, up: bool) {
    gauge!(SHARD_UP.name, "shard" => ordinal.to_string()).set(f64::from(u8::from(up)));
}

/// Brings the errors of a shard to life at 0: a rate needs a value from before the first one.
pub fn shard_known(ordinal: usize) {
    for kind in SHARD_ERROR_KINDS {
        counter!(SHARD_ERRORS.name, "shard" => ordinal.to_string(), "kind" => *kind).increment(0);
    }
}

/// Whether the shard contradicts the cluster.
pub fn shard_refused(ordinal: usize, refused: bool) {
    gauge!(SHARD_REFUSED.name, "shard" => ordinal.to_string()).set(f64::from(u8::from(refused)));
}

/// A query, answered or not.
pub fn shard_query(ordinal: usize, op: &'static str, elapsed: Duration) {
    histogram!(SHARD_DURATION.name, "shard" => ordinal.to_string(), "op" => op).record(elapsed);
}

/// A query that failed.
pub fn shard_errors(ordinal: usize, kind: &'static str) {
    counter!(SHARD_ERRORS.name, "shard" => ordinal.to_string(), "kind" => kind).increment(1);
}

/// The connections to the shard: how many there are, are at work, may be, and are waited for.
pub fn shard_pool(ordinal: usize, size: usize, in_use: usize, limit: usize, waiting: usize) {
    for (metric, value) in [
        (SHARD_POOL_SIZE, size),
        (SHARD_POOL_IN_USE, in_use),
        (SHARD_POOL_LIMIT, limit),
        (SHARD_POOL_WAITING, waiting),
    ] {
        gauge!(metric.name, "shard" => ordinal.to_string()).set(value as f64);
    }
}

/// Time until a connection to the shard was free, or was not.
pub fn shard_pool_wait(ordinal: usize, elapsed: Duration) {
    histogram!(SHARD_POOL_WAIT.name, "shard" => ordinal.to_string()).record(elapsed);
}

/// The shard that owns the slot now, and the one that did before.
pub fn slot_owner(slot: u8, before: Option<usize>, now: Option<usize>) {
    let set = |shard: usize, owns: f64| {
        let (slot, shard) = (slot.to_string(), shard.to_string());
        gauge!(SLOT_OWNER.name, "slot" => slot, "shard" => shard).set(owns);
    };
    if let Some(before) = before.filter(|_| before != now) {
        set(before, 0.0);
    }
    if let Some(now) = now {
        set(now, 1.0);
    }
}

/// The map that this process goes by, and the slots that no shard of it owns.
pub fn slot_map(epoch: i64, without_owner: usize) {
    gauge!(SLOT_MAP_EPOCH.name).set(epoch as f64);
    gauge!(SLOTS_WITHOUT_OWNER.name).set(without_owner as f64);
}

/// Links of a slot, as the database of the shard estimates.
pub fn slot_links(shard: usize, slot: u8, links: i64) {
    let (shard, slot) = (shard.to_string(), slot.to_string());
    gauge!(SLOT_LINKS.name, "shard" => shard, "slot" => slot).set(links as f64);
}

/// The databases' clock minus this machine's.
pub fn clock_skew(seconds: f64) {
    gauge!(CLOCK_SKEW.name).set(seconds);
}

/// Whether `/readyz` says yes.
pub fn ready(ready: bool) {
    gauge!(READY.name).set(f64::from(u8::from(ready)));
}

/// From another process's change of a link until this one's caches knew; clocks that disagree
/// count as no delay.
pub fn feed_delay(seconds: f64) {
    histogram!(FEED_DELAY.name).record(seconds.max(0.0));
}

/// Time since the shard's changes were last read.
pub fn feed_age(ordinal: usize, seconds: f64) {
    gauge!(FEED_AGE.name, "shard" => ordinal.to_string()).set(seconds);
}

/// Changes of links that the feeds brought.
pub fn feed_changes(n: u64) {
    counter!(FEED_CHANGES.name).increment(n);
}

/// Links made.
pub fn links_created(n: u64) {
    counter!(LINKS_CREATED.name).increment(n);
}

/// Links edited.
pub fn links_changed(n: u64) {
    counter!(LINKS_CHANGED.name).increment(n);
}

/// Links deleted.
pub fn links_deleted(n: u64) {
    counter!(LINKS_DELETED.name).increment(n);
}

/// A batch of counts written: how long it took, of how many clicks, into how many rows.
pub fn rollup_flush(elapsed: Duration, clicks: u64, rows: u64) {
    histogram!(ROLLUP_DURATION.name).record(elapsed);
    counter!(ROLLUP_CLICKS.name).increment(clicks);
    counter!(ROLLUP_ROWS.name).increment(rows);
}

/// Records of the slot that wait to be counted.
pub fn partition_lag(slot: u8, records: i64) {
    gauge!(ROLLUP_LAG.name, "slot" => slot.to_string()).set(records as f64);
}

/// Slots of the shard that this process counts now, and those that nobody counts any more.
pub fn leases(ordinal: usize, held: usize, stopped: usize) {
    gauge!(ROLLUP_LEASES.name, "shard" => ordinal.to_string()).set(held as f64);
    gauge!(ROLLUP_STOPPED.name, "shard" => ordinal.to_string()).set(stopped as f64);
}

/// A link labelled; `decided` says by whom.
pub fn classified(category: &'static str, decided: &'static str) {
    counter!(CLASSIFIED.name, "category" => category, "decided" => decided).increment(1);
}

/// Labelling failed; `what` is `model`, `link`, `event`, `store`, `bus` or `fetch`.
pub fn classify_errors(what: &'static str, n: u64) {
    counter!(CLASSIFY_ERRORS.name, "what" => what).increment(n);
}

/// A batch of links that got its labels.
pub fn classify_batch(elapsed: Duration, links: usize) {
    histogram!(CLASSIFY_DURATION.name).record(elapsed);
    histogram!(CLASSIFY_BATCH.name).record(links as f64);
}

/// Links of a shard that wait for a label.
pub fn classify_backlog(ordinal: usize, links: i64) {
    gauge!(CLASSIFY_BACKLOG.name, "shard" => ordinal.to_string()).set(links as f64);
}

/// A verdict written.
pub fn classify_verdict(verdict: &'static str) {
    counter!(CLASSIFY_VERDICTS.name, "verdict" => verdict).increment(1);
}

/// Whether a model answers.
pub fn classifier_model(loaded: bool) {
    gauge!(CLASSIFY_MODEL.name).set(f64::from(u8::from(loaded)));
}

/// Entries of the block lists in force.
pub fn blocklist_entries(n: usize) {
    gauge!(BLOCKLIST_ENTRIES.name).set(n as f64);
}

/// A link refused because its target is certainly dangerous.
pub fn links_blocked() {
    counter!(LINKS_BLOCKED.name).increment(1);
}

/// Events of links for the bus; `outcome` is `sent`, `dropped` or `failed`.
pub fn link_events(outcome: &'static str, n: u64) {
    counter!(LINK_EVENTS.name, "outcome" => outcome).increment(n);
}
