"""From a redirect to a count: queue, spool, Kafka, rollup. Nothing may be lost or counted twice."""

from panels import OURS, bars, p, quantile, quantiles, rate, stat

TITLE = "Kafka and clicks"
LINKS = [("Business", "business"), ("Shards", "shards")]

ROWS = [
    ("Is anything lost?", [
        stat("Dropped, last hour", "Clicks that will never be counted. Must be 0; the reason is "
             "below. See ClicksDropped's runbook.", "short",
             f"sum(increase(urlshort_clicks_dropped_total{{{OURS}}}[1h]))", steps=[1, 1000], w=6),
        stat("Open gaps", "Numbers that were given and did not arrive. Goes back to 0 by itself: "
             "they are asked for again. See ClickGapsOpen's runbook.", "short",
             f"sum(urlshort_clicks_gaps_open{{{OURS}}})", steps=[1, 1000], w=6),
        stat("Set aside, last hour", "Records that nobody could read, in dead_events. See "
             "ClicksSetAside's runbook.", "short",
             f"sum(increase(urlshort_clicks_dead_total{{{OURS}}}[1h]))", steps=[1, 100], w=6),
        stat("Stopped partitions", "Must be 0: nobody counts them. See RollupStopped's runbook.",
             "short", f"sum(max by (shard) (urlshort_rollup_stopped_slots{{{OURS}}}))",
             steps=[1, 2], w=6),
        p("Dropped by reason", "queue_full: the disk is too slow; spool_full: the bus was away too "
          "long; spool_error: the disk refuses; stopping: a process that "
          "was killed. ClicksDropped's runbook has the remedy for each.", "cps",
          (rate("urlshort_clicks_dropped_total", "reason"), "{{reason}}"), w=12),
        p("Duplicates dropped", "Copies that came twice and were counted once: normal after a "
          "failure of the bus, or a hand-over. All the time: look at 'Batches not taken' below.",
          "cps",
          (rate("urlshort_clicks_duplicate_total"), "duplicates"),
          (rate("urlshort_clicks_ignored_total"), "of purged or unknown links"),
          (rate("urlshort_clicks_dead_total"), "set aside"), w=12),
    ]),
    ("Where do they wait?", [
        p("Spool size", "Bytes on the disks of app processes; acknowledged clicks stay 10 minutes. "
          "A climb is a bus that is away or too slow: see KafkaDown's runbook.", "bytes",
          (f"sum by (instance) (urlshort_spool_size_bytes{{{OURS}}})", "{{instance}}")),
        p("Spool, share of its limit", "At 100 % clicks are dropped. See SpoolFilling's runbook.",
          "percentunit",
          (f"max by (instance) (urlshort_spool_size_bytes{{{OURS}}} / "
           f"urlshort_spool_limit_bytes{{{OURS}}})", "{{instance}}"), max=1, steps=[0.5, 0.9]),
        p("Oldest click in a spool", "Seconds below 1. A line that climbs at 1 s/s: nothing is "
          "shipped. See SpoolNotShipped's runbook.", "s",
          (f"max by (instance) (urlshort_spool_oldest_seconds{{{OURS}}})", "{{instance}}"),
          steps=[60, 300]),
        p("Lag", "Records in Kafka that wait to be counted. Growing: more analytics processes, "
          "up to 64, or look at the shard that is slow. See RollupLagGrowing's runbook.", "short",
          ("urlshort:rollup:lag_records", "all partitions"), w=12),
        bars("Lag by partition", "One that leads: a hot link; those of one shard: it is away or "
             "slow, see 'Shards'.", "short",
             (f"topk(10, max by (slot) (urlshort_rollup_lag_records{{{OURS}}}))",
              "partition {{slot}}"), w=12),
    ]),
    ("How long does it take?", [
        p("End to end", "From the click to its count, the oldest of each batch. Objective: 99 % "
          "within 60 s. Above: look at spool and lag, which of them holds the clicks.",
          "s", *quantiles("urlshort_clicks_end_to_end_delay_seconds"), w=12,
          log=True, steps=[60]),
        p("Through the pipeline", "The lines lie on each other where nothing waits. A gap after "
          "'spooled' is the bus, after 'shipped' the rollup.: see KafkaDown's or "
          "RollupLagGrowing's runbook.", "cps",
          (rate("urlshort_clicks_spooled_total"), "spooled"),
          (rate("urlshort_clicks_shipped_total"), "shipped"),
          (rate("urlshort_rollup_clicks_total"), "counted"), w=12),
    ]),
    ("Is the bus well?", [
        p("Reached", "1: clicks can be shipped. See KafkaDown's runbook.", "short",
          (f"min by (instance) (urlshort_kafka_up{{{OURS}}})", "{{instance}}"), max=1),
        p("Batches not taken", "unavailable: no answer, sent again; refused: too large or a wrong "
          "time, halved and at last set aside; wrong_topic: not 64 partitions. See KafkaDown's "
          "runbook.", "ops",
          (rate("urlshort_kafka_ship_errors_total", "kind"), "{{kind}}")),
        p("Time to acknowledge", "Of a batch, all copies. Above 1 s: the broker's disk or CPU; "
          "look at Redpanda below and at 'System'.", "s",
          (quantile(0.5, "urlshort_kafka_produce_duration_seconds"), "p50"),
          (quantile(0.99, "urlshort_kafka_produce_duration_seconds"), "p99")),
        p("Redpanda: bytes", "Produced and fetched, as the broker sees it. More fetched than "
          "produced: somebody reads the topic besides us; look who, with rpk group list.", "Bps",
          ('sum by (redpanda_request) (rate(redpanda_kafka_request_bytes_total'
           '{redpanda_topic="urlshort.clicks"}[$__rate_interval]))', "{{redpanda_request}}")),
        p("Redpanda: disk", "Free bytes. When it is short, writes are refused "
          "(RedpandaDiskLow's runbook).", "bytes",
          ("min by (instance) (redpanda_storage_disk_free_bytes)", "{{instance}}")),
        p("Redpanda: under-replicated", "Must be 0 (RedpandaUnderReplicated's runbook).", "short",
          ("sum(redpanda_kafka_under_replicated_replicas)", "replicas")),
    ]),
    ("Is the rollup well?", [
        p("Leases", "Partitions each analytics process counts: 64 in all. Fewer: a shard is away, "
          "or a process just died (20 s): look at 'Shards', then at the analytics' logs.", "short",
          ("sum by (instance) (urlshort_rollup_leases_held)", "{{instance}}"), stack=True),
        p("Time to write a batch", "One transaction on a shard. Above 1 s: see 'PostgreSQL'.", "s",
          (quantile(0.5, "urlshort_rollup_flush_duration_seconds"), "p50"),
          (quantile(0.99, "urlshort_rollup_flush_duration_seconds"), "p99")),
        p("Rows written for each click", "Falls under load, because equal counts are merged before "
          "they are written. Near 13: every click is another "
          "link; then give the shards faster disks, since more processes do not help.", "short",
          (rate("urlshort_rollup_rows_total") + " / clamp_min("
           + rate("urlshort_rollup_clicks_total") + ", 0.001)", "rows a click")),
    ]),
]
