//! Many links of a file at once.

use crate::domain::code::ShortCode;
use crate::store::error::StoreError;
use crate::store::sqlite::SqliteShard;

impl SqliteShard {
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
