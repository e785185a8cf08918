//! The feed, producers, workers and leases in a file-backed shard.

use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::rows::Beat;
use crate::store::rows::Change;
use crate::store::rows::CountedTo;
use crate::store::rows::Gap;
use crate::store::rows::Job;
use crate::store::rows::Lease;
use crate::store::shard::CHANGES_KEPT;
use crate::store::shard::LEASE;
use crate::store::shard::WATERMARKS_KEPT;
use crate::store::shard::WORKER_ALIVE;
use crate::store::sqlite::SqliteShard;
use crate::store::sqlite::now;

/// The slots that may be written; what spans many of them leaves the others out.
const ACTIVE: &str = "SELECT slot FROM slot_owner WHERE state = 'active'";

impl SqliteShard {
    /// A number that changes with every new row of the feed: whether it must be read.
    ///
    /// # Errors
    /// An outage.
    pub async fn feed_head(&self) -> Result<Option<i64>, StoreError> {
        // Numbers are given again once old rows are gone; together with the time they are not.
        let head = self.read(|connection| {
            let sql = "SELECT coalesce((SELECT max(id) FROM link_changes) \
                 + (SELECT max(at) FROM link_changes), 0)";
            connection
                .prepare_cached(sql)?
                .query_row([], |row| row.get(0))
        });
        head.await.map(Some)
    }

