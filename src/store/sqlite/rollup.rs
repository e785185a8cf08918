//! Clicks → counts in a file-backed shard: one transaction a batch.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::config::DbConfig;
use rusqlite::params;
use uuid::Uuid;

use crate::domain::agent::AgentTable;
use crate::domain::counts::Counts;
use crate::domain::counts::LinkCounts;
use crate::domain::counts::MAX_VALUES;
use crate::domain::counts::OTHER;
use crate::domain::link::ClickTotals;
use crate::domain::visitors;
use crate::store::error::StoreError;
use crate::store::rows::OffsetMove;
use crate::store::rows::RollupBatch;
use crate::store::rows::RollupOutcome;
use crate::store::settle;
use crate::store::settle::Known;
use crate::store::settle::Marks;
use crate::store::settle::Touched;
use crate::store::shard::LEASE;
use crate::store::sqlite::SqliteShard;
use crate::store::sqlite::now;
use crate::store::sqlite::require_active;
use foldhash::quality::RandomState;

impl SqliteShard {
    /// Counts a batch exactly once: offset, watermarks and counts move together or not at all.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`], or an outage: whether it happened is unknown, and asking again is
    /// safe, because the watermarks drop copies.
    pub async fn roll_up(
        &self,
        batch: &Arc<RollupBatch>,
        agents: &Arc<Mutex<AgentTable>>,
    ) -> Result<RollupOutcome, StoreError> {
        let (batch, agents) = (Arc::clone(batch), Arc::clone(agents));
        // BEGIN IMMEDIATE has locked the file: no other rollup reads these watermarks now.
        self.write_counts(move |connection| {
            let mut agents = agents.lock().unwrap_or_else(PoisonError::into_inner);
            let many = batch.clicks.codes().len() >= MANY_LINKS;
            let _unguarded = many.then(|| Unguarded::new(connection)).transpose()?;
            roll_up(connection, &batch, &mut agents)
        })
        .await
    }
}

/// From so many links on, a batch is written without the guard triggers.
const MANY_LINKS: usize = 1_000;

/// A connection whose triggers rest while this lives.
///
/// They ask for each of a hundred thousand rows what [`roll_up`] has asked for each slot, within a
/// transaction that lets nobody else write: a quarter of the time. Every statement is compiled anew
/// when they go and when they are back, so it is worth it for many rows alone.
struct Unguarded<'connection>(&'connection Connection);

impl<'connection> Unguarded<'connection> {
    fn new(connection: &'connection Connection) -> rusqlite::Result<Self> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        Ok(Self(connection))
    }
}

impl Drop for Unguarded<'_> {
    fn drop(&mut self) {
        let back = self
            .0
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true);
        if let Err(error) = back {
            tracing::error!(%error, "the guard triggers of a shard's file are off");
        }
    }
}

fn roll_up(
    connection: &Connection,
    batch: &RollupBatch,
    agents: &mut AgentTable,
) -> rusqlite::Result<RollupOutcome> {
    let touched = Touched::by(
        &batch.clicks,
        batch.offset.as_ref().map(|offset| offset.slot),
    );
    // The triggers see only what is written, a batch of copies or strangers would pass them; and
    // for many links they rest.
    for slot in &touched.slots {
        require_active(connection, *slot)?;
    }
    if let Some(offset) = &batch.offset
        && !move_offset(connection, offset)?
    {
        return Ok(RollupOutcome::Fenced);
    }
    let known = Known {
        marks: read_marks(connection, &touched)?,
        producers: read_producers(connection, &touched)?,
        live: read_live(connection, &touched)?,
    };
    let mut settled = settle::settle(&batch.clicks, known, now(), agents);
    write_counts(connection, &settled.counts)?;
    write_marks(connection, &settled.moved)?;
    for event in settled.dead.iter().chain(&batch.dead) {
        connection
            .prepare_cached(
                "INSERT INTO dead_events (slot, reason, payload, at) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                event.slot.number(),
                event.reason,
                event.payload,
                now().micros()
            ])?;
    }
    settled.figures.dead += batch.dead.len() as u64;
    settled.figures.rows = settled.counts.rows() as u64;
    Ok(RollupOutcome::Done(settled.figures))
}

