//! A shard in a file of this machine: one writer thread with group commit, readers beside it.
//!
//! # Why
//!
//! `SQLite` allows one writer at a time; a thread that owns it turns waiting for a lock into waiting
//! in a queue, and lets everything that queued up share one fsync. `synchronous=FULL`: a rollup
//! that the disk forgot after the spool forgot it would be a lost click.

mod cluster;
mod labels;
mod links;
mod lists;
mod pipeline;
mod rollup;
mod stats;
mod threads;
mod vitals;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use arc_swap::ArcSwapOption;
use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::config::DbConfig;
use tokio::sync::Mutex;

use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::DeadlinePassed;
use crate::store::error::NotConnected;
use crate::store::error::StoreError;
use crate::store::migrate;
use crate::store::sqlite::threads::Threads;

/// How long a caller waits for a thread; the disk may be slow, but nobody waits for ever.
const DEADLINE: Duration = Duration::from_secs(5);
/// The same for a rollup, for which no request waits: to give up on one that is about to be
/// committed would only do its work twice.
const ROLLUP_DEADLINE: Duration = Duration::from_secs(60);

/// Another file, or none, stands under the shard's name.
#[derive(Debug, thiserror::Error)]
#[error("its file was deleted or replaced under the running process: put it back, or restart")]
struct FileReplaced;

/// A file-backed shard.
#[derive(Debug, Clone)]
pub struct SqliteShard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shard: usize,
    path: PathBuf,
    threads: OnceLock<Threads>,
    /// The file that was opened: its device and its number there.
    opened: OnceLock<(u64, u64)>,
    connecting: Mutex<()>,
    /// Why the last write failed.
    unwritable: ArcSwapOption<String>,
}

impl SqliteShard {
    /// A shard that is opened by [`connect`](Self::connect). `shard` is its place in the
    /// configuration.
    #[must_use]
    pub fn new(shard: usize, path: &Path) -> Self {
        let threads = OnceLock::new();
        let path = path.to_owned();
        Self {
            inner: Arc::new(Inner {
                shard,
                path,
                threads,
                opened: OnceLock::new(),
                connecting: Mutex::new(()),
                unwritable: ArcSwapOption::empty(),
            }),
        }
    }

    /// Opens the file, makes it if it is not there, and applies pending migrations.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Corrupt`].
    pub async fn connect(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.connecting.lock().await;
        if self.inner.threads.get().is_some() {
            return Ok(());
        }
        let path = self.inner.path.clone();
        let opened = tokio::task::spawn_blocking(move || Threads::open(&path)).await;
        let threads = match opened {
            Ok(opened) => opened.map_err(|error| self.failure(error))?,
            Err(panicked) => return Err(self.unavailable(panicked)),
        };
        if let Some(file) = identity(&self.inner.path) {
            self.inner.opened.get_or_init(|| file);
        }
        drop(self.inner.threads.set(threads));
        Ok(())
    }

    /// What is written to a file that nobody finds under its name is lost with this process.
    fn check_file(&self) -> Result<(), StoreError> {
        let is_there = self
            .inner
            .opened
            .get()
            .is_none_or(|opened| identity(&self.inner.path).as_ref() == Some(opened));
        if is_there {
            Ok(())
        } else {
            Err(self.unavailable(FileReplaced))
        }
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.inner.threads.get().is_some()
    }

    fn threads(&self) -> Result<&Threads, StoreError> {
        let threads = self.inner.threads.get();
        threads.ok_or_else(|| self.unavailable(NotConnected))
    }

