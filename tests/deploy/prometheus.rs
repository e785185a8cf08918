//! A real Prometheus, with `deploy/prometheus/prometheus.yml`: the same jobs and rules, each target
//! an address of this machine, everything once a second.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::children::Running;
use crate::children::free_port;
use crate::children::here;
use crate::children::start;
use crate::files;
use crate::http::Client;
use crate::native::Native;

/// Addresses and labels by the name of the job; jobs that are not named do not run here.
pub(crate) type Targets = BTreeMap<&'static str, Vec<(SocketAddr, Value)>>;

/// A running Prometheus.
#[derive(Debug)]
pub(crate) struct Prometheus {
    pub(crate) address: SocketAddr,
    _running: Running,
}

impl Prometheus {
    pub(crate) fn start(native: &Native, mut targets: Targets, alerts: SocketAddr) -> Option<Self> {
        let program = files::tool("prometheus")?;
        let address = here(free_port());
        targets.insert("prometheus", vec![(address, json!({}))]);
        let config = rewritten(&targets, alerts);
        let path = native.path("prometheus.yml");
        fs::write(&path, config.to_string()).unwrap(); // JSON is YAML
        let arguments = [
            format!("--config.file={}", path.display()),
            format!("--storage.tsdb.path={}", native.path("tsdb").display()),
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ];
        let mut running = start(
            &native.folder.0,
            "prometheus",
            &program,
            &arguments,
            &BTreeMap::new(),
        );
        running.answers(address, "/-/ready");
        Some(Self {
            address,
            _running: running,
        })
    }

    /// The answer to an instant query, or why there is none.
    pub(crate) fn ask(&self, expression: &str) -> Result<Vec<f64>, String> {
        let query = url(expression);
        let answer = Client::new(self.address)
            .get(&format!("/api/v1/query?query={query}"))
            .map_err(|error| error.to_string())?;
        let body = answer.json();
        if answer.status != 200 {
            return Err(body["error"].to_string());
        }
        let result = &body["data"]["result"];
        let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
        if body["data"]["resultType"] == "scalar" {
            return Ok(vec![number(&result[1])]);
        }
        let series = result.as_array().unwrap().iter();
        Ok(series.map(|one| number(&one["value"][1])).collect())
    }

    /// Waits until the expression has an answer for which `is` holds.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str, is: impl Fn(&[f64]) -> bool) {
        let begun = std::time::Instant::now();
        loop {
            let answer = self.ask(expression).unwrap();
            if is(&answer) {
                return;
            }
            let waited = begun.elapsed();
            assert!(
                waited < Duration::from_secs(120),
                "{expression} is {answer:?}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn rewritten(targets: &Targets, alerts: SocketAddr) -> Value {
    let mut config = files::yaml("deploy/prometheus/prometheus.yml");
    let global = config["global"].as_object_mut().unwrap();
    for key in ["scrape_interval", "scrape_timeout", "evaluation_interval"] {
        assert!(
            global.insert(key.to_owned(), json!("1s")).is_some(),
            "{key}"
        );
    }
    let rules = files::texts(&config["rule_files"]);
    assert_eq!(rules, ["/etc/prometheus/rules/*.yml"]);
    let folder = files::path("deploy/prometheus/rules");
    config["rule_files"] = json!([format!("{}/*.yml", folder.display())]);
    config["alerting"]["alertmanagers"][0]["static_configs"] =
        static_targets(&[(alerts, json!({}))]);
    let jobs = config["scrape_configs"].as_array_mut().unwrap();
    jobs.retain(|job| targets.contains_key(job["job_name"].as_str().unwrap()));
    assert_eq!(
        jobs.len(),
        targets.len(),
        "a job that the file does not have"
    );
    for job in jobs {
        let here = &targets[job["job_name"].as_str().unwrap()];
        let job = job.as_object_mut().unwrap();
        if job["job_name"] == "postgres" {
            // The exporter tries a server that is gone again after a second.
            job.insert("scrape_interval".to_owned(), json!("3s"));
            job.insert("scrape_timeout".to_owned(), json!("3s"));
        }
        job.remove("dns_sd_configs");
        job.insert("static_configs".to_owned(), static_targets(here));
    }
    config
}

fn static_targets(targets: &[(SocketAddr, Value)]) -> Value {
    targets
        .iter()
        .map(|(address, labels)| json!({"targets": [address.to_string()], "labels": labels}))
        .collect()
}

/// Percent-encoded.
fn url(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}
