"""The PostgreSQL servers from within, by their exporters."""

from panels import p, stat

TITLE = "PostgreSQL"
LINKS = [("Shards", "shards"), ("System", "system")]
PG = 'job="postgres",shard=~"$shard"'
# The database of the links: templates and the maintenance database tell nothing.
DB = PG + ',datname!~"template.*|postgres"'


def dbrate(metric):
    """A counter of pg_stat_database, by shard."""
    return (f"sum by (shard) (rate(pg_stat_database_{metric}{{{PG}}}[$__rate_interval]))",
            "shard {{shard}}")


ROWS = [
    ("Are they there, and with room?", [
        p("Up", "0: the exporter does not reach its server. See PostgresDown's runbook.", "short",
          (f"min by (shard) (pg_up{{{PG}}})", "shard {{shard}}"), max=1),
        p("Connections", "By state. 'idle in transaction' for long holds locks; ours are ended "
          "by the server after 2 s."
          " Look who it is in pg_stat_activity, and end it.", "short",
          (f"sum by (shard, state) (pg_stat_activity_count{{{PG}}})", "shard {{shard}} {{state}}")),
        p("Connections used", "Of max_connections. Above 80 %: fewer replicas, a pooler, or raise "
          "max_connections. See PostgresConnectionsHigh's runbook.", "percentunit",
          (f"sum by (shard) (pg_stat_activity_count{{{PG}}}) / max by (shard) "
           f"(pg_settings_max_connections{{{PG}}})", "shard {{shard}}"), max=1, steps=[0.8]),
    ]),
    ("What do they do?", [
        p("Commits", "Creations, edits, rollups, signs of life. A step up without traffic: a job."
          " Look for it in pg_stat_activity.",
          "ops", dbrate("xact_commit")),
        p("Rollbacks", "Taken codes, lost races and errors. A steady rate above 5 % of the commits "
          "deserves a look at the server's log.", "ops", dbrate("xact_rollback")),
        p("Deadlocks", "Must be 0: rows are locked in order. Otherwise report it, with the "
          "server's log.", "ops", dbrate("deadlocks")),
        p("Rows read", "fetched through an index, returned by scans too. Far more returned than "
          "fetched: a scan; see in pg_stat_user_tables of which table.", "ops",
          dbrate("tup_fetched"), dbrate("tup_returned")),
        p("Rows written", "Inserted, updated, deleted. Updates are mostly counts of clicks."
          " Deletes in masses: look for a job, a backup or purge.", "ops",
          (dbrate("tup_inserted")[0], "inserted {{shard}}"),
          (dbrate("tup_updated")[0], "updated {{shard}}"),
          (dbrate("tup_deleted")[0], "deleted {{shard}}")),
        p("Locks", "By mode. Exclusive ones that stay: a migration, or an open session in psql."
          " Look for it in pg_stat_activity, and end it.",
          "short", (f"sum by (shard, mode) (pg_locks_count{{{PG}}})", "{{shard}} {{mode}}")),
    ]),
    ("Do they fit in memory and on disk?", [
        p("Buffer hit ratio", "Below 99 %: raise shared_buffers (deploy/README.md, tuning), or the "
          "working set has grown beyond memory.", "percentunit",
          (f"sum by (shard) (rate(pg_stat_database_blks_hit{{{PG}}}[$__rate_interval])) / "
           f"(sum by (shard) (rate(pg_stat_database_blks_hit{{{PG}}}[$__rate_interval])) + "
           f"sum by (shard) (rate(pg_stat_database_blks_read{{{PG}}}[$__rate_interval])))",
           "shard {{shard}}"), max=1),
        p("Database size", "Growth is links and counts. Compare with the disk on 'System'.",
          "bytes",
          (f"sum by (shard) (pg_database_size_bytes{{{PG}}})", "shard {{shard}}")),
        p("Temporary files", "Queries that spill to disk. Statistics over long ranges may; else "
          "raise work_mem.", "Bps", dbrate("temp_bytes")),
        p("Longest transaction", "Long ones keep dead rows alive and delay the feed. Ours end "
          "after 2 s; look for a session by hand.", "s",
          (f"max by (shard) (pg_stat_activity_max_tx_duration{{{PG}}})", "shard {{shard}}"), w=12),
        stat("shared_buffers", "A quarter of the memory of the container is a good start. Raise it "
          "(POSTGRES_SHARED_BUFFERS) while the buffer hit ratio is below 99 %.", "bytes",
             (f"max by (shard) (pg_settings_shared_buffers_bytes{{{PG}}})", "shard {{shard}}"),
             w=12, h=8),
    ]),
]
