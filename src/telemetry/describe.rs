//! Every metric of the recorder: its name in full, so that source, dashboards and alerts grep
//! alike, its kind and its help. The redirects' own are in `stripes`, the process's in `process`.

use metrics::describe_counter;
use metrics::describe_gauge;
use metrics::describe_histogram;

/// One metric.
pub(super) struct Metric {
    /// `urlshort_<subsystem>_<what>_<unit>[_total]`.
    pub(super) name: &'static str,
    kind: Kind,
    help: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        help,
    }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        help,
    }
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram,
        help,
    }
}

pub(super) const HTTP_REQUESTS: Metric = counter(
    "urlshort_http_requests_total",
    "Answers by route, method and status; redirects are counted by urlshort_redirects_total alone.",
);
pub(super) const HTTP_DURATION: Metric = histogram(
    "urlshort_http_request_duration_seconds",
    "Time from request to answer.",
);
pub(super) const HTTP_IN_FLIGHT: Metric = gauge(
    "urlshort_http_requests_in_flight",
    "Requests that wait for their answer.",
);
pub(super) const RATE_LIMITED: Metric = counter(
    "urlshort_http_rate_limited_total",
    "Requests refused because the client sent too many.",
);
pub(super) const CACHE_REQUESTS: Metric = counter(
    "urlshort_cache_requests_total",
    "Questions to a cache and what they brought.",
);
pub(super) const CACHE_ENTRIES: Metric =
    gauge("urlshort_cache_entries", "Links in the near cache.");
pub(super) const CACHE_BYTES: Metric =
    gauge("urlshort_cache_size_bytes", "Memory the near cache takes.");
pub(super) const CACHE_LIMIT: Metric = gauge(
    "urlshort_cache_limit_bytes",
    "Memory the near cache may take.",
);
pub(super) const CACHE_EVICTIONS: Metric = counter(
    "urlshort_cache_evictions_total",
    "Links pushed out of the near cache by others.",
);
pub(super) const SHARED_LOADS: Metric = counter(
    "urlshort_redirect_shared_loads_total",
    "Requests that another one's look-up of the same code answered.",
);
pub(super) const CLICKS_DROPPED: Metric =
    counter("urlshort_clicks_dropped_total", "Clicks lost, by reason.");
pub(super) const CLICKS_SPOOLED: Metric = counter(
    "urlshort_clicks_spooled_total",
    "Clicks written to the spool.",
);
pub(super) const CLICKS_SHIPPED: Metric = counter(
    "urlshort_clicks_shipped_total",
    "Clicks the bus has acknowledged.",
);
pub(super) const CLICKS_COUNTED: Metric = counter(
    "urlshort_clicks_counted_total",
    "Clicks in the statistics, by who clicked.",
);
pub(super) const CLICKS_DUPLICATE: Metric = counter(
    "urlshort_clicks_duplicate_total",
    "Copies of clicks that were counted already.",
);
pub(super) const CLICKS_IGNORED: Metric = counter(
    "urlshort_clicks_ignored_total",
    "Clicks on links that are unknown or purged, or of another cluster.",
);
pub(super) const CLICKS_DEAD: Metric = counter(
    "urlshort_clicks_dead_total",
    "Clicks set aside because nobody can read them.",
);
pub(super) const CLICKS_GAPS: Metric = gauge(
    "urlshort_clicks_gaps_open",
    "Holes in the numbering of clicks that may still be filled.",
);
pub(super) const CLICK_DELAY: Metric = histogram(
    "urlshort_clicks_end_to_end_delay_seconds",
    "Time from a click to its place in the statistics.",
);
pub(super) const SPOOL_BYTES: Metric = gauge("urlshort_spool_size_bytes", "What the spool holds.");
pub(super) const SPOOL_LIMIT: Metric =
    gauge("urlshort_spool_limit_bytes", "What the spool may hold.");
pub(super) const SPOOL_OLDEST: Metric = gauge(
    "urlshort_spool_oldest_seconds",
    "Age of the oldest click in the spool.",
);
pub(super) const SHIP_ERRORS: Metric = counter(
    "urlshort_kafka_ship_errors_total",
    "Batches the bus did not take.",
);
pub(super) const KAFKA_UP: Metric = gauge("urlshort_kafka_up", "Whether the bus answers.");
pub(super) const PRODUCE_DURATION: Metric = histogram(
    "urlshort_kafka_produce_duration_seconds",
    "Time until the bus acknowledged a batch, or did not.",
);
pub(super) const REDIS_UP: Metric = gauge("urlshort_redis_up", "Whether the far cache answers.");
pub(super) const REDIS_ERRORS: Metric = counter(
    "urlshort_redis_errors_total",
    "Commands the far cache did not answer.",
);
pub(super) const REDIS_DURATION: Metric = histogram(
    "urlshort_redis_command_duration_seconds",
    "Time for a command of the far cache.",
);
pub(super) const SHARD_UP: Metric = gauge("urlshort_shard_up", "Whether the shard answers.");
pub(super) const SHARD_REFUSED: Metric = gauge(
    "urlshort_shard_refused",
    "Whether the shard contradicts the cluster and takes no part.",
);
pub(super) const SHARD_DURATION: Metric = histogram(
    "urlshort_shard_query_duration_seconds",
    "Time for a query, without the wait for a connection.",
);
pub(super) const SHARD_ERRORS: Metric =
    counter("urlshort_shard_errors_total", "Queries that failed.");
