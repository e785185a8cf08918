"""Redis, the far cache: it may be lost at any time, and should rarely be."""

from panels import OURS, bars, p, quantile, rate, stat

TITLE = "Redis"
LINKS = [("Cache", "cache")]
R = 'job="redis"'

ROWS = [
    ("Is it there?", [
        stat("Up", "0: the exporter does not reach it. See RedisDown's runbook.", "short",
             f"min(redis_up{{{R}}})", steps=[0.5, 1], low_is_bad=True, w=6),
        stat("Processes that reach it", "Should be all app processes. Fewer: the network of those "
             "that miss; see RedisDown's runbook.", "short",
             f"sum(urlshort_redis_up{{{OURS}}})", w=6),
        stat("Uptime", "A short one means a restart, and a cache that was cold. Often: memory "
             "limit below maxmemory, see `docker inspect` for OOMKilled.", "s",
             f"min(redis_uptime_in_seconds{{{R}}})", w=6),
        stat("Clients", "Two connections a process, and the exporter. Many more: somebody else "
             "uses this Redis, and evicts our links.: look who, with `redis-cli client list`, and "
             "give it its own.", "short",
             f"sum(redis_connected_clients{{{R}}})", w=6),
        p("Errors our processes saw", "timeout: slower than 20 ms; connection: gone; full: too "
          "many commands wait. Redirects go on without it. See RedisDown's runbook.", "ops",
          (rate("urlshort_redis_errors_total", "kind"), "{{kind}}"), w=12),
        p("Command time as our processes see it", "p99 below 5 ms in one data centre. Above: a "
          "slow network, a busy CPU, or a long command of somebody else.: see below, or `redis-cli "
          "--latency`.", "s",
          (quantile(0.5, "urlshort_redis_command_duration_seconds"), "p50"),
          (quantile(0.99, "urlshort_redis_command_duration_seconds"), "p99"), w=12),
    ]),
    ("What does it hold?", [
        p("Memory", "At maxmemory it evicts the least used, as it should (allkeys-lfu). Raise it "
          "where evictions are many and the far hit ratio is low.", "bytes",
          (f"sum(redis_memory_used_bytes{{{R}}})", "used"),
          (f"sum(redis_memory_max_bytes{{{R}}})", "maxmemory")),
        p("Keys", "Links and remembered unknown codes; the latter live 5 s. A fall to 0 is a flush "
          "or a restart: it fills by itself. Often: see its uptime above, and its log.", "short",
          (f"sum by (db) (redis_db_keys{{{R}}})", "{{db}}")),
        p("Evicted and expired", "Evicted: pushed out; expired: 24 h are over, or 5 s for an "
          "unknown code."
          " Many evicted with a low far hit ratio: raise REDIS_MAXMEMORY.", "ops",
          (f"sum(rate(redis_evicted_keys_total{{{R}}}[$__rate_interval]))", "evicted"),
          (f"sum(rate(redis_expired_keys_total{{{R}}}[$__rate_interval]))", "expired")),
    ]),
    ("What does it do?", [
        p("Commands", "Reads are near misses; a write follows each answer of a shard."
          " A step without one in traffic: look at the near hit ratio on 'Cache'.", "ops",
          (f"sum(rate(redis_commands_processed_total{{{R}}}[$__rate_interval]))", "commands")),
        p("Hits and misses", "Its own view, over everything that uses it. Misses that rise with "
          "evictions: raise REDIS_MAXMEMORY.", "ops",
          (f"sum(rate(redis_keyspace_hits_total{{{R}}}[$__rate_interval]))", "hits"),
          (f"sum(rate(redis_keyspace_misses_total{{{R}}}[$__rate_interval]))", "misses")),
        bars("Commands by kind", "evalsha are our writes, mget our reads. Anything else is somebody "
             "else."
          ": look who, with `redis-cli client list`.", "ops",
             (f"topk(10, sum by (cmd) (rate(redis_commands_total{{{R}}}[$__rate_interval])))",
              "{{cmd}}")),
        p("Network", "In and out. Close to the interface's limit, reads run into their 20 ms."
          ": use Redis Cluster, or larger near caches.", "Bps",
          (f"sum(rate(redis_net_input_bytes_total{{{R}}}[$__rate_interval]))", "in"),
          (f"sum(rate(redis_net_output_bytes_total{{{R}}}[$__rate_interval]))", "out"), w=12),
        p("CPU", "It has one thread for commands: at 1 it is saturated. Then use Redis Cluster "
          "(deploy/README.md).", "percentunit",
          (f"sum(rate(redis_cpu_sys_seconds_total{{{R}}}[$__rate_interval]))", "system"),
          (f"sum(rate(redis_cpu_user_seconds_total{{{R}}}[$__rate_interval]))", "user"), w=12),
    ]),
]
