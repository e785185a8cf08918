//! The charts of a page: what of a run is drawn, and in which colours.

use serde::Serialize;

use super::charts::Axis;
use super::charts::Bar;
use super::charts::Mark;
use super::charts::chart;
use super::charts::nines;
use super::hdr::Hdr;
use super::results::Point;
use super::results::Results;

/// A chart with its title, and what its colours mean.
#[derive(Serialize)]
pub(super) struct Figure {
    title: &'static str,
    svg: String,
    legend: Vec<(&'static str, String)>,
}

/// The charts of one run.
pub(super) fn of_run(results: &Results) -> Vec<Figure> {
    vec![
        over_time(results),
        throughput(results),
        spectrum(&[
            ("a", "from the intended start", &results.totals.latency),
            ("b", "service time", &results.totals.service_time),
        ]),
        statuses(results),
    ]
}

/// The charts of two runs.
pub(super) fn of_two(before: &Results, after: &Results) -> Vec<Figure> {
    let spectrum = spectrum(&[
        ("a", "first run (A)", &before.totals.latency),
        ("b", "second run (B)", &after.totals.latency),
    ]);
    vec![spectrum, two_over_time(before, after)]
}

/// The end of the last second, and a shade over the warm-up.
fn time_axis(results: &Results) -> (Axis, Vec<Mark>) {
    let end = results.series.last().map_or(1.0, |point| point.at);
    let warm = results.series.iter().filter(|point| point.warmup);
    let warm = warm.map(|point| point.at).fold(0.0, f64::max);
    let shade = (warm > 0.0).then_some(Mark::Shade(0.0, warm));
    (Axis::span("seconds", end), shade.into_iter().collect())
}

fn over_time(results: &Results) -> Figure {
    let (x, mut marks) = time_axis(results);
    let seen: Vec<&Point> = with_answers(results).collect();
    let of = |value: fn(&Hdr) -> f64| {
        let points = seen
            .iter()
            .map(|point| (middle(point), value(&point.latency)));
        points.collect::<Vec<_>>()
    };
    let (name, quantile) = steepest(&seen);
    let mut lines = vec![("c", "slowest", of(Hdr::max))];
    if quantile > 0.5 {
        lines.push(("b", name, line(&seen, quantile)));
    }
    lines.push(("a", "p50", line(&seen, 0.5)));
    let least = of(Hdr::min)
        .into_iter()
        .map(|(_, ms)| ms)
        .fold(f64::INFINITY, f64::min);
    let most = of(Hdr::max)
        .into_iter()
        .map(|(_, ms)| ms)
        .fold(0.0, f64::max);
    let least = if least.is_finite() { least } else { 0.1 };
    let y = Axis::log("ms", least, most);
    let names = lines.iter();
    let legend = names.map(|(class, name, _)| (*class, (*name).to_owned()));
    let legend = legend.collect();
    marks.extend(
        lines
            .into_iter()
            .map(|(class, _, line)| Mark::Line(class, line)),
    );
    Figure {
        title: "Latency over time",
        svg: chart("Latency over time", (&x, &y), &marks),
        legend,
    }
}

/// The highest percentile, with its name, that most of these seconds have requests enough for.
fn steepest(points: &[&Point]) -> (&'static str, f64) {
    let known = [("p99", 0.99), ("p90", 0.9)];
    let of = |quantile| {
        let supported = points
            .iter()
            .filter_map(|point| point.latency.supported(quantile));
        supported.count() * 2 > points.len()
    };
    let found = known.into_iter().find(|(_, quantile)| of(*quantile));
    found.unwrap_or(("p50", 0.5))
}

/// A percentile second by second, where there are requests enough for it.
fn line(points: &[&Point], quantile: f64) -> Vec<(f64, f64)> {
    let points = points.iter();
    let known =
        points.filter_map(|point| Some((middle(point), point.latency.supported(quantile)?)));
    known.collect()
}

fn throughput(results: &Results) -> Figure {
    let (x, mut marks) = time_axis(results);
    let right = per_second(results, |point| point.finished - point.errors);
    let errors = per_second(results, |point| point.errors);
    let wanted: Vec<(f64, f64)> = results
        .series
        .iter()
        .filter_map(|point| Some((middle(point), point.wanted?)))
        .collect();
    let all = right.iter().chain(&errors).chain(&wanted);
    let y = Axis::linear("requests/s", all.map(|(_, rate)| *rate).fold(0.0, f64::max));
    let mut legend = vec![("a", "right answers".to_owned())];
    marks.push(Mark::Area("a", right));
    if results.totals.errors > 0 {
        legend.push(("bad", "errors".to_owned()));
        marks.push(Mark::Area("bad", errors));
    }
    if !wanted.is_empty() {
        legend.push(("wanted", "wanted".to_owned()));
        marks.push(Mark::Line("wanted", wanted));
    }
    Figure {
        title: "Throughput",
        svg: chart("Throughput", (&x, &y), &marks),
        legend,
    }
}

fn spectrum(runs: &[(&'static str, &str, &Hdr)]) -> Figure {
    let least = runs
        .iter()
        .map(|(_, _, hdr)| hdr.min())
        .fold(f64::INFINITY, f64::min);
    let most = runs.iter().map(|(_, _, hdr)| hdr.max()).fold(0.0, f64::max);
    let samples = runs.iter().map(|(_, _, hdr)| hdr.len()).max().unwrap_or(1);
    #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
    let finest = 1.0 - 1.0 / (samples as f64).max(2.0);
    let x = Axis::nines("share of the requests that were faster", finest);
    let y = Axis::log("ms", if least.is_finite() { least } else { 0.1 }, most);
    let marks: Vec<Mark> = runs
        .iter()
        .map(|(class, _, hdr)| {
            let steps = (0..=200).map(|step| f64::from(step) / 200.0 * nines(finest));
            let points = steps.map(|at| (at, hdr.at(1.0 - 10_f64.powf(-at))));
            Mark::Line(class, points.collect())
        })
        .collect();
    Figure {
        title: "Percentile spectrum",
        svg: chart("Percentile spectrum", (&x, &y), &marks),
        legend: runs
            .iter()
            .map(|(class, name, _)| (*class, (*name).to_owned()))
            .collect(),
    }
}

fn statuses(results: &Results) -> Figure {
    let (x, mut marks) = time_axis(results);
    let kinds: [(&'static str, &str, std::ops::Range<u16>); 4] = [
        ("a", "2xx", 200..300),
        ("b", "3xx", 300..400),
        ("c", "4xx", 400..500),
        ("bad", "5xx", 500..600),
    ];
    let mut bars: Vec<Vec<Bar>> = vec![Vec::new(); kinds.len() + 1];
    let mut most = 0.0_f64;
    for point in &results.series {
        let mut below = 0.0;
        let mut add = |place: usize, n: u64| {
            #[expect(clippy::cast_precision_loss, reason = "answers of a second")]
            let above = below + n as f64 / point.length.max(1e-9);
            let bar = Bar {
                x: (point.at - point.length, point.at),
                y: (below, above),
            };
            if let Some(bars) = bars.get_mut(place) {
                bars.push(bar);
            }
            below = above;
        };
        for (place, (.., range)) in kinds.iter().enumerate() {
            let of = point
                .statuses
                .iter()
                .filter(|(status, _)| range.contains(*status));
            add(place, of.map(|(_, n)| n).sum());
        }
        let answered: u64 = point.statuses.values().sum();
        add(kinds.len(), point.finished.saturating_sub(answered));
        most = most.max(below);
    }
    let y = Axis::linear("answers/s", most);
    let names = kinds.into_iter().map(|(class, name, _)| (class, name));
    let named: Vec<_> = names.chain([("none", "no answer")]).zip(bars).collect();
    let mut legend = Vec::new();
    for ((class, name), bars) in named {
        if bars.iter().any(|bar| bar.y.1 > bar.y.0) {
            legend.push((class, name.to_owned()));
            marks.push(Mark::Bars(class, bars));
        }
    }
    Figure {
        title: "Status codes",
        svg: chart("Status codes", (&x, &y), &marks),
        legend,
    }
}

fn two_over_time(before: &Results, after: &Results) -> Figure {
    fn counted(results: &Results) -> Vec<&Point> {
        with_answers(results)
            .filter(|point| !point.warmup)
            .collect()
    }
    let (first, second) = (counted(before), counted(after));
    let (of_first, of_second) = (steepest(&first), steepest(&second));
    let (name, quantile) = if of_first.1 < of_second.1 {
        of_first
    } else {
        of_second
    };
    let (first, second) = (line(&first, quantile), line(&second, quantile));
    let title = match name {
        "p99" => "p99 over time",
        "p90" => "p90 over time",
        _ => "p50 over time",
    };
    let all = || first.iter().chain(&second);
    let least = all().map(|(_, ms)| *ms).fold(f64::INFINITY, f64::min);
    let most = all().map(|(_, ms)| *ms).fold(0.0, f64::max);
    let end = all().map(|(at, _)| *at).fold(1.0, f64::max);
    let x = Axis::span("seconds", end);
    let y = Axis::log("ms", if least.is_finite() { least } else { 0.1 }, most);
    let marks = [
        Mark::Line("a", first.clone()),
        Mark::Line("b", second.clone()),
    ];
    Figure {
        title,
        svg: chart(title, (&x, &y), &marks),
        legend: vec![
            ("a", "first run (A)".to_owned()),
            ("b", "second run (B)".to_owned()),
        ],
    }
}

fn with_answers(results: &Results) -> impl Iterator<Item = &Point> {
    results.series.iter().filter(|point| point.finished > 0)
}

fn middle(point: &Point) -> f64 {
    point.at - point.length / 2.0
}

#[expect(clippy::cast_precision_loss, reason = "requests of a second")]
fn per_second(results: &Results, count: impl Fn(&Point) -> u64) -> Vec<(f64, f64)> {
    let points = results.series.iter();
    points
        .map(|point| (middle(point), count(point) as f64 / point.length.max(1e-9)))
        .collect()
}
