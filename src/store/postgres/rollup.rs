//! Clicks → counts on a server: one transaction a batch, behind the slots' locks.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use uuid::Uuid;

use crate::domain::agent::AgentTable;
use crate::domain::counts::Counts;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::postgres::Class;
use crate::store::postgres::PostgresShard;
use crate::store::postgres::counts::write_totals;
use crate::store::postgres::counts::write_values;
use crate::store::postgres::counts::write_visitors;
use crate::store::postgres::lease::Lent;
use crate::store::rows::DeadEvent;
use crate::store::rows::OffsetMove;
use crate::store::rows::RollupBatch;
use crate::store::rows::RollupOutcome;
use crate::store::settle;
use crate::store::settle::Group;
use crate::store::settle::Known;
use crate::store::settle::Marks;
use crate::store::settle::Stored;
use crate::store::settle::Touched;
use crate::store::shard::LEASE;
use foldhash::quality::RandomState;

impl PostgresShard {
    /// Counts a batch exactly once: offset, watermarks and counts move together or not at all.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`], or an outage: whether it happened is unknown, and asking again is
    /// safe, because the watermarks drop copies and the offset refuses a second move.
    pub async fn roll_up(
        &self,
        batch: &Arc<RollupBatch>,
        agents: &Arc<Mutex<AgentTable>>,
    ) -> Result<RollupOutcome, StoreError> {
        let touched = Touched::by(
            &batch.clicks,
            batch.offset.as_ref().map(|offset| offset.slot),
        );
        let slots: Vec<i16> = touched
            .slots
            .iter()
            .map(|slot| i16::from(slot.number()))
            .collect();
        let mut lent = self.lend(Class::Work).await?;
        lent.begin().await?;
        // First of all, and in order: everything else is read behind these locks. The triggers see
        // only what is written: a batch of copies or strangers would pass them.
        let locked = lent
            .query(
                "SELECT p.slot, now_us() FROM progress p \
                 JOIN slot_owner o ON o.slot = p.slot AND o.state = 'active' \
                 WHERE p.slot = ANY($1) ORDER BY p.slot FOR UPDATE OF p",
                &[&slots],
            )
            .await?;
        if locked.len() != slots.len() {
            lent.roll_back().await?;
            return Err(StoreError::NotOwner);
        }
        let now = locked.first().map_or(0, |row| row.get(1));
        if let Some(offset) = &batch.offset
            && !move_offset(&lent, offset).await?
        {
            lent.roll_back().await?;
            return Ok(RollupOutcome::Fenced);
        }
        let known = Known {
            marks: read_marks(&lent, &slots, &touched.producers).await?,
            producers: read_producers(&lent, &touched.producers).await?,
            live: read_live(&lent, &touched.codes).await?,
        };
        let now = Timestamp::from_micros(now);
        let mut settled = {
            let mut agents = agents.lock().unwrap_or_else(PoisonError::into_inner);
            settle::settle(&batch.clicks, known, now, &mut agents)
        };
        let stored = read_values(&lent, &settled.counts).await?;
        settle::fold_surplus(&mut settled.counts, &stored);
        let written = async {
            write_totals(&lent, &settled.counts).await?;
            write_values(&lent, &settled.counts).await?;
            write_visitors(&lent, &settled.counts).await?;
            write_marks(&lent, &settled.moved).await?;
            write_dead(&lent, settled.dead.iter().chain(&batch.dead)).await
        };
        if let Err(error) = written.await {
            // A refusal leaves a healthy connection; what is lost otherwise takes it along.
            lent.roll_back().await?;
            return Err(error);
        }
        lent.commit().await?;
        settled.figures.dead += batch.dead.len() as u64;
        settled.figures.rows = settled.counts.rows() as u64;
        Ok(RollupOutcome::Done(settled.figures))
    }
}

async fn move_offset(lent: &Lent, offset: &OffsetMove) -> Result<bool, StoreError> {
    let slot = i16::from(offset.slot.number());
    let lease = i64::try_from(LEASE.as_micros()).unwrap_or(i64::MAX);
    let (producer, seq) = offset.last.unzip();
    let moved = lent
        .query(
            "UPDATE progress SET next_offset = $4, last_producer = coalesce($5, last_producer), \
             last_seq = coalesce($6, last_seq), expires = now_us() + $7 \
             WHERE slot = $1 AND next_offset = $2 AND lease_epoch = $3 RETURNING 1",
            &[
                &slot,
                &offset.from,
                &offset.lease_epoch,
                &offset.to,
                &producer,
                &seq.map(u64::cast_signed),
                &lease,
            ],
        )
        .await?;
    if let Some((from, to)) = offset.lost
        && !moved.is_empty()
    {
        lent.query(
            "INSERT INTO lost_ranges (slot, from_offset, to_offset, at) VALUES ($1, $2, $3, now_us())",
            &[&slot, &from, &to],
        )
        .await?;
    }
    Ok(!moved.is_empty())
}

async fn read_marks(lent: &Lent, slots: &[i16], producers: &[Uuid]) -> Result<Marks, StoreError> {
    let mut marks = Marks::new();
    let rows = lent
        .query(
            "SELECT slot, producer_id, last_seq FROM producer_seq \
             WHERE slot = ANY($1) AND producer_id = ANY($2)",
            &[&slots, &producers],
        )
        .await?;
    for row in rows {
        let slot = u8::try_from(row.get::<_, i16>(0)).unwrap_or(u8::MAX);
        marks.entry((slot, row.get(1))).or_default().last_seq =
            row.get::<_, i64>(2).cast_unsigned();
    }
    let rows = lent
        .query(
            "SELECT slot, producer_id, from_seq, to_seq FROM producer_gaps \
             WHERE slot = ANY($1) AND producer_id = ANY($2) ORDER BY from_seq",
            &[&slots, &producers],
        )
        .await?;
    for row in rows {
        let slot = u8::try_from(row.get::<_, i16>(0)).unwrap_or(u8::MAX);
        let gap = (
            row.get::<_, i64>(2).cast_unsigned(),
            row.get::<_, i64>(3).cast_unsigned(),
        );
        marks.entry((slot, row.get(1))).or_default().gaps.push(gap);
    }
    Ok(marks)
}

