//! From what was measured to results.

use std::time::Duration;

use super::environment::Environment;
use super::hdr::Hdr;
use super::measure::Window;
use super::options::Operation;
use super::results::Generator;
use super::results::KIND;
use super::results::Known;
use super::results::OperationTotals;
use super::results::Plan;
use super::results::Point;
use super::results::Results;
use super::results::SCHEMA_VERSION;
use super::results::Totals;
use super::run::Measured;
use super::run::Second;

/// Above this share of late starts that are its own fault, a generator measures itself.
const OWN_DELAY: f64 = 0.05;
/// Above this share of its threads' time, a generator has none left.
const BUSY: f64 = 0.95;

/// The results of a run, but for what the service says of it.
pub(super) fn results(plan: Plan, measured: &Measured, started_at: jiff::Timestamp) -> Results {
    let mut sum = Window::new();
    let mut seconds = 0.0;
    for second in measured.seconds.iter().filter(|second| !second.is_warmup) {
        sum.add(&second.window);
        seconds += second.length;
    }
    let all_started: u64 = measured
        .seconds
        .iter()
        .map(|second| second.window.counts.started)
        .sum();
    let generator = generator(&plan, measured, &sum, all_started);
    let operations = operations(&sum);
    Results {
        schema_version: SCHEMA_VERSION,
        kind: KIND.to_owned(),
        started_at: started_at.to_string(),
        interrupted: measured.interrupted,
        environment: Environment::here(),
        totals: totals(sum, seconds, measured),
        operations,
        series: measured.seconds.iter().map(point).collect(),
        generator,
        service: Known::not("it was not asked"),
        clicks: Known::not("it was not asked for"),
        search: None,
        thresholds: Vec::new(),
        plan,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn totals(sum: Window, seconds: f64, measured: &Measured) -> Totals {
    let counts = sum.counts;
    let right = counts.finished - counts.errors;
    Totals {
        seconds,
        planned: counts.started + counts.dropped,
        started: counts.started,
        finished: counts.finished,
        errors: counts.errors,
        error_rate: counts.errors as f64 / (counts.finished as f64).max(1.0),
        rate: right as f64 / seconds.max(1e-9),
        late_busy: counts.late_busy,
        late_generator: counts.late_generator,
        dropped: counts.dropped,
        in_flight_at_end: measured.in_flight_at_end,
        connects: counts.connects,
        bytes: counts.bytes,
        statuses: counts.statuses,
        troubles: counts.troubles,
        latency: Hdr(sum.latency),
        service_time: Hdr(sum.service),
    }
}

fn operations(sum: &Window) -> Vec<OperationTotals> {
    let of = Operation::ALL.into_iter().zip(&sum.by_operation);
    of.zip(&sum.failed_by_operation)
        .filter(|((_, latency), _)| !latency.is_empty())
        .map(|((operation, latency), errors)| OperationTotals {
            operation,
            finished: latency.len(),
            errors: *errors,
            latency: Hdr(latency.clone()),
        })
        .collect()
}

fn point(second: &Second) -> Point {
    let counts = &second.window.counts;
    Point {
        at: second.at,
        length: second.length,
        warmup: second.is_warmup,
        wanted: second.wanted,
        started: counts.started,
        finished: counts.finished,
        errors: counts.errors,
        late: counts.late_busy + counts.late_generator,
        dropped: counts.dropped,
        in_flight: second.in_flight,
        statuses: counts.statuses.clone(),
        latency: Hdr(second.window.latency.clone()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests and threads")]
fn generator(plan: &Plan, measured: &Measured, sum: &Window, all_started: u64) -> Generator {
    let counts = &sum.counts;
    let threads = plan.workers as f64;
    let took = measured.took.max(Duration::from_millis(1)).as_secs_f64();
    let busy = measured.cpu_seconds / (threads * took);
    let own = counts.late_generator as f64 / (counts.started as f64).max(1.0);
    let saturated = if plan.arrivals.is_some() && own > OWN_DELAY {
        Some(format!(
            "{:.1} % of the starts were over 1 ms late although a connection was free",
            own * 100.0
        ))
    } else if busy > BUSY {
        Some(format!(
            "its threads computed {:.0} % of the time",
            busy * 100.0
        ))
    } else {
        None
    };
    Generator {
        cpu_seconds: measured.cpu_seconds,
        busy,
        cpu_us_per_request: measured.cpu_seconds * 1e6 / (all_started as f64).max(1.0),
        saturated,
    }
}
