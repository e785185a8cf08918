//! How a server is.

use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::postgres::Class;
use crate::store::postgres::PostgresShard;
use crate::store::postgres::lease::Lent;
use crate::store::postgres::pipeline::slot;
use crate::store::vitals::Host;
use crate::store::vitals::PartitionSeen;
use crate::store::vitals::ProducerHeld;
use crate::store::vitals::Vitals;

impl PostgresShard {
    /// See [`Shard::slot_links`](crate::store::shard::Shard::slot_links).
    ///
    /// The planner's statistics know the share of each slot, so that no row is read; slots too small
    /// to stand there share the rest. Nothing before the first `ANALYZE`, which autovacuum does.
    ///
    /// # Errors
    /// An outage.
    pub async fn slot_links(&self) -> Result<Vec<(Slot, i64)>, StoreError> {
        let sql = "WITH known AS (SELECT v.slot, v.share FROM pg_stats s, unnest( \
                     s.most_common_vals::text::smallint[], s.most_common_freqs) v(slot, share) \
                     WHERE s.schemaname = 'urlshort' AND s.tablename = 'links' \
                     AND s.attname = 'slot'), \
                   mine AS (SELECT o.slot, k.share FROM slot_owner o LEFT JOIN known k USING (slot) \
                     WHERE o.state = 'active'), \
                   rest AS (SELECT greatest(1 - coalesce(sum(share), 0), 0) \
                     / nullif(count(*) FILTER (WHERE share IS NULL), 0) AS share FROM mine) \
                   SELECT m.slot, round(c.reltuples * coalesce(m.share, r.share))::bigint \
                   FROM mine m, rest r, pg_class c \
                   WHERE c.oid = 'urlshort.links'::regclass AND c.reltuples > 0";
        let rows = self.lend(Class::Report).await?.query(sql, &[]).await?;
        let known = rows
            .iter()
            .filter_map(|row| Some((slot(row.get(0))?, row.get(1))));
        Ok(known.collect())
    }

    /// See [`Shard::vitals`](crate::store::shard::Shard::vitals).
    ///
    /// # Errors
    /// An outage.
    pub async fn vitals(&self) -> Result<Vitals, StoreError> {
        let lent = Lent::probe(self).await?;
        let sql = "SELECT p.slot, p.next_offset, \
                   CASE WHEN p.expires > now_us() THEN p.owner END, p.stopped \
                   FROM progress p JOIN slot_owner o USING (slot) WHERE o.state = 'active'";
        let partitions = lent.query(sql, &[]).await?;
        let partitions = partitions.iter().filter_map(|row| {
            Some(PartitionSeen {
                slot: slot(row.get(0))?,
                next_offset: row.get(1),
                holder: row.get(2),
                stopped: row.get(3),
            })
        });
        let sql = "SELECT id, host, seen_at, oldest_unshipped_at FROM producers \
                   WHERE closed_at IS NULL";
        let producers = lent.query(sql, &[]).await?;
        let producers = producers.iter().map(|row| ProducerHeld {
            id: row.get::<_, Uuid>(0).to_string(),
            host: row.get(1),
            seen_at: Timestamp::from_micros(row.get(2)),
            held_since: row.get::<_, Option<i64>>(3).map(Timestamp::from_micros),
        });
        let (partitions, producers) = (partitions.collect(), producers.collect());
        let sql = "SELECT (SELECT max(at) FROM link_changes), (SELECT count(*) FROM dead_events), \
                   pg_database_size(current_database()), \
                   (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
                   current_setting('max_connections')::bigint, pg_is_in_recovery(), \
                   current_setting('transaction_read_only') = 'on'";
        let row = lent.one(sql, &[]).await?;
        // Who may not see another's replicas sees rows without figures.
        let sql = "SELECT coalesce(nullif(application_name, ''), client_addr::text, 'replica'), \
                   extract(epoch FROM replay_lag)::float8 FROM pg_stat_replication";
        let replicas = lent.query(sql, &[]).await?;
        Ok(Vitals {
            partitions,
            producers,
            newest_change: row.get::<_, Option<i64>>(0).map(Timestamp::from_micros),
            dead_events: row.get(1),
            host: Host::Server {
                bytes: row.get(2),
                connections: row.get(3),
                max_connections: row.get(4),
                is_standby: row.get(5),
                is_read_only: row.get(6),
                replicas: replicas
                    .iter()
                    .map(|row| (row.get(0), row.get(1)))
                    .collect(),
            },
        })
    }
}
