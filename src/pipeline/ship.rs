//! Spool → Kafka: in order per slot, one batch under way, again until acknowledged.
//!
//! # Why
//!
//! Only an acknowledgement moves a row's cursor, so a dead bus costs no click; a batch sent twice
//! does no harm, because its clicks keep their numbers. A slot that fails is left behind and tried
//! again on its own, so that one stuck partition does not stop the others.

mod gaps;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::domain::agent::AgentTable;
use crate::domain::click_batch::ClickBatch;
use crate::events::codec;
use crate::events::kafka::BusError;
use crate::events::kafka::BusRecord;
use crate::events::kafka::Kafka;
use crate::events::spool::Row;
use crate::events::spool::Spool;
use crate::events::spool::SpoolError;
use crate::events::spool::SpoolFile;
use crate::pipeline::pace::Backoff;
use crate::slots::Slot;
use crate::store::Store;
use crate::store::rows::DeadEvent;
use crate::store::rows::RollupBatch;
use crate::telemetry;

/// Rows read at once, clicks and bytes of one batch.
const ROWS: usize = 2_000;
const BATCH: usize = 500;
const BATCH_BYTES: usize = 256 << 10;
/// Between two looks while nothing is there.
const IDLE: Duration = Duration::from_millis(20);
/// How long acknowledged rows stay, so that a gap can be shipped again, where there is room.
const KEPT: Duration = Duration::from_mins(10);
/// Between two questions after gaps.
const GAPS_EVERY: Duration = Duration::from_secs(5);

/// What shipping needs.
#[derive(Clone, Debug)]
pub struct Shipper {
    /// The shards: for gaps, and for events that the bus refuses.
    pub store: Arc<Store>,
    /// Where clicks wait.
    pub spool: Arc<Spool>,
    /// Where they go.
    pub kafka: Kafka,
    /// Parsed user agents.
    pub agents: Arc<Mutex<AgentTable>>,
}

/// An acknowledged row: its id, its slot, and the bytes of its clicks.
type Done = (i64, Slot, u64);

/// How far a file is shipped.
#[derive(Debug, Default)]
struct Progress {
    cursor: i64,
    /// Slots that failed, and the first row that they still owe.
    behind: BTreeMap<Slot, i64>,
    /// Acknowledged rows, to be deleted when their time has come.
    done: VecDeque<(Instant, Vec<Done>)>,
}

/// Ships every file until `stop`.
pub async fn run(shipper: Shipper, stop: CancellationToken) {
    let mut files: HashMap<PathBuf, Progress> = HashMap::new();
    let mut backoff = Backoff::default();
    let mut filled = Instant::now();
    loop {
        // A round is left where it stands: what was not acknowledged is sent again.
        let shipped = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            shipped = round(&shipper, &mut files) => shipped,
        };
        let pause = match shipped {
            Ok(0) => IDLE,
            Ok(_) => {
                backoff.reset();
                Duration::ZERO
            }
            Err(error) => {
                tracing::debug!(%error, "clicks wait in the spool");
                backoff.next()
            }
        };
        if filled.elapsed() > GAPS_EVERY {
            filled = Instant::now();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = gaps::fill(&shipper) => (),
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => (),
        }
    }
}

/// Ships until nothing is left or `deadline`; answers whether nothing is left.
pub async fn drain(shipper: &Shipper, deadline: tokio::time::Instant) -> bool {
    let mut files: HashMap<PathBuf, Progress> = HashMap::new();
    let mut backoff = Backoff::default();
    while tokio::time::Instant::now() < deadline {
        match tokio::time::timeout_at(deadline, round(shipper, &mut files)).await {
            Ok(Ok(0)) if files.values().all(|progress| progress.behind.is_empty()) => return true,
            Ok(Ok(_)) => (),
            Ok(Err(_)) | Err(_) => {
                let again = tokio::time::Instant::now() + backoff.next();
                tokio::time::sleep_until(again.min(deadline)).await;
            }
        }
    }
    false
}

