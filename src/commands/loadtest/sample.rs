//! Results for tests: the same ones every time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clicks::Clicks;
use super::environment::Environment;
use super::hdr::Hdr;
use super::measure;
use super::measure::Trouble;
use super::options::Arrivals;
use super::options::Operation;
use super::options::Rate;
use super::results::Generator;
use super::results::KIND;
use super::results::Known;
use super::results::OperationTotals;
use super::results::Plan;
use super::results::Point;
use super::results::Results;
use super::results::SCHEMA_VERSION;
use super::results::Totals;
use super::scrape::ServiceSide;

/// 1,000 redirects of 0.1 to 100 ms within 10 s, ten of them failed.
pub(super) fn results() -> Results {
    scaled(1.0)
}

/// The same, with every time multiplied.
pub(super) fn scaled(factor: f64) -> Results {
    let mut latency = measure::histogram();
    let mut series = Vec::new();
    for second in 0..10_u64 {
        let mut of_second = measure::histogram();
        for n in 0..100_u64 {
            // Every second sees the whole spread.
            let time = Duration::from_micros((n * 10 + second + 1) * 100).mul_f64(factor);
            let micros = u64::try_from(time.as_micros()).unwrap();
            of_second.record(micros).unwrap();
        }
        latency.add(&of_second).unwrap();
        series.push(Point {
            at: second as f64 + 1.0,
            length: 1.0,
            warmup: false,
            wanted: Some(100.0),
            started: 100,
            finished: 100,
            errors: 1,
            late: 0,
            dropped: 0,
            in_flight: 2,
            statuses: BTreeMap::from([(302, 99), (503, 1)]),
            latency: Hdr(of_second),
        });
    }
    Results {
        schema_version: SCHEMA_VERSION,
        kind: KIND.to_owned(),
        started_at: "2026-11-26T12:00:00Z".to_owned(),
        interrupted: false,
        plan: plan(),
        environment: Environment {
            urlshort: "0.1.0".to_owned(),
            service: Some("0.1.0".to_owned()),
            system: "linux 6.1.0".to_owned(),
            processor: "A processor <of tests>".to_owned(),
            cores: 2,
        },
        totals: Totals {
            seconds: 10.0,
            planned: 1_000,
            started: 1_000,
            finished: 1_000,
            errors: 10,
            error_rate: 0.01,
            rate: 99.0,
            late_busy: 0,
            late_generator: 0,
            dropped: 0,
            in_flight_at_end: 2,
            connects: 64,
            bytes: 0,
            statuses: BTreeMap::from([(302, 990), (503, 10)]),
            troubles: BTreeMap::from([(Trouble::BadStatus, 10)]),
            latency: Hdr(latency.clone()),
            service_time: Hdr(latency.clone()),
        },
        operations: vec![OperationTotals {
            operation: Operation::Redirect,
            finished: 1_000,
            errors: 10,
            latency: Hdr(latency),
        }],
        series,
        generator: Generator {
            cpu_seconds: 0.05,
            busy: 0.0025,
            cpu_us_per_request: 50.0,
            saturated: None,
        },
        service: Known::Yes(service()),
        clicks: Known::Yes(Clicks {
            acknowledged: 990,
            unanswered: 0,
            counted: 990,
            missing: 0,
            surplus: 0,
            complete: true,
            settled_in: 1.0,
        }),
        search: None,
        thresholds: Vec::new(),
    }
}

fn plan() -> Plan {
    Plan {
        url: "http://127.0.0.1:8000/".to_owned(),
        local: true,
        rate: Some(Rate(100.0)),
        ramp: None,
        arrivals: Some(Arrivals::Constant),
        connections: 64,
        workers: 2,
        warmup_seconds: 0.0,
        duration_seconds: 10.0,
        timeout_seconds: 5.0,
        mix: "redirect=100".parse().unwrap(),
        zipf: 1.0,
        miss_ratio: 0.0,
        keys: 5_000,
        keys_from: "the service's list".to_owned(),
        seed: 1,
        keep_alive: true,
    }
}

fn service() -> ServiceSide {
    ServiceSide {
        from: vec!["http://127.0.0.1:8000/metrics".to_owned()],
        redirects: [
            ("near", 950),
            ("far", 0),
            ("owner", 50),
            ("stale", 0),
            ("none", 0),
        ]
        .into_iter()
        .map(|(tier, n)| (tier.to_owned(), n))
        .collect(),
        near_hit_ratio: Some(0.95),
        far_hit_ratio: None,
        clicks_dropped: 0,
        cpu_seconds: 0.02,
        cpu_us_per_request: 20.0,
    }
}
