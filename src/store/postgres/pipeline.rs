//! The feed, producers, workers and leases on a server, all by the server's clock.

use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::postgres::Class;
use crate::store::postgres::PostgresShard;
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

impl PostgresShard {
    /// Nothing: reading the feed is as cheap as asking whether it must be read.
    ///
    /// # Errors
    /// None; the signature is the one of every shard.
    #[expect(clippy::unused_async, reason = "the same signature as the file's")]
    pub async fn feed_head(&self) -> Result<Option<i64>, StoreError> {
        Ok(None)
    }

    /// The changes of the last `micros` microseconds.
    ///
    /// # Errors
    /// An outage.
    pub async fn changes(&self, micros: i64) -> Result<Vec<Change>, StoreError> {
        let sql = "SELECT code, version, at FROM link_changes WHERE at >= (SELECT now_us()) - $1";
        let rows = self.lend(Class::Api).await?.query(sql, &[&micros]).await?;
        let change = |row: &Row| {
            Some(Change {
                code: row.get::<_, &str>(0).parse().ok()?,
                version: row.get(1),
                at: Timestamp::from_micros(row.get(2)),
            })
        };
        Ok(rows.iter().filter_map(change).collect())
    }

    /// Deletes what nobody needs any more: old changes, watermarks of producers long closed.
    ///
    /// # Errors
    /// An outage.
    pub async fn prune(&self) -> Result<(), StoreError> {
        let lent = self.lend(Class::Work).await?;
        lent.query(
            "DELETE FROM link_changes WHERE at < (SELECT now_us()) - $1",
            &[&micros(CHANGES_KEPT)],
        )
        .await?;
        let old = micros(WATERMARKS_KEPT);
        // Rows of a slot that is gone stay: the guard would refuse all for one of them.
        for table in ["producer_gaps", "producer_seq"] {
            let sql = format!(
                "DELETE FROM {table} s USING producers p, slot_owner o \
                 WHERE p.id = s.producer_id AND p.closed_at < (SELECT now_us()) - $1 \
                 AND o.slot = s.slot AND o.state = 'active'"
            );
            lent.query(&sql, &[&old]).await?;
        }
        lent.query(
            "DELETE FROM producers p WHERE closed_at < (SELECT now_us()) - $1 \
             AND NOT EXISTS (SELECT 1 FROM producer_seq s WHERE s.producer_id = p.id)",
            &[&old],
        )
        .await
        .map(drop)
    }

    /// Writes a producer's sign of life.
    ///
    /// # Errors
    /// An outage.
    pub async fn beat(&self, beat: &Beat) -> Result<(), StoreError> {
        let sql = "INSERT INTO producers (id, host, seen_at, oldest_unshipped_at, closed_at) \
             VALUES ($1, $2, least($3, now_us()), $4, CASE WHEN $5 THEN now_us() END) \
             ON CONFLICT (id) DO UPDATE SET host = excluded.host, seen_at = excluded.seen_at, \
             oldest_unshipped_at = excluded.oldest_unshipped_at, closed_at = excluded.closed_at";
        let (at, held) = (beat.at.micros(), beat.held_since.map(Timestamp::micros));
        let lent = self.lend(Class::Work).await?;
        lent.query(sql, &[&beat.producer, &beat.host, &at, &held, &beat.closed])
            .await
            .map(drop)
    }

    /// What was counted of these producers, in owned slots.
    ///
    /// # Errors
    /// An outage.
    pub async fn watermarks(&self, producers: &[Uuid]) -> Result<Vec<CountedTo>, StoreError> {
        // One statement: a jump and the gap that it opened are seen together.
        let sql = "SELECT s.producer_id, s.slot, s.last_seq, (SELECT min(g.from_seq) \
             FROM producer_gaps g WHERE g.slot = s.slot AND g.producer_id = s.producer_id) \
             FROM producer_seq s JOIN slot_owner o ON o.slot = s.slot AND o.state = 'active' \
             WHERE s.slot = ANY($2) AND s.producer_id = ANY($1)";
        // Every slot is named, since the table's index begins with it.
        let slots: Vec<i16> = Slot::all().map(|slot| i16::from(slot.number())).collect();
        let lent = self.lend(Class::Work).await?;
        let rows = lent.query(sql, &[&producers, &slots]).await?;
        let mark = |row: &Row| {
            Some(CountedTo {
                producer: row.get(0),
                slot: slot(row.get(1))?,
                seq: row.get::<_, i64>(2).cast_unsigned(),
                gap: row.get::<_, Option<i64>>(3).map(i64::cast_unsigned),
            })
        };
        Ok(rows.iter().filter_map(mark).collect())
    }

    /// The open gaps of these producers.
    ///
    /// # Errors
    /// An outage.
    pub async fn gaps(&self, producers: &[Uuid]) -> Result<Vec<Gap>, StoreError> {
        let sql = "SELECT slot, producer_id, from_seq, to_seq FROM producer_gaps \
             WHERE producer_id = ANY($1)";
        let rows = self
            .lend(Class::Work)
            .await?
            .query(sql, &[&producers])
            .await?;
        let gap = |row: &Row| {
            let slot = slot(row.get(0))?;
            let (from, to): (i64, i64) = (row.get(2), row.get(3));
            let (from, to) = (from.cast_unsigned(), to.cast_unsigned());
            Some(Gap {
                slot,
                producer: row.get(1),
                from,
                to,
            })
        };
        Ok(rows.iter().filter_map(gap).collect())
    }

