//! Identity, ownership and the cluster-wide small data in a file-backed shard.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension as _;
use rusqlite::params;
use url::Url;

use crate::slots::SLOTS;
use crate::slots::Slot;
use crate::store::cluster::SLOT_MAP_KEY;
use crate::store::error::StoreError;
use crate::store::rows::ClusterRow;
use crate::store::rows::DataRow;
use crate::store::rows::SlotOwner;
use crate::store::shard::Sighting;
use crate::store::sqlite::SqliteShard;
use crate::store::sqlite::now;

impl SqliteShard {
    /// What stands there; nothing is made or migrated. `None`: there is no such file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub async fn peek(&self) -> Result<Option<Sighting>, StoreError> {
        let path = self.inner.path.clone();
        match tokio::task::spawn_blocking(move || peek(&path)).await {
            Ok(seen) => seen.map_err(|error| self.failure(error)),
            Err(panicked) => Err(self.unavailable(panicked)),
        }
    }

    /// Who this shard is; `None` for an empty database.
    ///
    /// # Errors
    /// An outage.
    pub async fn cluster_row(&self) -> Result<Option<ClusterRow>, StoreError> {
        self.read(row).await
    }

    /// Gives an empty database its identity, its slots and its data, unless it has one; answers
    /// who it is now.
    ///
    /// # Errors
    /// An outage.
    pub async fn found(
        &self,
        identity: &ClusterRow,
        slots: &[Slot],
        data: &[DataRow],
    ) -> Result<ClusterRow, StoreError> {
        let (identity, slots, data) = (identity.clone(), slots.to_vec(), data.to_vec());
        self.write(move |connection| {
            if let Some(row) = row(connection)? {
                return Ok(row);
            }
            connection.execute(
                "INSERT INTO cluster (cluster_id, slots, shard_id, ordinal, generation, secret) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    identity.cluster_id,
                    SLOTS,
                    identity.shard_id,
                    identity.ordinal,
                    identity.generation,
                    identity.secret
                ],
            )?;
            for slot in slots {
                connection.execute(
                    "INSERT INTO slot_owner (slot, state, owner_epoch) VALUES (?1, 'active', 1)",
                    [slot.number()],
                )?;
                connection.execute("INSERT INTO progress (slot) VALUES (?1)", [slot.number()])?;
                connection.execute(
                    "INSERT INTO label_progress (slot) VALUES (?1)",
                    [slot.number()],
                )?;
            }
            for row in data {
                put(connection, &row)?;
            }
            Ok(identity)
        })
        .await
    }

    /// Every row of `slot_owner`.
    ///
    /// # Errors
    /// An outage.
    pub async fn slot_owners(&self) -> Result<Vec<SlotOwner>, StoreError> {
        self.read(owners).await
    }

    /// Takes a slot's ownership from this shard, which another one holds with a higher epoch.
    ///
    /// # Errors
    /// An outage.
    pub async fn demote(&self, slot: Slot) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .execute(
                    "UPDATE slot_owner SET state = 'gone' WHERE slot = ?1",
                    [slot.number()],
                )
                .map(drop)
        })
        .await
    }

    /// Raises the generation of the cache keys, after a restore.
    ///
    /// # Errors
    /// An outage.
    pub async fn set_generation(&self, generation: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .execute(
                    "UPDATE cluster SET generation = max(generation, ?1)",
                    [generation],
                )
                .map(drop)
        })
        .await
    }

    /// The cluster-wide small data as this shard knows it.
    ///
    /// # Errors
    /// An outage.
    pub async fn data(&self) -> Result<Vec<DataRow>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT key, version, value FROM cluster_data")?
                .query_map([], |row| {
                    Ok(DataRow {
                        key: row.get(0)?,
                        version: row.get(1)?,
                        value: row.get(2)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// Writes a row of it, unless this shard knows the same or a higher version.
    ///
    /// # Errors
    /// An outage.
    pub async fn put_data(&self, row: &DataRow) -> Result<(), StoreError> {
        let row = row.clone();
        self.write(move |connection| put(connection, &row)).await
    }

    /// Deletes keys of it for good.
    ///
    /// # Errors
    /// An outage.
    pub async fn drop_data(&self, keys: &[String]) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.write(move |connection| {
            for key in keys {
                connection.execute("DELETE FROM cluster_data WHERE key = ?1", [key])?;
            }
            Ok(())
        })
        .await
    }
}

/// Reads a file without a trace of having been there.
fn peek(path: &Path) -> rusqlite::Result<Option<Sighting>> {
    if !path.is_file() {
        return Ok(None);
    }
    let connection = open_to_look(path)?;
    let has = |table: &str| {
        connection
            .prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1")?
            .exists([table])
    };
    let mut seen = Sighting {
        now: now(),
        schema: 0,
        identity: None,
        slots: Vec::new(),
        map: None,
        has_links: false,
    };
    if has("schema_versions")? {
        let sql = "SELECT coalesce(max(version), 0) FROM schema_versions";
        seen.schema = connection.query_row(sql, [], |row| row.get(0))?;
    }
    if seen.schema > 0 {
        seen.identity = row(&connection)?;
        seen.slots = owners(&connection)?;
        let sql = "SELECT value FROM cluster_data WHERE key = ?1";
        let map = connection.query_row(sql, [SLOT_MAP_KEY], |row| row.get(0));
        seen.map = map.optional()?;
        let sql = "SELECT EXISTS (SELECT 1 FROM links)";
        seen.has_links = connection.query_row(sql, [], |row| row.get(0))?;
    }
    Ok(Some(seen))
}

/// Even a reader makes the files of the write-ahead log, unless it is told that nobody writes:
/// which is so where there is no log.
pub(super) fn open_to_look(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut log = path.to_owned().into_os_string();
    log.push("-wal");
    let url = path.canonicalize().ok().map(Url::from_file_path);
    let connection = match url {
        Some(Ok(mut url)) if !Path::new(&log).exists() => {
            url.set_query(Some("immutable=1"));
            Connection::open_with_flags(url.as_str(), flags)?
        }
        _ => Connection::open_with_flags(path, flags)?,
    };
    connection.busy_timeout(Duration::from_secs(1))?;
    Ok(connection)
}

fn owners(connection: &Connection) -> rusqlite::Result<Vec<SlotOwner>> {
    connection
        .prepare_cached("SELECT slot, state = 'active', owner_epoch FROM slot_owner")?
        .query_map([], |row| {
            Ok((row.get::<_, u8>(0)?, row.get(1)?, row.get(2)?))
        })?
        .filter_map(|row| {
            row.map(|(slot, active, owner_epoch)| {
                Some(SlotOwner {
                    slot: Slot::new(slot)?,
                    active,
                    owner_epoch,
                })
            })
            .transpose()
        })
        .collect()
}

fn row(connection: &Connection) -> rusqlite::Result<Option<ClusterRow>> {
    connection
        .query_row(
            "SELECT cluster_id, shard_id, ordinal, generation, secret FROM cluster",
            [],
            |row| {
                Ok(ClusterRow {
                    cluster_id: row.get(0)?,
                    shard_id: row.get(1)?,
                    ordinal: row.get(2)?,
                    generation: row.get(3)?,
                    secret: row.get(4)?,
                })
            },
        )
        .optional()
}

fn put(connection: &Connection, row: &DataRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO cluster_data (key, version, value) VALUES (?1, ?2, ?3) \
             ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value \
             WHERE cluster_data.version < excluded.version",
        )?
        .execute(params![row.key, row.version, row.value])
        .map(drop)
}
