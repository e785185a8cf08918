//! Labels in a file-backed shard: found, read and written many at a time.

use rusqlite::Row;
use rusqlite::params;

use crate::domain::code::ShortCode;
use crate::domain::label::Verdict;
use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::labels::category_number;
use crate::store::labels::reasons_json;
use crate::store::rows::Change;
use crate::store::rows::Labeller;
use crate::store::rows::LabelsWritten;
use crate::store::rows::NewLabel;
use crate::store::rows::ToLabel;
use crate::store::sqlite::SqliteShard;
use crate::store::sqlite::now;

const COLUMNS: &str = "l.code, l.version, l.long_url, l.title, l.verdict, l.expired_url FROM links l \
     JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active'";

impl SqliteShard {
    /// See [`Shard::unlabelled`](crate::store::shard::Shard::unlabelled).
    ///
    /// # Errors
    /// An outage.
    pub async fn unlabelled(&self, rank: i32, limit: usize) -> Result<Vec<ToLabel>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} WHERE l.label_rank < ?1 AND l.state < 2 \
                 ORDER BY l.label_rank, l.code LIMIT ?2"
            );
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![rank, limit], read)?;
            rows.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// See [`Shard::label_backlog`](crate::store::shard::Shard::label_backlog).
    ///
    /// # Errors
    /// An outage.
    pub async fn label_backlog(&self, rank: i32, limit: usize) -> Result<i64, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM links l \
                 JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active' \
                 WHERE l.label_rank < ?1 AND l.state < 2 LIMIT ?2)";
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            connection
                .prepare_cached(sql)?
                .query_row(params![rank, limit], |row| row.get(0))
        })
        .await
    }

    /// See [`Shard::to_label`](crate::store::shard::Shard::to_label).
    ///
    /// # Errors
    /// An outage.
    pub async fn to_label(&self, codes: &[ShortCode]) -> Result<Vec<ToLabel>, StoreError> {
        let codes = codes.to_vec();
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} WHERE l.code = ?1 AND l.state < 2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = Vec::with_capacity(codes.len());
            for code in codes {
                let rows = statement.query_map([code.as_str()], read)?;
                for row in rows {
                    found.extend(row?);
                }
            }
            Ok(found)
        })
        .await
    }

    /// See [`Shard::to_label_after`](crate::store::shard::Shard::to_label_after).
    ///
    /// # Errors
    /// An outage.
    pub async fn to_label_after(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<ToLabel>, StoreError> {
        let after = after.to_owned();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} WHERE l.code > ?1 AND l.state < 2 ORDER BY l.code LIMIT ?2"
            );
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![after, limit], read)?;
            rows.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// See [`Shard::label`](crate::store::shard::Shard::label).
    ///
    /// # Errors
    /// [`StoreError::NotOwner`], [`StoreError::Refused`] or an outage.
    pub async fn label(
        &self,
        labels: &[NewLabel],
        labeller: Labeller<'_>,
    ) -> Result<LabelsWritten, StoreError> {
        let (labels, model) = (labels.to_vec(), labeller.model.to_owned());
        let (rank, force) = (labeller.rank, labeller.force);
        self.write(move |connection| {
            let time = now().micros();
            let mut write = connection.prepare_cached(
                "UPDATE links SET category = ?3, confidence = ?4, risk_score = ?5, \
                 risk_reasons = ?6, label_model = ?7, label_rank = ?8, labelled_at = ?9, \
                 version = version + (verdict <> ?10 AND risk_override IS NULL), verdict = ?10 \
                 WHERE code = ?1 AND version = ?2 AND state < 2 AND (label_rank <= ?8 OR ?11) \
                 RETURNING version",
            )?;
            let mut note = connection.prepare_cached(
                "INSERT INTO link_changes (slot, code, version, at) VALUES (?1, ?2, ?3, ?4)",
            )?;
            let mut done = LabelsWritten::default();
            for new in &labels {
                let (code, risk) = (new.code.as_str(), &new.label.risk);
                let written = write.query_map(
                    params![
                        code,
                        new.version,
                        category_number(new.label.category),
                        new.label.confidence,
                        risk.score,
                        reasons_json(&risk.reasons),
                        model,
                        rank,
                        time,
                        risk.verdict.number(),
                        force,
                    ],
                    |row| row.get::<_, i64>(0),
                )?;
                let written: Vec<i64> = written.collect::<rusqlite::Result<_>>()?;
                done.written += written.len();
                for version in written.into_iter().filter(|now| *now > new.version) {
                    let slot = Slot::of(code).number();
                    note.execute(params![slot, code, version, time])?;
                    done.changed.push(Change {
                        code: new.code.clone(),
                        version,
                        at: Timestamp::from_micros(time),
                    });
                }
            }
            Ok(done)
        })
        .await
    }

    /// See [`Shard::label_offset`](crate::store::shard::Shard::label_offset).
    ///
    /// # Errors
    /// An outage.
    pub async fn label_offset(
        &self,
        slot: Slot,
        epoch: i64,
        next: i64,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let sql = "UPDATE label_progress SET next_offset = ?3 \
                 WHERE slot = ?1 AND lease_epoch = ?2";
            let moved =
                connection
                    .prepare_cached(sql)?
                    .execute(params![slot.number(), epoch, next])?;
            Ok(moved == 1)
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<ToLabel>> {
    let code: String = row.get(0)?;
    let Ok(code) = code.parse() else {
        return Ok(None); // damage that the redirect reports
    };
    Ok(Some(ToLabel {
        code,
        version: row.get(1)?,
        target: row.get(2)?,
        title: row.get(3)?,
        verdict: Verdict::from_number(row.get(4)?),
        expired_url: row.get(5)?,
    }))
}
