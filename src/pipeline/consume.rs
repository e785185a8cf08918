//! Kafka → counts: one reader for each partition that this process holds the lease of.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::agent::AgentTable;
use crate::events::codec;
use crate::events::kafka::BusError;
use crate::events::kafka::Fetched;
use crate::events::kafka::Kafka;
use crate::pipeline::pace::Backoff;
use crate::pipeline::pace::Loops;
use crate::pipeline::rollup::counted;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::rows::DeadEvent;
use crate::store::rows::Lease;
use crate::store::rows::OffsetMove;
use crate::store::rows::RollupBatch;
use crate::store::rows::RollupOutcome;
use crate::telemetry;

/// How long a fetch waits for the first record.
const WAIT: Duration = Duration::from_millis(500);
/// Stands in the reason for a stop wherever only reading the topic from its start helps.
pub const MADE_AGAIN: &str = "made again";
/// Equal decode failures after which a partition is stopped.
const UNDECODABLE: u32 = 5;

/// What reading needs.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// The shards.
    pub store: Arc<Store>,
    /// The bus.
    pub kafka: Kafka,
    /// Parsed user agents.
    pub agents: Arc<Mutex<AgentTable>>,
    /// The readers of this process; each has a clone.
    pub loops: Loops,
}

/// Why a reader ends.
enum End {
    /// Somebody else holds the partition now.
    Fenced,
    /// Nobody may go on until an operator acted.
    Stopped(String),
}

