//! Kafka → labels: one reader for each partition of link events that this process holds.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::code::ShortCode;
use crate::events::kafka::BusError;
use crate::events::kafka::Kafka;
use crate::events::links::LinkEvent;
use crate::events::links::LinkEventKind;
use crate::pipeline::label::BATCH;
use crate::pipeline::label::Labeller;
use crate::pipeline::pace::Backoff;
use crate::store::StoreError;
use crate::store::rows::Lease;
use crate::telemetry;

/// How long a fetch waits for the first record.
const WAIT: Duration = Duration::from_millis(500);

/// What reading needs.
#[derive(Clone, Debug)]
pub struct LabelConsumer {
    /// Labels what the events name.
    pub labeller: Labeller,
    /// The topic of links.
    pub kafka: Kafka,
}

enum Trouble {
    Bus(BusError),
    Store(StoreError),
    Fenced,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BusError> for Trouble {
    fn from(error: BusError) -> Self {
        Self::Bus(error)
    }
}

/// Reads the partition of `lease` until `stop`, or until it is lost.
pub async fn partition(
    consumer: LabelConsumer,
    place: usize,
    lease: Lease,
    stop: CancellationToken,
) {
    let mut next = lease.next_offset;
    let mut backoff = Backoff::default();
    loop {
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            step = step(&consumer, place, &lease, &mut next) => step,
        };
        let pause = match step {
            Ok(()) => {
                backoff.reset();
                continue; // the fetch itself waited
            }
            Err(Trouble::Fenced) => return,
            Err(Trouble::Bus(error)) => {
                telemetry::classify_errors("bus", 1);
                tracing::debug!(slot = lease.slot.number(), %error, "no link events");
                backoff.next()
            }
            Err(Trouble::Store(StoreError::NotOwner)) => {
                consumer.labeller.store.read_owners().await;
                return;
            }
            Err(Trouble::Store(error)) => {
                telemetry::classify_errors("store", 1);
                tracing::debug!(slot = lease.slot.number(), %error, "no labels now");
                backoff.next()
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => (),
        }
    }
}

/// One fetch: labels what it names, then remembers the place behind it.
async fn step(
    consumer: &LabelConsumer,
    place: usize,
    lease: &Lease,
    next: &mut i64,
) -> Result<(), Trouble> {
    let slot = lease.slot;
    let store = &consumer.labeller.store;
    let member = store.members().get(place).ok_or(Trouble::Fenced)?;
    let fetched = match consumer.kafka.fetch(slot, *next, WAIT).await {
        Ok(fetched) => fetched,
        Err(BusError::OutOfRange) => {
            // Deleted by retention, or the topic was made again: the sweep finds what was lost.
            let (earliest, latest) = consumer.kafka.bounds(slot).await?;
            tracing::warn!(
                slot = slot.number(),
                next = *next,
                earliest,
                latest,
                "place moved"
            );
            *next = if *next < earliest { earliest } else { latest };
            return moved(member.shard.label_offset(slot, lease.epoch, *next).await?);
        }
        Err(error) => return Err(error.into()),
    };
    let Some(last) = fetched.records.last().map(|record| record.offset) else {
        return Ok(());
    };
    let mut codes: Vec<ShortCode> = Vec::with_capacity(fetched.records.len());
    for record in &fetched.records {
        match serde_json::from_slice::<LinkEvent>(&record.value) {
            Ok(event) if event.event == LinkEventKind::Deleted => (),
            Ok(event) => match event.code.parse::<ShortCode>() {
                Ok(code) if crate::slots::Slot::of(code.as_str()) == slot => codes.push(code),
                Ok(_) | Err(_) => telemetry::classify_errors("event", 1),
            },
            Err(error) => {
                telemetry::classify_errors("event", 1);
                tracing::warn!(slot = slot.number(), offset = record.offset, %error, "no event");
            }
        }
    }
    codes.sort();
    codes.dedup();
    for part in codes.chunks(BATCH) {
        let links = member.shard.to_label(part).await?;
        consumer.labeller.label(&member.shard, links, false).await?;
    }
    *next = last + 1;
    moved(member.shard.label_offset(slot, lease.epoch, *next).await?)
}

const fn moved(held: bool) -> Result<(), Trouble> {
    if held { Ok(()) } else { Err(Trouble::Fenced) }
}