    /// The changes of the last `micros` microseconds.
    ///
    /// # Errors
    /// An outage.
    pub async fn changes(&self, micros: i64) -> Result<Vec<Change>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT code, version, at FROM link_changes WHERE at >= ?1")?
                .query_map([now().micros() - micros], |row| {
                    Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
                })?
                .filter_map(|row| {
                    row.map(|(code, version, at)| {
                        let at = Timestamp::from_micros(at);
                        code.parse().ok().map(|code| Change { code, version, at })
                    })
                    .transpose()
                })
                .collect()
        })
        .await
    }

    /// Deletes what nobody needs any more: old changes, watermarks of producers long closed.
    ///
    /// # Errors
    /// An outage.
    pub async fn prune(&self) -> Result<(), StoreError> {
        self.write(|connection| {
            let time = now();
            connection.execute(
                "DELETE FROM link_changes WHERE at < ?1",
                [time.minus(CHANGES_KEPT).micros()],
            )?;
            let old = time.minus(WATERMARKS_KEPT).micros();
            // Rows of a slot that is gone stay: the guard would refuse all for one of them.
            for table in ["producer_gaps", "producer_seq"] {
                let sql = format!(
                    "DELETE FROM {table} WHERE slot IN ({ACTIVE}) AND producer_id IN \
                     (SELECT id FROM producers WHERE closed_at < ?1)"
                );
                connection.execute(&sql, [old])?;
            }
            connection.execute(
                "DELETE FROM producers WHERE closed_at < ?1 \
                 AND NOT EXISTS (SELECT 1 FROM producer_seq s WHERE s.producer_id = producers.id)",
                [old],
            )?;
            Ok(())
        })
        .await
    }

    /// Writes a producer's sign of life.
    ///
    /// # Errors
    /// An outage.
    pub async fn beat(&self, beat: &Beat) -> Result<(), StoreError> {
        let beat = beat.clone();
        self.write(move |connection| {
            let time = now().micros();
            connection
                .prepare_cached(
                    "INSERT INTO producers (id, host, seen_at, oldest_unshipped_at, closed_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET \
                     host = excluded.host, seen_at = excluded.seen_at, \
                     oldest_unshipped_at = excluded.oldest_unshipped_at, \
                     closed_at = excluded.closed_at",
                )?
                .execute(params![
                    beat.producer.as_bytes(),
                    beat.host,
                    beat.at.micros().min(time),
                    beat.held_since.map(Timestamp::micros),
                    beat.closed.then_some(time)
                ])
                .map(drop)
        })
        .await
    }

    /// What was counted of these producers, in owned slots.
    ///
    /// # Errors
    /// An outage.
    pub async fn watermarks(&self, producers: &[Uuid]) -> Result<Vec<CountedTo>, StoreError> {
        let producers = producers.to_vec();
        self.read(move |connection| {
            // One statement: a jump and the gap that it opened are seen together. Every slot is
            // named, since the table's index begins with it.
            let sql = format!(
                "SELECT s.slot, s.last_seq, (SELECT min(g.from_seq) FROM producer_gaps g \
                 WHERE g.slot = s.slot AND g.producer_id = s.producer_id) FROM producer_seq s \
                 WHERE s.slot IN ({ACTIVE}) AND s.producer_id = ?1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut marks = Vec::new();
            for producer in producers {
                let mut rows = statement.query([producer.as_bytes()])?;
                while let Some(row) = rows.next()? {
                    let Some(slot) = Slot::new(row.get(0)?) else {
                        continue;
                    };
                    marks.push(CountedTo {
                        producer,
                        slot,
                        seq: row.get(1)?,
                        gap: row.get(2)?,
                    });
                }
            }
            Ok(marks)
        })
        .await
    }

    /// The open gaps of these producers.
    ///
    /// # Errors
    /// An outage.
    pub async fn gaps(&self, producers: &[Uuid]) -> Result<Vec<Gap>, StoreError> {
        let producers = producers.to_vec();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT slot, from_seq, to_seq FROM producer_gaps WHERE producer_id = ?1",
            )?;
            let mut gaps = Vec::new();
            for producer in producers {
                let rows = statement.query_map([producer.as_bytes()], |row| {
                    Ok((
                        row.get::<_, u8>(0)?,
                        row.get::<_, u64>(1)?,
                        row.get::<_, u64>(2)?,
                    ))
                })?;
                for row in rows {
                    let (slot, from, to) = row?;
                    gaps.extend(Slot::new(slot).map(|slot| Gap {
                        slot,
                        producer,
                        from,
                        to,
                    }));
                }
            }
            Ok(gaps)
        })
        .await
    }

    /// Writes a worker's sign of life and names the workers that live.
    ///
    /// # Errors
    /// An outage.
    pub async fn beat_worker(&self, worker: &str) -> Result<Vec<String>, StoreError> {
        let worker = worker.to_owned();
        self.write(move |connection| {
            let time = now();
            connection.execute(
                "INSERT INTO workers (id, seen_at) VALUES (?1, ?2) \
                 ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
                params![worker, time.micros()],
            )?;
            let alive = time.minus(WORKER_ALIVE).micros();
            connection.execute("DELETE FROM workers WHERE seen_at < ?1", [alive])?;
            connection
                .prepare_cached("SELECT id FROM workers ORDER BY id")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// Takes a worker off the list.
    ///
    /// # Errors
    /// An outage.
    pub async fn forget_worker(&self, worker: &str) -> Result<(), StoreError> {
        let worker = worker.to_owned();
        self.write(move |connection| {
            connection
                .execute("DELETE FROM workers WHERE id = ?1", [worker])
                .map(drop)
        })
        .await
    }

    /// The leases of this shard's partitions.
    ///
    /// # Errors
    /// An outage.
    pub async fn leases(&self, job: Job) -> Result<Vec<Lease>, StoreError> {
        self.read(move |connection| {
            let table = job.table();
            let sql = format!(
                "SELECT p.slot, CASE WHEN p.expires >= ?1 THEN p.owner END, p.lease_epoch, \
                 p.next_offset, p.last_producer, p.last_seq, p.stopped FROM {table} p \
                 JOIN slot_owner o ON o.slot = p.slot AND o.state = 'active'"
            );
            connection
                .prepare_cached(&sql)?
                .query_map([now().micros()], lease_of)?
                .filter_map(Result::transpose)
                .collect()
        })
        .await
    }

    /// Takes a free partition; `None` if somebody holds it.
    ///
    /// # Errors
    /// An outage.
    pub async fn take_lease(
        &self,
        job: Job,
        slot: Slot,
        worker: &str,
    ) -> Result<Option<Lease>, StoreError> {
        let worker = worker.to_owned();
        self.write(move |connection| {
            let (time, table) = (now(), job.table());
            let sql = format!(
                "UPDATE {table} SET owner = ?2, lease_epoch = lease_epoch + 1, expires = ?3 \
                 WHERE slot = ?1 AND (expires < ?4 OR owner = ?2) RETURNING slot, owner, \
                 lease_epoch, next_offset, last_producer, last_seq, stopped"
            );
            let end = time.plus(LEASE).micros();
            let taken = connection
                .prepare_cached(&sql)?
                .query_row(params![slot.number(), worker, end, time.micros()], lease_of)
                .optional()?;
            Ok(taken.flatten())
        })
        .await
    }

    /// Prolongs leases without changing their epoch; answers which are still held.
    ///
    /// # Errors
    /// An outage.
    pub async fn renew_leases(
        &self,
        job: Job,
        worker: &str,
        held: &[(Slot, i64)],
    ) -> Result<Vec<Slot>, StoreError> {
        let (worker, held) = (worker.to_owned(), held.to_vec());
        self.write(move |connection| {
            let (end, table) = (now().plus(LEASE).micros(), job.table());
            let sql = format!(
                "UPDATE {table} SET expires = ?4 WHERE slot = ?1 AND owner = ?2 \
                 AND lease_epoch = ?3 AND slot IN ({ACTIVE})"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut kept = Vec::new();
            for (slot, epoch) in held {
                if statement.execute(params![slot.number(), worker, epoch, end])? == 1 {
                    kept.push(slot);
                }
            }
            Ok(kept)
        })
        .await
    }

    /// Gives leases back.
    ///
    /// # Errors
    /// An outage.
    pub async fn release_leases(
        &self,
        job: Job,
        worker: &str,
        held: &[(Slot, i64)],
    ) -> Result<(), StoreError> {
        let (worker, held) = (worker.to_owned(), held.to_vec());
        self.write(move |connection| {
            let table = job.table();
            let sql = format!(
                "UPDATE {table} SET expires = 0 WHERE slot = ?1 AND owner = ?2 \
                 AND lease_epoch = ?3 AND slot IN ({ACTIVE})"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            for (slot, epoch) in held {
                statement.execute(params![slot.number(), worker, epoch])?;
            }
            Ok(())
        })
        .await
    }

    /// Notes when the readers of these partitions stood at their end.
    ///
    /// # Errors
    /// An outage.
    pub async fn caught_up(&self, slots: &[(Slot, Timestamp)]) -> Result<(), StoreError> {
        let slots = slots.to_vec();
        self.write(move |connection| {
            let time = now();
            let sql = format!(
                "UPDATE progress SET caught_up_at = ?2 WHERE slot = ?1 AND slot IN ({ACTIVE})"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            for (slot, at) in slots {
                statement.execute(params![slot.number(), at.min(time).micros()])?;
            }
            Ok(())
        })
        .await
    }

    /// Stops a partition for everybody until an operator clears it; `None` clears.
    ///
    /// # Errors
    /// An outage.
    pub async fn stop_partition(&self, slot: Slot, why: Option<&str>) -> Result<(), StoreError> {
        let why = why.map(str::to_owned);
        self.write(move |connection| {
            connection
                .execute(
                    "UPDATE progress SET stopped = ?2 WHERE slot = ?1",
                    params![slot.number(), why],
                )
                .map(drop)
        })
        .await
    }
}

fn lease_of(row: &Row<'_>) -> rusqlite::Result<Option<Lease>> {
    let producer: Option<Vec<u8>> = row.get(4)?;
    let seq: Option<u64> = row.get(5)?;
    let producer = producer.and_then(|bytes| Uuid::from_slice(&bytes).ok());
    let Some(slot) = Slot::new(row.get(0)?) else {
        return Ok(None);
    };
    Ok(Some(Lease {
        slot,
        holder: row.get(1)?,
        epoch: row.get(2)?,
        next_offset: row.get(3)?,
        last: producer.zip(seq),
        stopped: row.get(6)?,
    }))
}
