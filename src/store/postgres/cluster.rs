//! Identity, ownership and the cluster-wide small data on a server.

use tokio_postgres::Row;

use crate::domain::time::Timestamp;
use crate::slots::SLOTS;
use crate::slots::Slot;
use crate::store::cluster::SLOT_MAP_KEY;
use crate::store::error::StoreError;
use crate::store::postgres::Class;
use crate::store::postgres::PostgresShard;
use crate::store::postgres::lease::Lent;
use crate::store::postgres::pipeline::slot;
use crate::store::rows::ClusterRow;
use crate::store::rows::DataRow;
use crate::store::rows::SlotOwner;
use crate::store::shard::Sighting;

const ROW: &str = "SELECT cluster_id, shard_id, ordinal, generation, secret FROM cluster";

const OWNERS: &str = "SELECT slot, state = 'active', owner_epoch FROM slot_owner";

const PUT: &str = "INSERT INTO cluster_data (key, version, value) VALUES ($1, $2, $3) \
     ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value \
     WHERE cluster_data.version < excluded.version";

impl PostgresShard {
    /// What stands there; nothing is made or migrated, and the breaker stays as it is.
    ///
    /// # Errors
    /// An outage.
    pub async fn peek(&self) -> Result<Option<Sighting>, StoreError> {
        let lent = Lent::probe(self).await?;
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, \
             to_regclass('urlshort.schema_versions') IS NOT NULL";
        let row = lent.one(sql, &[]).await?;
        let mut seen = Sighting {
            now: Timestamp::from_micros(row.get(0)),
            schema: 0,
            identity: None,
            slots: Vec::new(),
            map: None,
            has_links: false,
        };
        if row.get(1) {
            let sql = "SELECT coalesce(max(version), 0) FROM schema_versions";
            seen.schema = lent.one(sql, &[]).await?.get(0);
        }
        if seen.schema > 0 {
            seen.identity = lent.query(ROW, &[]).await?.first().map(cluster_of);
            let owners = lent.query(OWNERS, &[]).await?;
            seen.slots = owners.iter().filter_map(owner_of).collect();
            let sql = "SELECT value FROM cluster_data WHERE key = $1";
            let map = lent.query(sql, &[&SLOT_MAP_KEY]).await?;
            seen.map = map.first().map(|row| row.get(0));
            let sql = "SELECT EXISTS (SELECT FROM links)";
            seen.has_links = lent.one(sql, &[]).await?.get(0);
        }
        Ok(Some(seen))
    }

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
            "WITH made AS (INSERT INTO label_progress (slot) \
             SELECT slot FROM unnest($1::smallint[]) AS s (slot)) \
             INSERT INTO progress (slot) SELECT slot FROM unnest($1::smallint[]) AS s (slot)",
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
        let rows = self.lend(Class::Work).await?.query(OWNERS, &[]).await?;
        Ok(rows.iter().filter_map(owner_of).collect())
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

fn owner_of(row: &Row) -> Option<SlotOwner> {
    Some(SlotOwner {
        slot: slot(row.get(0))?,
        active: row.get(1),
        owner_epoch: row.get(2),
    })
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