    /// Writes a worker's sign of life and names the workers that live.
    ///
    /// # Errors
    /// An outage.
    pub async fn beat_worker(&self, worker: &str) -> Result<Vec<String>, StoreError> {
        let lent = self.lend(Class::Work).await?;
        lent.query(
            "INSERT INTO workers (id, seen_at) VALUES ($1, now_us()) \
             ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
            &[&worker],
        )
        .await?;
        lent.query(
            "DELETE FROM workers WHERE seen_at < now_us() - $1",
            &[&micros(WORKER_ALIVE)],
        )
        .await?;
        let rows = lent
            .query("SELECT id FROM workers ORDER BY id", &[])
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Takes a worker off the list.
    ///
    /// # Errors
    /// An outage.
    pub async fn forget_worker(&self, worker: &str) -> Result<(), StoreError> {
        let lent = self.lend(Class::Work).await?;
        lent.query("DELETE FROM workers WHERE id = $1", &[&worker])
            .await
            .map(drop)
    }

    /// The leases of this shard's partitions.
    ///
    /// # Errors
    /// An outage.
    pub async fn leases(&self, job: Job) -> Result<Vec<Lease>, StoreError> {
        let table = job.table();
        let sql = format!(
            "SELECT p.slot, CASE WHEN p.expires >= now_us() THEN p.owner END, \
             p.lease_epoch, p.next_offset, p.last_producer, p.last_seq, p.stopped \
             FROM {table} p JOIN slot_owner o ON o.slot = p.slot AND o.state = 'active'"
        );
        let rows = self.lend(Class::Work).await?.query(&sql, &[]).await?;
        Ok(rows.iter().filter_map(lease_of).collect())
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
        let table = job.table();
        let sql = format!(
            "UPDATE {table} SET owner = $2, lease_epoch = lease_epoch + 1, \
             expires = now_us() + $3 WHERE slot = $1 AND (expires < now_us() OR owner = $2) \
             RETURNING slot, owner, lease_epoch, next_offset, last_producer, last_seq, stopped"
        );
        let lent = self.lend(Class::Work).await?;
        let number = i16::from(slot.number());
        let rows = lent
            .query(&sql, &[&number, &worker, &micros(LEASE)])
            .await?;
        Ok(rows.first().and_then(lease_of))
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
        let table = job.table();
        let sql = format!(
            "UPDATE {table} p SET expires = now_us() + $4 \
             FROM unnest($2::smallint[], $3::bigint[]) AS h (slot, epoch) \
             JOIN slot_owner o ON o.slot = h.slot AND o.state = 'active' \
             WHERE p.slot = h.slot AND p.lease_epoch = h.epoch AND p.owner = $1 RETURNING p.slot"
        );
        let (slots, epochs) = columns(held);
        let lent = self.lend(Class::Work).await?;
        let rows = lent
            .query(&sql, &[&worker, &slots, &epochs, &micros(LEASE)])
            .await?;
        Ok(rows.iter().filter_map(|row| slot(row.get(0))).collect())
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
        let table = job.table();
        let sql = format!(
            "UPDATE {table} p SET expires = 0 \
             FROM unnest($2::smallint[], $3::bigint[]) AS h (slot, epoch) \
             JOIN slot_owner o ON o.slot = h.slot AND o.state = 'active' \
             WHERE p.slot = h.slot AND p.lease_epoch = h.epoch AND p.owner = $1"
        );
        let (slots, epochs) = columns(held);
        self.lend(Class::Work)
            .await?
            .query(&sql, &[&worker, &slots, &epochs])
            .await
            .map(drop)
    }

    /// Notes when the readers of these partitions stood at their end.
    ///
    /// # Errors
    /// An outage.
    pub async fn caught_up(&self, slots: &[(Slot, Timestamp)]) -> Result<(), StoreError> {
        let at: Vec<(Slot, i64)> = slots
            .iter()
            .map(|(slot, at)| (*slot, at.micros()))
            .collect();
        let (slots, at) = columns(&at);
        let sql = "UPDATE progress p SET caught_up_at = least(h.at, now_us()) \
             FROM unnest($1::smallint[], $2::bigint[]) AS h (slot, at) \
             JOIN slot_owner o ON o.slot = h.slot AND o.state = 'active' WHERE p.slot = h.slot";
        self.lend(Class::Work)
            .await?
            .query(sql, &[&slots, &at])
            .await
            .map(drop)
    }

    /// Stops a partition for everybody until an operator clears it; `None` clears.
    ///
    /// # Errors
    /// An outage.
    pub async fn stop_partition(&self, slot: Slot, why: Option<&str>) -> Result<(), StoreError> {
        let sql = "UPDATE progress SET stopped = $2 WHERE slot = $1";
        let lent = self.lend(Class::Work).await?;
        lent.query(sql, &[&i16::from(slot.number()), &why])
            .await
            .map(drop)
    }
}

/// The slot of a column; a number out of range is none.
pub(super) fn slot(number: i16) -> Option<Slot> {
    Slot::new(u8::try_from(number).ok()?)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn columns(held: &[(Slot, i64)]) -> (Vec<i16>, Vec<i64>) {
    held.iter()
        .map(|(slot, epoch)| (i16::from(slot.number()), *epoch))
        .unzip()
}

fn lease_of(row: &Row) -> Option<Lease> {
    let producer: Option<Uuid> = row.get(4);
    let seq: Option<i64> = row.get(5);
    Some(Lease {
        slot: slot(row.get(0))?,
        holder: row.get(1),
        epoch: row.get(2),
        next_offset: row.get(3),
        last: producer.zip(seq.map(i64::cast_unsigned)),
        stopped: row.get(6),
    })
}
