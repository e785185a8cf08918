"""Where each redirect was answered: near cache, far cache, owner, stale, or nowhere."""

from panels import OURS, p, quantile, rate, stat

TITLE = "Redirect path"
LINKS = [("Cache", "cache"), ("Shards", "shards")]
SLOW = OURS + ',le="0.01"'

ROWS = [
    ("Where is it answered?", [
        p("By tier", "near: this process; far: Redis; owner: a shard; stale: a cache, because the "
          "shard was away; none: nobody made the code, or no answer. 'stale' above 0 means that a "
          "shard is down: see ShardDown's runbook.", "reqps",
          (rate("urlshort_redirects_total", "tier"), "{{tier}}"), w=12, stack=True),
        p("Share of each tier", "near should hold 95 % and more. If it falls with traffic rising, "
          "raise URLSHORT__CACHE__NEAR_BYTES; after a start it recovers by itself (warm_on_start).",
          "percentunit",
          (f'sum by (tier) (rate(urlshort_redirects_total{{{OURS}}}[$__rate_interval])) / ignoring '
           f'(tier) group_left sum(rate(urlshort_redirects_total{{{OURS}}}[$__rate_interval]))',
           "{{tier}}"), w=12, max=1),
    ]),
    ("With which answer?", [
        p("By status", "404 unknown, 410 deleted or expired, 429 the brake on guessing, 503 no "
          "answer in time. Only 5xx count against the objective: see "
          "on the right which tier has them.", "reqps",
          (rate("urlshort_redirects_total", "status"), "{{status}}"), w=12),
        p("Status by tier, errors only", "503 of tier none: the shard is away and no cache had the "
          "link. See ShardDown's runbook.", "reqps",
          ('sum by (tier, status) (rate(urlshort_redirects_total{' + OURS
           + ',status=~"5.."}[$__rate_interval]))', "{{tier}} {{status}}"), w=12),
    ]),
    ("How fast?", [
        p("p99 by tier", "near: tens of microseconds; far: a round trip to Redis; owner: a query. "
          "If near itself is slow, the machine is overloaded: see 'System'.", "s",
          (quantile(0.99, "urlshort_redirect_duration_seconds", "tier"), "{{tier}}"), w=12, log=True),
        p("p50 by tier", "The floor of each tier. If far rises, Redis or the network to it is "
          "slow: see 'Redis'.", "s",
          (quantile(0.5, "urlshort_redirect_duration_seconds", "tier"), "{{tier}}"), w=12, log=True),
        stat("Within 10 ms", "The objective is 99 %. Below: see above which tier is slow; near is "
             "CPU, far is Redis, owner a shard.", "percentunit",
             f'sum(rate(urlshort_redirect_duration_seconds_bucket{{{SLOW}}}[$__rate_interval])) / '
             + rate("urlshort_redirect_duration_seconds_count"), steps=[0.99, 0.995],
             low_is_bad=True, w=8, h=6),
        stat("Mean", "Mostly the near tier; for outliers see p99. If the mean itself climbs, the "
             "machine is overloaded: see 'System'.", "s",
             rate("urlshort_redirect_duration_seconds_sum") + " / "
             + rate("urlshort_redirect_duration_seconds_count"), w=8, h=6),
        stat("Redirects", "All answers to visitors a second. A fall to nothing: tunnel or "
             "balancer; compare with 'HTTP', what the balancer sees.", "reqps",
             rate("urlshort_redirects_total"), w=8, h=6),
    ]),
    ("What protects the shards?", [
        p("Single flight", "Requests that waited for another one's look-up of the same code, "
          "instead of asking again. Peaks when a hot link's entry goes: that is the protection "
          "working. All the time: look at 'Cache', entries are evicted too early.",
          "reqps", (rate("urlshort_redirect_shared_loads_total"), "shared")),
        p("Null hits", "Unknown codes answered from memory: 'unknown' in the process. A steady "
          "wave is a scan; it costs the shards nothing. To slow it down, lower "
          "URLSHORT__LIMITS__MISSES_PER_MINUTE.", "reqps",
          (rate("urlshort_cache_requests_total", where=OURS + ',tier="unknown",result="hit"'),
           "near"), (rate("urlshort_redirects_total", where=OURS + ',status="404"'), "all 404")),
        p("Refused guesses", "429 for clients that miss too often. If real people meet it, raise "
          "URLSHORT__LIMITS__MISSES_PER_MINUTE or check that the proxy is in "
          "URLSHORT__HTTP__TRUSTED_PROXIES.", "reqps",
          (rate("urlshort_http_rate_limited_total", where=OURS + ',what="miss"'), "refused")),
    ]),
]
