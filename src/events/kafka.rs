//! The bus between processes: one Kafka topic, one partition a slot.
//!
//! Nothing here waits without a deadline, and a bus that is down is asked once a second by the
//! whole process. Every call connects if need be, so that nobody waits for the bus at the start.

mod link;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use rskafka::client::Client;
use rskafka::client::error::Error as DriverError;
use rskafka::client::error::ProtocolError;
use rskafka::client::partition::Compression;
use rskafka::client::partition::OffsetAt;
use rskafka::record::Record;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;

pub use verdict::BusError;

use crate::domain::time::Timestamp;
use crate::slots::SLOTS;
use crate::slots::Slot;
use crate::telemetry::metrics;
use link::Generation;
use link::Link;
use link::Purpose;
use link::check_shape;
use link::n_partitions;
use verdict::TooLate;
use verdict::judge;
use verdict::unavailable;

/// What sending a batch may take.
const SEND: Duration = Duration::from_secs(10);

/// What a short question may take.
const ASK: Duration = Duration::from_secs(10);

/// What a fetch may take beyond the time it waits for records.
const FETCH: Duration = Duration::from_secs(5);

/// What making the topic may take.
const CREATE: Duration = Duration::from_secs(20);

/// The most bytes one fetch asks for; a single larger batch comes all the same.
const FETCH_BYTES: i32 = 1_048_576;

/// The header that says whose click a record is.
pub const CLUSTER: &str = "cluster";

/// A Kafka topic with one partition a slot.
#[derive(Debug, Clone)]
pub struct Kafka {
    link: Arc<Link>,
}

/// One record to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusRecord {
    /// The short code.
    pub key: Vec<u8>,
    /// The click, as JSON.
    pub value: Vec<u8>,
    /// Whose click it is: the id of the cluster, in the header [`CLUSTER`].
    pub cluster: Option<Arc<str>>,
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedRecord {
    /// Its place in the partition.
    pub offset: i64,
    /// When it was sent, in whole milliseconds; by the broker's clock if the topic says so.
    pub at: Timestamp,
    /// The click, as JSON.
    pub value: Vec<u8>,
    /// The header [`CLUSTER`], if there is one.
    pub cluster: Option<Vec<u8>>,
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// In the order of their offsets; none where nothing came in time.
    pub records: Vec<FetchedRecord>,
    /// The offset behind the last record of the partition.
    pub high_watermark: i64,
}

/// What is known of the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusFacts {
    /// The brokers of the configuration; the cluster may have more.
    pub brokers: Vec<String>,
    /// The partitions of the topic; `None`: no such topic.
    pub partitions: Option<usize>,
    /// One round trip.
    pub latency: Duration,
}

impl Kafka {
    /// Names the topic; connects in the first call.
    #[must_use]
    pub fn new(brokers: Vec<String>, topic: String) -> Self {
        Self {
            link: Arc::new(Link::new(brokers, topic)),
        }
    }

    /// Makes the topic where it is missing, with as many copies as there are brokers, at most three.
    ///
    /// # Errors
    /// [`BusError::WrongTopic`] where it has not one partition a slot.
    pub async fn check_topic(&self) -> Result<(), BusError> {
        let generation = self.link.generation().await?;
        let checked = timeout(CREATE, ensure_topic(generation.client(), self.link.topic())).await;
        let result = checked.unwrap_or_else(|_| Err(unavailable(TooLate)));
        match &result {
            Ok(()) if generation.n_partitions() == Some(usize::from(SLOTS)) => (),
            Ok(()) | Err(BusError::WrongTopic(_)) => self.link.renew(&generation),
            Err(_) => self.link.end(&generation),
        }
        result
    }

    /// Sends `records` to the slot's partition and waits until all its copies have them.
    ///
    /// `at` is the time of sending: the log deletes by it.
    ///
    /// # Errors
    /// [`BusError`], within 10 s; only [`BusError::Refused`] says that nothing was taken.
    pub async fn produce(
        &self,
        slot: Slot,
        records: Vec<BusRecord>,
        at: Timestamp,
    ) -> Result<(), BusError> {
        let begun = Instant::now();
        let sent = self.send(slot, records, at).await;
        metrics::produce(begun.elapsed());
        if let Err(error) = &sent {
            metrics::ship_errors(error.word());
        }
        sent
    }

    /// Reads on from `offset`, waiting at most `wait` for the first record.
    ///
    /// # Errors
    /// [`BusError`], within `wait` and 5 s.
    pub async fn fetch(
        &self,
        slot: Slot,
        offset: i64,
        wait: Duration,
    ) -> Result<Fetched, BusError> {
        let deadline = Instant::now() + wait + FETCH;
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let generation = self.ready(deadline).await?;
        let asked = async {
            let reader = generation
                .partition(self.link.topic(), slot, Purpose::Read)
                .await?;
            reader.fetch_records(offset, 1..FETCH_BYTES, wait).await
        };
        let answer = timeout_at(deadline, asked).await.ok();
        let (records, high_watermark) = self.settle(&generation, answer)?;
        let records = records.into_iter().map(|found| FetchedRecord {
            offset: found.offset,
            at: Timestamp::from_micros(found.record.timestamp.timestamp_micros()),
            value: found.record.value.unwrap_or_default(),
            cluster: {
                let mut headers = found.record.headers;
                headers.remove(CLUSTER)
            },
        });
        Ok(Fetched {
            records: records.collect(),
            high_watermark,
        })
    }

