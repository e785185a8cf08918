//! Results as a table for a terminal, and the line that shows a running test.

use std::fmt::Display;

use super::find_max::Step;
use super::hdr::Hdr;
use super::hdr::SHOWN;
use super::results::Known;
use super::results::Plan;
use super::results::Results;
use super::results::Totals;
use super::run::Second;

/// The running test, as of its last second.
pub(super) fn live(second: &Second) -> String {
    let counts = &second.window.counts;
    let latency = Hdr(second.window.latency.clone());
    #[expect(clippy::cast_precision_loss, reason = "requests of a second")]
    let rate = (counts.finished - counts.errors) as f64 / second.length.max(1e-9);
    let wanted = second
        .wanted
        .map_or(String::new(), |rate| format!(" of {rate:.0}"));
    let phase = if second.is_warmup { "warm-up, " } else { "" };
    format!(
        "{phase}{rate:.0}{wanted}/s  p50 {}  p99 {}  errors {}  late {}  in flight {}",
        time(latency.at(0.5)),
        time(latency.at(0.99)),
        counts.errors,
        counts.late_busy + counts.late_generator,
        second.in_flight
    )
}

/// A step of a search.
pub(super) fn step(step: &Step) -> String {
    let verdict = if step.broken.is_empty() {
        "holds".to_owned()
    } else {
        step.broken.join("; ")
    };
    format!(
        "{:>9.0}/s  reached {:>9.1}/s  p50 {}  p99 {}  errors {:.3} %  {verdict}",
        step.rate.0,
        step.reached,
        time_or_dash(step.p50_ms),
        time_or_dash(step.p99_ms),
        step.error_rate * 100.0
    )
}

/// Everything, for people.
pub(super) fn render(results: &Results) -> String {
    let mut lines = Lines::default();
    let totals = &results.totals;
    lines.free(&headline(&results.plan));
    lines.free(&workload(&results.plan));
    if results.interrupted {
        lines.free(&format!("interrupted after {:.1} s", totals.seconds));
    }
    lines.free("");
    requests(&mut lines, results);
    lines.free("");
    percentiles(&mut lines, results);
    lines.free("");
    lines.row("status", &list(&totals.statuses));
    if !totals.troubles.is_empty() {
        let troubles = totals.troubles.iter().map(|(what, n)| (what.name(), n));
        lines.row("errors", &list(troubles));
        if totals.statuses.contains_key(&429) {
            lines.row(
                "",
                "429: the service limits its clients; see limits.* in its config.toml",
            );
        }
    }
    service(&mut lines, results);
    generator(&mut lines, results);
    if let Some(search) = &results.search {
        lines.free("");
        lines.row("search", &search.slo.join(", "));
        for one in &search.steps {
            lines.row("", &step(one));
        }
        let best = search.best.map_or_else(
            || "no rate holds".to_owned(),
            |rate| {
                format!(
                    "{:.0}/s is the highest rate that holds; the figures above are its",
                    rate.0
                )
            },
        );
        lines.row("", &best);
    }
    if !results.thresholds.is_empty() {
        lines.free("");
    }
    for outcome in &results.thresholds {
        let verdict = if outcome.holds { "ok  " } else { "FAIL" };
        let (text, value) = (&outcome.threshold, &outcome.value);
        lines.row("threshold", &format!("{verdict} {text}: {value}"));
    }
    lines.0
}

