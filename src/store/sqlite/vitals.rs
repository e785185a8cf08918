//! How a file is.

use std::path::Path;

use rusqlite::Connection;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::sqlite::SqliteShard;
use crate::store::sqlite::cluster::open_to_look;
use crate::store::sqlite::now;
use crate::store::vitals::Host;
use crate::store::vitals::PartitionSeen;
use crate::store::vitals::ProducerHeld;
use crate::store::vitals::Vitals;

impl SqliteShard {
    /// See [`Shard::vitals`](crate::store::shard::Shard::vitals).
    ///
    /// # Errors
    /// An outage.
    pub async fn vitals(&self) -> Result<Vitals, StoreError> {
        let path = self.inner.path.clone();
        match tokio::task::spawn_blocking(move || vitals(&path)).await {
            Ok(seen) => seen.map_err(|error| self.failure(error)),
            Err(panicked) => Err(self.unavailable(panicked)),
        }
    }

    /// See [`Shard::slot_links`](crate::store::shard::Shard::slot_links).
    ///
    /// # Errors
    /// An outage.
    pub async fn slot_links(&self) -> Result<Vec<(Slot, i64)>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT slot, count(*) FROM links GROUP BY slot")?
                .query_map([], |row| Ok((row.get::<_, u8>(0)?, row.get(1)?)))?
                .filter_map(|row| {
                    row.map(|(slot, links)| Some((Slot::new(slot)?, links)))
                        .transpose()
                })
                .collect()
        })
        .await
    }
}

fn vitals(path: &Path) -> rusqlite::Result<Vitals> {
    let connection = open_to_look(path)?;
    let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    Ok(Vitals {
        partitions: partitions(&connection)?,
        producers: producers(&connection)?,
        newest_change: one("SELECT max(at) FROM link_changes")?.map(Timestamp::from_micros),
        dead_events: one("SELECT count(*) FROM dead_events")?.unwrap_or(0),
        host: Host::File {
            bytes: length(path, "") + length(path, "-wal"),
            free_bytes: path.parent().and_then(free_bytes),
        },
    })
}

fn partitions(connection: &Connection) -> rusqlite::Result<Vec<PartitionSeen>> {
    let sql = "SELECT p.slot, p.next_offset, CASE WHEN p.expires > ?1 THEN p.owner END, p.stopped \
               FROM progress p JOIN slot_owner o USING (slot) WHERE o.state = 'active'";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([now().micros()], |row| {
        let slot: u8 = row.get(0)?;
        let seen = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Slot::new(slot).map(|slot| PartitionSeen {
            slot,
            next_offset: seen.0,
            holder: seen.1,
            stopped: seen.2,
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

fn producers(connection: &Connection) -> rusqlite::Result<Vec<ProducerHeld>> {
    let sql = "SELECT id, host, seen_at, oldest_unshipped_at FROM producers \
               WHERE closed_at IS NULL";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let id: Vec<u8> = row.get(0)?;
        Ok(ProducerHeld {
            id: Uuid::from_slice(&id).map_or_else(|_| "?".to_owned(), |id| id.to_string()),
            host: row.get(1)?,
            seen_at: Timestamp::from_micros(row.get(2)?),
            held_since: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_micros),
        })
    })?;
    rows.collect()
}

fn length(path: &Path, suffix: &str) -> u64 {
    let mut path = path.to_owned().into_os_string();
    path.push(suffix);
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

/// What the disk under `folder` has left for us.
fn free_bytes(folder: &Path) -> Option<u64> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
