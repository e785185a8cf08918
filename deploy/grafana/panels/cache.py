"""How well the caches answer, what they hold, and how soon they learn of changes."""

from panels import OURS, SHARD, p, quantile, quantiles, rate, stat

TITLE = "Cache"
LINKS = [("Redirect path", "redirects"), ("Redis", "redis")]


def ratio(tier):
    """Hits of a tier over its questions."""
    where = OURS + f',tier="{tier}"'
    hits = rate("urlshort_cache_requests_total", where=where + ',result=~"hit|stale"')
    return f'{hits} / {rate("urlshort_cache_requests_total", where=where)}'


NEAR = (rate("urlshort_redirects_total", where=OURS + ',tier="near"') + " / "
        + rate("urlshort_redirects_total"))

ROWS = [
    ("Do they hit?", [
        stat("Near hit ratio", "Redirects answered without leaving the process. Below 90 %: too "
             "small (evictions below: raise URLSHORT__CACHE__NEAR_BYTES), cold (`urlshort "
             "warmup`), or every visit is another link.", "percentunit", NEAR,
             steps=[0.8, 0.95], low_is_bad=True, w=6),
        stat("Far hit ratio", "Near misses that Redis answered. Low right after a flush or with "
             "many new links; low for long: Redis evicts, see 'Redis'.", "percentunit",
             ratio("far"), steps=[0.3, 0.7], low_is_bad=True, w=6),
        stat("Far errors", "Questions that Redis did not answer within 20 ms. Above 0: see "
             "RedisDown's runbook.", "reqps",
             rate("urlshort_cache_requests_total", where=OURS + ',tier="far",result="error"'),
             steps=[0.1, 10], w=6),
        stat("Memory used of the limit", "Near caches. At 100 % something is evicted for each new "
             "entry, which is fine while the hit ratio is; else raise URLSHORT__CACHE__NEAR_BYTES.",
             "percentunit",
             f"sum(urlshort_cache_size_bytes{{{OURS}}}) / sum(urlshort_cache_limit_bytes{{{OURS}}})",
             w=6),
        p("Questions by tier and result", "far/miss are questions to shards. A step in far/miss "
          "without one in traffic is a flushed or restarted Redis: "
          "it fills by itself; see 'Redis' for why.", "reqps",
          (rate("urlshort_cache_requests_total", "tier, result"), "{{tier}} {{result}}"), w=24),
    ]),
    ("What do they hold?", [
        p("Entries of the near cache", "Links in memory, per process, about 300 bytes each. Far "
          "apart between processes: one has just started; warm it.", "short",
          (f"sum by (instance) (urlshort_cache_entries{{{OURS}}})", "{{instance}}")),
        p("Size of the near cache", "Raise URLSHORT__CACHE__NEAR_BYTES where it stands at its "
          "limit and the hit ratio is low.", "bytes",
          (f"sum by (instance) (urlshort_cache_size_bytes{{{OURS}}})", "{{instance}}"),
          (f"max(urlshort_cache_limit_bytes{{{OURS}}})", "limit")),
        p("Evictions", "Links pushed out by others. Many with a low hit ratio: the cache is too "
          "small for the links in use: raise URLSHORT__CACHE__NEAR_BYTES.", "ops",
          (rate("urlshort_cache_evictions_total", "instance"), "{{instance}}")),
    ]),
    ("How soon do they learn of changes?", [
        p("Invalidation delay", "From another process's commit until this cache knew. Bound: 250 "
          "ms while the feed is read. Above it: see 'Shards' for a slow one, "
          "'System' for an overloaded process.", "s",
          *quantiles("urlshort_feed_delay_seconds"), w=12),
        p("Age of the feed", "Since a shard's changes were last read: below 0.3 s. From 2 s on, "
          "entries of that shard are asked for again, which is right and slower: see FeedSilent's "
          "runbook.", "s",
          (f"max by (instance, shard) (urlshort_feed_age_seconds{{{SHARD}}})",
           "{{instance}} shard {{shard}}"), w=12, steps=[2]),
        p("Changes read", "Edits, deletions and verdicts by all processes. A flood empties caches: "
          "look for a bulk job.", "ops",
          (rate("urlshort_feed_changes_total", "instance"), "{{instance}}"), w=12),
        p("Redis commands", "What takes longer than 20 ms is given up, and the shard is asked. p99 "
          "near it: see 'Redis', CPU and network.", "s",
          (quantile(0.5, "urlshort_redis_command_duration_seconds"), "p50"),
          (quantile(0.99, "urlshort_redis_command_duration_seconds"), "p99"), w=12),
    ]),
]