fn move_offset(connection: &Connection, offset: &OffsetMove) -> rusqlite::Result<bool> {
    let moved = connection
        .prepare_cached(
            "UPDATE progress SET next_offset = ?4, last_producer = coalesce(?5, last_producer), \
             last_seq = coalesce(?6, last_seq), expires = ?7 \
             WHERE slot = ?1 AND next_offset = ?2 AND lease_epoch = ?3",
        )?
        .execute(params![
            offset.slot.number(),
            offset.from,
            offset.lease_epoch,
            offset.to,
            offset.last.map(|(producer, _)| *producer.as_bytes()),
            offset.last.map(|(_, seq)| seq),
            now().plus(LEASE).micros()
        ])?;
    if let Some((from, to)) = offset.lost
        && moved == 1
    {
        connection.execute(
            "INSERT INTO lost_ranges (slot, from_offset, to_offset, at) VALUES (?1, ?2, ?3, ?4)",
            params![offset.slot.number(), from, to, now().micros()],
        )?;
    }
    Ok(moved == 1)
}

fn read_marks(connection: &Connection, touched: &Touched) -> rusqlite::Result<Marks> {
    let mut marks = Marks::new();
    let mut seqs = connection
        .prepare_cached("SELECT last_seq FROM producer_seq WHERE slot = ?1 AND producer_id = ?2")?;
    let mut gaps = connection.prepare_cached(
        "SELECT from_seq, to_seq FROM producer_gaps WHERE slot = ?1 AND producer_id = ?2 \
         ORDER BY from_seq",
    )?;
    for slot in &touched.slots {
        for producer in &touched.producers {
            let key = params![slot.number(), producer.as_bytes()];
            let Some(last_seq) = seqs.query_row(key, |row| row.get(0)).optional()? else {
                continue;
            };
            let mark = marks.entry((slot.number(), *producer)).or_default();
            mark.last_seq = last_seq;
            let open = gaps.query_map(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
            mark.gaps = open.collect::<rusqlite::Result<_>>()?;
        }
    }
    Ok(marks)
}

fn read_producers(connection: &Connection, touched: &Touched) -> rusqlite::Result<HashSet<Uuid>> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM producers WHERE id = ?1")?;
    let mut known = HashSet::new();
    for producer in &touched.producers {
        if statement.exists([producer.as_bytes()])? {
            known.insert(*producer);
        }
    }
    Ok(known)
}

fn read_live(
    connection: &Connection,
    touched: &Touched,
) -> rusqlite::Result<HashSet<Arc<str>, RandomState>> {
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM links WHERE code = ?1 AND state <> 3")?;
    let mut live = HashSet::default();
    for code in &touched.codes {
        if statement.exists([&**code])? {
            live.insert(Arc::clone(code));
        }
    }
    Ok(live)
}

