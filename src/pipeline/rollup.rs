//! The local bus: spool → counts, one loop for each shard, in the process that has the spool.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::domain::agent::AgentTable;
use crate::domain::click_batch::ClickBatch;
use crate::events::spool::Spool;
use crate::events::spool::SpoolError;
use crate::events::spool::SpoolFile;
use crate::pipeline::pace;
use crate::pipeline::pace::Backoff;
use crate::slots::Slot;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::rows::RolledUp;
use crate::store::rows::RollupBatch;
use crate::store::rows::RollupOutcome;
use crate::telemetry;

/// Rows read at once; their bytes are let go once they are unpacked.
const ROWS: usize = 1_000;
/// Clicks of the smallest transaction and of the largest one, which is also the first. Parts of one
/// flush touch the same rows again, so a split costs nearly as much as a flush more.
const FEWEST_CLICKS: usize = 100_000;
const MOST_CLICKS: usize = 1_000_000;
/// Links that one transaction counts at most, or a few more: each has a dozen counters, which are
/// held in memory until they are written.
const MOST_LINKS: usize = 20_000;
/// A transaction longer than this is followed by a smaller one: whoever makes a link waits for it.
const LONG: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(250);
/// How often a loop begins at the front again, for rows that it left behind.
const REWIND: Duration = Duration::from_secs(10);

/// What the loops share.
#[derive(Clone, Debug)]
pub struct Rollup {
    /// The shards.
    pub store: Arc<Store>,
    /// Where clicks wait.
    pub spool: Arc<Spool>,
    /// Parsed user agents.
    pub agents: Arc<Mutex<AgentTable>>,
}

/// Where a loop reads on, and how much at once.
#[derive(Debug)]
pub struct Reading {
    cursors: HashMap<PathBuf, i64>,
    clicks: usize,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            cursors: HashMap::new(),
            clicks: MOST_CLICKS,
        }
    }
}

impl Reading {
    /// Takes more or less at once, by how long a transaction took.
    fn adapt(&mut self, took: Duration) {
        if took > LONG {
            self.clicks = (self.clicks / 2).max(FEWEST_CLICKS);
        } else if took < SHORT {
            self.clicks = (self.clicks * 2).min(MOST_CLICKS);
        }
    }
}

/// A row that a batch counts.
#[derive(Clone, Copy)]
struct Counted {
    id: i64,
    slot: Slot,
    bytes: u64,
}

/// The rows of one file that a batch counts.
type Taken = (Arc<SpoolFile>, Vec<Counted>);

/// What was read for one transaction.
#[derive(Default)]
struct Gathered {
    clicks: ClickBatch,
    taken: Vec<Taken>,
}

impl Gathered {
    /// Whether a transaction has enough of it.
    fn is_full(&self, most_clicks: usize) -> bool {
        self.clicks.len() >= most_clicks || self.clicks.codes().len() >= MOST_LINKS
    }

    /// Takes rows of a file behind `after`, oldest first, until there is enough; answers the last
    /// one it looked at.
    fn take(
        &mut self,
        file: &Arc<SpoolFile>,
        mut after: i64,
        (slots, most_clicks): (&[Slot], usize),
        agents: &Mutex<AgentTable>,
    ) -> Result<i64, SpoolError> {
        let mut mine = Vec::new();
        let mut unpacking = file.unpacking();
        let outcome = 'file: loop {
            let rows = match file.rows_after(after, ROWS) {
                Ok(rows) if rows.is_empty() => break Ok(after),
                Ok(rows) => rows,
                Err(error) => break Err(error),
            };
            let mut agents = agents.lock().unwrap_or_else(PoisonError::into_inner);
            for row in rows {
                if self.is_full(most_clicks) {
                    break 'file Ok(after);
                }
                after = row.id;
                if slots.contains(&row.slot) {
                    unpacking.row(&row, &mut agents, &mut self.clicks);
                    mine.push(Counted {
                        id: row.id,
                        slot: row.slot,
                        bytes: row.bytes(),
                    });
                }
            }
        };
        drop(unpacking);
        if !mine.is_empty() {
            self.taken.push((Arc::clone(file), mine));
        }
        outcome
    }
}

