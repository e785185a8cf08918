//! One file of the spool, locked for life by the process that ships it.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::events::spool::read::KnownText;
use crate::slots::Slot;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS meta (key text PRIMARY KEY, value text NOT NULL) STRICT; \
     CREATE TABLE IF NOT EXISTS texts (id integer PRIMARY KEY, text text NOT NULL) STRICT; \
     CREATE TABLE IF NOT EXISTS spool (id integer PRIMARY KEY AUTOINCREMENT, slot integer NOT NULL, \
     first_seq integer NOT NULL, count integer NOT NULL, at integer NOT NULL, payload blob NOT NULL) STRICT";

/// A file, its lock, and the one connection that writes to it.
#[derive(Debug)]
pub struct SpoolFile {
    pub(super) path: PathBuf,
    pub(super) producer: Uuid,
    connection: Mutex<Connection>,
    reader: Mutex<Connection>,
    pub(super) texts: Mutex<Vec<Option<KnownText>>>,
    closed: AtomicBool,
    /// The last row that the bus has, with everything before it.
    acknowledged: AtomicI64,
    /// Whether it was told that it cannot be read.
    unreadable: AtomicBool,
    /// Held for life: whoever can take it may ship the file.
    _lock: File,
}

/// A row to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewRow<'payload> {
    pub(super) slot: Slot,
    pub(super) first_seq: u64,
    pub(super) count: u64,
    pub(super) at: i64,
    pub(super) payload: &'payload [u8],
}

impl SpoolFile {
    /// Makes a new file in `folder` for `producer`.
    pub(super) fn create(folder: &Path, producer: Uuid, fsync: bool) -> Result<Self, SpoolError> {
        std::fs::create_dir_all(folder).map_err(SpoolError::Disk)?;
        let path = folder.join(format!("spool-{}.db", Uuid::now_v7()));
        let lock =
            lock(&path)?.ok_or_else(|| SpoolError::Disk(std::io::ErrorKind::WouldBlock.into()))?;
        let made = || {
            let connection = open(&path, fsync)?;
            connection.execute_batch(SCHEMA)?;
            connection.execute(
                "INSERT INTO meta (key, value) VALUES ('producer', ?1), ('format', '1')",
                [producer.to_string()],
            )?;
            Ok((connection, open(&path, fsync)?))
        };
        // A full disk would be littered with beginnings.
        let (connection, reader) = made().inspect_err(|_: &SpoolError| remove(&path))?;
        Ok(Self::with(path, producer, connection, reader, lock, false))
    }

