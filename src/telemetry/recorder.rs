//! The recorder: starts the counting and shows all counts as Prometheus text.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use metrics::Counter;
use metrics::Gauge;
use metrics::counter;
use metrics::gauge;
use metrics_exporter_prometheus::Matcher;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusHandle;

use super::describe::*;
use super::labels::CLASSIFY_ERROR_KINDS;
use super::labels::CacheResult;
use super::labels::CacheTier;
use super::labels::DropReason;
use super::labels::REDIS_ERROR_KINDS;
use super::labels::SHIP_ERROR_KINDS;
use super::process;
use super::stripes;
use super::stripes::Stripes;

/// All metrics of this process, ready to be shown.
#[derive(Clone)]
pub struct Metrics {
    recorder: PrometheusHandle,
    stripes: Arc<Mutex<Vec<Arc<Stripes>>>>,
}

/// Looked up once.
pub(super) struct Handles {
    /// By tier, then by result.
    pub(super) cache: [[Counter; CacheResult::ALL.len()]; CacheTier::ALL.len()],
    pub(super) in_flight: Gauge,
    pub(super) evictions: Counter,
}

static INSTALLED: OnceLock<Metrics> = OnceLock::new();

pub(super) static HANDLES: OnceLock<Handles> = OnceLock::new();

/// Bounds for the sizes of batches.
const BATCHES: [f64; 8] = [1.0, 4.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// From a fast query to a deadline.
const DURATIONS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// From a click counted at once to one that sat out a long failure.
const DELAYS: [f64; 13] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0,
];

/// Begins to count; a second call returns what the first one made.
///
/// Histograms keep every sample until [`Metrics::upkeep`] or [`Metrics::render`] sorts it in:
/// call one of them every few seconds.
#[must_use]
pub fn install() -> Metrics {
    INSTALLED.get_or_init(first_install).clone()
}

fn first_install() -> Metrics {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATIONS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full(CLASSIFY_BATCH.name.to_owned()), &BATCHES)
        })
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full(CLICK_DELAY.name.to_owned()), &DELAYS)
        })
        .expect("neither list of buckets is empty")
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::error!("another recorder is installed; the metrics will stay empty");
    }
    describe_all();
    HANDLES.get_or_init(|| Handles {
        cache: CacheTier::ALL.map(|tier| {
            CacheResult::ALL.map(|result| {
                let (tier, result) = (tier.label(), result.label());
                counter!(CACHE_REQUESTS.name, "tier" => tier, "result" => result)
            })
        }),
        in_flight: gauge!(HTTP_IN_FLIGHT.name),
        evictions: counter!(CACHE_EVICTIONS.name),
    });
    touch();
    Metrics {
        recorder: handle,
        stripes: Arc::default(),
    }
}

/// Brings every known series to life at 0: a rate needs a value from before the first event.
fn touch() {
    for reason in DropReason::ALL {
        counter!(CLICKS_DROPPED.name, "reason" => reason.label()).increment(0);
    }
    for kind in ["human", "bot", "preview", "head"] {
        counter!(CLICKS_COUNTED.name, "kind" => kind).increment(0);
    }
    for what in ["create", "miss"] {
        counter!(RATE_LIMITED.name, "what" => what).increment(0);
    }
    for what in CLASSIFY_ERROR_KINDS {
        counter!(CLASSIFY_ERRORS.name, "what" => *what).increment(0);
    }
    for verdict in ["clean", "suspicious", "malicious"] {
        counter!(CLASSIFY_VERDICTS.name, "verdict" => verdict).increment(0);
    }
    for (metric, kinds) in [
        (REDIS_ERRORS, REDIS_ERROR_KINDS),
        (SHIP_ERRORS, SHIP_ERROR_KINDS),
    ] {
        for kind in kinds {
            counter!(metric.name, "kind" => *kind).increment(0);
        }
    }
    for metric in [
        CLICKS_SPOOLED,
        CLICKS_SHIPPED,
        CLICKS_DUPLICATE,
        CLICKS_IGNORED,
        CLICKS_DEAD,
        FEED_CHANGES,
        LINKS_CREATED,
        LINKS_CHANGED,
        LINKS_DELETED,
        ROLLUP_CLICKS,
        ROLLUP_ROWS,
        CACHE_EVICTIONS,
        SHARED_LOADS,
    ] {
        counter!(metric.name).increment(0);
    }
    for metric in [
        CACHE_ENTRIES,
        CACHE_BYTES,
        CLICKS_GAPS,
        SPOOL_BYTES,
        SPOOL_OLDEST,
        READY,
        SLOTS_WITHOUT_OWNER,
        CLOCK_SKEW,
    ] {
        gauge!(metric.name).set(0.0);
    }
    let version = env!("CARGO_PKG_VERSION");
    let revision = option_env!("URLSHORT_REVISION").unwrap_or("unknown");
    gauge!(BUILD_INFO.name, "version" => version, "revision" => revision).set(1.0);
}

