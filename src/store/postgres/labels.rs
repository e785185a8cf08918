//! Labels on a server: found, read and written many at a time.

use tokio_postgres::Row;

use crate::domain::code::ShortCode;
use crate::domain::label::Verdict;
use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::labels::category_number;
use crate::store::labels::reasons_json;
use crate::store::postgres::Class;
use crate::store::postgres::PostgresShard;
use crate::store::rows::Change;
use crate::store::rows::Labeller;
use crate::store::rows::LabelsWritten;
use crate::store::rows::NewLabel;
use crate::store::rows::ToLabel;

const COLUMNS: &str = "l.code, l.version, l.long_url, l.title, l.verdict, l.expired_url FROM links l \
     JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active'";

impl PostgresShard {
    /// See [`Shard::unlabelled`](crate::store::shard::Shard::unlabelled).
    ///
    /// # Errors
    /// An outage.
    pub async fn unlabelled(&self, rank: i32, limit: usize) -> Result<Vec<ToLabel>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} WHERE l.label_rank < $1 AND l.state < 2 \
             ORDER BY l.label_rank, l.code LIMIT $2"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let lent = self.lend(Class::Work).await?;
        let rows = lent.query(&sql, &[&rank, &limit]).await?;
        Ok(rows.iter().filter_map(read).collect())
    }

    /// See [`Shard::label_backlog`](crate::store::shard::Shard::label_backlog).
    ///
    /// # Errors
    /// An outage.
    pub async fn label_backlog(&self, rank: i32, limit: usize) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM links l \
             JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active' \
             WHERE l.label_rank < $1 AND l.state < 2 LIMIT $2) counted";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let lent = self.lend(Class::Work).await?;
        Ok(lent.one(sql, &[&rank, &limit]).await?.get(0))
    }

    /// See [`Shard::to_label`](crate::store::shard::Shard::to_label).
    ///
    /// # Errors
    /// An outage.
    pub async fn to_label(&self, codes: &[ShortCode]) -> Result<Vec<ToLabel>, StoreError> {
        let codes: Vec<&str> = codes.iter().map(ShortCode::as_str).collect();
        let sql = format!("SELECT {COLUMNS} WHERE l.code = ANY($1) AND l.state < 2");
        let lent = self.lend(Class::Work).await?;
        let rows = lent.query(&sql, &[&codes]).await?;
        Ok(rows.iter().filter_map(read).collect())
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
        let sql =
            format!("SELECT {COLUMNS} WHERE l.code > $1 AND l.state < 2 ORDER BY l.code LIMIT $2");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let lent = self.lend(Class::Work).await?;
        let rows = lent.query(&sql, &[&after, &limit]).await?;
        Ok(rows.iter().filter_map(read).collect())
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
        let sql = "WITH l AS (UPDATE links SET category = n.category, \
             confidence = n.confidence, risk_score = n.score, risk_reasons = n.reasons, \
             label_model = $8, label_rank = $9, labelled_at = now_us(), verdict = n.verdict, \
             version = links.version + CASE WHEN links.verdict <> n.verdict \
             AND links.risk_override IS NULL THEN 1 ELSE 0 END \
             FROM unnest($1::text[], $2::bigint[], $3::smallint[], $4::real[], $5::smallint[], \
             $6::real[], $7::text[]) \
             AS n (code, read, category, confidence, verdict, score, reasons) \
             WHERE links.code = n.code AND links.version = n.read AND links.state < 2 \
             AND (links.label_rank <= $9 OR $10) \
             RETURNING links.slot, links.code, links.version, links.version > n.read AS changed), \
             noted AS (INSERT INTO link_changes (slot, code, version, at) \
             SELECT l.slot, l.code, l.version, now_us() FROM l WHERE l.changed) \
             SELECT code, version, changed, now_us() FROM l";
        let texts: Vec<String> = labels
            .iter()
            .map(|new| reasons_json(&new.label.risk.reasons))
            .collect();
        let codes: Vec<&str> = labels.iter().map(|new| new.code.as_str()).collect();
        let versions: Vec<i64> = labels.iter().map(|new| new.version).collect();
        let categories: Vec<i16> = labels
            .iter()
            .map(|new| category_number(new.label.category))
            .collect();
        let confidences: Vec<f32> = labels.iter().map(|new| new.label.confidence).collect();
        let verdicts: Vec<i16> = labels
            .iter()
            .map(|new| new.label.risk.verdict.number())
            .collect();
        let scores: Vec<f32> = labels.iter().map(|new| new.label.risk.score).collect();
        let lent = self.lend(Class::Work).await?;
        let rows = lent
            .query(
                sql,
                &[
                    &codes,
                    &versions,
                    &categories,
                    &confidences,
                    &verdicts,
                    &scores,
                    &texts,
                    &labeller.model,
                    &labeller.rank,
                    &labeller.force,
                ],
            )
            .await?;
        let changed = rows.iter().filter(|row| row.get(2)).filter_map(|row| {
            Some(Change {
                code: row.get::<_, &str>(0).parse().ok()?,
                version: row.get(1),
                at: Timestamp::from_micros(row.get(3)),
            })
        });
        Ok(LabelsWritten {
            written: rows.len(),
            changed: changed.collect(),
        })
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
        let sql = "UPDATE label_progress SET next_offset = $3 \
             WHERE slot = $1 AND lease_epoch = $2 RETURNING slot";
        let lent = self.lend(Class::Work).await?;
        let rows = lent
            .query(sql, &[&i16::from(slot.number()), &epoch, &next])
            .await?;
        Ok(!rows.is_empty())
    }
}

fn read(row: &Row) -> Option<ToLabel> {
    Some(ToLabel {
        code: row.get::<_, &str>(0).parse().ok()?,
        version: row.get(1),
        target: row.get(2),
        title: row.get(3),
        verdict: Verdict::from_number(row.get(4)),
        expired_url: row.get(5),
    })
}
