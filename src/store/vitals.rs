//! What a shard says of its own health, for `diagnose`: read without making or changing anything.

use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::shard::Shard;

/// How a shard is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// The reading of each partition whose slot it owns.
    pub partitions: Vec<PartitionSeen>,
    /// Every producer that it knows and that has not closed.
    pub producers: Vec<ProducerHeld>,
    /// The newest change in its feed.
    pub newest_change: Option<Timestamp>,
    /// Clicks that were set aside.
    pub dead_events: i64,
    /// What holds the database.
    pub host: Host,
}

/// What holds a database.
#[derive(Clone, Debug, PartialEq)]
pub enum Host {
    /// A file of this machine.
    File {
        /// Its length with its write-ahead log, bytes.
        bytes: u64,
        /// What its disk has left, bytes; `None` where that cannot be told.
        free_bytes: Option<u64>,
    },
    /// A server.
    Server {
        /// The size of the database, bytes.
        bytes: i64,
        /// Connections in use, of all its clients.
        connections: i64,
        /// Connections that it allows.
        max_connections: i64,
        /// Whether it is a standby, which takes no writes.
        is_standby: bool,
        /// Whether it takes no writes, as a standby or because it was told so.
        is_read_only: bool,
        /// Its replicas, and how far each is behind in seconds; `None` while that is unknown.
        replicas: Vec<(String, Option<f64>)>,
    },
}

impl Default for Host {
    fn default() -> Self {
        Self::File {
            bytes: 0,
            free_bytes: None,
        }
    }
}

/// Where the reading of a partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSeen {
    /// The partition.
    pub slot: Slot,
    /// The next offset to read.
    pub next_offset: i64,
    /// Who reads it, while its lease lasts.
    pub holder: Option<String>,
    /// Why nobody may read it, if so.
    pub stopped: Option<String>,
}

/// A producer of clicks that has not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerHeld {
    /// The process incarnation.
    pub id: String,
    /// Where it runs.
    pub host: String,
    /// Its last sign of life.
    pub seen_at: Timestamp,
    /// No click of it from before this time is uncounted; `None`: none at all was, then.
    pub held_since: Option<Timestamp>,
}

impl Shard {
    /// How it is; only where [`peek`](Self::peek) found a schema.
    ///
    /// # Errors
    /// An outage.
    pub async fn vitals(&self) -> Result<Vitals, StoreError> {
        match self {
            Self::Sqlite(shard) => shard.vitals().await,
            Self::Postgres(shard) => shard.vitals().await,
        }
    }
}