    /// Opens somebody else's file, if nobody holds it. `None`: it is held, or it is none.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, SpoolError> {
        let Some(lock) = lock(path)? else {
            return Ok(None);
        };
        let connection = open(path, false)?;
        connection.execute_batch(SCHEMA)?;
        let producer: Option<String> = connection
            .query_row("SELECT value FROM meta WHERE key = 'producer'", [], |row| {
                row.get(0)
            })
            .optional()?;
        let Some(producer) = producer.and_then(|text| Uuid::parse_str(&text).ok()) else {
            return Err(SpoolError::Nameless);
        };
        let acknowledged: Option<String> = connection
            .query_row(
                "SELECT value FROM meta WHERE key = 'acknowledged'",
                [],
                |row| row.get(0),
            )
            .optional()?;
        let reader = open(path, false)?;
        let file = Self::with(path.to_owned(), producer, connection, reader, lock, true);
        file.acknowledge(acknowledged.and_then(|id| id.parse().ok()).unwrap_or(0));
        Ok(Some(file))
    }

    fn with(
        path: PathBuf,
        producer: Uuid,
        connection: Connection,
        reader: Connection,
        lock: File,
        closed: bool,
    ) -> Self {
        Self {
            path,
            producer,
            connection: Mutex::new(connection),
            reader: Mutex::new(reader),
            texts: Mutex::default(),
            closed: AtomicBool::new(closed),
            acknowledged: AtomicI64::new(0),
            unreadable: AtomicBool::new(false),
            _lock: lock,
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose clicks these are.
    #[must_use]
    pub const fn producer(&self) -> Uuid {
        self.producer
    }

    /// Whether nobody appends to it any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Says that nobody appends to it any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster that the file was written for, once it was known.
    pub(super) fn cluster(&self) -> Result<Option<String>, SpoolError> {
        let sql = "SELECT value FROM meta WHERE key = 'cluster'";
        Ok(self
            .reader()
            .query_row(sql, [], |row| row.get(0))
            .optional()?)
    }

    /// Writes down for which cluster it is, once.
    pub(super) fn set_cluster(&self, cluster: &str) -> Result<(), SpoolError> {
        let sql =
            "INSERT INTO meta (key, value) VALUES ('cluster', ?1) ON CONFLICT (key) DO NOTHING";
        self.writer().execute(sql, [cluster])?;
        Ok(())
    }

    /// Appends rows and new texts, all or none.
    pub(super) fn append(
        &self,
        texts: &[(u32, Box<str>)],
        rows: &[NewRow<'_>],
    ) -> Result<(), SpoolError> {
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        {
            let mut text = transaction
                .prepare_cached("INSERT OR REPLACE INTO texts (id, text) VALUES (?1, ?2)")?;
            for (id, words) in texts {
                text.execute(params![id, words])?;
            }
            let mut rest = rows;
            while !rest.is_empty() {
                // A power of two, so that few statements are known by heart.
                let (some, after) = rest.split_at(1 << rest.len().ilog2());
                insert(&transaction, some)?;
                rest = after;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Says that the bus has every row up to `id`; written down when the process stops, so that
    /// whoever adopts the file need not ship it all again.
    pub fn acknowledge(&self, id: i64) {
        self.acknowledged.fetch_max(id, Ordering::Relaxed);
    }

    /// The last row that the bus has, with everything before it.
    #[must_use]
    pub fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Writes down what was acknowledged.
    ///
    /// # Errors
    /// The disk.
    pub fn remember_acknowledged(&self) -> Result<(), SpoolError> {
        let sql = "INSERT INTO meta (key, value) VALUES ('acknowledged', ?1) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.writer()
            .execute(sql, [self.acknowledged().to_string()])?;
        Ok(())
    }

    /// The time of the oldest click that was not acknowledged; `None` if there is none.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn oldest(&self) -> Result<Option<Timestamp>, SpoolError> {
        let sql = "SELECT at FROM spool WHERE id > ?1 ORDER BY id LIMIT 1";
        let at = self
            .reader()
            .query_row(sql, [self.acknowledged()], |row| row.get(0))
            .optional()?;
        Ok(at.map(Timestamp::from_micros))
    }

    /// Tells that it cannot be read: once, though it is tried again and again.
    pub fn complain(&self, error: &SpoolError) {
        if !self.unreadable.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %self.path.display(), %error, "a spool cannot be read");
        }
    }

    /// Whether no row is left.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn is_empty(&self) -> Result<bool, SpoolError> {
        Ok(!self
            .reader()
            .prepare_cached("SELECT 1 FROM spool LIMIT 1")?
            .exists([])?)
    }

    /// Deletes rows that are counted or handed over.
    ///
    /// # Errors
    /// The disk.
    pub fn delete(&self, ids: &[i64]) -> Result<(), SpoolError> {
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        {
            let mut statement = transaction.prepare_cached("DELETE FROM spool WHERE id = ?1")?;
            for id in ids {
                statement.execute([id])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Bytes on disk, the WAL included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.data_bytes() + self.wal_bytes()
    }

    /// Bytes of the file itself.
    pub(super) fn data_bytes(&self) -> u64 {
        length(&self.path)
    }

    /// Bytes of its WAL.
    pub(super) fn wal_bytes(&self) -> u64 {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        length(Path::new(&wal))
    }

    /// Moves the WAL into the file and syncs it; with `truncate`, shrinks the WAL.
    pub(super) fn checkpoint(&self, truncate: bool) {
        let sql = if truncate {
            "PRAGMA wal_checkpoint(TRUNCATE)"
        } else {
            "PRAGMA wal_checkpoint(PASSIVE)"
        };
        let reader = self.reader();
        if let Err(error) = reader.query_row(sql, [], |_| Ok(())) {
            tracing::warn!(%error, "the spool's checkpoint failed and will be tried again");
        }
    }

    /// Deletes the file and its lock, once it is closed and empty.
    pub fn remove(&self) {
        remove(&self.path);
    }
}

/// What is wrong with a spool file.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk said no.
    #[error("the spool's disk failed")]
    Disk(#[source] std::io::Error),
    /// `SQLite` said no.
    #[error("the spool's database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file does not say whose it is.
    #[error("the file does not name its producer")]
    Nameless,
}

/// Inserts rows with one statement: the key of `AUTOINCREMENT` is kept once for each statement, which
/// costs as much as a row.
fn insert(connection: &Connection, rows: &[NewRow<'_>]) -> rusqlite::Result<()> {
    let places = vec!["(?, ?, ?, ?, ?)"; rows.len()].join(", ");
    let sql = format!("INSERT INTO spool (slot, first_seq, count, at, payload) VALUES {places}");
    let mut statement = connection.prepare_cached(&sql)?;
    for (new, first) in rows.iter().zip((1..).step_by(5)) {
        statement.raw_bind_parameter(first, new.slot.number())?;
        statement.raw_bind_parameter(first + 1, new.first_seq)?;
        statement.raw_bind_parameter(first + 2, new.count)?;
        statement.raw_bind_parameter(first + 3, new.at)?;
        statement.raw_bind_parameter(first + 4, new.payload)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// Deletes a file with everything that lies beside it.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut path = path.to_owned().into_os_string();
        path.push(suffix);
        drop(std::fs::remove_file(path));
    }
}

/// By its path, which opens nothing: `SQLite`'s locks on the file stay.
fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |facts| facts.len())
}

fn open(path: &Path, fsync: bool) -> Result<Connection, SpoolError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if fsync { "FULL" } else { "NORMAL" })?;
    // Checkpoints run on a thread of their own, so that an append never waits for one.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// Takes the lock beside a spool file; `None` where somebody holds it.
fn lock(path: &Path) -> Result<Option<File>, SpoolError> {
    let mut name = path.to_owned().into_os_string();
    name.push(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(SpoolError::Disk)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(SpoolError::Disk(error)),
    }
}
