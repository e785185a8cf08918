//! Identity, ownership and the cluster-wide small data on a server.

use tokio_postgres::Row;

use crate::slots::SLOTS;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::postgres::Class;
use crate::store::postgres::PostgresShard;
use crate::store::postgres::lease::Lent;
use crate::store::postgres::pipeline::slot;
use crate::store::rows::ClusterRow;
use crate::store::rows::DataRow;
use crate::store::rows::SlotOwner;

const ROW: &str = "SELECT cluster_id, shard_id, ordinal, generation, secret FROM cluster";

const PUT: &str = "INSERT INTO cluster_data (key, version, value) VALUES ($1, $2, $3) \
     ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value \
     WHERE cluster_data.version < excluded.version";

impl PostgresShard {
    /// Who this shard is; `None` for an empty database.
    ///
    /// # Errors
    /// An outage.
    pub async fn cluster_row(&self) -> Result<Option<ClusterRow>, StoreError> {
        let rows = self.lend(Class::Work).await?.query(ROW, &[]).await?;
        Ok(rows.first().map(cluster_of))
    }

    /// Gives an empty database its identity, its slots and its data, unless it has one.
    ///
    /// # Errors
    /// An outage.
    pub async fn found(
        &self,
        identity: &ClusterRow,
        slots: &[Slot],
        data: &[DataRow],
    ) -> Result<ClusterRow, StoreError> {
        let mut lent = self.lend(Class::Work).await?;
        lent.begin().await?;
        lent.query("SELECT pg_advisory_xact_lock(7000, 1)", &[])
            .await?;
        if let Some(row) = lent.query(ROW, &[]).await?.first() {
            let row = cluster_of(row);
            lent.roll_back().await?;
            return Ok(row);
        }
        lent.query(
            "INSERT INTO cluster (cluster_id, slots, shard_id, ordinal, generation, secret) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                &identity.cluster_id,
                &i32::from(SLOTS),
                &identity.shard_id,
                &identity.ordinal,
                &identity.generation,
                &identity.secret,
            ],
        )
        .await?;
        let numbers: Vec<i16> = slots.iter().map(|slot| i16::from(slot.number())).collect();
        lent.query(
            "INSERT INTO slot_owner (slot, state, owner_epoch) \
             SELECT slot, 'active', 1 FROM unnest($1::smallint[]) AS s (slot)",
            &[&numbers],
        )
        .await?;
        lent.query(
            "INSERT INTO progress (slot) SELECT slot FROM unnest($1::smallint[]) AS s (slot)",
            &[&numbers],
        )
        .await?;
        for row in data {
            put(&lent, row).await?;
        }
        lent.commit().await?;
        Ok(identity.clone())
    }

    /// Every row of `slot_owner`.
    ///
    /// # Errors
    /// An outage.
    pub async fn slot_owners(&self) -> Result<Vec<SlotOwner>, StoreError> {
        let sql = "SELECT slot, state = 'active', owner_epoch FROM slot_owner";
        let rows = self.lend(Class::Work).await?.query(sql, &[]).await?;
        let owner = |row: &Row| {
            Some(SlotOwner {
                slot: slot(row.get(0))?,
                active: row.get(1),
                owner_epoch: row.get(2),
            })
        };
        Ok(rows.iter().filter_map(owner).collect())
    }

    /// Takes a slot's ownership from this shard, which another one holds with a higher epoch.
    ///
    /// # Errors
    /// An outage.
    pub async fn demote(&self, slot: Slot) -> Result<(), StoreError> {
        let mut lent = self.lend(Class::Work).await?;
        let number = i16::from(slot.number());
        lent.begin().await?;
        // Alone: running writers of the slot end first.
        lent.query(
            "SELECT pg_advisory_xact_lock(7001, $1::smallint)",
            &[&number],
        )
        .await?;
        lent.query(
            "UPDATE slot_owner SET state = 'gone' WHERE slot = $1",
            &[&number],
        )
        .await?;
        lent.commit().await
    }

    /// Raises the generation of the cache keys, after a restore.
    ///
    /// # Errors
    /// An outage.
    pub async fn set_generation(&self, generation: i64) -> Result<(), StoreError> {
        let sql = "UPDATE cluster SET generation = greatest(generation, $1)";
        self.lend(Class::Work)
            .await?
            .query(sql, &[&generation])
            .await
            .map(drop)
    }

    /// The cluster-wide small data as this shard knows it.
    ///
    /// # Errors
    /// An outage.
    pub async fn data(&self) -> Result<Vec<DataRow>, StoreError> {
        let sql = "SELECT key, version, value FROM cluster_data";
        let rows = self.lend(Class::Work).await?.query(sql, &[]).await?;
        let data = |row: &Row| DataRow {
            key: row.get(0),
            version: row.get(1),
            value: row.get(2),
        };
        Ok(rows.iter().map(data).collect())
    }

    /// Writes a row of it, unless this shard knows the same or a higher version.
    ///
    /// # Errors
    /// An outage.
    pub async fn put_data(&self, row: &DataRow) -> Result<(), StoreError> {
        put(&self.lend(Class::Work).await?, row).await
    }

    /// Deletes keys of it for good.
    ///
    /// # Errors
    /// An outage.
    pub async fn drop_data(&self, keys: &[String]) -> Result<(), StoreError> {
        let sql = "DELETE FROM cluster_data WHERE key = ANY($1)";
        self.lend(Class::Work)
            .await?
            .query(sql, &[&keys])
            .await
            .map(drop)
    }
}

async fn put(lent: &Lent, row: &DataRow) -> Result<(), StoreError> {
    lent.query(PUT, &[&row.key, &row.version, &row.value])
        .await
        .map(drop)
}

fn cluster_of(row: &Row) -> ClusterRow {
    ClusterRow {
        cluster_id: row.get(0),
        shard_id: row.get(1),
        ordinal: row.get(2),
        generation: row.get(3),
        secret: row.get(4),
    }
}
