//! Metrics: what the program exports is looked at somewhere, and what is looked at exists.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::expressions;
use crate::files;
use crate::http::Client;

/// Exported and shown nowhere, with the reason.
const NOT_SHOWN: &[(&str, &str)] = &[];

/// What a running load test shows; it counts by itself, outside of `src/telemetry`.
const LOADTEST: [&str; 6] = [
    "urlshort_loadtest_requests_total",
    "urlshort_loadtest_latency_seconds",
    "urlshort_loadtest_service_seconds",
    "urlshort_loadtest_target_rate",
    "urlshort_loadtest_late_starts_total",
    "urlshort_loadtest_dropped_starts_total",
];

/// The suffixes that the series of a histogram have.
const SERIES: [&str; 3] = ["_bucket", "_sum", "_count"];

#[test]
fn every_metric_is_shown_and_every_name_that_is_shown_exists() {
    let exported = named_in_the_sources();
    assert!(exported.len() > 50, "{exported:?}");
    let shown = shown();
    let mut offences: Vec<String> = Vec::new();
    for (name, place) in &shown {
        if !exported.contains(name) && !expressions::is_later(name) {
            offences.push(format!("{place}: {name} does not exist"));
        }
    }
    for name in &exported {
        let excused = NOT_SHOWN.iter().any(|(other, _)| other == name);
        if shown.contains_key(name) == excused {
            offences.push(format!(
                "{name} is exported and shown on no dashboard and in no rule (or is, and excused)"
            ));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

/// Fails unless what these processes say is shown.
#[track_caller]
pub(crate) fn check_exported(processes: &[SocketAddr]) {
    let shown = shown();
    let mut seen = BTreeSet::new();
    for address in processes {
        let text = Client::new(*address).get("/metrics").unwrap().body;
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("# TYPE ") else {
                continue;
            };
            seen.insert(rest.split(' ').next().unwrap().to_owned());
        }
    }
    let missing: Vec<&String> = seen
        .iter()
        .filter(|name| {
            !shown.contains_key(*name) && !NOT_SHOWN.iter().any(|(other, _)| other == name)
        })
        .collect();
    assert!(
        missing.is_empty(),
        "exported and shown nowhere: {missing:?}"
    );
    let sources = named_in_the_sources();
    let strangers: Vec<&String> = seen
        .iter()
        .filter(|name| !sources.contains(*name))
        .collect();
    assert!(
        strangers.is_empty(),
        "not named in src/telemetry: {strangers:?}"
    );
}

/// Every metric of `src/telemetry`, the one place that names them.
fn named_in_the_sources() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if files::has_command("loadtest") {
        names.extend(LOADTEST.map(str::to_owned));
    }
    for file in files::list("src/telemetry", ".rs") {
        let text = files::text(&file);
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        for literal in shipped.split('"').skip(1).step_by(2) {
            let plain = literal
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit());
            let ours = literal.starts_with("urlshort_") || literal.starts_with("process_");
            if plain && ours {
                names.insert(literal.to_owned());
            }
        }
    }
    names
}

/// Every metric of ours in an expression, with one place.
fn shown() -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    for expression in expressions::all() {
        for name in names(&expression.text) {
            shown.entry(name).or_insert(expression.place.clone());
        }
    }
    shown
}

fn names(text: &str) -> BTreeSet<String> {
    let exported = named_in_the_sources();
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)))
        .filter(|word| word.starts_with("urlshort_") || word.starts_with("process_"))
        .map(|word| {
            let base = SERIES.iter().find_map(|suffix| word.strip_suffix(suffix));
            // A histogram's name has no suffix of its own.
            match base {
                Some(base) if !exported.contains(word) => base.to_owned(),
                _ => word.to_owned(),
            }
        })
        .collect()
}
