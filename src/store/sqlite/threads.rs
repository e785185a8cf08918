//! The threads of a file-backed shard: one writer that commits in groups, a few readers.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::sqlite::open;
use crate::store::sqlite::open_and_migrate;

/// Threads that answer reads.
const READERS: usize = 2;

/// The most jobs of one commit.
const GROUP: usize = 512;

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;
/// Runs in the transaction and gives what to say once the commit's outcome is known.
type WriteJob = Box<dyn FnOnce(&Connection) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Result<(), String>) + Send>;

/// The queues to the threads; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Threads {
    reads: mpsc::Sender<ReadJob>,
    writes: mpsc::Sender<WriteJob>,
}

impl Threads {
    /// Opens the file for the writer (which migrates it) and then for the readers.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let writer = open_and_migrate(path)?;
        let (writes, write_jobs) = mpsc::channel();
        let (reads, read_jobs) = mpsc::channel();
        let read_jobs = Arc::new(Mutex::new(read_jobs));
        for _ in 0..READERS {
            let connection = open(path)?;
            let jobs = Arc::clone(&read_jobs);
            spawn("sqlite-read", move || serve_reads(&connection, &jobs))?;
        }
        spawn("sqlite-write", move || serve_writes(&writer, &write_jobs))?;
        Ok(Self { reads, writes })
    }

    /// What a read answers; `None` if the thread is gone.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<rusqlite::Result<T>> {
        let (sender, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| drop(sender.send(job(connection))));
        self.reads.send(job).ok()?;
        answer.await.ok()
    }

    /// What a write answers once it is on disk; `None` if the thread is gone.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<rusqlite::Result<T>> {
        let (sender, answer) = oneshot::channel();
        let job: WriteJob = Box::new(move |connection| {
            let result = in_savepoint(connection, job);
            Box::new(move |committed| drop(sender.send(outcome(result, committed))))
        });
        self.writes.send(job).ok()?;
        answer.await.ok()
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> rusqlite::Result<()> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned
        .map(drop)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A job's own error stands; a failed commit turns every success of its group into an error.
fn outcome<T>(result: rusqlite::Result<T>, committed: Result<(), String>) -> rusqlite::Result<T> {
    match (result, committed) {
        (Ok(_), Err(message)) => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
            Some(message),
        )),
        (result, _) => result,
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let result = job(connection);
    if result.is_err() {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    result
}

fn serve_reads(connection: &Connection, jobs: &Mutex<mpsc::Receiver<ReadJob>>) {
    loop {
        // The lock is held while waiting: one reader waits for jobs, the others for the lock.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(connection),
            Err(_) => return,
        }
    }
}

fn serve_writes(connection: &Connection, jobs: &mpsc::Receiver<WriteJob>) {
    while let Ok(first) = jobs.recv() {
        // Where BEGIN fails (another process writes for seconds), the job runs in a savepoint of
        // its own, which is a transaction too: it fails or succeeds by itself.
        let begun = connection.execute_batch("BEGIN IMMEDIATE").is_ok();
        let mut replies = vec![first(connection)];
        while begun
            && replies.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            replies.push(job(connection));
        }
        let committed = if begun { commit(connection) } else { Ok(()) };
        if !connection.is_autocommit() {
            // What could not be ended above would swallow every later group.
            drop(connection.execute_batch("ROLLBACK"));
        }
        for reply in replies {
            reply(committed.clone());
        }
    }
}

fn commit(connection: &Connection) -> Result<(), String> {
    connection
        .execute_batch("COMMIT")
        .map_err(|error| error.to_string())
}
