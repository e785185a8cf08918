//! The spool of a process: its own files, those that it adopted, and what their users ask of it.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout_at;
use uuid::Uuid;

use crate::events::queue::Queue;
use crate::events::queue::Ticket;
use crate::events::spool::file::SpoolFile;
use crate::events::spool::ledger::Ledger;
use crate::events::spool::writer::Writer;
use crate::slots::SLOTS;
use crate::slots::Slot;

/// A WAL that checkpoints could not shrink is cut when it gets this long.
const MAX_WAL: u64 = 64 << 20;

/// Who waits for a drain longer than this wakes the writer.
const SOON: Duration = Duration::from_millis(20);

/// How the spool works.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// Where its files lie.
    pub folder: PathBuf,
    /// How often the queue is drained.
    pub drain: Duration,
    /// Whether a commit waits for the disk.
    pub fsync: bool,
    /// The bound of all files together.
    pub bytes: u64,
}

/// The outcome of drains, for those who wait for one.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The last drain that ended.
    pub done: u64,
    /// The latest drains that lost their clicks.
    pub failed: Vec<u64>,
    /// Whether the spool takes no more for now.
    pub full: bool,
}

/// The spool of this process: its own files and those that it adopted.
#[derive(Debug)]
pub struct Spool {
    pub(super) producer: Uuid,
    pub(super) files: Mutex<Vec<Arc<SpoolFile>>>,
    pub(super) cluster: Mutex<Option<String>>,
    pub(super) reports: watch::Sender<Report>,
    pub(super) stop: AtomicBool,
    pub(super) options: SpoolOptions,
    pub(super) bytes: AtomicU64,
    /// Payload bytes per slot that are not deleted yet.
    pub(super) by_slot: Vec<AtomicU64>,
    pub(super) ledger: Ledger,
    /// The last files of producers whose end is not known everywhere yet; empty ones.
    ended: Mutex<Vec<Arc<SpoolFile>>>,
    /// Whether the last drain with clicks could not be written.
    pub(super) failing: AtomicBool,
    /// The writing thread, while it runs.
    pub(super) writer: Mutex<Option<thread::Thread>>,
}

impl Spool {
    /// A spool for this process incarnation; its file is made with the first click.
    #[must_use]
    pub fn new(options: SpoolOptions) -> Arc<Self> {
        Self::of(Uuid::now_v7(), options)
    }

    /// A spool that begins anew for `producer`: what it numbered before is a duplicate now.
    #[must_use]
    pub fn of(producer: Uuid, options: SpoolOptions) -> Arc<Self> {
        Arc::new(Self {
            producer,
            files: Mutex::default(),
            cluster: Mutex::default(),
            reports: watch::channel(Report::default()).0,
            stop: AtomicBool::new(false),
            options,
            bytes: AtomicU64::new(0),
            by_slot: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            ledger: Ledger::of(producer),
            ended: Mutex::default(),
            failing: AtomicBool::new(false),
            writer: Mutex::default(),
        })
    }

    /// This process incarnation.
    #[must_use]
    pub const fn producer(&self) -> Uuid {
        self.producer
    }

    /// Which numbers were given out, and which of them are counted.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Where the files lie.
    #[must_use]
    pub const fn folder(&self) -> &PathBuf {
        &self.options.folder
    }