    /// The offset of the slot's first record, and the one behind its last.
    ///
    /// # Errors
    /// [`BusError`], within 10 s.
    pub async fn bounds(&self, slot: Slot) -> Result<(i64, i64), BusError> {
        let deadline = Instant::now() + ASK;
        let generation = self.ready(deadline).await?;
        let asked = async {
            let reader = generation
                .partition(self.link.topic(), slot, Purpose::Read)
                .await?;
            let earliest = reader.get_offset(OffsetAt::Earliest).await?;
            let latest = reader.get_offset(OffsetAt::Latest).await?;
            Ok((earliest, latest))
        };
        let answer = timeout_at(deadline, asked).await.ok();
        self.settle(&generation, answer)
    }

    /// What is known of the bus, for people; the topic need not be there.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] where nobody answers, within 15 s.
    pub async fn facts(&self) -> Result<BusFacts, BusError> {
        let generation = self.link.generation().await?;
        let start = Instant::now();
        let asked = n_partitions(generation.client(), self.link.topic());
        let answer = timeout(FETCH, asked).await;
        let partitions = answer.unwrap_or_else(|_| Err(unavailable(TooLate)));
        let latency = start.elapsed();
        if partitions.is_err() {
            self.link.end(&generation);
        }
        Ok(BusFacts {
            brokers: self.link.brokers().to_vec(),
            partitions: partitions?,
            latency,
        })
    }

    async fn send(
        &self,
        slot: Slot,
        records: Vec<BusRecord>,
        at: Timestamp,
    ) -> Result<(), BusError> {
        let Some(timestamp) = DateTime::from_timestamp_micros(at.micros()) else {
            let why = "the time of sending is in no calendar".to_owned();
            return Err(BusError::Refused { why });
        };
        let deadline = Instant::now() + SEND;
        let generation = self.ready(deadline).await?;
        let records = records.into_iter().map(|record| Record {
            key: Some(record.key),
            value: Some(record.value),
            headers: record
                .cluster
                .map(|id| (CLUSTER.to_owned(), id.as_bytes().to_vec()))
                .into_iter()
                .collect(),
            timestamp,
        });
        let records = records.collect();
        let sent = async {
            let sender = generation
                .partition(self.link.topic(), slot, Purpose::Send)
                .await?;
            sender.produce(records, Compression::Lz4).await
        };
        let answer = timeout_at(deadline, sent).await.ok();
        self.settle(&generation, answer).map(|_offsets| ())
    }

    /// The connections, if the topic has the right shape.
    async fn ready(&self, deadline: Instant) -> Result<Arc<Generation>, BusError> {
        let Ok(generation) = timeout_at(deadline, self.link.ready()).await else {
            return Err(unavailable(TooLate));
        };
        generation
    }

    /// What an answer means; the first doubt in the connections ends them all.
    fn settle<T>(
        &self,
        generation: &Arc<Generation>,
        answer: Option<Result<T, DriverError>>,
    ) -> Result<T, BusError> {
        let Some(answer) = answer else {
            self.link.end(generation);
            return Err(unavailable(TooLate));
        };
        answer.map_err(|error| {
            let verdict = judge(error);
            if !verdict.is_sound {
                self.link.end(generation);
            }
            verdict.error
        })
    }
}

/// Makes the topic if there is none, and waits until it is known.
async fn ensure_topic(client: &Client, topic: &str) -> Result<(), BusError> {
    if let Some(n) = n_partitions(client, topic).await? {
        return check_shape(Some(n));
    }
    let controller = client
        .controller_client()
        .map_err(|error| judge(error).error)?;
    for copies in [3, 2, 1] {
        let made = controller
            .create_topic(topic, i32::from(SLOTS), copies, 5_000)
            .await;
        match made {
            Ok(()) => {
                tracing::info!(topic, copies, "topic created");
                break;
            }
            // The driver does not say how many brokers there are; this one does.
            Err(DriverError::ServerError {
                protocol_error: ProtocolError::InvalidReplicationFactor,
                ..
            }) if copies > 1 => (),
            Err(DriverError::ServerError {
                protocol_error: ProtocolError::TopicAlreadyExists,
                ..
            }) => break,
            Err(error) => return Err(judge(error).error),
        }
    }
    // Metadata follows behind; the caller bounds the time.
    loop {
        match n_partitions(client, topic).await? {
            Some(n) => return check_shape(Some(n)),
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
