//! Statistics on a server.

use std::ops::Range;

use tokio_postgres::Row;

use crate::domain::click::Dimension;
use crate::domain::code::ShortCode;
use crate::domain::link::ClickTotals;
use crate::domain::time::Timestamp;
use crate::domain::visitors;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::postgres::Class;
use crate::store::postgres::PostgresShard;
use crate::store::rows::Freshness;
use crate::store::rows::LinkStats;
use crate::store::rows::ProducerSeen;
use crate::store::shard::CLOCKS;

impl PostgresShard {
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
        let lent = self.lend(Class::Report).await?;
        let rows = lent
            .query(
                "SELECT quarter, human, bot, preview, head FROM clicks_quarter \
                 WHERE code = $1 AND quarter >= $2 AND quarter < $3 ORDER BY quarter",
                &[&code.as_str(), &quarters.start, &quarters.end],
            )
            .await?;
        let found = rows
            .iter()
            .map(|row| (row.get(0), totals_of(row)))
            .collect();
        let rows = lent
            .query(
                "SELECT sketch FROM clicks_visitors WHERE code = $1 AND day >= $2 AND day < $3",
                &[&code.as_str(), &days.start, &days.end],
            )
            .await?;
        let uniques = rows.iter().map(|row| visitors::estimate(row.get(0))).sum();
        Ok(LinkStats {
            quarters: found,
            uniques,
        })
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
        let rows = self
            .lend(Class::Report)
            .await?
            .query(
                "SELECT value, sum(human)::bigint, sum(bot)::bigint, sum(preview)::bigint, \
                 0::bigint FROM clicks_value WHERE code = $1 AND dimension = $2 \
                 AND day >= $3 AND day < $4 GROUP BY value",
                &[&code.as_str(), &dimension.number(), &days.start, &days.end],
            )
            .await?;
        Ok(rows
            .iter()
            .map(|row| (row.get(0), totals_of(row)))
            .collect())
    }

    /// How far the counts of `slot` can be behind.
    ///
    /// # Errors
    /// An outage.
    pub async fn freshness(&self, slot: Slot) -> Result<Freshness, StoreError> {
        let lent = self.lend(Class::Report).await?;
        let row = lent
            .one(
                "SELECT now_us(), (SELECT caught_up_at FROM progress WHERE slot = $1)",
                &[&i16::from(slot.number())],
            )
            .await?;
        let producers = lent
            .query(
                "SELECT id, seen_at, oldest_unshipped_at, closed_at IS NOT NULL FROM producers \
                 WHERE closed_at IS NULL OR (oldest_unshipped_at IS NOT NULL \
                 AND closed_at > coalesce((SELECT caught_up_at FROM progress WHERE slot = $1), 0) - $2)",
                &[&i16::from(slot.number()), &CLOCKS],
            )
            .await?
            .iter()
            .map(|row| ProducerSeen {
                id: row.get(0),
                seen_at: Timestamp::from_micros(row.get(1)),
                held_since: row.get::<_, Option<i64>>(2).map(Timestamp::from_micros),
                closed: row.get(3),
            })
            .collect();
        let caught_up_at = row.get::<_, Option<i64>>(1).map(Timestamp::from_micros);
        Ok(Freshness {
            now: Timestamp::from_micros(row.get(0)),
            producers,
            caught_up_at,
        })
    }
}

/// The four sums that follow the first column.
fn totals_of(row: &Row) -> ClickTotals {
    ClickTotals {
        human: row.get(1),
        bot: row.get(2),
        preview: row.get(3),
        head: row.get(4),
    }
}
