//! The cache that processes share, or none: versioned entries that an older one never replaces.
//!
//! Keys are `us:<namespace>:<code>`, the namespace being `<cluster_id>:<generation>`: without
//! braces, which would put every key of a Redis Cluster on one node. A failure is for the caller
//! to count as a miss: nothing here is worth waiting for.

mod breaker;
mod reads;
mod redis;
mod scripts;
mod value;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use redis::RedisCache;
pub use value::FarEntry;
pub use value::FarFound;

use crate::domain::code::ShortCode;
use crate::telemetry::metrics;
use scripts::Unless;
use scripts::Write;

/// How long a marker refuses older values.
const MARKER: Duration = Duration::from_secs(60);

/// The cache behind the near one.
#[derive(Debug, Clone)]
pub enum FarCache {
    /// There is none: every question is a miss, every write is done with.
    None,
    /// Redis, Valkey, or a cluster of them.
    Redis(RedisCache),
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FarError {
    /// It did not answer in time: go to the database. Whether a write happened is unknown.
    #[error("the far cache is unavailable")]
    Unavailable {
        /// What the driver said.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// It answered no, as a full one does that may not evict: the same again fails again.
    #[error("the far cache refused the command")]
    Refused {
        /// What it said.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Not asked: it failed a moment ago and is being probed.
    #[error("the far cache failed a moment ago and is being probed")]
    Skipped,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarFacts {
    /// One round trip.
    pub latency: Duration,
    /// Its version.
    pub version: Option<String>,
    /// The memory it uses; of one node, in a cluster.
    pub used_bytes: Option<u64>,
    /// The memory it may use; 0: as much as there is.
    pub max_bytes: Option<u64>,
    /// What it does when that is full, as `allkeys-lfu`.
    pub eviction: Option<String>,
    /// Whether it is a node of a cluster.
    pub is_cluster: bool,
    /// Reads that found something, and that did not, since it started; of all its clients.
    pub reads: Option<(u64, u64)>,
    /// Keys it pushed out since it started.
    pub evicted: Option<u64>,
}

impl FarCache {
    /// The cache at `redis://…` or `redis-cluster://…`; connects later and keeps trying.
    ///
    /// Must be called inside the runtime that is to drive the connections.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn redis(url: &str) -> Result<Self, String> {
        RedisCache::start(url).map(Self::Redis)
    }

    /// What stands under `code`; what cannot be read is a miss.
    ///
    /// # Errors
    /// [`FarError`], within 50 ms.
    pub async fn get(&self, namespace: &str, code: &ShortCode) -> Result<FarFound, FarError> {
        let Self::Redis(redis) = self else {
            return Ok(FarFound::Miss);
        };
        let Some(raw) = redis.read(key(namespace, code).into()).await? else {
            return Ok(FarFound::Miss);
        };
        Ok(value::decode(raw).unwrap_or_else(|value::Undecodable| {
            metrics::redis_errors("undecodable");
            FarFound::Miss
        }))
    }

    /// Writes `entry` for `ttl` unless something newer is there; the same version is refreshed.
    ///
    /// `false`: something newer was there, or there is no cache.
    ///
    /// # Errors
    /// [`FarError`], within 205 ms; the entry may have been written.
    pub async fn put(
        &self,
        namespace: &str,
        code: &ShortCode,
        version: i64,
        entry: &FarEntry,
        ttl: Duration,
    ) -> Result<bool, FarError> {
        self.write(Write {
            key: key(namespace, code),
            version: value::digits(version),
            payload: value::payload(entry),
            lifetime: ttl,
            unless: Unless::Newer,
        })
        .await
    }

    /// Marks `code` as changed to `version`, so that for 60 s nothing older gets in.
    ///
    /// `false`: that version or a newer one is there already, or there is no cache.
    ///
    /// # Errors
    /// [`FarError`], within 205 ms: to be done again.
    pub async fn mark(
        &self,
        namespace: &str,
        code: &ShortCode,
        version: i64,
    ) -> Result<bool, FarError> {
        self.write(Write {
            key: key(namespace, code),
            version: value::digits(version),
            payload: Vec::new(),
            lifetime: MARKER,
            unless: Unless::AsNew,
        })
        .await
    }

    /// Writes `entry`, even an older one, if the value is still the one `seen`.
    ///
    /// For a database that was restored: its rows have lower versions than what is cached.
    ///
    /// # Errors
    /// [`FarError`], within 205 ms; the entry may have been written.
    pub async fn replace_if_same(
        &self,
        namespace: &str,
        code: &ShortCode,
        seen: &Bytes,
        version: i64,
        entry: &FarEntry,
        ttl: Duration,
    ) -> Result<bool, FarError> {
        self.write(Write {
            key: key(namespace, code),
            version: value::digits(version),
            payload: value::payload(entry),
            lifetime: ttl,
            unless: Unless::Changed(seen.clone()),
        })
        .await
    }

    /// Whether there is one and it answers.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match self {
            Self::None => false,
            Self::Redis(redis) => redis.is_up(),
        }
    }

    /// Waits for the first answer of the server; `false` where it takes longer than `patience`. The
    /// other methods do not wait for a connection, since a visitor would.
    pub async fn wait_until_up(&self, patience: Duration) -> bool {
        let Self::Redis(redis) = self else {
            return false;
        };
        tokio::time::timeout(patience, redis.connected())
            .await
            .is_ok_and(|up| up)
    }

    /// Asks a server that did not answer whether it does again: without visitors nobody else would,
    /// and it would be called lost for as long as it is quiet.
    pub async fn look_after(&self) {
        if let Self::Redis(redis) = self {
            redis.look_after().await;
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// What the server says of itself; `None` without a cache. For people: it may take 2 s.
    ///
    /// # Errors
    /// [`FarError`] where it does not answer.
    pub async fn ask(&self) -> Result<Option<FarFacts>, FarError> {
        match self {
            Self::None => Ok(None),
            Self::Redis(redis) => redis.ask().await.map(Some),
        }
    }

    /// Ends the connections, within a fraction of a second.
    pub async fn close(&self) {
        match self {
            Self::None => (),
            Self::Redis(redis) => redis.close().await,
        }
    }

    async fn write(&self, write: Write) -> Result<bool, FarError> {
        match self {
            Self::None => Ok(false),
            Self::Redis(redis) => redis.write(write).await,
        }
    }
}

fn key(namespace: &str, code: &ShortCode) -> String {
    ["us:", namespace, ":", code.as_str()].concat()
}