    /// Every file that this process ships: its own, and adopted ones.
    #[must_use]
    pub fn files(&self) -> Vec<Arc<SpoolFile>> {
        self.files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes a file in that was adopted.
    pub(super) fn add(&self, file: SpoolFile) {
        let is_empty = file.is_empty().unwrap_or(false);
        let file = Arc::new(file);
        self.files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&file));
        if is_empty {
            self.discard(&file);
        }
    }

    /// Lets go of a closed and empty file. It is deleted at once, unless it is the last one of its
    /// producer: then it waits for [`bury`](Self::bury), so that whoever finds it after a kill knows
    /// whose end is still to be told.
    pub fn discard(&self, file: &Arc<SpoolFile>) {
        let producer = file.producer();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|other| !Arc::ptr_eq(other, file));
        if files.iter().any(|file| file.producer() == producer) {
            file.remove();
            return;
        }
        self.ended().push(Arc::clone(file));
        drop(files);
        if producer != self.producer {
            self.ledger.forget(producer);
        }
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Arc<SpoolFile>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process has that file.
    pub(super) fn holds(&self, path: &Path) -> bool {
        let is_it = |file: &Arc<SpoolFile>| file.path() == path;
        self.files().iter().any(is_it) || self.ended().iter().any(is_it)
    }

    /// Producers of whom nothing is left but an empty file.
    #[must_use]
    pub fn over(&self) -> Vec<Uuid> {
        let there = self.files();
        let holds = |producer| there.iter().any(|file| file.producer() == producer);
        let ended = self.ended();
        let over = ended.iter().map(|file| file.producer());
        over.filter(|producer| !holds(*producer)).collect()
    }

    /// Deletes the last file of a producer, once every shard knows that it ended.
    pub fn bury(&self, producer: Uuid) {
        self.ended().retain(|file| {
            let stays = file.producer() != producer;
            if !stays {
                file.remove();
            }
            stays
        });
    }

    /// Counts payload bytes as gone, after rows were deleted.
    pub fn released(&self, slot: Slot, bytes: u64) {
        if let Some(held) = self.by_slot.get(slot.index()) {
            let before = held.load(Ordering::Relaxed);
            held.store(before.saturating_sub(bytes), Ordering::Relaxed);
        }
    }

    /// Says which cluster the clicks are for, once it is known.
    pub fn set_cluster(&self, cluster: &str) {
        let mut known = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = Some(cluster.to_owned());
            for file in self.files() {
                if let Err(error) = file.set_cluster(cluster) {
                    tracing::warn!(%error, "the spool does not name its cluster yet");
                }
            }
        }
    }

    pub(super) fn cluster(&self) -> Option<String> {
        self.cluster
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until the drain of `ticket` is committed; `false` if its clicks were lost.
    pub async fn committed(&self, ticket: Ticket) -> bool {
        let mut reports = self.reports.subscribe();
        match reports.wait_for(|report| report.done >= ticket.0).await {
            Ok(report) => !report.failed.contains(&ticket.0),
            Err(_) => false,
        }
    }

    /// Waits until every click that was pushed before has its number; `false` where that takes
    /// longer than `patience`.
    pub async fn flush(&self, patience: Duration) -> bool {
        let mut reports = self.reports.subscribe();
        let deadline = tokio::time::Instant::now() + patience;
        // The first drain to end may have begun before this call.
        for _ in 0..2 {
            let soon = tokio::time::Instant::now() + SOON;
            if timeout_at(soon, reports.changed()).await.is_ok() {
                continue;
            }
            match &*self.writer.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(writer) => writer.unpark(),
                None => return true,
            }
            if timeout_at(deadline, reports.changed()).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Whether it takes no more for now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.reports.borrow().full
    }

    /// Whether clicks are lost, since the last ones could not be written.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// The bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether what is kept for a while although the bus has it must go, before it takes the room of
    /// what comes.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.bytes() > self.options.bytes / 8 * 3
    }

    /// Starts the threads that drain `queue` and checkpoint the files.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(self: &Arc<Self>, queue: Arc<Queue>) -> std::io::Result<thread::JoinHandle<()>> {
        let spool = Arc::clone(self);
        thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || spool.checkpoints())?;
        let spool = Arc::clone(self);
        let writer = thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || Writer::new(spool, queue).run())?;
        self.set_writer(Some(writer.thread().clone()));
        Ok(writer)
    }

    pub(super) fn set_writer(&self, writer: Option<thread::Thread>) {
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = writer;
    }

    /// Ends the writer after one more drain; join the thread to wait for it.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn checkpoints(&self) {
        while !self.stop.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(200));
            for file in self.files() {
                let most = MAX_WAL.min(self.options.bytes / 8);
                file.checkpoint(file.wal_bytes() > most && !file.is_closed());
            }
        }
    }
}