async fn read_producers(lent: &Lent, producers: &[Uuid]) -> Result<HashSet<Uuid>, StoreError> {
    let rows = lent
        .query("SELECT id FROM producers WHERE id = ANY($1)", &[&producers])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn read_live(
    lent: &Lent,
    codes: &[Arc<str>],
) -> Result<HashSet<Arc<str>, RandomState>, StoreError> {
    let codes: Vec<&str> = codes.iter().map(|code| &**code).collect();
    let sql = "SELECT code FROM links WHERE code = ANY($1) AND state <> 3";
    let rows = lent.query(sql, &[&codes]).await?;
    Ok(rows
        .iter()
        .map(|row| row.get::<_, &str>(0).into())
        .collect())
}

/// Which of the batch's values are stored already, and how full the groups that gain one are.
async fn read_values(lent: &Lent, counts: &Counts) -> Result<Stored, StoreError> {
    let groups = settle::groups(counts);
    let (mut codes, mut days, mut dimensions, mut values) = (vec![], vec![], vec![], vec![]);
    for ((code, day, dimension), words) in &groups {
        for word in words {
            codes.push(&**code);
            days.push(*day);
            dimensions.push(*dimension);
            values.push(&**word);
        }
    }
    let rows = lent
        .query(
            "SELECT v.code, v.day, v.dimension, v.value FROM clicks_value v \
             JOIN unnest($1::text[], $2::integer[], $3::smallint[], $4::text[]) \
             AS n (code, day, dimension, value) ON v.code = n.code AND v.day = n.day \
             AND v.dimension = n.dimension AND v.value = n.value",
            &[&codes, &days, &dimensions, &values],
        )
        .await?;
    let mut stored = Stored::new();
    for row in rows {
        let group = (row.get::<_, &str>(0).into(), row.get(1), row.get(2));
        stored
            .entry(group)
            .or_default()
            .1
            .insert(row.get::<_, &str>(3).into());
    }
    // Only a group that gains values can overflow, and only then is it worth a count.
    let gaining: Vec<&Group> = groups
        .iter()
        .filter(|(group, words)| stored.get(*group).map_or(0, |known| known.1.len()) < words.len())
        .map(|(group, _)| group)
        .collect();
    let codes: Vec<&str> = gaining.iter().map(|group| &*group.0).collect();
    let days: Vec<i32> = gaining.iter().map(|group| group.1).collect();
    let dimensions: Vec<i16> = gaining.iter().map(|group| group.2).collect();
    let rows = lent
        .query(
            "SELECT n.code, n.day, n.dimension, (SELECT count(*) FROM clicks_value v \
             WHERE v.code = n.code AND v.day = n.day AND v.dimension = n.dimension) \
             FROM unnest($1::text[], $2::integer[], $3::smallint[]) AS n (code, day, dimension)",
            &[&codes, &days, &dimensions],
        )
        .await?;
    for row in rows {
        let group = (row.get::<_, &str>(0).into(), row.get(1), row.get(2));
        stored.entry(group).or_default().0 = row.get(3);
    }
    Ok(stored)
}

async fn write_marks(lent: &Lent, marks: &Marks) -> Result<(), StoreError> {
    let slots: Vec<i16> = marks.keys().map(|(slot, _)| i16::from(*slot)).collect();
    let producers: Vec<Uuid> = marks.keys().map(|(_, producer)| *producer).collect();
    let seqs: Vec<i64> = marks
        .values()
        .map(|mark| mark.last_seq.cast_signed())
        .collect();
    lent.query(
        "INSERT INTO producer_seq (slot, producer_id, last_seq) \
         SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::bigint[]) \
         ON CONFLICT (slot, producer_id) DO UPDATE SET last_seq = excluded.last_seq",
        &[&slots, &producers, &seqs],
    )
    .await?;
    lent.query(
        "DELETE FROM producer_gaps g USING unnest($1::smallint[], $2::uuid[]) AS n (slot, id) \
         WHERE g.slot = n.slot AND g.producer_id = n.id",
        &[&slots, &producers],
    )
    .await?;
    let open: Vec<(i16, Uuid, i64, i64)> = marks
        .iter()
        .flat_map(|((slot, producer), mark)| {
            mark.gaps.iter().map(move |(from, to)| {
                (
                    i16::from(*slot),
                    *producer,
                    from.cast_signed(),
                    to.cast_signed(),
                )
            })
        })
        .collect();
    for (slot, producer, from, to) in open {
        lent.query(
            "INSERT INTO producer_gaps (slot, producer_id, from_seq, to_seq) VALUES ($1, $2, $3, $4)",
            &[&slot, &producer, &from, &to],
        )
        .await?;
    }
    Ok(())
}

async fn write_dead(
    lent: &Lent,
    events: impl Iterator<Item = &DeadEvent>,
) -> Result<(), StoreError> {
    for event in events {
        lent.query(
            "INSERT INTO dead_events (slot, reason, payload, at) VALUES ($1, $2, $3, now_us())",
            &[
                &i16::from(event.slot.number()),
                &event.reason,
                &event.payload,
            ],
        )
        .await?;
    }
    Ok(())
}
