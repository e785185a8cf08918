//! What a run came to, as it is saved: schema version 1, in JSON.
//!
//! # Why
//!
//! Everything a report shows stands in the file, histograms too, so that a run can be drawn and
//! compared long after it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use super::clicks::Clicks;
use super::environment::Environment;
use super::find_max::Search;
use super::hdr::Hdr;
use super::measure::Trouble;
use super::options::Arrivals;
use super::options::Mix;
use super::options::Operation;
use super::options::Ramp;
use super::options::Rate;
use super::scrape::ServiceSide;
use super::threshold::Outcome;
use crate::commands::Failure;

/// The version of this form.
pub(super) const SCHEMA_VERSION: u32 = 1;
/// What the file says it is.
pub(super) const KIND: &str = "urlshort.loadtest";

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Results {
    /// [`SCHEMA_VERSION`].
    pub(super) schema_version: u32,
    /// [`KIND`].
    pub(super) kind: String,
    /// When it began, RFC 3339.
    pub(super) started_at: String,
    /// Whether a signal ended it early.
    pub(super) interrupted: bool,
    /// What was asked for.
    pub(super) plan: Plan,
    /// Where it ran.
    pub(super) environment: Environment,
    /// Everything but the warm-up.
    pub(super) totals: Totals,
    /// By operation.
    pub(super) operations: Vec<OperationTotals>,
    /// Second by second, the warm-up too.
    pub(super) series: Vec<Point>,
    /// What this process did itself.
    pub(super) generator: Generator,
    /// What the service's metrics say of the run, or why they say nothing.
    pub(super) service: Known<ServiceSide>,
    /// Whether every click was counted, or why that is not known.
    pub(super) clicks: Known<Clicks>,
    /// The steps of `--find-max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) search: Option<Search>,
    /// What was demanded.
    pub(super) thresholds: Vec<Outcome>,
}

/// Something that could be found out, or why it could not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Known<T> {
    /// It could.
    Yes(T),
    /// It could not.
    No {
        /// Why.
        not_known: String,
    },
}

impl<T> Known<T> {
    /// It could not be found out.
    pub(super) fn not(why: impl Into<String>) -> Self {
        Self::No {
            not_known: why.into(),
        }
    }

    /// What is known.
    pub(super) const fn get(&self) -> Option<&T> {
        match self {
            Self::Yes(known) => Some(known),
            Self::No { .. } => None,
        }
    }
}

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The service.
    pub(super) url: String,
    /// Whether it runs on the machine that loads it, and shares its processors.
    pub(super) local: bool,
    /// Requests a second; nothing in a closed loop or a ramp.
    pub(super) rate: Option<Rate>,
    /// How it climbs.
    pub(super) ramp: Option<Ramp>,
    /// How starts are spread; nothing in a closed loop.
    pub(super) arrivals: Option<Arrivals>,
    /// Connections.
    pub(super) connections: usize,
    /// Threads.
    pub(super) workers: usize,
    /// Seconds before anything counts.
    pub(super) warmup_seconds: f64,
    /// Seconds that count.
    pub(super) duration_seconds: f64,
    /// How long an answer may take.
    pub(super) timeout_seconds: f64,
    /// What requests do.
    pub(super) mix: Mix,
    /// How uneven the links are followed.
    pub(super) zipf: f64,
    /// The share of redirects that ask for unknown codes.
    pub(super) miss_ratio: f64,
    /// How many links.
    pub(super) keys: usize,
    /// Where they came from.
    pub(super) keys_from: String,
    /// Makes the draws the same.
    pub(super) seed: u64,
    /// Whether connections are kept.
    pub(super) keep_alive: bool,
}

/// Sums over the time that counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Totals {
    /// How long it was.
    pub(super) seconds: f64,
    /// Requests that the plan had; in a closed loop, those that were started.
    pub(super) planned: u64,
    /// Requests that were sent.
    pub(super) started: u64,
    /// Requests that ended, well or not, dropped ones included.
    pub(super) finished: u64,
    /// Requests that did not get the answer that was expected.
    pub(super) errors: u64,
    /// Errors to finished ones, 0 to 1.
    pub(super) error_rate: f64,
    /// Right answers a second.
    pub(super) rate: f64,
    /// Starts over 1 ms late because no connection was free.
    pub(super) late_busy: u64,
    /// Starts over 1 ms late because of this machine.
    pub(super) late_generator: u64,
    /// Starts given up.
    pub(super) dropped: u64,
    /// Requests that waited when the time was over.
    pub(super) in_flight_at_end: usize,
    /// Connections that were opened.
    pub(super) connects: u64,
    /// Bytes of bodies.
    pub(super) bytes: u64,
    /// Answers by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Errors by kind.
    pub(super) troubles: BTreeMap<Trouble, u64>,
    /// From the intended start.
    pub(super) latency: Hdr,
    /// From sending.
    pub(super) service_time: Hdr,
}

/// Sums of one operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OperationTotals {
    /// Which.
    pub(super) operation: Operation,
    /// Requests that ended.
    pub(super) finished: u64,
    /// Requests that failed.
    pub(super) errors: u64,
    /// From the intended start.
    pub(super) latency: Hdr,
}

/// One second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Point {
    /// When it ended, in seconds.
    pub(super) at: f64,
    /// How long it was, in seconds.
    pub(super) length: f64,
    /// Before anything counts.
    pub(super) warmup: bool,
    /// What was asked for, a second.
    pub(super) wanted: Option<f64>,
    /// Requests that were sent.
    pub(super) started: u64,
    /// Requests that ended.
    pub(super) finished: u64,
    /// Requests that failed.
    pub(super) errors: u64,
    /// Late starts.
    pub(super) late: u64,
    /// Starts given up.
    pub(super) dropped: u64,
    /// Requests that waited at its end.
    pub(super) in_flight: usize,
    /// Answers by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// From the intended start.
    pub(super) latency: Hdr,
}

/// What the generator itself did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Generator {
    /// Its processor time.
    pub(super) cpu_seconds: f64,
    /// The share of its threads' time that it computed, 0 to 1.
    pub(super) busy: f64,
    /// Microseconds of processor time a request.
    pub(super) cpu_us_per_request: f64,
    /// Why its figures are its own rather than the service's; nothing where it kept up.
    pub(super) saturated: Option<String>,
}

impl Results {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it is none, and what is wrong with it.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let failed = |why: String| Failure::Failed(format!("{shown}: {why}"));
        let text =
            std::fs::read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
        let value: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|error| failed(format!("is no JSON: {error}")))?;
        if value.get("kind").and_then(serde_json::Value::as_str) != Some(KIND) {
            return Err(failed(
                "is no result of a load test; `urlshort loadtest --json FILE` writes one"
                    .to_owned(),
            ));
        }
        let version = value.get("schema_version");
        if version != Some(&SCHEMA_VERSION.into()) {
            let version = version.map_or("none".to_owned(), ToString::to_string);
            return Err(failed(format!(
                "has schema_version {version}; this program reads {SCHEMA_VERSION}: \
                 use the one that wrote it"
            )));
        }
        serde_json::from_value(value).map_err(|error| failed(format!("is damaged: {error}")))
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never, but for a bug.
    pub(super) fn to_json(&self) -> Result<String, Failure> {
        serde_json::to_string_pretty(self)
            .map_err(|error| Failure::Bug(format!("results cannot be written: {error}")))
    }
}