/// What went wrong with one step.
enum Trouble {
    Bus(BusError),
    Store(StoreError),
    End(End),
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

/// Reads and counts the partition of `lease` until `stop`, or until it is lost or stopped; notes in
/// `caught_up` when everything that was there was counted, in microseconds.
pub async fn partition(
    consumer: Consumer,
    place: usize,
    lease: Lease,
    caught_up: Arc<AtomicI64>,
    stop: CancellationToken,
) {
    let slot = lease.slot;
    let mut reader = Reader {
        consumer,
        place,
        next: lease.next_offset,
        lease,
        verified: false,
        foreign: 0,
        told: false,
    };
    let mut backoff = Backoff::default();
    let mut undecodable = 0;
    loop {
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            step = reader.step(&caught_up) => step,
        };
        let pause = match step {
            Ok(pause) => {
                backoff.reset();
                undecodable = 0;
                pause
            }
            Err(Trouble::End(End::Fenced)) => return,
            Err(Trouble::End(End::Stopped(why))) => {
                reader.stop(&why).await;
                return;
            }
            Err(Trouble::Bus(BusError::Undecodable(why))) => {
                undecodable += 1;
                if undecodable >= UNDECODABLE {
                    reader
                        .stop(&format!(
                            "a batch at offset {} cannot be decoded: {why}",
                            reader.next
                        ))
                        .await;
                    return;
                }
                backoff.next()
            }
            Err(Trouble::Bus(error)) => {
                tracing::debug!(slot = slot.number(), %error, "the bus does not answer");
                backoff.next()
            }
            Err(Trouble::Store(StoreError::NotOwner)) => {
                reader.consumer.store.read_owners().await;
                return;
            }
            Err(Trouble::Store(error)) => {
                tracing::debug!(slot = slot.number(), %error, "the shard does not answer");
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

struct Reader {
    consumer: Consumer,
    place: usize,
    lease: Lease,
    next: i64,
    verified: bool,
    /// Clicks of other clusters among what was read last.
    foreign: u64,
    /// Whether that was told.
    told: bool,
}

impl Reader {
    /// Fetches and counts what is there; answers how long to pause.
    async fn step(&mut self, caught_up: &AtomicI64) -> Result<Duration, Trouble> {
        if !self.verified {
            self.verify().await?;
            self.verified = true;
        }
        let asked = self.consumer.store.clock().now().micros();
        let fetched = match self
            .consumer
            .kafka
            .fetch(self.lease.slot, self.next, WAIT)
            .await
        {
            Ok(fetched) => fetched,
            Err(BusError::OutOfRange) => return self.out_of_range().await,
            Err(error) => return Err(error.into()),
        };
        let lag = fetched.high_watermark - self.next;
        telemetry::partition_lag(self.lease.slot.number(), lag);
        if fetched.records.is_empty() {
            if lag <= 0 {
                caught_up.store(asked, Ordering::Relaxed);
            }
            return Ok(Duration::ZERO); // the fetch itself waited
        }
        let begun = Instant::now();
        let records = fetched.records.len();
        let high = fetched.high_watermark;
        let (batch, last) = self.batch(fetched);
        let to = last.map_or(self.next, |offset| offset + 1);
        self.roll_up(batch, to).await?;
        let busy = begun.elapsed();
        if self.next < high {
            return Ok(busy); // behind: half the time is enough for the others
        }
        caught_up.store(asked, Ordering::Relaxed);
        Ok(self.consumer.loops.pause(busy, records))
    }

    fn batch(&mut self, fetched: Fetched) -> (RollupBatch, Option<i64>) {
        let slot = self.lease.slot;
        let mut batch = RollupBatch::default();
        let mut last = None;
        let ours = self.consumer.store.cluster();
        for record in fetched.records {
            last = Some(record.offset);
            // Without the header it comes from a release that did not write it.
            let is_foreign = record.cluster.as_deref().is_some_and(|id| {
                let ours = ours.as_ref().map(|row| row.cluster_id.as_bytes());
                ours.is_some_and(|ours| ours != id)
            });
            if is_foreign {
                self.foreign += 1;
                continue;
            }
            match codec::from_json(&record.value, slot) {
                Ok(click) => batch.clicks.push(&click),
                Err(error) => batch.dead.push(DeadEvent {
                    slot,
                    reason: error.to_string(),
                    payload: record.value,
                }),
            }
        }
        (batch, last)
    }

    async fn roll_up(&mut self, mut batch: RollupBatch, to: i64) -> Result<(), Trouble> {
        let identity = batch.clicks.last();
        // A record that is no click of ours cannot be remembered: then nothing is compared.
        let foreign = std::mem::take(&mut self.foreign);
        let last = identity.filter(|_| batch.dead.is_empty() && foreign == 0);
        if foreign > 0 {
            telemetry::clicks_ignored(foreign);
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!(
                    slot = self.lease.slot.number(),
                    "clicks of another cluster come through this topic and are not counted here: \
                     give each cluster a topic of its own (events.topic)"
                );
            }
        }
        let lost = batch.offset.take().and_then(|offset| offset.lost);
        batch.offset = Some(OffsetMove {
            slot: self.lease.slot,
            from: self.next,
            to,
            lease_epoch: self.lease.epoch,
            last: last.or(Some((Uuid::nil(), 0))),
            lost,
        });
        let member = self.consumer.store.members().get(self.place);
        let Some(member) = member else {
            return Err(Trouble::End(End::Fenced));
        };
        let begun = Instant::now();
        let oldest = batch.clicks.oldest();
        match member
            .shard
            .roll_up(&Arc::new(batch), &self.consumer.agents)
            .await?
        {
            RollupOutcome::Fenced => Err(Trouble::End(End::Fenced)),
            RollupOutcome::Done(figures) => {
                counted(&figures, begun.elapsed());
                if let Some(oldest) = oldest {
                    let now = self.consumer.store.clock().now();
                    telemetry::click_delay(now.since(oldest).as_secs_f64());
                }
                self.next = to;
                self.lease.last = last;
                Ok(())
            }
        }
    }

    /// The record before the offset must be the one remembered: else the topic was made anew.
    async fn verify(&self) -> Result<(), Trouble> {
        let Some((producer, seq)) = self.lease.last.filter(|(producer, _)| !producer.is_nil())
        else {
            return Ok(());
        };
        if self.next == 0 {
            return Ok(());
        }
        let slot = self.lease.slot;
        let (earliest, latest) = self.consumer.kafka.bounds(slot).await?;
        if self.next - 1 < earliest && self.next <= latest {
            return Ok(()); // deleted by retention meanwhile
        }
        let fetched = match self.consumer.kafka.fetch(slot, self.next - 1, WAIT).await {
            Ok(fetched) => fetched,
            Err(BusError::OutOfRange) => return Ok(()), // told by the next step
            Err(error) => return Err(error.into()),
        };
        let found = fetched.records.first().and_then(|record| {
            codec::from_json(&record.value, slot)
                .ok()
                .filter(|_| record.offset == self.next - 1)
        });
        match found {
            Some(click) if click.producer_id == producer && click.seq == seq => Ok(()),
            Some(_) => Err(Trouble::End(End::Stopped(format!(
                "the record before offset {} is not the one that was counted last: the topic was \
                 deleted and {MADE_AGAIN}",
                self.next
            )))),
            None => Ok(()),
        }
    }

    async fn out_of_range(&mut self) -> Result<Duration, Trouble> {
        let (earliest, latest) = self.consumer.kafka.bounds(self.lease.slot).await?;
        if self.next > latest {
            return Err(Trouble::End(End::Stopped(format!(
                "offset {} lies beyond the end {latest}: the topic was truncated or {MADE_AGAIN}",
                self.next
            ))));
        }
        if self.next < earliest {
            tracing::error!(
                slot = self.lease.slot.number(),
                from = self.next,
                to = earliest,
                "records were deleted before they were counted"
            );
            let offset = OffsetMove {
                slot: self.lease.slot,
                from: self.next,
                to: earliest,
                lease_epoch: self.lease.epoch,
                last: None,
                lost: Some((self.next, earliest)),
            };
            let batch = RollupBatch {
                offset: Some(offset),
                ..RollupBatch::default()
            };
            self.roll_up(batch, earliest).await?;
        }
        Ok(Duration::ZERO)
    }

    async fn stop(&self, why: &str) {
        tracing::error!(
            slot = self.lease.slot.number(),
            why,
            "the partition is stopped"
        );
        if let Some(member) = self.consumer.store.members().get(self.place)
            && let Err(error) = member
                .shard
                .stop_partition(self.lease.slot, Some(why))
                .await
        {
            tracing::error!(%error, "the stop is not written down");
        }
    }
}