    /// Runs `job` on a reader's connection.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.wait(self.threads()?.read(job), DEADLINE).await
    }

    /// Runs `job` inside the writer's transaction; its changes last once this returns `Ok`.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_within(job, DEADLINE).await
    }

    async fn write_within<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        deadline: Duration,
    ) -> Result<T, StoreError> {
        let threads = self.threads()?;
        let written = match self.check_file() {
            Ok(()) => self.wait(threads.write(job), deadline).await,
            Err(error) => Err(error),
        };
        self.note(&written);
        written
    }

    /// Why the last write failed.
    #[must_use]
    pub fn unwritable(&self) -> Option<String> {
        self.inner.unwritable.load().as_deref().cloned()
    }

    /// Tells when writing begins to fail, and when it works again.
    fn note<T>(&self, written: &Result<T, StoreError>) {
        let shard = self.inner.shard;
        let failed = self.inner.unwritable.load().is_some();
        match written {
            Ok(_) if failed => {
                self.inner.unwritable.store(None);
                tracing::info!(shard, "the shard can be written again");
            }
            Err(StoreError::Unavailable { source, .. }) => {
                let why = source.to_string();
                if !failed {
                    tracing::error!(shard, why, "the shard cannot be written");
                }
                self.inner.unwritable.store(Some(Arc::new(why)));
            }
            Ok(_) | Err(_) => (),
        }
    }

    /// Like [`write`](Self::write), with the patience that a rollup deserves.
    async fn write_counts<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_within(job, ROLLUP_DEADLINE).await
    }

    async fn wait<T>(
        &self,
        answer: impl Future<Output = Option<rusqlite::Result<T>>>,
        deadline: Duration,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(deadline, answer).await {
            Ok(Some(result)) => result.map_err(|error| self.failure(error)),
            Ok(None) => Err(self.unavailable(NotConnected)),
            Err(_) => Err(self.unavailable(DeadlinePassed(deadline))),
        }
    }

    fn unavailable(&self, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        StoreError::Unavailable {
            shard: self.inner.shard,
            source: Box::new(source),
        }
    }

    fn failure(&self, error: rusqlite::Error) -> StoreError {
        let shard = self.inner.shard;
        if let rusqlite::Error::SqliteFailure(_, Some(message)) = &error
            && message.contains("US001")
        {
            return StoreError::NotOwner;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
                StoreError::Refused {
                    shard,
                    source: Box::new(error),
                }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt {
                shard,
                what: error.to_string(),
            },
            _ => StoreError::Unavailable {
                shard,
                source: Box::new(error),
            },
        }
    }

    /// Moves the write-ahead log into the file, so that a copy of the file alone is a backup.
    pub async fn checkpoint(&self) {
        let path = self.inner.path.clone();
        let done = tokio::task::spawn_blocking(move || {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            Connection::open(&path)?.query_row(sql, [], |_| Ok(()))
        });
        if let Ok(Err(error)) = done.await {
            tracing::debug!(%error, "the write-ahead log stays beside the file");
        }
    }

    /// This machine's time: the database's clock, where the database is a file.
    ///
    /// # Errors
    /// None; the signature is the one of every shard.
    #[expect(clippy::unused_async, reason = "the same signature as the server's")]
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(now())
    }
}

/// Refuses what concerns a slot that is not active here, as the triggers do.
fn require_active(connection: &Connection, slot: Slot) -> rusqlite::Result<()> {
    let active = connection
        .prepare_cached("SELECT 1 FROM slot_owner WHERE slot = ?1 AND state = 'active'")?
        .exists([slot.number()])?;
    if active {
        Ok(())
    } else {
        Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER),
            Some("US001".to_owned()),
        ))
    }
}

/// What tells a file from every other one, whatever its name is.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.dev(), facts.ino()))
}

/// This machine's clock.
fn now() -> Timestamp {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}

/// Opens a connection as every thread needs it.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(4))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.set_prepared_statement_cache_capacity(128);
    // Else a statement with a parameter that a partial index could care about is compiled anew for
    // each value: a look-up of a code took seven times as long.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Opens and migrates: what the writer starts with.
fn open_and_migrate(path: &Path) -> rusqlite::Result<Connection> {
    if let Some(folder) = path.parent()
        && let Err(error) = std::fs::create_dir_all(folder)
    {
        return Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error)));
    }
    let mut connection = open(path)?;
    // A flush of counts touches some thousand pages; they are written once, at its end.
    connection.pragma_update(None, "cache_size", -32_768)?;
    migrate::sqlite(&mut connection, now())?;
    Ok(connection)
}
