//! A running `serve`, asked over HTTP.

use serde_json::Value;
use serde_json::json;
use url::Url;

use crate::commands::ask;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::PATIENCE;
use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::finding::millis;
use crate::commands::diagnose::reach;
use crate::commands::diagnose::reach::Reach;
use crate::commands::diagnose::shell;

/// Asks every process at `urls` at once.
pub(super) async fn ask(urls: &[Url]) -> Vec<Finding> {
    futures_util::future::join_all(urls.iter().map(one)).await
}

async fn one(url: &Url) -> Finding {
    let name = format!("serve ({})", url.as_str().trim_end_matches('/'));
    if url.scheme() != "http" {
        let remedy = Remedy::new(
            format!("{}:// is not spoken here", url.scheme()),
            "name the address behind the proxy that ends TLS, as http://HOST:PORT",
            "urlshort diagnose --url http://127.0.0.1:8000",
        );
        return Finding::fail(&name, "cannot be asked", remedy);
    }
    let ready = match ask::ask(&at(url, "/readyz"), None, PATIENCE).await {
        Ok(ready) => ready,
        Err(why) => return Finding::fail(&name, "does not answer", away(url, why).await),
    };
    let body: Value = serde_json::from_str(&ready.body).unwrap_or_default();
    let word = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let Some((status, version)) = word("status").zip(word("version")) else {
        let remedy = Remedy::new(
            format!("/readyz answers {}, and not as urlshort does", ready.status),
            "name the address of an urlshort process",
            curl(url, "/readyz"),
        );
        return Finding::fail(&name, "something else answers there", remedy);
    };
    let metrics = ask::ask(&at(url, "/metrics"), None, PATIENCE).await;
    let metrics = metrics.ok().filter(|answer| answer.status.is_success());
    let metrics = metrics.map(|answer| Metrics(answer.body));
    let latency = millis(ready.took);
    let hits = metrics.as_ref().and_then(Metrics::hit_ratio);
    let dropped = metrics
        .as_ref()
        .map(|metrics| metrics.sum("urlshort_clicks_dropped_total", ""));
    let figures = match (&metrics, hits) {
        (None, _) => ", its /metrics are not shown here".to_owned(),
        (Some(_), None) => ", nothing followed yet".to_owned(),
        (Some(_), Some(hits)) => format!(", {:.1} % of the redirects near", hits * 100.0),
    };
    let what = format!("{version}, {status}{figures}, {latency} ms");
    let own = env!("CARGO_PKG_VERSION");
    let finding = if !ready.status.is_success() {
        let why = word("output").unwrap_or_else(|| ready.status.to_string());
        let remedy = Remedy::new(
            why,
            "look at the other findings and its log",
            curl(url, "/readyz"),
        );
        Finding::fail(&name, "not ready", remedy)
    } else if dropped.is_some_and(|dropped| dropped > 0.0) {
        let dropped = dropped.unwrap_or(0.0);
        let remedy = Remedy::new(
            "its queue or its spool was full, or its disk takes nothing",
            "look at its disk and at the spool: the metric says which it was",
            format!("{} | grep urlshort_clicks_dropped", curl(url, "/metrics")),
        );
        Finding::warn(&name, format!("{what}; {dropped} clicks were lost"), remedy)
    } else if status != "pass" {
        let remedy = Remedy::new(
            troubles(&body).join("; "),
            "see the findings above, and what the process itself says",
            curl(url, "/readyz"),
        );
        Finding::warn(&name, what, remedy)
    } else if version != own {
        let remedy = Remedy::new(
            "an update is not finished",
            "finish it, so that all processes run one release",
            "urlshort --version",
        );
        Finding::warn(&name, format!("{what}; this program is {own}"), remedy)
    } else {
        Finding::ok(&name, what)
    };
    finding.with(json!({
        "version": version, "status": status, "latency_ms": latency, "near_hit_ratio": hits,
        "clicks_dropped": dropped,
    }))
}

/// Why nobody answers at `url`, whose client said `told`.
async fn away(url: &Url, told: String) -> Remedy {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        let next = "name it as http://HOST:PORT";
        return Remedy::new(told, next, "urlshort diagnose --url http://127.0.0.1:8000");
    };
    let reached = reach::reach(host, port).await;
    if reached == Reach::Refused {
        return Remedy::new(
            format!("{host}:{port} refuses connections: nothing listens there"),
            "start it, or correct --url",
            "urlshort serve",
        );
    }
    let away = reached.explain(host, port, Some(&told), "--url");
    let who = format!("ss -ltnp 'sport = :{port}'");
    Remedy::new(away.cause, away.next, away.command.unwrap_or(who))
}

/// Asks the process by hand.
fn curl(url: &Url, path: &str) -> String {
    format!("curl -s {}", shell::quoted(at(url, path).as_str()))
}

fn at(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url
}

/// The checks that are not well.
fn troubles(body: &Value) -> Vec<String> {
    let checks = body.get("checks").and_then(Value::as_object);
    let mut found = Vec::new();
    for (name, checks) in checks.into_iter().flatten() {
        for check in checks.as_array().into_iter().flatten() {
            let text = |key: &str| check.get(key).and_then(Value::as_str);
            if text("status") != Some("pass") {
                found.push(format!(
                    "{name} {}",
                    text("output").unwrap_or("is not well")
                ));
            }
        }
    }
    found
}

/// Prometheus' text.
struct Metrics(String);

impl Metrics {
    /// The sum over the series of `name` whose labels contain `label`.
    fn sum(&self, name: &str, label: &str) -> f64 {
        let lines = self
            .0
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// The share of redirects that the near cache answered; `None` before the first one.
    fn hit_ratio(&self) -> Option<f64> {
        let all = self.sum("urlshort_redirects_total", "");
        let near = self.sum("urlshort_redirects_total", "tier=\"near\"");
        (all > 0.0).then(|| ((near / all) * 1_000.0).round() / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_label() {
        let text = "# HELP urlshort_redirects_total x\nurlshort_redirects_total{tier=\"near\"} 3\n\
                    urlshort_redirects_total{tier=\"owner\"} 1\n";
        let metrics = Metrics(text.to_owned());
        assert_eq!(metrics.hit_ratio(), Some(0.75));
        assert_eq!(Metrics(String::new()).hit_ratio(), None);
    }
}
