"""The shards as our processes see them: connections, query times, and how evenly slots are used."""

from panels import OURS, SHARD, bars, p, quantile, rate, stat

TITLE = "Shards"
LINKS = [("PostgreSQL", "postgresql"), ("Redirect path", "redirects")]

ROWS = [
    ("Are they there?", [
        p("Up, by process", "1: the shard answers this process. 0 at one process: network or "
          "connections; 0 at all: ShardDown's runbook.", "short",
          (f"min by (shard, instance) (urlshort_shard_up{{{SHARD}}})",
           "shard {{shard}} from {{instance}}"), max=1),
        p("Errors", "unavailable: no answer in time; not_owner: the slot moved, asked again by "
          "itself; corrupt: somebody must look at the log."
          " (`docker compose logs app`).", "ops",
          (rate("urlshort_shard_errors_total", "shard, kind", SHARD), "shard {{shard}} {{kind}}")),
        p("Contradicts the cluster", "1: this shard takes no part, because it is empty, a copy or "
          "of another cluster. `urlshort diagnose` says which. See SlotMapMismatch's runbook.",
          "short",
          (f"max by (shard) (urlshort_shard_refused{{{SHARD}}})", "shard {{shard}}"), max=1),
    ]),
    ("Are there enough connections?", [
        p("Pool use", "In use over allowed. At 100 % for long: the shard is slow (query time), or "
          "more app processes are needed; see PoolSaturated's runbook.", "percentunit",
          (f"max by (shard, instance) (urlshort_shard_pool_in_use_connections{{{SHARD}}} / "
           f"urlshort_shard_pool_limit_connections{{{SHARD}}})", "shard {{shard}} {{instance}}"),
          max=1, steps=[0.9]),
        p("Waiting for a connection", "Requests in the queue. Above 64 more are turned away at "
          "once, so that one slow shard cannot take the others along."
          " See PoolSaturated's runbook.", "short",
          (f"sum by (shard) (urlshort_shard_pool_waiting_requests{{{SHARD}}})", "shard {{shard}}")),
        p("Wait, p99", "Until a connection was free. Above a few milliseconds the pool is too "
          "small or the queries are too slow.: see the query time below, then PoolSaturated's "
          "runbook.", "s",
          (quantile(0.99, "urlshort_shard_pool_wait_seconds", "shard", SHARD), "shard {{shard}}")),
        p("Connections open", "Over all processes. Times replicas must stay below the server's "
          "max_connections."
          ": else raise POSTGRES_MAX_CONNECTIONS.", "short",
          (f"sum by (shard) (urlshort_shard_pool_size_connections{{{SHARD}}})", "shard {{shard}}"),
          w=24, h=6),
    ]),
    ("How long do queries take?", [
        p("p99 by shard", "One shard slower than the others: its disk, a lock, autovacuum; see "
          "'PostgreSQL' of that shard.", "s",
          (quantile(0.99, "urlshort_shard_query_duration_seconds", "shard", SHARD),
           "shard {{shard}}"), w=12),
        p("p99 by operation", "route is the redirect's; insert and insert_many are creations. All "
          "slow: the server; one slow: its plan (EXPLAIN)."
          " in the log of the server, see 'PostgreSQL'.", "s",
          (quantile(0.99, "urlshort_shard_query_duration_seconds", "op", SHARD), "{{op}}"), w=12),
        p("Queries", "By shard. The same for all where slots have equal weight; a leader holds a "
          "hot link that no cache keeps."
          ": see 'Cache'.", "ops",
          (rate("urlshort_shard_query_duration_seconds_count", "shard", SHARD), "shard {{shard}}"),
          w=12),
        p("Queries by operation", "What the shards are asked for. 'route' that grows: caches miss, "
          "see 'Cache'; 'insert': a bulk job.", "ops",
          (rate("urlshort_shard_query_duration_seconds_count", "op", SHARD), "{{op}}"), w=12),
    ]),
    ("Are slots and shards evenly used?", [
        bars("Links by shard", "Estimated by the databases. In proportion to the weights; slots "
             "are spread by hash. Otherwise: compare with slots by shard.",
             "short", ('urlshort:shard:links{shard=~"$shard"}',
                                          "shard {{shard}}")),
        bars("Requests by shard, 5 min", "By the slot of the code, whoever answered. A hot link "
             "shows here and is harmless while caches answer it."
          ": look at the near hit ratio on 'Cache'.", "reqps",
             ('urlshort:shard:requests_rate5m{shard=~"$shard"}', "shard {{shard}}")),
        bars("Slots by shard", "64 in all, in proportion to the weights. A sum below 64: slots "
             "without an owner."
          ", see SlotMapMismatch's runbook.", "short",
             (f"sum by (shard) (max by (slot, shard) (urlshort_slot_owner{{{SHARD}}}))",
              "shard {{shard}}")),
        stat("Skew of links", "Largest shard over the mean. Above 1.3 with equal weights: see "
             "'Largest slots' below; the weights of a cluster are those of its first start.",
             "short", "max(urlshort:shard:links) / "
          "avg(urlshort:shard:links)",
             decimals=2, steps=[1.3, 2], w=6),
        stat("Skew of requests", "Busiest shard over the mean. High with a low near hit ratio: "
             "give caches more memory before you move slots.", "short",
             "max(urlshort:shard:requests_rate5m) / avg(urlshort:shard:requests_rate5m)",
             decimals=2, steps=[1.5, 3], w=6),
        stat("Slots without owner", "Must be 0. See SlotMapMismatch's runbook.", "short",
             f"max(urlshort_slots_without_owner{{{OURS}}})", steps=[1, 2], w=6),
        stat("Map epochs in use", "Must be 1: all processes go by the same map. See "
             "SlotMapMismatch's runbook.", "short",
             f"count(count_values(\"epoch\", urlshort_slot_map_epoch{{{OURS}}}))", steps=[2, 3], w=6),
        bars("Busiest slots", "A slot that leads by far holds a very popular link; see 'Business'.",
             "reqps", ("topk(10, " + rate("urlshort_slot_requests_total", "slot") + ")",
                       "slot {{slot}}"), w=12),
        bars("Largest slots", "Estimated rows, even within the randomness of a hash. One that "
             "leads by far: custom codes made to collide; look at who made them.", "short",
             (f"topk(10, max by (shard, slot) (urlshort_slot_links{{{SHARD}}}))",
              "slot {{slot}} on shard {{shard}}"), w=12),
    ]),
]
