//! Identity, ownership and the cluster-wide small data in a file-backed shard.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use crate::slots::SLOTS;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::rows::ClusterRow;
use crate::store::rows::DataRow;
use crate::store::rows::SlotOwner;
use crate::store::sqlite::SqliteShard;

impl SqliteShard {
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
        self.read(|connection| {
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
        })
        .await
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
