"""A run of `urlshort loadtest`, live, next to the service's own view of the same requests."""

from panels import p, quantile, quantiles, rate, stat

TITLE = "Load test"
LINKS = [("Redirect path", "redirects"), ("System", "system")]
REFRESH = "5s"
SINCE = "now-15m"
RUN = 'job="urlshort-loadtest"'
APP = 'job="urlshort-app"'

ROWS = [
    ("What does the generator see?", [
        p("Rate", "Done against intended. Below the target: the service or the generator is at its "
          "end; dropped starts on the right say which.", "reqps",
          (rate("urlshort_loadtest_requests_total", where=RUN), "done"),
          (f"max(urlshort_loadtest_target_rate{{{RUN}}})", "target")),
        p("Latency from the intended start", "With the time a request waited for its turn: what a "
          "visitor would feel (no coordinated omission). Above the objective: compare with the "
          "service's own view below, to see where the time goes.", "s",
          *quantiles("urlshort_loadtest_latency_seconds", RUN), log=True),
        p("Service time", "From the actual start. Far below the latency: requests queue in the "
          "generator, since the service does not keep up: lower --rate, or add replicas.", "s",
          *quantiles("urlshort_loadtest_service_seconds", RUN), log=True),
        p("By operation and outcome", "Errors are wrong answers too: the target of every redirect "
          "is checked. Look at the report of the run for which.", "reqps",
          (rate("urlshort_loadtest_requests_total", "operation, outcome", RUN),
           "{{operation}} {{outcome}}")),
        p("Late and dropped starts", "Above 0 the figures tell of the generator: fewer requests, "
          "more connections, or another machine."
          " Run it again so.", "ops",
          (rate("urlshort_loadtest_late_starts_total", where=RUN), "late"),
          (rate("urlshort_loadtest_dropped_starts_total", where=RUN), "dropped")),
        stat("Share of errors", "0 in a good run. Otherwise see which operation on the left, and "
             "the errors below.", "percentunit",
             "(" + rate("urlshort_loadtest_requests_total", where=RUN + ',outcome="error"')
             + " or vector(0)) / " + rate("urlshort_loadtest_requests_total", where=RUN),
             steps=[0.0001, 0.01], w=8, h=8),
    ]),
    ("What does the service see?", [
        p("Redirects", "Should equal what the generator did. Less: it does not reach us all; look "
          "at the balancer on 'HTTP'.",
          "reqps", (rate("urlshort_redirects_total", "tier", APP), "{{tier}}"), stack=True),
        p("Latency inside", "The difference to the generator's is network, balancer and queues: if "
          "this one is small and that one large, look there.",
          "s", *quantiles("urlshort_redirect_duration_seconds", APP), log=True),
        p("Errors", "5xx of redirects, and refused by limits. 5xx: see 'Redirect path' for the "
          "tier; 429: the generator must come from a trusted or limitless address.", "reqps",
          (rate("urlshort_redirects_total", where=APP + ',status=~"5.."'), "5xx"),
          (rate("urlshort_http_rate_limited_total", where=APP), "429")),
        p("CPU", "Of the app processes. Cores used over cores given is the head "
          "room. None left: add replicas or cores.", "short",
          (rate("process_cpu_seconds_total", "instance", APP), "{{instance}}")),
        p("Clicks on their way", "What the run leaves behind must be counted soon after. A lag "
          "that stays: RollupLagGrowing's runbook.", "short",
          ("urlshort:rollup:lag_records", "lag"),
          (f"sum(urlshort_clicks_gaps_open{{{APP}}})", "gaps")),
        p("Query time, p99", "Rises first where shards are the limit: then give caches more "
          "memory, or the shards.", "s",
          (quantile(0.99, "urlshort_shard_query_duration_seconds", "shard", APP),
           "shard {{shard}}")),
    ]),
]
