//! Many links of a server at once.

use crate::domain::code::ShortCode;
use crate::domain::route::Route;
use crate::store::error::StoreError;
use crate::store::postgres::Class;
use crate::store::postgres::PostgresShard;
use crate::store::postgres::link_rows::REST;
use crate::store::postgres::link_rows::ROUTE;
use crate::store::rows::ListFilter;
use crate::store::rows::ListStatus;
use crate::store::rows::ShardPage;

impl PostgresShard {
    /// See [`Shard::routes`](crate::store::shard::Shard::routes).
    ///
    /// # Errors
    /// An outage.
    pub async fn routes(&self, codes: &[ShortCode]) -> Result<Vec<(ShortCode, Route)>, StoreError> {
        let sql = format!(
            "SELECT {ROUTE} FROM links l \
             JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active' WHERE l.code = ANY($1)"
        );
        let codes: Vec<&str> = codes.iter().map(ShortCode::as_str).collect();
        let rows = self.lend(Class::Api).await?.query(&sql, &[&codes]).await?;
        rows.iter()
            .filter_map(|row| Some((row.get::<_, &str>(0).parse().ok()?, row)))
            .map(|(code, row)| Ok((code, self.route_of(row, 0)?)))
            .collect()
    }

    /// See [`Shard::list`](crate::store::shard::Shard::list).
    ///
    /// # Errors
    /// An outage.
    pub async fn list(&self, filter: &ListFilter, limit: usize) -> Result<ShardPage, StoreError> {
        let (state, expired) = filter.status.map_or((None, None), |status| {
            let (state, expired) = status.parts();
            (Some(state), expired)
        });
        let held = filter.status.map_or("true", ListStatus::held);
        let (after, before, (last, last_code)) = filter.bounds();
        // The owned slots come with the links, in one statement and so from one snapshot.
        let sql = format!(
            "SELECT (SELECT array_agg(slot) FROM slot_owner WHERE state = 'active'), page.* \
             FROM (SELECT 1) one LEFT JOIN (SELECT {ROUTE}, {REST} FROM links l \
             LEFT JOIN clicks_total t ON t.code = l.code \
             JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active' \
             WHERE l.state <> 3 AND ($1::text IS NULL OR l.owner = $1) \
             AND ($2::text IS NULL OR l.tags @> ARRAY[$2]) \
             AND (($3::smallint IS NULL AND l.state <> 2) OR l.state = $3) \
             AND ($4::boolean IS NULL OR coalesce(l.expires_at <= now_us(), false) = $4) \
             AND ($10::smallint IS NULL OR l.category = $10) AND {held} \
             AND l.created_at >= $5 AND l.created_at < $6 \
             AND (l.created_at, l.code) < ($7, $8::text COLLATE \"C\") \
             ORDER BY l.created_at DESC, l.code DESC LIMIT $9) page ON true"
        );
        let rows = self
            .lend(Class::Report)
            .await?
            .query(
                &sql,
                &[
                    &filter.owner,
                    &filter.tag,
                    &state,
                    &expired,
                    &after,
                    &before,
                    &last,
                    &last_code,
                    &i64::try_from(limit).unwrap_or(i64::MAX),
                    &filter.category_number(),
                ],
            )
            .await?;
        let slots: Option<Vec<i16>> = rows.first().and_then(|row| row.get(0));
        let slots = slots
            .unwrap_or_default()
            .into_iter()
            .filter_map(super::pipeline::slot)
            .collect();
        let links = rows
            .iter()
            .filter(|row| row.get::<_, Option<&str>>(1).is_some())
            .map(|row| self.link_of(row, 1))
            .collect::<Result<_, _>>()?;
        Ok(ShardPage { links, slots })
    }

    /// See [`Shard::most_followed`](crate::store::shard::Shard::most_followed).
    ///
    /// # Errors
    /// An outage.
    pub async fn most_followed(&self, limit: usize) -> Result<Vec<ShortCode>, StoreError> {
        let sql = "SELECT l.code FROM clicks_total t JOIN links l ON l.code = t.code \
                   JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active' WHERE l.state = 0 \
                   ORDER BY t.human + t.bot + t.preview DESC, l.code LIMIT $1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .lend(Class::Report)
            .await?
            .query(sql, &[&limit])
            .await?;
        Ok(rows
            .iter()
            .filter_map(|row| row.get::<_, &str>(0).parse().ok())
            .collect())
    }

    /// How many links stand here, tombstones included.
    ///
    /// # Errors
    /// An outage.
    pub async fn count_links(&self) -> Result<i64, StoreError> {
        let lent = self.lend(Class::Report).await?;
        Ok(lent.one("SELECT count(*) FROM links", &[]).await?.get(0))
    }
}
