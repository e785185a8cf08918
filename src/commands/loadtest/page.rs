//! Results as one page that stands alone: no script, no other file, no other host.

use serde::Serialize;
use tera::Context;
use tera::Tera;

use super::charts::Axis;
use super::charts::Bar;
use super::charts::Mark;
use super::charts::chart;
use super::charts::nines;
use super::compare::Row;
use super::compare::Verdict;
use super::hdr::Hdr;
use super::hdr::SHOWN;
use super::results::Point;
use super::results::Results;
use super::table;
use crate::commands::Failure;

const TEMPLATES: [(&str, &str); 3] = [
    ("base.html", include_str!("templates/base.html")),
    ("run.html", include_str!("templates/run.html")),
    ("two.html", include_str!("templates/two.html")),
];

/// A figure under the headline.
#[derive(Serialize)]
struct Tile {
    name: &'static str,
    value: String,
    note: String,
    is_bad: bool,
}

/// A chart with its title, and what its colours mean.
#[derive(Serialize)]
struct Figure {
    title: &'static str,
    svg: String,
    legend: Vec<(&'static str, String)>,
}

/// The page of one run.
///
/// # Errors
/// Never, but for a bug.
pub(super) fn render(results: &Results) -> Result<String, Failure> {
    let mut context = Context::new();
    context.insert("title", "Load test");
    context.insert("headline", &table::headline(&results.plan));
    context.insert("workload", &table::workload(&results.plan));
    context.insert("started_at", &to_the_second(&results.started_at));
    context.insert("interrupted", &results.interrupted);
    context.insert("saturated", &results.generator.saturated);
    context.insert("environment", &results.environment);
    context.insert("tiles", &tiles(results));
    context.insert("figures", &figures(results));
    context.insert("percentile_names", &SHOWN.map(|(name, _)| name));
    context.insert("percentiles", &percentiles(results));
    // The engine does not keep the order of a map.
    let statuses: Vec<_> = results.totals.statuses.iter().collect();
    context.insert("statuses", &statuses);
    let service = results.service.get();
    let tiers: Vec<_> = service
        .iter()
        .flat_map(|side| &side.redirects)
        .filter(|(_, n)| **n > 0)
        .collect();
    context.insert("tiers", &tiers);
    let troubles = results.totals.troubles.iter();
    let troubles: Vec<_> = troubles.map(|(what, n)| (what.name(), n)).collect();
    context.insert("troubles", &troubles);
    context.insert("thresholds", &results.thresholds);
    context.insert("search", &results.search);
    context.insert("service", &results.service.get());
    context.insert("clicks", &results.clicks.get());
    context.insert("text", &table::render(results));
    draw("run.html", &context)
}

/// The page of two runs.
///
/// # Errors
/// Never, but for a bug.
pub(super) fn render_two(
    before: &Results,
    after: &Results,
    rows: &[Row],
    warnings: &[String],
) -> Result<String, Failure> {
    let mut context = Context::new();
    context.insert("title", "Two load tests");
    context.insert("headline", "Two load tests, side by side");
    context.insert("a", &table::headline(&before.plan));
    context.insert("b", &table::headline(&after.plan));
    context.insert("a_at", &to_the_second(&before.started_at));
    context.insert("b_at", &to_the_second(&after.started_at));
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            let likely = row.likely.map_or("–".to_owned(), |(low, high)| {
                format!("{:+.1} to {:+.1} %", low * 100.0, high * 100.0)
            });
            let class = match row.verdict {
                Verdict::Worse => "bad",
                Verdict::Better => "good",
                Verdict::Noise | Verdict::TooShort => "",
            };
            let (name, change) = (row.figure, row.shown_change());
            let (before, after) = (row.shown(row.before), row.shown(row.after));
            (
                name,
                before,
                after,
                change,
                likely,
                row.verdict.word(),
                class,
            )
        })
        .collect();
    context.insert("rows", &shown);
    context.insert("warnings", warnings);
    let spectrum = spectrum(&[
        ("a", "first run (A)", &before.totals.latency),
        ("b", "second run (B)", &after.totals.latency),
    ]);
    let over_time = two_over_time(before, after);
    context.insert("figures", &[spectrum, over_time]);
    draw("two.html", &context)
}

fn draw(template: &str, context: &Context) -> Result<String, Failure> {
    let mut tera = Tera::default();
    let bug = |error: tera::Error| Failure::Bug(format!("{template}: {error}"));
    tera.add_raw_templates(TEMPLATES).map_err(bug)?;
    tera.render(template, context).map_err(bug)
}

/// A time without its fraction.
fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_owned(),
    }
}