/// One pass over every file; answers how many clicks the bus took.
async fn round(
    shipper: &Shipper,
    files: &mut HashMap<PathBuf, Progress>,
) -> Result<usize, BusError> {
    let mut shipped = 0;
    for file in shipper.spool.files() {
        let progress = files
            .entry(file.path().to_owned())
            .or_insert_with(|| Progress {
                cursor: file.acknowledged(),
                ..Progress::default()
            });
        shipped += catch_up(shipper, &file, progress).await;
        shipped += ship_next(shipper, &file, progress).await?;
        clean(shipper, &file, progress).await;
    }
    let there: Vec<PathBuf> = shipper
        .spool
        .files()
        .iter()
        .map(|file| file.path().to_owned())
        .collect();
    files.retain(|path, _| there.contains(path));
    Ok(shipped)
}

/// Sends the next rows of all slots at once, each slot in order.
async fn ship_next(
    shipper: &Shipper,
    file: &Arc<SpoolFile>,
    progress: &mut Progress,
) -> Result<usize, BusError> {
    let cursor = progress.cursor;
    let rows = read(file, move |file| file.rows_after(cursor, ROWS)).await;
    let Some(last) = rows.last().map(|row| row.id) else {
        return Ok(0);
    };
    let mut by_slot: BTreeMap<Slot, Vec<Row>> = BTreeMap::new();
    for row in rows {
        if !progress.behind.contains_key(&row.slot) {
            by_slot.entry(row.slot).or_default().push(row);
        }
    }
    let slots = by_slot.len();
    let sent = by_slot
        .into_iter()
        .map(|(slot, rows)| send(shipper, file, slot, rows));
    let mut failures = Vec::new();
    let mut shipped = 0;
    let mut done = Vec::new();
    for (slot, rows, outcome) in futures_util::future::join_all(sent).await {
        match outcome {
            Ok(clicks) => {
                shipped += clicks;
                done.extend(rows.iter().map(|row| (row.id, slot, row.bytes())));
            }
            Err(error) => failures.push((slot, rows.first().map_or(cursor, |row| row.id), error)),
        }
    }
    // Where nothing at all gets through, the bus is down: stay here, there is nothing to skip.
    if failures.len() == slots
        && let Some((_, _, error)) = failures.pop()
    {
        return Err(error);
    }
    progress
        .behind
        .extend(failures.into_iter().map(|(slot, id, _)| (slot, id)));
    progress.cursor = last;
    progress.done.push_back((Instant::now(), done));
    acknowledge(file, progress);
    Ok(shipped)
}

/// Tries the slots that failed before.
async fn catch_up(shipper: &Shipper, file: &Arc<SpoolFile>, progress: &mut Progress) -> usize {
    let mut shipped = 0;
    for (slot, first) in progress.behind.clone() {
        let rows = read(file, move |file| file.rows_of(slot, first, 200)).await;
        let cursor = progress.cursor;
        let due: Vec<Row> = rows.into_iter().filter(|row| row.id <= cursor).collect();
        let Some(last) = due.last().map(|row| row.id) else {
            progress.behind.remove(&slot);
            continue;
        };
        let (_, rows, outcome) = send(shipper, file, slot, due).await;
        let Ok(clicks) = outcome else { break };
        shipped += clicks;
        let done = rows.iter().map(|row| (row.id, slot, row.bytes())).collect();
        progress.done.push_back((Instant::now(), done));
        progress.behind.insert(slot, last + 1);
    }
    acknowledge(file, progress);
    shipped
}

/// Everything before the first row that a slot still owes is acknowledged.
fn acknowledge(file: &SpoolFile, progress: &Progress) {
    let owed = progress
        .behind
        .values()
        .min()
        .map_or(progress.cursor, |first| first - 1);
    file.acknowledge(owed.min(progress.cursor));
}

/// Sends rows of one slot in batches, one after the other.
async fn send(
    shipper: &Shipper,
    file: &Arc<SpoolFile>,
    slot: Slot,
    rows: Vec<Row>,
) -> (Slot, Vec<Row>, Result<usize, BusError>) {
    let mut clicks = ClickBatch::default();
    {
        let mut agents = shipper
            .agents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut unpacking = file.unpacking();
        for row in &rows {
            unpacking.row(row, &mut agents, &mut clicks);
        }
    }
    let count = clicks.len();
    let outcome = send_clicks(shipper, slot, &clicks).await;
    (slot, rows, outcome.map(|()| count))
}

