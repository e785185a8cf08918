//! Many links of a file at once.

use crate::domain::code::ShortCode;
use crate::domain::route::Route;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::sqlite::SqliteShard;
use crate::store::sqlite::links::active_slots;
use crate::store::sqlite::links::select;

impl SqliteShard {
    /// See [`Shard::routes`](crate::store::shard::Shard::routes).
    ///
    /// # Errors
    /// An outage.
    pub async fn routes(&self, codes: &[ShortCode]) -> Result<Vec<(ShortCode, Route)>, StoreError> {
        let codes = codes.to_vec();
        self.read(move |connection| {
            // One read transaction: the slots are active in the state whose links are read.
            let view = connection.unchecked_transaction()?;
            let active = active_slots(&view)?;
            let mut routes = Vec::with_capacity(codes.len());
            for code in codes {
                if active.contains(&Slot::of(code.as_str()))
                    && let Some(link) = select(&view, &code)?
                {
                    routes.push((code, link.route));
                }
            }
            Ok(routes)
        })
        .await
    }

    /// See [`Shard::most_followed`](crate::store::shard::Shard::most_followed).
    ///
    /// # Errors
    /// An outage.
    pub async fn most_followed(&self, limit: usize) -> Result<Vec<ShortCode>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT l.code FROM clicks_total t JOIN links l ON l.code = t.code \
                       JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active' \
                       WHERE l.state = 0 \
                       ORDER BY t.human + t.bot + t.preview DESC, l.code LIMIT ?1";
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let codes: Vec<String> = connection
                .prepare_cached(sql)?
                .query_map([limit], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(codes.iter().filter_map(|code| code.parse().ok()).collect())
        })
        .await
    }

    /// How many links stand in this file, tombstones included.
    ///
    /// # Errors
    /// An outage.
    pub async fn count_links(&self) -> Result<i64, StoreError> {
        self.read(|connection| {
            connection.query_row("SELECT count(*) FROM links", [], |row| row.get(0))
        })
        .await
    }
}