impl Metrics {
    /// Everything in Prometheus text, for `text/plain; version=0.0.4; charset=utf-8`.
    ///
    /// It sorts and reads `/proc`: a few milliseconds that belong on a blocking thread.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.recorder.render();
        let attached = self
            .stripes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        text.push_str(&stripes::render(&attached));
        text.push_str(&process::render());
        text
    }

    /// Sorts in the samples of the histograms, which otherwise pile up while nobody renders.
    pub fn upkeep(&self) {
        self.recorder.run_upkeep();
    }

    /// Shows the counts of `stripes` too, from now on and added to those attached before.
    pub fn attach(&self, stripes: Arc<Stripes>) {
        self.stripes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(stripes);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Tier;
    use crate::telemetry::cache_requests;
    use crate::telemetry::click_delay;
    use crate::telemetry::http_request;
    use crate::telemetry::shard_query;
    use crate::telemetry::shard_up;

    #[track_caller]
    fn check(text: &str, begin: &str) {
        assert!(
            text.lines().any(|line| line.starts_with(begin)),
            "no {begin} in\n{text}"
        );
    }

    /// One test with a shard of its own, because the recorder is one for the whole process.
    #[test]
    fn what_is_counted_is_rendered() {
        let metrics = install();
        let text = install().render();
        check(&text, "urlshort_clicks_dead_total ");
        check(
            &text,
            r#"urlshort_clicks_dropped_total{reason="spool_full"} "#,
        );
        check(
            &text,
            r#"urlshort_cache_requests_total{tier="unknown",result="stale"} "#,
        );
        check(&text, "urlshort_http_requests_in_flight ");
        check(&text, r#"urlshort_build_info{version=""#);

        cache_requests(CacheTier::Unknown, CacheResult::Error);
        http_request("/test", "GET", 404, Duration::from_millis(1));
        shard_up(77, true);
        shard_query(77, "find", Duration::from_millis(3));
        click_delay(-1.0);
        metrics.upkeep();
        let stripes = Arc::new(Stripes::new(1));
        metrics.attach(Arc::clone(&stripes));
        stripes.of(0).record(Tier::Near, 5, 307, Duration::ZERO);

        let text = metrics.render();
        check(
            &text,
            r#"urlshort_cache_requests_total{tier="unknown",result="error"} 1"#,
        );
        check(
            &text,
            r#"urlshort_http_requests_total{route="/test",method="GET",code="404"} 1"#,
        );
        check(
            &text,
            "# HELP urlshort_http_requests_total Answers by route, method and status;",
        );
        check(&text, r#"urlshort_shard_up{shard="77"} 1"#);
        let query = "urlshort_shard_query_duration_seconds_bucket";
        check(
            &text,
            &format!(r#"{query}{{shard="77",op="find",le="0.0025"}} 0"#),
        );
        check(
            &text,
            &format!(r#"{query}{{shard="77",op="find",le="0.005"}} 1"#),
        );
        check(
            &text,
            r#"urlshort_clicks_end_to_end_delay_seconds_bucket{le="3600"} "#,
        );
        check(
            &text,
            r#"urlshort_redirects_total{tier="near",status="307"} 1"#,
        );
        assert!(!text.contains("quantile="), "a summary in\n{text}");
    }
}
