//! Link events → Kafka. Nobody waits for it, and what cannot be sent is left to the sweep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::events::kafka::BusRecord;
use crate::events::kafka::Kafka;
use crate::events::links::LinkEvent;
use crate::events::links::LinkEvents;
use crate::slots::Slot;
use crate::store::Store;
use crate::telemetry;

/// Events that are sent together at most.
const BATCH: usize = 2_000;
/// Attempts before events are given up.
const TRIES: u32 = 3;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at a topic that is missing.
const TOPIC_EVERY: Duration = Duration::from_secs(5);

/// Sends what is told to `events` until `stop`.
pub async fn run(
    events: Arc<LinkEvents>,
    kafka: Kafka,
    store: Arc<Store>,
    stop: CancellationToken,
) {
    while let Err(error) = kafka.check_topic().await {
        tracing::warn!(%error, "the topic of links cannot be used; the sweep labels meanwhile");
        // Nobody is served by old news: they make room for what comes when the topic is there.
        let lost = events.take(usize::MAX).len();
        telemetry::link_events("dropped", lost as u64);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TOPIC_EVERY) => (),
        }
    }
    let mut news = events.news();
    loop {
        let batch = events.take(BATCH);
        if batch.is_empty() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // The other end lives as long as `events`.
                Ok(()) = news.changed() => continue,
            }
        }
        let sending = batch_by_slot(batch)
            .into_iter()
            .map(|(slot, records)| send(&kafka, &store, slot, records, &stop));
        futures_util::future::join_all(sending).await;
    }
}

fn batch_by_slot(batch: Vec<LinkEvent>) -> BTreeMap<Slot, Vec<BusRecord>> {
    let mut slots: BTreeMap<Slot, Vec<BusRecord>> = BTreeMap::new();
    for event in batch {
        let record = BusRecord {
            key: event.code.clone().into_bytes(),
            value: serde_json::to_vec(&event).unwrap_or_default(),
            cluster: None,
        };
        slots.entry(Slot::of(&event.code)).or_default().push(record);
    }
    slots
}

async fn send(
    kafka: &Kafka,
    store: &Store,
    slot: Slot,
    records: Vec<BusRecord>,
    stop: &CancellationToken,
) {
    let count = records.len() as u64;
    for attempt in 1..=TRIES {
        let sent = kafka
            .produce(slot, records.clone(), store.clock().now())
            .await;
        match sent {
            Ok(()) => {
                telemetry::link_events("sent", count);
                return;
            }
            Err(error) => {
                tracing::debug!(slot = slot.number(), %error, attempt, "link events not sent");
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep(PAUSE) => (),
        }
    }
    telemetry::link_events("failed", count);
}