/// A number that somebody typed, with at most two digits behind the point.
fn plain(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What was asked for, in one line.
pub(super) fn headline(plan: &Plan) -> String {
    let load = match (plan.rate, plan.ramp) {
        (Some(rate), _) => format!("{} requests/s by plan", plain(rate.0)),
        (None, Some(ramp)) => format!(
            "{} to {} requests/s within {} s by plan",
            plain(ramp.from.0),
            plain(ramp.to.0),
            plain(ramp.seconds)
        ),
        (None, None) => "as fast as the answers come".to_owned(),
    };
    let warmup = if plan.warmup_seconds > 0.0 {
        format!(" after {} s of warm-up", plan.warmup_seconds)
    } else {
        String::new()
    };
    format!(
        "{}: {load}, {} s{warmup}, {} connections",
        plan.url, plan.duration_seconds, plan.connections
    )
}

/// What requests did, in one line.
pub(super) fn workload(plan: &Plan) -> String {
    let shared = if plan.local {
        "; the service shares this machine with the load"
    } else {
        ""
    };
    format!(
        "{}, {} links from {}, zipf {}, misses {:.1} %{shared}",
        plan.mix,
        plan.keys,
        plan.keys_from,
        plan.zipf,
        plan.miss_ratio * 100.0
    )
}

fn requests(lines: &mut Lines, results: &Results) {
    let totals = &results.totals;
    lines.row(
        "requests",
        &format!(
            "{} planned, {} sent, {} answered as expected, {} errors ({:.3} %)",
            totals.planned,
            totals.started,
            totals.finished - totals.errors,
            totals.errors,
            totals.error_rate * 100.0
        ),
    );
    let wanted = results.plan.rate;
    let wanted = wanted.map_or(String::new(), |rate| {
        format!(" of {}/s wanted", plain(rate.0))
    });
    lines.row(
        "rate",
        &format!(
            "{:.1} right answers/s{wanted}, {:.2} MiB of bodies, {} connections opened",
            totals.rate,
            mebibytes(totals),
            totals.connects
        ),
    );
    if results.plan.arrivals.is_some() {
        lines.row(
            "starts",
            &format!(
                "{} late (all connections busy {}, this machine {}), {} dropped, {} in flight at the end",
                totals.late_busy + totals.late_generator,
                totals.late_busy,
                totals.late_generator,
                totals.dropped,
                totals.in_flight_at_end
            ),
        );
    }
}

fn percentiles(lines: &mut Lines, results: &Results) {
    let mut head = format!("{:<14}", "milliseconds");
    for name in ["mean", "min"]
        .into_iter()
        .chain(SHOWN.map(|(name, _)| name))
        .chain(["max"])
    {
        head.push_str(&format!("{name:>9}"));
    }
    lines.free(&head);
    let totals = &results.totals;
    let mut row = |name: &str, hdr: &Hdr| {
        let mut text = format!(
            "{name:<14}{:>9}{:>9}",
            number(hdr.mean()),
            number(hdr.min())
        );
        for (_, quantile) in SHOWN {
            let value = hdr.supported(quantile);
            let value = value.map_or_else(|| "–".to_owned(), number);
            text.push_str(&format!("{value:>9}"));
        }
        text.push_str(&format!("{:>9}", number(hdr.max())));
        lines.free(&text);
    };
    if results.plan.arrivals.is_some() {
        row("latency", &totals.latency);
        row("service time", &totals.service_time);
    } else {
        row("latency", &totals.latency);
    }
    if results.operations.len() > 1 {
        for of in &results.operations {
            row(&format!("  {}", of.operation), &of.latency);
        }
    }
    if totals.latency.supported(0.9999).is_none() {
        lines.free("– where fewer than ten requests were slower");
    }
}

fn service(lines: &mut Lines, results: &Results) {
    match &results.service {
        Known::Yes(side) => {
            let percent = |ratio: Option<f64>| {
                ratio.map_or("none asked".to_owned(), |ratio| {
                    format!("{:.2} %", ratio * 100.0)
                })
            };
            lines.row(
                "service",
                &format!(
                    "near cache hits {}, far cache hits {}, {} clicks dropped, {:.1} µs CPU a request",
                    percent(side.near_hit_ratio),
                    percent(side.far_hit_ratio),
                    side.clicks_dropped,
                    side.cpu_us_per_request
                ),
            );
        }
        Known::No { not_known } => lines.row("service", &format!("metrics not read: {not_known}")),
    }
    match &results.clicks {
        Known::Yes(clicks) => {
            lines.row(
                "clicks",
                &format!(
                    "{} acknowledged, {} counted: {} missing, {} too many ({} requests had no answer)",
                    clicks.acknowledged,
                    clicks.counted,
                    clicks.missing,
                    clicks.surplus,
                    clicks.unanswered
                ),
            );
            if clicks.surplus > 0 {
                let why = "others follow these links too: what is missing cannot be told";
                lines.row("", why);
            }
            let state = if clicks.complete {
                "complete"
            } else {
                "NOT complete, some process may hold clicks (`urlshort diagnose` names it),"
            };
            lines.row(
                "",
                &format!("{state} {:.1} s after the last request", clicks.settled_in),
            );
        }
        Known::No { not_known } => lines.row("clicks", &format!("not compared: {not_known}")),
    }
}

fn generator(lines: &mut Lines, results: &Results) {
    let generator = &results.generator;
    let verdict = generator.saturated.as_ref().map_or_else(
        || "it kept up".to_owned(),
        |why| format!("SATURATED, these figures are partly its own: {why}"),
    );
    lines.row(
        "generator",
        &format!(
            "{:.1} µs CPU a request, busy {:.0} % of the time; {verdict}",
            generator.cpu_us_per_request,
            generator.busy * 100.0
        ),
    );
}

/// Lines of a name and a text.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn free(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn row(&mut self, name: &str, text: &str) {
        self.free(&format!("{name:<14}{text}"));
    }
}

fn list<K: Display, N: Display>(counts: impl IntoIterator<Item = (K, N)>) -> String {
    let parts = counts.into_iter().map(|(what, n)| format!("{what} × {n}"));
    let text = parts.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}

/// Milliseconds with three digits that matter.
pub(super) fn number(ms: f64) -> String {
    if ms >= 100.0 {
        format!("{ms:.0}")
    } else if ms >= 10.0 {
        format!("{ms:.1}")
    } else if ms >= 1.0 {
        format!("{ms:.2}")
    } else {
        format!("{ms:.3}")
    }
}

/// A time with its unit, or a dash where it is not known.
pub(super) fn time_or_dash(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".to_owned(), time)
}

/// A time with its unit.
pub(super) fn time(ms: f64) -> String {
    if ms >= 1_000.0 {
        format!("{:.2} s", ms / 1_000.0)
    } else {
        format!("{} ms", number(ms))
    }
}

/// Seconds for a progress bar.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a run, not below 0"
)]
pub(super) const fn whole_seconds(at: f64) -> u64 {
    at.round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "bytes for people")]
fn mebibytes(totals: &Totals) -> f64 {
    totals.bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::loadtest::compare;
    use crate::commands::loadtest::page;
    use crate::commands::loadtest::sample;

    #[test]
    fn reports_look_as_they_did() {
        let mut results = sample::results();
        let thresholds = ["p99<50ms", "errors<11"].into_iter();
        let judged = thresholds.map(|text| {
            let threshold: super::super::threshold::Threshold = text.parse().unwrap();
            threshold.judge(&results)
        });
        results.thresholds = judged.collect();
        insta::assert_snapshot!("table", render(&results));
        insta::assert_snapshot!("page", page::render(&results).unwrap());
        let slower = sample::scaled(1.5);
        let rows = compare::rows(&results, &slower);
        insta::assert_snapshot!("compare", compare::render((&results, &slower), &rows, &[]));
    }
}