async fn send_clicks(shipper: &Shipper, slot: Slot, clicks: &ClickBatch) -> Result<(), BusError> {
    let mut batch: Vec<BusRecord> = Vec::new();
    let mut bytes = 0;
    let identity = shipper.store.cluster();
    let cluster: Option<Arc<str>> = identity.map(|row| row.cluster_id.as_str().into());
    for click in clicks.clicks() {
        let value = codec::to_json(&click);
        bytes += value.len();
        batch.push(BusRecord {
            key: click.code.as_bytes().to_vec(),
            value,
            cluster: cluster.clone(),
        });
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            send_batch(shipper, slot, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
    }
    if batch.is_empty() {
        Ok(())
    } else {
        send_batch(shipper, slot, batch).await
    }
}

/// Sends one batch. What the bus refuses for good is halved, and at last set aside.
async fn send_batch(shipper: &Shipper, slot: Slot, batch: Vec<BusRecord>) -> Result<(), BusError> {
    let mut parts = vec![batch];
    while let Some(mut part) = parts.pop() {
        let count = part.len() as u64;
        // The ship time by the databases' clock: a click's own would make retention delete it.
        let now = shipper.store.clock().now();
        match shipper.kafka.produce(slot, part.clone(), now).await {
            Ok(()) => telemetry::clicks_shipped(count),
            Err(BusError::Refused { .. }) if part.len() > 1 => {
                let right = part.split_off(part.len() / 2);
                // The left half first: numbers go up.
                parts.extend([right, part]);
            }
            Err(BusError::Refused { why }) => set_aside(shipper, slot, &part, &why).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn set_aside(
    shipper: &Shipper,
    slot: Slot,
    part: &[BusRecord],
    why: &str,
) -> Result<(), BusError> {
    let dead = part.iter().map(|record| DeadEvent {
        slot,
        reason: format!("the bus refuses it: {why}"),
        payload: record.value.clone(),
    });
    let batch = Arc::new(RollupBatch {
        dead: dead.collect(),
        ..RollupBatch::default()
    });
    let shard = shipper.store.shard_of(slot);
    let written = match shard {
        Ok(shard) => shard.roll_up(&batch, &shipper.agents).await.map(drop),
        Err(error) => Err(error),
    };
    written.map_err(|error| BusError::Unavailable {
        source: Box::new(error),
    })?;
    tracing::error!(
        slot = slot.number(),
        why,
        "a click that the bus refuses was set aside"
    );
    Ok(())
}

/// Deletes acknowledged rows whose time has come, and the file once it is closed and empty.
async fn clean(shipper: &Shipper, file: &Arc<SpoolFile>, progress: &mut Progress) {
    let mut due = Vec::new();
    // Only a closed file gives its room back.
    let crowded = file.is_closed() && shipper.spool.is_crowded();
    while progress
        .done
        .front()
        .is_some_and(|(at, _)| crowded || at.elapsed() > KEPT)
        && let Some((_, rows)) = progress.done.pop_front()
    {
        due.extend(rows);
    }
    if due.is_empty() {
        return;
    }
    let (file, spool) = (Arc::clone(file), Arc::clone(&shipper.spool));
    let cleaned = tokio::task::spawn_blocking(move || {
        let ids: Vec<i64> = due.iter().map(|(id, _, _)| *id).collect();
        file.delete(&ids)?;
        for (_, slot, bytes) in due {
            spool.released(slot, bytes);
        }
        if file.is_closed() && file.is_empty()? {
            spool.discard(&file);
        }
        Ok::<_, SpoolError>(())
    });
    if let Ok(Err(error)) = cleaned.await {
        tracing::warn!(%error, "shipped rows stay in the spool for now");
    }
}

async fn read(
    file: &Arc<SpoolFile>,
    rows: impl FnOnce(&SpoolFile) -> Result<Vec<Row>, SpoolError> + Send + 'static,
) -> Vec<Row> {
    let source = Arc::clone(file);
    match tokio::task::spawn_blocking(move || rows(&source)).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(error)) => {
            file.complain(&error);
            Vec::new()
        }
        Err(error) => {
            tracing::error!(%error, "reading a spool failed");
            Vec::new()
        }
    }
}