pub(super) const SHARD_POOL_SIZE: Metric = gauge(
    "urlshort_shard_pool_size_connections",
    "Connections to the shard.",
);
pub(super) const SHARD_POOL_IN_USE: Metric = gauge(
    "urlshort_shard_pool_in_use_connections",
    "Connections to the shard at work.",
);
pub(super) const SHARD_POOL_LIMIT: Metric = gauge(
    "urlshort_shard_pool_limit_connections",
    "Connections to the shard that this process may open.",
);
pub(super) const SHARD_POOL_WAITING: Metric = gauge(
    "urlshort_shard_pool_waiting_requests",
    "Requests that wait for a connection to the shard.",
);
pub(super) const SHARD_POOL_WAIT: Metric = histogram(
    "urlshort_shard_pool_wait_seconds",
    "Time until a connection to the shard was free, or was not.",
);
pub(super) const SLOT_OWNER: Metric = gauge(
    "urlshort_slot_owner",
    "1 for the shard that owns the slot, as this process knows it.",
);
pub(super) const SLOTS_WITHOUT_OWNER: Metric = gauge(
    "urlshort_slots_without_owner",
    "Slots that no shard of this process owns.",
);
pub(super) const SLOT_MAP_EPOCH: Metric = gauge(
    "urlshort_slot_map_epoch",
    "The slot map that this process goes by; all must agree.",
);
pub(super) const SLOT_LINKS: Metric = gauge(
    "urlshort_slot_links",
    "Links of the slot, estimated by its database.",
);
pub(super) const CLOCK_SKEW: Metric = gauge(
    "urlshort_clock_skew_seconds",
    "The databases' clock minus this machine's.",
);
pub(super) const READY: Metric = gauge("urlshort_ready", "Whether /readyz says yes.");
pub(super) const FEED_DELAY: Metric = histogram(
    "urlshort_feed_delay_seconds",
    "Time from another process's change of a link until this one's caches knew.",
);
pub(super) const FEED_AGE: Metric = gauge(
    "urlshort_feed_age_seconds",
    "Time since the shard's changes were last read.",
);
pub(super) const FEED_CHANGES: Metric = counter(
    "urlshort_feed_changes_total",
    "Changes of links that the feeds brought.",
);
pub(super) const LINKS_CREATED: Metric = counter("urlshort_links_created_total", "Links made.");
pub(super) const LINKS_CHANGED: Metric = counter("urlshort_links_changed_total", "Links edited.");
pub(super) const LINKS_DELETED: Metric = counter("urlshort_links_deleted_total", "Links deleted.");
pub(super) const ROLLUP_DURATION: Metric = histogram(
    "urlshort_rollup_flush_duration_seconds",
    "Time to write a batch of counts.",
);
pub(super) const ROLLUP_CLICKS: Metric = counter(
    "urlshort_rollup_clicks_total",
    "Clicks in the batches written.",
);
pub(super) const ROLLUP_ROWS: Metric =
    counter("urlshort_rollup_rows_total", "Rows of counts written.");
pub(super) const ROLLUP_LAG: Metric = gauge(
    "urlshort_rollup_lag_records",
    "Records of the slot that wait to be counted.",
);
pub(super) const ROLLUP_LEASES: Metric =
    gauge("urlshort_rollup_leases_held", "Slots this process counts.");
pub(super) const ROLLUP_STOPPED: Metric = gauge(
    "urlshort_rollup_stopped_slots",
    "Slots that nobody counts until an operator decides.",
);
pub(super) const CLASSIFIED: Metric = counter(
    "urlshort_classify_links_total",
    "Links that were given a label, by category and by who decided.",
);
pub(super) const CLASSIFY_ERRORS: Metric = counter(
    "urlshort_classify_errors_total",
    "Failures of labelling, by what failed.",
);
pub(super) const CLASSIFY_DURATION: Metric = histogram(
    "urlshort_classify_batch_duration_seconds",
    "Time from a batch of links to its labels, without the write.",
);
pub(super) const CLASSIFY_BATCH: Metric =
    histogram("urlshort_classify_batch_links", "Links in a batch.");
