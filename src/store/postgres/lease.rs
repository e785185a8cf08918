//! A borrowed connection with a deadline: what did not answer in time is thrown away.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Object;
use deadpool_postgres::PoolError;
use deadpool_postgres::Timeouts;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tokio_postgres::Row;
use tokio_postgres::error::DbError;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::store::error::DeadlinePassed;
use crate::store::error::StoreError;
use crate::store::postgres::Class;
use crate::store::postgres::MAX_WAITING;
use crate::store::postgres::PostgresShard;
use crate::store::postgres::turns::Turns;
use crate::store::postgres::unwritable::is_of_writing;
use crate::telemetry;

/// A connection of a pool until the deadline. It goes back only while nothing is under way on it:
/// a future that is dropped half-way, and a transaction left open, take the connection with them.
#[derive(Debug)]
pub(super) struct Lent {
    shard: PostgresShard,
    object: Option<Object>,
    deadline: Instant,
    budget: Duration,
    busy: AtomicBool,
    transaction: bool,
    /// Given back after the connection.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Lent {
    /// Borrows a connection for `class`, within its budget.
    pub(super) async fn from_pool(shard: &PostgresShard, class: Class) -> Result<Self, StoreError> {
        Self::borrow_from(shard, class, class.budget()).await
    }

    /// Borrows one although the breaker is open.
    pub(super) async fn probe(shard: &PostgresShard) -> Result<Self, StoreError> {
        Self::borrow_from(shard, Class::Work, Duration::from_secs(5)).await
    }

    async fn borrow_from(
        shard: &PostgresShard,
        class: Class,
        budget: Duration,
    ) -> Result<Self, StoreError> {
        let deadline = Instant::now() + budget;
        let (pool, turns) = (shard.pool_of(class), shard.turns_of(class));
        if pool.status().waiting + turns.map_or(0, Turns::waiting) > MAX_WAITING {
            return Err(shard.unavailable(DeadlinePassed(Duration::ZERO)));
        }
        let limits = Timeouts {
            wait: Some(budget),
            create: Some(Duration::from_secs(1)),
            recycle: Some(Duration::from_millis(500)),
        };
        let asked = Instant::now();
        let turn = match turns {
            None => None,
            Some(turns) => match timeout_at(deadline, turns.next()).await {
                Ok(turn) => turn,
                // All are in use: that says that we are busy, not that the server is gone.
                Err(_) => return Err(shard.unavailable(DeadlinePassed(budget))),
            },
        };
        let borrowed = timeout_at(deadline, pool.timeout_get(&limits)).await;
        telemetry::shard_pool_wait(shard.inner.shard, asked.elapsed());
        match borrowed {
            Ok(Ok(object)) => {
                if let Some(turns) = turns
                    && Object::metrics(&object).recycled.is_none()
                {
                    turns.connected();
                }
                Ok(Self {
                    shard: shard.clone(),
                    object: Some(object),
                    deadline,
                    budget,
                    busy: AtomicBool::new(false),
                    transaction: false,
                    _turn: turn,
                })
            }
            Ok(Err(error)) => {
                // A full pool says that we are busy, not that the server is gone.
                if !matches!(
                    error,
                    PoolError::Timeout(deadpool_postgres::TimeoutType::Wait)
                ) {
                    shard.failed();
                }
                Err(shard.unavailable(error))
            }
            Err(_) => {
                shard.failed();
                Err(shard.unavailable(DeadlinePassed(budget)))
            }
        }
    }

    /// Rows of a statement whose text never varies.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let Some(object) = &self.object else {
            return Err(self.late());
        };
        self.wait(async {
            let statement = object.prepare_cached(sql).await?;
            object.query(&statement, parameters).await
        })
        .await
    }

    /// The one row of a statement that always has one.
    pub(super) async fn one(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, StoreError> {
        self.query(sql, parameters)
            .await?
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::Corrupt {
                shard: self.shard.inner.shard,
                what: "a row is missing".to_owned(),
            })
    }

    /// Statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), StoreError> {
        let Some(object) = &self.object else {
            return Err(self.late());
        };
        self.wait(object.batch_execute(sql)).await
    }

    /// Begins a transaction; until it is ended the connection cannot go back.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.transaction = true;
        self.batch("BEGIN").await
    }

    /// Commits it. An error leaves open whether it happened.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        self.batch("COMMIT").await?;
        self.transaction = false;
        Ok(())
    }

    /// Takes it back.
    pub(super) async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.batch("ROLLBACK").await?;
        self.transaction = false;
        Ok(())
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.object.as_ref().is_none_or(|object| object.is_closed())
    }

    async fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        self.busy.store(true, Ordering::Relaxed);
        match timeout_at(self.deadline, answer).await {
            Ok(Ok(value)) => {
                self.busy.store(false, Ordering::Relaxed);
                self.shard.succeeded();
                Ok(value)
            }
            Ok(Err(error)) => {
                let failure = self.failure(error);
                // An answer with an error is an answer; a lost connection stays marked busy.
                if !matches!(failure, StoreError::Unavailable { .. }) {
                    self.busy.store(false, Ordering::Relaxed);
                }
                Err(failure)
            }
            Err(_) => {
                self.shard.failed();
                Err(self.late())
            }
        }
    }

    fn late(&self) -> StoreError {
        self.shard.unavailable(DeadlinePassed(self.budget))
    }

    fn failure(&self, error: tokio_postgres::Error) -> StoreError {
        let shard = self.shard.inner.shard;
        let Some(state) = error.code() else {
            self.shard.failed();
            return self.shard.unavailable(error);
        };
        match state.code() {
            "US001" => StoreError::NotOwner,
            // Data exceptions, constraint violations, and texts that are too long.
            code if code.starts_with("22") || code.starts_with("23") || code == "54000" => {
                StoreError::Refused {
                    shard,
                    source: Box::new(error),
                }
            }
            "XX001" | "XX002" => StoreError::Corrupt {
                shard,
                what: error.to_string(),
            },
            code => {
                if is_of_writing(state) {
                    let why = error.as_db_error().map_or(code, DbError::message);
                    self.shard.inner.unwritable.note(why);
                }
                if code.starts_with("08") || code.starts_with("57P") {
                    self.shard.failed();
                }
                // It still reads. But where it was the primary, another one may have its address.
                if *state == SqlState::READ_ONLY_SQL_TRANSACTION
                    && self.shard.inner.unwritable.looks_again()
                {
                    self.shard.disconnect();
                }
                self.shard.unavailable(error)
            }
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if (self.busy.load(Ordering::Relaxed) || self.transaction)
            && let Some(object) = self.object.take()
        {
            drop(Object::take(object));
        }
    }
}
