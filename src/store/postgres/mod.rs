//! A shard on a `PostgreSQL` server.
//!
//! # Why
//!
//! The drivers wait for ever by default, in several places. Every await here has a deadline, a
//! connection whose answer did not come in time is thrown away (the next borrower would wait
//! behind it), and a server that failed is left alone but for one probe at a time.

mod cluster;
mod connect;
mod counts;
mod expected;
mod labels;
mod lease;
mod link_rows;
mod links;
mod lists;
mod pipeline;
mod rollup;
mod stats;
mod turns;
mod unwritable;
mod vitals;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::Mutex;

use crate::domain::time::Timestamp;
use crate::store::error::BreakerOpen;
use crate::store::error::StoreError;
use crate::store::postgres::expected::Expected;
use crate::store::postgres::lease::Lent;
use crate::store::postgres::turns::Turns;
use crate::store::postgres::unwritable::Unwritable;

/// Failures in a row after which the server is left alone.
const BREAK_AFTER: u32 = 5;
/// Waiting borrowers beyond which more are turned away at once.
const MAX_WAITING: usize = 1_000;

/// A server-backed shard.
#[derive(Debug, Clone)]
pub struct PostgresShard {
    inner: Arc<Inner>,
}

/// The connections of a process to one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    /// Made.
    pub size: usize,
    /// At work.
    pub in_use: usize,
    /// As many may be made.
    pub limit: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

#[derive(Debug)]
struct Inner {
    shard: usize,
    /// Redirects and the API: many short statements.
    front: Pool,
    front_turns: Turns,
    /// Loops and statistics: few longer ones, which must not starve the others.
    back: Pool,
    failures: AtomicU32,
    open: AtomicBool,
    migrated: AtomicBool,
    connecting: Mutex<()>,
    unwritable: Unwritable,
    expected: Arc<Expected>,
}

/// Who asks, and so how long it may take.
#[derive(Clone, Copy, Debug)]
enum Class {
    /// Part of a redirect's 300 ms.
    Redirect,
    /// A request of the API.
    Api,
    /// Statistics.
    Report,
    /// A loop of ours.
    Work,
}

impl Class {
    const fn budget(self) -> Duration {
        match self {
            Self::Redirect => Duration::from_millis(240),
            Self::Api => Duration::from_millis(1_400),
            Self::Report => Duration::from_secs(3),
            Self::Work => Duration::from_secs(10),
        }
    }
}

impl PostgresShard {
    /// A shard that is reached by [`connect`](Self::connect). `shard` is its place in the
    /// configuration.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(shard: usize, url: &str) -> Result<Self, String> {
        let expected = Arc::new(Expected::new(shard));
        let (front, back) = connect::pools(url, &expected)?;
        let inner = Inner {
            shard,
            front_turns: Turns::new(front.status().max_size),
            front,
            back,
            failures: AtomicU32::new(0),
            open: AtomicBool::new(true),
            migrated: AtomicBool::new(false),
            connecting: Mutex::new(()),
            unwritable: Unwritable::new(shard),
            expected,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Reaches the server, applies pending migrations once, and closes the breaker.
    ///
    /// # Errors
    /// An outage, or a migration that failed.
    pub async fn connect(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.connecting.lock().await;
        if self.inner.migrated.load(Ordering::Acquire) {
            let lent = Lent::probe(self).await?;
            lent.query("SELECT 1", &[]).await?;
        } else {
            connect::migrate(self).await?;
            self.inner.migrated.store(true, Ordering::Release);
        }
        self.inner.failures.store(0, Ordering::Relaxed);
        self.inner.open.store(false, Ordering::Release);
        Ok(())
    }

    /// Says who it was judged to be: no connection to any other database is used from here on.
    pub fn expect(&self, cluster: &str, shard: &str) {
        if self.inner.expected.set(cluster, shard) {
            // What is pooled was not asked.
            self.disconnect();
        }
    }

    /// Who was found in its place, if it was somebody else.
    #[must_use]
    pub fn impostor(&self) -> Option<String> {
        self.inner.expected.impostor()
    }

    /// Whether requests are sent to it.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !self.inner.open.load(Ordering::Acquire)
    }

    /// The server's clock. Notes on the way whether it takes writes.
    ///
    /// # Errors
    /// An outage.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        let sql = "SELECT urlshort.now_us(), current_setting('transaction_read_only') = 'on'";
        let row = self.lend(Class::Api).await?.one(sql, &[]).await?;
        if row.get(1) {
            self.inner.unwritable.note("it takes reads alone");
        }
        Ok(Timestamp::from_micros(row.get(0)))
    }

    /// Why a write failed a moment ago, or would fail.
    #[must_use]
    pub fn unwritable(&self) -> Option<String> {
        self.inner.unwritable.why()
    }

    /// How busy both pools are together.
    #[must_use]
    pub fn pool(&self) -> PoolUse {
        let pools = [&self.inner.front, &self.inner.back];
        let idle = PoolUse {
            waiting: self.inner.front_turns.waiting(),
            ..PoolUse::default()
        };
        pools.iter().fold(idle, |sum, pool| {
            let status = pool.status();
            PoolUse {
                size: sum.size + status.size,
                in_use: sum.in_use + status.size.saturating_sub(status.available),
                limit: sum.limit + status.max_size,
                waiting: sum.waiting + status.waiting,
            }
        })
    }

    async fn lend(&self, class: Class) -> Result<Lent, StoreError> {
        if self.inner.open.load(Ordering::Acquire) {
            return Err(self.unavailable(BreakerOpen));
        }
        Lent::from_pool(self, class).await
    }

    fn pool_of(&self, class: Class) -> &Pool {
        match class {
            Class::Redirect | Class::Api => &self.inner.front,
            Class::Report | Class::Work => &self.inner.back,
        }
    }

    /// Whose turn it is at the pool of `class`; that of the loops is small, and they come in turn.
    fn turns_of(&self, class: Class) -> Option<&Turns> {
        match class {
            Class::Redirect | Class::Api => Some(&self.inner.front_turns),
            Class::Report | Class::Work => None,
        }
    }

    fn succeeded(&self) {
        if self.inner.failures.load(Ordering::Relaxed) != 0 {
            self.inner.failures.store(0, Ordering::Relaxed);
        }
    }

    fn failed(&self) {
        let failures = self.inner.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= BREAK_AFTER && !self.inner.open.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                shard = self.inner.shard,
                "shard does not answer; probing it"
            );
            // What is pooled may be sockets to a dead server.
            self.disconnect();
        }
    }

    fn disconnect(&self) {
        self.inner.front.retain(|_, _| false);
        self.inner.back.retain(|_, _| false);
        self.inner.front_turns.disconnected();
    }

    fn unavailable(&self, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        StoreError::Unavailable {
            shard: self.inner.shard,
            source: Box::new(source),
        }
    }
}