pub(super) const CLASSIFY_BACKLOG: Metric = gauge(
    "urlshort_classify_backlog_links",
    "Links without a label or with one of an older labeller, counted up to 100,000, by shard.",
);
pub(super) const CLASSIFY_VERDICTS: Metric = counter(
    "urlshort_classify_verdicts_total",
    "Verdicts written, by verdict.",
);
pub(super) const CLASSIFY_MODEL: Metric = gauge(
    "urlshort_classify_model_loaded",
    "1 where a model answers, 0 where the rules do alone.",
);
pub(super) const BLOCKLIST_ENTRIES: Metric = gauge(
    "urlshort_blocklist_entries",
    "Hosts, suffixes and networks on the block lists in force.",
);
pub(super) const LINKS_BLOCKED: Metric = counter(
    "urlshort_links_blocked_total",
    "Links that were refused because their target is certainly dangerous.",
);
pub(super) const LINK_EVENTS: Metric = counter(
    "urlshort_link_events_total",
    "Events of links for the bus, by outcome: sent, dropped or failed.",
);
pub(super) const BUILD_INFO: Metric = gauge(
    "urlshort_build_info",
    "Always 1; the labels tell the build.",
);

const ALL: &[Metric] = &[
    HTTP_REQUESTS,
    HTTP_DURATION,
    HTTP_IN_FLIGHT,
    RATE_LIMITED,
    CACHE_REQUESTS,
    CACHE_ENTRIES,
    CACHE_BYTES,
    CLICKS_DROPPED,
    CLICKS_SPOOLED,
    CLICKS_SHIPPED,
    CLICKS_COUNTED,
    CLICKS_DUPLICATE,
    CLICKS_IGNORED,
    CLICKS_DEAD,
    CLICKS_GAPS,
    CLICK_DELAY,
    SPOOL_BYTES,
    SPOOL_OLDEST,
    SHIP_ERRORS,
    KAFKA_UP,
    REDIS_UP,
    REDIS_ERRORS,
    REDIS_DURATION,
    SHARD_UP,
    SHARD_DURATION,
    SHARD_ERRORS,
    SHARD_POOL_SIZE,
    SHARD_POOL_IN_USE,
    FEED_AGE,
    FEED_CHANGES,
    LINKS_CREATED,
    LINKS_CHANGED,
    LINKS_DELETED,
    ROLLUP_DURATION,
    ROLLUP_CLICKS,
    ROLLUP_ROWS,
    ROLLUP_LAG,
    ROLLUP_LEASES,
    CLASSIFIED,
    CLASSIFY_ERRORS,
    CLASSIFY_DURATION,
    CLASSIFY_BATCH,
    CLASSIFY_BACKLOG,
    CLASSIFY_VERDICTS,
    CLASSIFY_MODEL,
    BLOCKLIST_ENTRIES,
    LINKS_BLOCKED,
    LINK_EVENTS,
    BUILD_INFO,
    CACHE_LIMIT,
    CACHE_EVICTIONS,
    SHARED_LOADS,
    SPOOL_LIMIT,
    PRODUCE_DURATION,
    SHARD_REFUSED,
    SHARD_POOL_LIMIT,
    SHARD_POOL_WAITING,
    SHARD_POOL_WAIT,
    SLOT_OWNER,
    SLOTS_WITHOUT_OWNER,
    SLOT_MAP_EPOCH,
    SLOT_LINKS,
    CLOCK_SKEW,
    READY,
    FEED_DELAY,
    ROLLUP_STOPPED,
];

/// Tells the current recorder of every metric.
pub(super) fn describe_all() {
    for Metric { name, kind, help } in ALL {
        match kind {
            Kind::Counter => describe_counter!(*name, *help),
            Kind::Gauge => describe_gauge!(*name, *help),
            Kind::Histogram => describe_histogram!(*name, *help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_convention() {
        for Metric { name, kind, help } in ALL {
            assert!(
                name.starts_with("urlshort_") && help.ends_with('.'),
                "{name}"
            );
            let counts = matches!(kind, Kind::Counter);
            assert_eq!(name.ends_with("_total"), counts, "{name}");
            let distribution = matches!(kind, Kind::Histogram);
            assert!(
                !distribution || name.ends_with("_seconds") || name.ends_with("_links"),
                "{name}"
            );
        }
        assert_eq!(
            ALL.iter()
                .map(|metric| metric.name)
                .collect::<BTreeSet<_>>()
                .len(),
            ALL.len()
        );
    }
}