fn tiles(results: &Results) -> Vec<Tile> {
    let totals = &results.totals;
    let wanted = results.plan.rate;
    let mut tiles = vec![
        Tile {
            name: "right answers a second",
            value: format!("{:.0}", totals.rate),
            note: wanted.map_or(String::new(), |rate| format!("of {:.0} wanted", rate.0)),
            is_bad: wanted.is_some_and(|rate| totals.rate < rate.0 * 0.99),
        },
        Tile {
            name: "latency p50",
            value: table::time(totals.latency.at(0.5)),
            note: format!("service time {}", table::time(totals.service_time.at(0.5))),
            is_bad: false,
        },
        Tile {
            name: "latency p99",
            value: table::time(totals.latency.at(0.99)),
            note: format!("service time {}", table::time(totals.service_time.at(0.99))),
            is_bad: false,
        },
        Tile {
            name: "errors",
            value: totals.errors.to_string(),
            note: format!("{:.3} % of {}", totals.error_rate * 100.0, totals.finished),
            is_bad: totals.errors > 0,
        },
    ];
    if let Some(clicks) = results.clicks.get() {
        tiles.push(Tile {
            name: "clicks missing",
            value: clicks.missing.to_string(),
            note: format!("{} of {} counted", clicks.counted, clicks.acknowledged),
            is_bad: clicks.missing > 0,
        });
    }
    tiles
}

/// One line of the table of percentiles: its name, mean, percentiles, and the slowest.
fn percentiles(results: &Results) -> Vec<(String, Vec<String>)> {
    let row = |name: String, hdr: &Hdr| {
        let mut cells = vec![table::number(hdr.mean())];
        cells.extend(SHOWN.map(|(_, quantile)| {
            let value = hdr.supported(quantile);
            value.map_or("–".to_owned(), table::number)
        }));
        cells.push(table::number(hdr.max()));
        (name, cells)
    };
    let totals = &results.totals;
    let mut rows = vec![
        row("from the intended start".to_owned(), &totals.latency),
        row("service time".to_owned(), &totals.service_time),
    ];
    if results.operations.len() > 1 {
        let of = results.operations.iter();
        rows.extend(of.map(|of| row(of.operation.to_string(), &of.latency)));
    }
    rows
}

fn figures(results: &Results) -> Vec<Figure> {
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

/// The end of the last second, and a shade over the warm-up.
fn time_axis(results: &Results) -> (Axis, Vec<Mark>) {
    let end = results.series.last().map_or(1.0, |point| point.at);
    let warm = results.series.iter().filter(|point| point.warmup);
    let warm = warm.map(|point| point.at).fold(0.0, f64::max);
    let shade = (warm > 0.0).then_some(Mark::Shade(0.0, warm));
    (Axis::span("seconds", end), shade.into_iter().collect())
}

fn over_time(results: &Results) -> Figure {
    type Read = fn(&Hdr) -> f64;
    let (x, mut marks) = time_axis(results);
    let seen: Vec<&Point> = with_answers(results).collect();
    let lines: [(&'static str, &str, Read); 3] = [
        ("c", "slowest", Hdr::max),
        ("b", "p99", |hdr| hdr.at(0.99)),
        ("a", "p50", |hdr| hdr.at(0.5)),
    ];
    let of = |value: Read| {
        let points = seen
            .iter()
            .map(|point| (middle(point), value(&point.latency)));
        points.collect::<Vec<_>>()
    };
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
    marks.extend(lines.map(|(class, _, value)| Mark::Line(class, of(value))));
    Figure {
        title: "Latency over time",
        svg: chart("Latency over time", (&x, &y), &marks),
        legend: lines
            .map(|(class, name, _)| (class, name.to_owned()))
            .to_vec(),
    }
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
    let p99 = |results: &Results| -> Vec<(f64, f64)> {
        let points = with_answers(results).filter(|point| !point.warmup);
        points
            .map(|point| (middle(point), point.latency.at(0.99)))
            .collect()
    };
    let (first, second) = (p99(before), p99(after));
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
        title: "p99 over time",
        svg: chart("p99 over time", (&x, &y), &marks),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::loadtest::compare;
    use crate::commands::loadtest::sample;

    #[test]
    fn a_page_stands_alone_and_escapes_what_it_shows() {
        let page = render(&sample::results()).unwrap();
        for part in [
            "Latency over time",
            "Throughput",
            "Percentile spectrum",
            "Status codes",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(page.contains("A processor &lt;of tests&gt;"));
        for other in ["<script", "src=", "@import", "url("] {
            assert!(!page.contains(other), "{other}");
        }
        // The only address is that of the service under test.
        let links = page.matches("http").count();
        assert_eq!(links, page.matches("http://127.0.0.1:8000/").count());
    }

    #[test]
    fn a_run_without_a_single_answer_has_a_page_too() {
        let mut empty = sample::results();
        empty.series.clear();
        empty.operations.clear();
        empty.totals.latency = Hdr(super::super::measure::histogram());
        empty.totals.service_time = empty.totals.latency.clone();
        let page = render(&empty).unwrap();
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn two_runs_stand_on_one_page() {
        let (before, after) = (sample::results(), sample::scaled(2.0));
        let rows = compare::rows(&before, &after);
        let page = render_two(&before, &after, &rows, &["cores differ".to_owned()]).unwrap();
        assert!(page.contains("WORSE") && page.contains("cores differ"));
    }
}