/// Adds to the values of one link: those that are stored are updated in place, which is nearly all
/// of them; new ones are inserted while their day and dimension have room.
fn write_values(
    connection: &Connection,
    slot: u8,
    code: &str,
    link: &LinkCounts,
) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE clicks_value SET human = human + ?5, bot = bot + ?6, preview = preview + ?7 \
         WHERE code = ?1 AND day = ?2 AND dimension = ?3 AND value = ?4",
    )?;
    let mut new: BTreeMap<(i32, i16), Vec<(&str, ClickTotals)>> = BTreeMap::new();
    for ((day, dimension, word), sums) in &link.values {
        let key = params![
            code,
            day,
            dimension,
            &**word,
            sums.human,
            sums.bot,
            sums.preview
        ];
        if update.execute(key)? == 0 {
            new.entry((*day, *dimension))
                .or_default()
                .push((word, *sums));
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let mut count = connection.prepare_cached(
        "SELECT count(*) FROM clicks_value WHERE code = ?1 AND day = ?2 AND dimension = ?3",
    )?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO clicks_value (slot, code, day, dimension, value, human, bot, preview) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT (code, day, dimension, value) DO UPDATE SET \
         human = human + excluded.human, bot = bot + excluded.bot, \
         preview = preview + excluded.preview",
    )?;
    for ((day, dimension), words) in new {
        let stored: i64 = count.query_row(params![code, day, dimension], |row| row.get(0))?;
        let room = usize::try_from(MAX_VALUES - stored).unwrap_or(0);
        for (place, (word, sums)) in words.into_iter().enumerate() {
            let word = if place < room { word } else { OTHER };
            insert.execute(params![
                slot,
                code,
                day,
                dimension,
                word,
                sums.human,
                sums.bot,
                sums.preview
            ])?;
        }
    }
    Ok(())
}

fn write_counts(connection: &Connection, counts: &Counts) -> rusqlite::Result<()> {
    let mut total = connection.prepare_cached(
        "INSERT INTO clicks_total (slot, code, human, bot, preview, head) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (code) DO UPDATE SET \
         human = human + excluded.human, bot = bot + excluded.bot, \
         preview = preview + excluded.preview, head = head + excluded.head",
    )?;
    let mut quarter = connection.prepare_cached(
        "INSERT INTO clicks_quarter (slot, code, quarter, human, bot, preview, head) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (code, quarter) DO UPDATE SET \
         human = human + excluded.human, bot = bot + excluded.bot, \
         preview = preview + excluded.preview, head = head + excluded.head",
    )?;
    let mut old_sketch = connection
        .prepare_cached("SELECT sketch FROM clicks_visitors WHERE code = ?1 AND day = ?2")?;
    let mut sketch = connection.prepare_cached(
        "INSERT INTO clicks_visitors (slot, code, day, sketch) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (code, day) DO UPDATE SET sketch = excluded.sketch",
    )?;
    for ((slot, code), link) in &counts.links {
        let sums = &link.totals;
        total.execute(params![
            slot,
            &**code,
            sums.human,
            sums.bot,
            sums.preview,
            sums.head
        ])?;
        for (at, sums) in &link.quarters {
            quarter.execute(params![
                slot,
                &**code,
                at,
                sums.human,
                sums.bot,
                sums.preview,
                sums.head
            ])?;
        }
        write_values(connection, *slot, code, link)?;
        for (day, hashes) in &link.visitors {
            let old: Option<Vec<u8>> = old_sketch
                .query_row(params![&**code, day], |row| row.get(0))
                .optional()?;
            let merged = visitors::merge(old.as_deref(), hashes.iter().copied());
            sketch.execute(params![slot, &**code, day, merged])?;
        }
    }
    Ok(())
}

fn write_marks(connection: &Connection, marks: &Marks) -> rusqlite::Result<()> {
    let mut seq = connection.prepare_cached(
        "INSERT INTO producer_seq (slot, producer_id, last_seq) VALUES (?1, ?2, ?3) \
         ON CONFLICT (slot, producer_id) DO UPDATE SET last_seq = excluded.last_seq",
    )?;
    let mut forget = connection
        .prepare_cached("DELETE FROM producer_gaps WHERE slot = ?1 AND producer_id = ?2")?;
    let mut gap = connection.prepare_cached(
        "INSERT INTO producer_gaps (slot, producer_id, from_seq, to_seq) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for ((slot, producer), mark) in marks {
        seq.execute(params![slot, producer.as_bytes(), mark.last_seq])?;
        forget.execute(params![slot, producer.as_bytes()])?;
        for (from, to) in &mark.gaps {
            gap.execute(params![slot, producer.as_bytes(), from, to])?;
        }
    }
    Ok(())
}
