//! What the service itself says of a run: the difference of its `/metrics` before and after.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use url::Url;

use crate::commands::ask;

/// How long a process may take to show its metrics.
const PATIENCE: Duration = Duration::from_secs(2);

/// The counters of one or several processes at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Scrape(BTreeMap<String, f64>);

/// What happened in the service between two scrapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ServiceSide {
    /// Where it was read.
    pub(super) from: Vec<String>,
    /// Redirects by where they found their link: near, far, owner, stale, none.
    pub(super) redirects: BTreeMap<String, u64>,
    /// Redirects that the near cache answered, 0 to 1.
    pub(super) near_hit_ratio: Option<f64>,
    /// Questions to the far cache that it answered, 0 to 1.
    pub(super) far_hit_ratio: Option<f64>,
    /// Clicks that were lost.
    pub(super) clicks_dropped: u64,
    /// Processor time, in seconds.
    pub(super) cpu_seconds: f64,
    /// Microseconds of it for each request that this test sent.
    pub(super) cpu_us_per_request: f64,
}

/// Reads the metrics of all of `urls`, added up; a name that several processes share is all of them.
///
/// # Errors
/// Why one of them has none.
pub(super) async fn scrape(urls: &[Url]) -> Result<Scrape, String> {
    let mut sum = Scrape::default();
    let mut processes = Vec::new();
    for named in urls {
        processes.extend(each(named, addresses(named).await));
    }
    let asked = processes.iter().map(|url| ask::ask(url, None, PATIENCE));
    let answers = futures_util::future::join_all(asked).await;
    for (url, answer) in processes.iter().zip(answers) {
        let answer = answer?;
        if !answer.status.is_success() {
            return Err(format!(
                "{url}: {}; name the admin address with --metrics",
                answer.status
            ));
        }
        if !answer.body.contains("urlshort_build_info{") {
            return Err(format!("{url}: no metrics of urlshort are there"));
        }
        sum.add(&answer.body);
    }
    Ok(sum)
}

/// What the name in `url` stands for; none where it is an address, or cannot be looked up.
async fn addresses(url: &Url) -> Vec<IpAddr> {
    let (Some(name), Some(port)) = (url.domain(), url.port_or_known_default()) else {
        return Vec::new();
    };
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        // Who asks next will say why.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// One URL for each process: replicas share a name, and a process may have an address of each family.
fn each(url: &Url, mut found: Vec<IpAddr>) -> Vec<Url> {
    if found.iter().any(IpAddr::is_ipv4) {
        found.retain(IpAddr::is_ipv4);
    }
    found.sort();
    found.dedup();
    if found.len() < 2 {
        return vec![url.clone()];
    }
    let at = |address: &IpAddr| {
        let mut url = url.clone();
        url.set_ip_host(*address).ok().map(|()| url)
    };
    found.iter().filter_map(at).collect()
}

impl Scrape {
    fn add(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let parsed = line.rsplit_once(' ').and_then(|(series, value)| {
                let value: f64 = value.parse().ok()?;
                Some((series, value))
            });
            if let Some((series, value)) = parsed {
                *self.0.entry(series.to_owned()).or_default() += value;
            }
        }
    }

    /// The version that the service says it has.
    pub(super) fn version(&self) -> Option<String> {
        let series = self.0.keys();
        let mut info = series.filter_map(|series| series.strip_prefix("urlshort_build_info{"));
        let (_, rest) = info.next()?.split_once("version=\"")?;
        rest.split_once('"').map(|(version, _)| version.to_owned())
    }

    /// The sum of the series called `name` that have all of `labels`.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let of_name = |series: &str| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        let has = |series: &str, label: &str, value: &str| {
            series.contains(&format!("{label}=\"{value}\""))
        };
        let found = self.0.iter().filter(|(series, _)| {
            of_name(series)
                && labels
                    .iter()
                    .all(|(label, value)| has(series, label, value))
        });
        found.map(|(_, value)| value).sum()
    }
}

