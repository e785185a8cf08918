//! The feed: every process reads every shard's changes and drops what they outdate.
//!
//! # Why
//!
//! One way for all changes, with and without Redis, between processes and from command-line tools.
//! It is read by time, 5 s back, because ids are not in the order of commits; versions tell what
//! is news. What Redis did not confirm stays to be done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::domain::code::ShortCode;
use crate::service::coherence::Coherence;
use crate::service::redirect::Redirector;
use crate::slots::hash;
use crate::store::Store;
use crate::telemetry;

/// Between two looks: with twice as much, a busy machine was now and then later than 250 ms.
const EVERY: Duration = Duration::from_millis(100);
/// How far back a look goes, microseconds; longer after a start or an outage.
const BACK: i64 = 5_000_000;
const FAR_BACK: i64 = 600_000_000;
/// A look that comes later than this after the last one may have missed something.
const GAP: Duration = Duration::from_secs(4);
/// Markers written at once. Thousands would wait for each other past their deadlines, which looks
/// like a server that is away.
const MARKERS: usize = 128;
/// How long a look goes on writing them: the next look must not be late.
const MARKING: Duration = Duration::from_millis(50);

/// What a look at a shard's feed needs.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The shards.
    pub store: Arc<Store>,
    /// Whose caches are kept honest.
    pub redirector: Arc<Redirector>,
    /// What is noted.
    pub coherence: Arc<Coherence>,
}

/// What is remembered between two looks at one shard.
#[derive(Debug)]
struct Memory {
    began: Instant,
    read: Option<Instant>,
    head: Option<i64>,
    far_was_up: bool,
    unconfirmed: HashMap<ShortCode, i64>,
}

impl Memory {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            read: None,
            head: None,
            far_was_up: false,
            unconfirmed: HashMap::new(),
        }
    }
}

/// Reads the feed of the shard at `place` until `stop`.
pub async fn follow(feed: Feed, place: usize, stop: CancellationToken) {
    let mut memory = Memory::new();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => (),
        }
        look(&feed, place, &mut memory).await;
        let age = memory
            .read
            .map_or(f64::from(u32::MAX), |read| read.elapsed().as_secs_f64());
        telemetry::feed_age(place, age);
    }
}

async fn look(feed: &Feed, place: usize, memory: &mut Memory) {
    let Some(member) = feed.store.members().get(place) else {
        return;
    };
    if !member.takes_part() || !member.shard.is_up() {
        return;
    }
    let slots = feed.store.slots_of(place);
    let begun = Instant::now();
    let now = feed.store.clock().at(begun);
    let far = feed.redirector.far_cache();
    let far_is_back = far.is_up() && !memory.far_was_up;
    let caught_up = memory.read.is_some_and(|read| read.elapsed() < GAP) && !far_is_back;
    let Ok(head) = member.shard.feed_head().await else {
        return;
    };
    if caught_up && head.is_some() && head == memory.head {
        memory.read = Some(begun);
        feed.coherence.feed_read(&slots, now);
        confirm(feed, memory).await;
        return;
    }
    // A process that has just begun remembers nothing: old changes are news for the far cache alone.
    let is_empty = memory.read.is_none() && memory.began.elapsed() < GAP && far.is_none();
    let back = if caught_up || is_empty {
        BACK
    } else {
        FAR_BACK
    };
    let Ok(changes) = member.shard.changes(back).await else {
        return;
    };
    let mut news = 0;
    for change in changes {
        let hash = hash(change.code.as_str().as_bytes());
        let is_news = feed.coherence.note(hash, change.version, now);
        if is_news {
            news += 1;
            // After a start or an outage the changes are old, and no measure of the way here.
            if caught_up {
                let now = feed.store.clock().now();
                telemetry::feed_delay(now.since(change.at).as_secs_f64());
            }
            feed.redirector.near_cache().remove(hash);
        }
        if !far.is_none() && (is_news || far_is_back) {
            let version = memory
                .unconfirmed
                .entry(change.code)
                .or_insert(change.version);
            *version = (*version).max(change.version);
        }
    }
    if news > 0 {
        telemetry::feed_changes(news);
    }
    memory.read = Some(begun);
    memory.head = head;
    memory.far_was_up = far.is_up();
    feed.coherence.feed_read(&slots, now);
    confirm(feed, memory).await;
}

/// Writes markers to the far cache; what it does not confirm stays.
async fn confirm(feed: &Feed, memory: &mut Memory) {
    let far = feed.redirector.far_cache();
    let Some(namespace) = feed.store.namespace() else {
        return;
    };
    let begun = Instant::now();
    while !memory.unconfirmed.is_empty() && far.is_up() && begun.elapsed() < MARKING {
        let some: Vec<(ShortCode, i64)> = memory
            .unconfirmed
            .iter()
            .take(MARKERS)
            .map(|(code, version)| (code.clone(), *version))
            .collect();
        let marks = some
            .iter()
            .map(|(code, version)| far.mark(&namespace, code, *version));
        let outcomes = futures_util::future::join_all(marks).await;
        let before = memory.unconfirmed.len();
        for ((code, _), outcome) in some.iter().zip(outcomes) {
            if outcome.is_ok() {
                memory.unconfirmed.remove(code);
            }
        }
        // A full one refuses every write: the next look tries again.
        if memory.unconfirmed.len() == before {
            return;
        }
    }
}
