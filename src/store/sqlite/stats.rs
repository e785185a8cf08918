//! Statistics in a file-backed shard.

use std::ops::Range;

use rusqlite::OptionalExtension as _;
use rusqlite::params;
use uuid::Uuid;

use crate::domain::click::Dimension;
use crate::domain::code::ShortCode;
use crate::domain::link::ClickTotals;
use crate::domain::time::Timestamp;
use crate::domain::visitors;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::rows::Freshness;
use crate::store::rows::LinkStats;
use crate::store::rows::ProducerSeen;
use crate::store::shard::CLOCKS;
use crate::store::sqlite::SqliteShard;
use crate::store::sqlite::now;

impl SqliteShard {
    /// The counts of `code` in these quarters of an hour, and the unique visitors of these UTC days.
    ///
    /// # Errors
    /// An outage.
    pub async fn stats(
        &self,
        code: &ShortCode,
        quarters: Range<i64>,
        days: Range<i32>,
    ) -> Result<LinkStats, StoreError> {
        let code = code.clone();
        self.read(move |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT quarter, human, bot, preview, head FROM clicks_quarter \
                     WHERE code = ?1 AND quarter >= ?2 AND quarter < ?3 ORDER BY quarter",
                )?
                .query_map(
                    params![code.as_str(), quarters.start, quarters.end],
                    |row| {
                        let totals = ClickTotals {
                            human: row.get(1)?,
                            bot: row.get(2)?,
                            preview: row.get(3)?,
                            head: row.get(4)?,
                        };
                        Ok((row.get(0)?, totals))
                    },
                )?
                .collect::<rusqlite::Result<_>>()?;
            let uniques = connection
                .prepare_cached(
                    "SELECT sketch FROM clicks_visitors WHERE code = ?1 AND day >= ?2 AND day < ?3",
                )?
                .query_map(params![code.as_str(), days.start, days.end], |row| {
                    row.get::<_, Vec<u8>>(0)
                })?
                .map(|sketch| sketch.map(|sketch| visitors::estimate(&sketch)))
                .sum::<rusqlite::Result<u64>>()?;
            Ok(LinkStats {
                quarters: found,
                uniques,
            })
        })
        .await
    }

    /// The clicks of `code` by the values of a dimension, over these UTC days.
    ///
    /// # Errors
    /// An outage.
    pub async fn values(
        &self,
        code: &ShortCode,
        dimension: Dimension,
        days: Range<i32>,
    ) -> Result<Vec<(String, ClickTotals)>, StoreError> {
        let code = code.clone();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT value, sum(human), sum(bot), sum(preview) FROM clicks_value \
                     WHERE code = ?1 AND dimension = ?2 AND day >= ?3 AND day < ?4 GROUP BY value",
                )?
                .query_map(
                    params![code.as_str(), dimension.number(), days.start, days.end],
                    |row| {
                        let totals = ClickTotals {
                            human: row.get(1)?,
                            bot: row.get(2)?,
                            preview: row.get(3)?,
                            head: 0,
                        };
                        Ok((row.get(0)?, totals))
                    },
                )?
                .collect()
        })
        .await
    }

    /// How far the counts of `slot` can be behind.
    ///
    /// # Errors
    /// An outage.
    pub async fn freshness(&self, slot: Slot) -> Result<Freshness, StoreError> {
        self.read(move |connection| {
            let producers = connection
                .prepare_cached(
                    "SELECT id, seen_at, oldest_unshipped_at, closed_at IS NOT NULL FROM producers \
                     WHERE closed_at IS NULL OR (oldest_unshipped_at IS NOT NULL AND closed_at > \
                     coalesce((SELECT caught_up_at FROM progress WHERE slot = ?1), 0) - ?2)",
                )?
                .query_map(params![slot.number(), CLOCKS], |row| {
                    Ok(ProducerSeen {
                        id: Uuid::from_bytes(row.get(0)?),
                        seen_at: Timestamp::from_micros(row.get(1)?),
                        held_since: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros),
                        closed: row.get(3)?,
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            let caught_up = connection
                .prepare_cached("SELECT caught_up_at FROM progress WHERE slot = ?1")?
                .query_row([slot.number()], |row| row.get::<_, Option<i64>>(0))
                .optional()?
                .flatten();
            Ok(Freshness {
                now: now(),
                producers,
                caught_up_at: caught_up.map(Timestamp::from_micros),
            })
        })
        .await
    }
}