impl ServiceSide {
    /// What happened between `before` and `after`, while `requests` were sent.
    pub(super) fn between(before: &Scrape, after: &Scrape, urls: &[Url], requests: u64) -> Self {
        let grown = |name: &str, labels: &[(&str, &str)]| {
            (after.sum(name, labels) - before.sum(name, labels)).max(0.0)
        };
        let redirects: BTreeMap<String, u64> = ["near", "far", "owner", "stale", "none"]
            .into_iter()
            .map(|tier| {
                let n = grown("urlshort_redirects_total", &[("tier", tier)]);
                (tier.to_owned(), whole(n))
            })
            .collect();
        let far = |result| {
            let labels = [("tier", "far"), ("result", result)];
            grown("urlshort_cache_requests_total", &labels)
        };
        let far_asked: f64 = ["hit", "stale", "miss", "error"].into_iter().map(far).sum();
        let all: u64 = redirects.values().sum();
        let cpu_seconds = grown("process_cpu_seconds_total", &[]);
        Self {
            from: urls.iter().map(ToString::to_string).collect(),
            near_hit_ratio: ratio(redirects.get("near").copied().unwrap_or(0), all),
            far_hit_ratio: (far_asked > 0.0).then(|| (far("hit") + far("stale")) / far_asked),
            redirects,
            clicks_dropped: whole(grown("urlshort_clicks_dropped_total", &[])),
            cpu_seconds,
            cpu_us_per_request: ratio(1, requests).unwrap_or(0.0) * cpu_seconds * 1e6,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn ratio(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter is a whole number, not below 0"
)]
const fn whole(n: f64) -> u64 {
    n.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scraped(text: &str) -> Scrape {
        let mut scrape = Scrape::default();
        scrape.add(text);
        scrape
    }

    #[test]
    fn a_name_that_replicas_share_is_every_one_of_them() {
        #[track_caller]
        fn check(found: &[&str], expected: &[&str]) {
            let url = Url::parse("http://app:8001/metrics").unwrap();
            let found = found.iter().map(|text| text.parse().unwrap()).collect();
            let got: Vec<String> = each(&url, found).iter().map(Url::to_string).collect();
            assert_eq!(got, expected);
        }
        check(&[], &["http://app:8001/metrics"]);
        check(&["172.28.0.3"], &["http://app:8001/metrics"]);
        check(&["127.0.0.1", "::1"], &["http://app:8001/metrics"]);
        check(
            &["172.28.0.4", "172.28.0.3", "172.28.0.4"],
            &[
                "http://172.28.0.3:8001/metrics",
                "http://172.28.0.4:8001/metrics",
            ],
        );
        check(
            &["fd00::4", "fd00::3"],
            &[
                "http://[fd00::3]:8001/metrics",
                "http://[fd00::4]:8001/metrics",
            ],
        );
    }

    #[test]
    fn the_difference_of_two_scrapes_tells_where_redirects_were_answered() {
        let before = scraped(
            "# HELP urlshort_redirects_total x\n\
             urlshort_redirects_total{tier=\"near\",status=\"302\"} 10\n\
             urlshort_redirects_total_more{tier=\"near\"} 5\n\
             urlshort_cache_requests_total{tier=\"far\",result=\"hit\"} 1\n\
             urlshort_clicks_dropped_total{reason=\"queue_full\"} 2\n\
             process_cpu_seconds_total 1.5\n",
        );
        let after = scraped(
            "urlshort_redirects_total{tier=\"near\",status=\"302\"} 60\n\
             urlshort_redirects_total{tier=\"near\",status=\"301\"} 25\n\
             urlshort_redirects_total{tier=\"far\",status=\"302\"} 25\n\
             urlshort_redirects_total_more{tier=\"near\"} 500\n\
             urlshort_cache_requests_total{tier=\"far\",result=\"hit\"} 4\n\
             urlshort_cache_requests_total{tier=\"far\",result=\"miss\"} 1\n\
             urlshort_clicks_dropped_total{reason=\"queue_full\"} 2\n\
             process_cpu_seconds_total 2.5\n",
        );
        let side = ServiceSide::between(&before, &after, &[], 1_000);
        assert_eq!(side.near_hit_ratio, Some(0.75));
        assert_eq!(side.far_hit_ratio, Some(0.75));
        assert_eq!(side.clicks_dropped, 0);
        assert_eq!(side.redirects["far"], 25);
        assert!((side.cpu_us_per_request - 1_000.0).abs() < 1e-6);
    }
}
