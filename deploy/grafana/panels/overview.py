"""Whether the service keeps its three promises, and what to look at if it does not."""

from panels import OURS, SHARD, bars, p, quantiles, rate, stat

TITLE = "Overview"
LINKS = [("Redirect path", "redirects"), ("Clicks", "clicks"), ("Shards", "shards")]

ROWS = [
    ("Are the objectives kept?", [
        stat("Redirects answered, 3 days",
             "Objective: 99.95 %. Below it, look at RedirectErrorsBurnFast's runbook: which status "
             "(HTTP), which tier (redirect path), which shard.",
             "percentunit", "1 - urlshort:redirects:error_ratio_rate3d",
             steps=[0.9995, 0.9999], low_is_bad=True, decimals=3, w=6),
        stat("Redirects within 10 ms, 3 days",
             "Objective: 99 %. Below it, see on 'Redirect path' how many requests miss the near "
             "cache, and on 'Shards' how long queries take.",
             "percentunit", "1 - urlshort:redirects:slow_ratio_rate3d",
             steps=[0.99, 0.995], low_is_bad=True, decimals=3, w=6),
        stat("Clicks counted within 60 s, 3 days",
             "Objective: 99 %. Below it, see on 'Kafka and clicks' where they wait: spool (the bus "
          "is away) or lag (too few analytics processes, or a slow shard).",
             "percentunit", "1 - urlshort:clicks:late_ratio_rate3d",
             steps=[0.99, 0.995], low_is_bad=True, decimals=3, w=6),
        stat("Alerts firing",
             "Anything above 0 has a runbook: deploy/runbooks/<name of the alert>.md. The list is "
             "in Alertmanager.",
             "short", 'sum(ALERTS{alertstate="firing", severity=~"page|ticket"}) or vector(0)',
             steps=[1, 3], w=6),
        p("Burn rate of the error budget",
          "1 spends exactly the budget of 30 days; above 14.4 for an hour somebody is called. Look "
          "for the deploy, fault or flood at the beginning of the slope.",
          "short",
          ("urlshort:redirects:error_ratio_rate1h / 0.0005", "errors"),
          ("urlshort:redirects:slow_ratio_rate1h / 0.01", "latency"),
          ("urlshort:clicks:late_ratio_rate1h / 0.01", "freshness"), w=12, steps=[1, 14.4]),
        p("Latency of redirects",
          "Time inside the process, without the network. If p50 rises, machines are overloaded "
          "('System'); if only p99 does, look for misses and slow queries.",
          "s", *quantiles("urlshort_redirect_duration_seconds"), w=12, log=True),
    ]),
    ("What happens right now?", [
        p("Redirects by status",
          "302 and its like are good, 404 are unknown codes. A wave of 404 is somebody guessing "
          "(they get 429), 503 is a shard without a cached answer: see 'Shards'.",
          "reqps", (rate("urlshort_redirects_total", "status"), "{{status}}"), stack=True),
        p("Where redirects are answered",
          "'near' should be nearly all. If 'owner' grows, caches are cold or too small: see "
          "'Cache'.",
          "reqps", (rate("urlshort_redirects_total", "tier"), "{{tier}}"), stack=True),
        p("Clicks: taken, shipped, counted",
          "The three lines lie on each other. A gap between the first two is the bus, between the "
          "last two the rollup. Dropped must be 0. See 'Kafka and clicks'.",
          "cps",
          (rate("urlshort_clicks_spooled_total"), "into the spool"),
          (rate("urlshort_clicks_shipped_total"), "shipped"),
          ('sum(rate(urlshort_clicks_counted_total[$__rate_interval]))', "counted"),
          (rate("urlshort_clicks_dropped_total"), "dropped")),
    ]),
    ("Is everything there?", [
        stat("App processes ready", "As many as you run. Fewer: `docker compose ps app`, then its "
             "logs; `urlshort diagnose --url` names the reason.",
             "short", 'sum(urlshort_ready{job="urlshort-app"}) or vector(0)',
             steps=[1, 2], low_is_bad=True),
        stat("Shards up", "As many as you configured. See ShardDown's runbook.", "short",
             f'sum(max by (shard) (urlshort_shard_up{{{SHARD}}}))'),
        stat("Redis reached by", "Processes that reach Redis. Without it redirects go on, each "
             "miss asks a shard. See RedisDown's runbook.", "short",
             f"sum(urlshort_redis_up{{{OURS}}})"),
        stat("Kafka reached by", "Processes that can ship clicks. Without it they wait in the "
             "spool. See KafkaDown's runbook.", "short", f"sum(urlshort_kafka_up{{{OURS}}})"),
        stat("Slots without owner", "Must be 0: links of such a slot are 503. See "
             "SlotMapMismatch's runbook.", "short",
             f"max(urlshort_slots_without_owner{{{OURS}}})", steps=[1, 2]),
        stat("Scrape targets down", "Targets that Prometheus cannot reach; its page /targets says "
             "which and why. See TargetDown's runbook.", "short",
             "count(up == 0) or vector(0)", steps=[1, 3]),
        bars("Versions running", "During a deploy two versions are normal. Afterwards one: a "
             "process that was left behind still has the old image: deploy its service too.",
             "short",
             (f"sum by (version, revision) (urlshort_build_info{{{OURS}}})",
              "{{version}} {{revision}}"), w=12, h=6),
        p("Requests in flight", "A level that climbs without more traffic means that something "
          "behind waits: look at pool waits on 'Shards'.", "short",
          (f"sum by (instance) (urlshort_http_requests_in_flight{{{OURS}}})", "{{instance}}"),
          w=12, h=6),
    ]),
]