/// Counts the clicks of the slots that the shard at `place` owns, until `stop`.
pub async fn run(rollup: Rollup, place: usize, stop: CancellationToken) {
    let mut reading = Reading::default();
    let mut rewound = Instant::now();
    let mut backoff = Backoff::default();
    loop {
        if rewound.elapsed() > REWIND {
            reading.cursors.clear();
            rewound = Instant::now();
        }
        let begun = Instant::now();
        let pause = match flush(&rollup, place, &mut reading).await {
            Ok(clicks) => {
                backoff.reset();
                pace::pause(begun.elapsed(), clicks)
            }
            Err(error) => {
                tracing::debug!(place, %error, "clicks wait in the spool");
                reading.cursors.clear();
                if matches!(error, StoreError::NotOwner) {
                    rollup.store.read_owners().await;
                }
                backoff.next()
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => (),
        }
    }
}

/// Counts what is there, once; answers how many clicks that were.
///
/// What arrives meanwhile waits for the next flush: it would touch the same rows again.
///
/// # Errors
/// An outage of the shard: the rows stay.
pub async fn flush(
    rollup: &Rollup,
    place: usize,
    reading: &mut Reading,
) -> Result<usize, StoreError> {
    let Some(member) = rollup.store.members().get(place) else {
        return Ok(0);
    };
    if !member.takes_part() || !member.shard.is_up() {
        return Ok(0);
    }
    let slots = rollup.store.slots_of(place);
    let mut counted_clicks = 0;
    loop {
        let most_clicks = reading.clicks;
        let gathered = read(rollup, &slots, reading).await;
        let is_full = gathered.is_full(most_clicks);
        let Gathered { clicks, taken } = gathered;
        if taken.is_empty() {
            return Ok(counted_clicks);
        }
        let batch = RollupBatch {
            clicks,
            ..RollupBatch::default()
        };
        let begun = Instant::now();
        let count = batch.clicks.len();
        let oldest = batch.clicks.oldest();
        let outcome = member
            .shard
            .roll_up(&Arc::new(batch), &rollup.agents)
            .await?;
        reading.adapt(begun.elapsed());
        if let RollupOutcome::Done(figures) = outcome {
            counted(&figures, begun.elapsed());
            let now = rollup.store.clock().now();
            if let Some(oldest) = oldest {
                telemetry::click_delay(now.since(oldest).as_secs_f64());
            }
        }
        delete(rollup, taken).await;
        counted_clicks += count;
        if !is_full {
            return Ok(counted_clicks);
        }
    }
}

async fn read(rollup: &Rollup, slots: &[Slot], reading: &mut Reading) -> Gathered {
    let mut gathered = Gathered::default();
    let most_clicks = reading.clicks;
    for file in rollup.spool.files() {
        let after = reading.cursors.get(file.path()).copied().unwrap_or(0);
        let (source, slots, agents) = (
            Arc::clone(&file),
            slots.to_vec(),
            Arc::clone(&rollup.agents),
        );
        let mut so_far = gathered;
        let read = tokio::task::spawn_blocking(move || {
            let last = so_far.take(&source, after, (&slots, most_clicks), &agents);
            (so_far, last)
        });
        gathered = match read.await {
            Ok((gathered, last)) => {
                match last {
                    Ok(last) => {
                        reading.cursors.insert(file.path().to_owned(), last);
                    }
                    Err(error) => file.complain(&error),
                }
                gathered
            }
            Err(error) => {
                // What was read is read again: nothing of it was counted or deleted.
                tracing::error!(%error, "reading a spool failed");
                reading.cursors.clear();
                return Gathered::default();
            }
        };
        if gathered.is_full(most_clicks) {
            break;
        }
    }
    gathered
}

/// Deletes counted rows; what cannot be deleted is dropped as a copy next time.
async fn delete(rollup: &Rollup, taken: Vec<Taken>) {
    for (file, rows) in taken {
        let spool = Arc::clone(&rollup.spool);
        let deleted = tokio::task::spawn_blocking(move || {
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            file.delete(&ids)?;
            for row in &rows {
                spool.released(row.slot, row.bytes);
            }
            if file.is_closed() && file.is_empty()? {
                spool.discard(&file);
            }
            Ok::<_, SpoolError>(())
        });
        match deleted.await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => tracing::warn!(%error, "counted rows stay in the spool for now"),
            Err(error) => tracing::error!(%error, "deleting from a spool failed"),
        }
    }
}

/// Tells the figures of a committed rollup.
pub(super) fn counted(figures: &RolledUp, elapsed: Duration) {
    let sums = &figures.counted;
    let count = |sum: i64| u64::try_from(sum).unwrap_or(0);
    telemetry::clicks_counted("human", count(sums.human));
    telemetry::clicks_counted("bot", count(sums.bot));
    telemetry::clicks_counted("preview", count(sums.preview));
    telemetry::clicks_counted("head", count(sums.head));
    telemetry::clicks_duplicate(figures.duplicates);
    telemetry::clicks_ignored(figures.ignored);
    telemetry::clicks_dead(figures.dead);
    telemetry::rollup_flush(elapsed, count(sums.total() + sums.head), figures.rows);
}
