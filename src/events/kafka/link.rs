//! This file holds the connections to the bus: built on demand, thrown away all at once.
//!
//! # Why
//!
//! The driver keeps a sick connection after a call was abandoned, and a stale leader after a
//! partition has moved. Only a new client is free of both, so the client and all that came from it
//! form one generation, and the first doubt ends it. There are two clients a slot: a broker answers
//! a connection in order, and a send must not wait behind a fetch that waits for records.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::Client;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::PartitionClient;
use rskafka::client::partition::UnknownTopicHandling;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio::time::timeout;

use super::verdict::BusError;
use super::verdict::NotNow;
use super::verdict::TooLate;
use super::verdict::judge;
use super::verdict::unavailable;
use crate::slots::SLOTS;
use crate::slots::Slot;
use crate::telemetry::metrics;

/// What building a client may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The pause between attempts to connect, for the whole process.
const PAUSE: Duration = Duration::from_secs(1);

/// The largest answer that is read; a fetch asks for far less.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// The connections of this process.
pub(super) struct Link {
    brokers: Vec<String>,
    topic: String,
    state: Mutex<State>,
    /// Held while connecting.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
enum State {
    /// Nothing is known against connecting: others wait for the one who does.
    Fresh,
    /// The last attempt failed; the next one not before this time.
    Down(Instant),
    /// Connected.
    Up(Arc<Generation>),
}

/// A client and everything that was built from it.
pub(super) struct Generation {
    client: Client,
    /// The partitions of the topic when the client was built; `None`: no such topic.
    n_partitions: Option<usize>,
    built: Instant,
    senders: Vec<OnceCell<PartitionClient>>,
    readers: Vec<OnceCell<PartitionClient>>,
}

/// What a partition's connection is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Send,
    Read,
}

impl Link {
    pub(super) fn new(brokers: Vec<String>, topic: String) -> Self {
        Self {
            brokers,
            topic,
            state: Mutex::new(State::Fresh),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn brokers(&self) -> &[String] {
        &self.brokers
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// The generation in use, or a new one; ends within [`CONNECT`] twice over.
    pub(super) async fn generation(&self) -> Result<Arc<Generation>, BusError> {
        let may_wait = match &*self.state() {
            State::Up(generation) => return Ok(Arc::clone(generation)),
            State::Down(until) if Instant::now() < *until => return Err(unavailable(NotNow)),
            State::Down(_) => false,
            State::Fresh => true,
        };
        let gate = match self.connecting.try_lock() {
            Ok(gate) => gate,
            Err(_) if may_wait => match timeout(CONNECT, self.connecting.lock()).await {
                Ok(gate) => gate,
                Err(_) => return Err(unavailable(TooLate)),
            },
            Err(_) => return Err(unavailable(NotNow)),
        };
        match &*self.state() {
            State::Up(generation) => return Ok(Arc::clone(generation)),
            State::Down(until) if Instant::now() < *until => return Err(unavailable(NotNow)),
            State::Down(_) | State::Fresh => (),
        }
        let built = timeout(CONNECT, Generation::build(&self.brokers, &self.topic)).await;
        let result = match built {
            Ok(Ok(generation)) => Ok(Arc::new(generation)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(unavailable(TooLate)),
        };
        *self.state() = match &result {
            Ok(generation) => State::Up(Arc::clone(generation)),
            Err(_) => State::Down(Instant::now() + PAUSE),
        };
        metrics::kafka_up(result.is_ok());
        drop(gate);
        result
    }

    /// Ends `generation`, if it still is the one in use; the next call connects, after a pause.
    pub(super) fn end(&self, generation: &Arc<Generation>) {
        self.replace(generation, State::Down(Instant::now() + PAUSE));
    }

    /// The generation in use, if its topic has one partition a slot; looked up again each second.
    pub(super) async fn ready(&self) -> Result<Arc<Generation>, BusError> {
        let generation = self.generation().await?;
        let shape = check_shape(generation.n_partitions);
        if shape.is_err() && generation.built.elapsed() > PAUSE {
            self.renew(&generation);
        }
        shape.map(|()| generation)
    }

    /// Ends `generation` without blame: what it knows of the topic is out of date.
    pub(super) fn renew(&self, generation: &Arc<Generation>) {
        self.replace(generation, State::Fresh);
    }

    fn replace(&self, generation: &Arc<Generation>, next: State) {
        let mut state = self.state();
        if matches!(&*state, State::Up(current) if Arc::ptr_eq(current, generation)) {
            if matches!(next, State::Down(_)) {
                metrics::kafka_up(false);
            }
            *state = next;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generation {
    async fn build(brokers: &[String], topic: &str) -> Result<Self, BusError> {
        let client = ClientBuilder::new(brokers.to_vec())
            .client_id("urlshort")
            .max_message_size(LARGEST_ANSWER)
            .backoff_config(BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_secs(1),
                base: 2.0,
                deadline: Some(Duration::from_secs(3)),
            })
            .build()
            .await
            .map_err(|error| judge(error).error)?;
        let n_partitions = n_partitions(&client, topic).await?;
        let cells = || Slot::all().map(|_| OnceCell::new()).collect();
        Ok(Self {
            client,
            n_partitions,
            built: Instant::now(),
            senders: cells(),
            readers: cells(),
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The partitions of the topic when this was built; `None`: no such topic.
    pub(super) fn n_partitions(&self) -> Option<usize> {
        self.n_partitions
    }

    /// The connection for one slot; its caller bounds the time.
    ///
    /// A topic of another shape is never asked for by name: brokers that create what is asked for
    /// would make one with a single partition.
    pub(super) async fn partition(
        &self,
        topic: &str,
        slot: Slot,
        purpose: Purpose,
    ) -> Result<&PartitionClient, rskafka::client::error::Error> {
        let cells = match purpose {
            Purpose::Send => &self.senders,
            Purpose::Read => &self.readers,
        };
        let cell = cells.get(slot.index()).expect("there is a cell a slot");
        cell.get_or_try_init(|| {
            let partition = i32::from(slot.number());
            self.client
                .partition_client(topic, partition, UnknownTopicHandling::Error)
        })
        .await
    }
}

/// How many partitions `topic` has now; `None`: there is none. Asks for all topics, by no name.
pub(super) async fn n_partitions(client: &Client, topic: &str) -> Result<Option<usize>, BusError> {
    let topics = client
        .list_topics()
        .await
        .map_err(|error| judge(error).error)?;
    let found = topics.into_iter().find(|found| found.name == topic);
    Ok(found.map(|found| found.partitions.len()))
}

/// Whether a topic has one partition a slot.
pub(super) fn check_shape(n_partitions: Option<usize>) -> Result<(), BusError> {
    match n_partitions {
        Some(n) if n == usize::from(SLOTS) => Ok(()),
        Some(n) => {
            let what = format!("has {n} partitions, not {SLOTS}");
            Err(BusError::WrongTopic(what))
        }
        None => Err(BusError::WrongTopic("does not exist".to_owned())),
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("n_partitions", &self.n_partitions)
            .finish_non_exhaustive()
    }
}
