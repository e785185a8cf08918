//! Results as one page that stands alone: no script, no other file, no other host.

use serde::Serialize;
use tera::Context;
use tera::Tera;

use super::compare;
use super::compare::Row;
use super::compare::Verdict;
use super::figures;
use super::hdr::Hdr;
use super::hdr::SHOWN;
use super::results::Results;
use super::table;
use crate::commands::Failure;

const TEMPLATES: [(&str, &str); 4] = [
    ("base.html", include_str!("templates/base.html")),
    ("charts.html", include_str!("templates/charts.html")),
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
    context.insert("figures", &figures::of_run(results));
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
    context.insert("a", &compare::run_of(before));
    context.insert("b", &compare::run_of(after));
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
                Verdict::Noise | Verdict::TooShort | Verdict::TooFew => "",
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
    context.insert("figures", &figures::of_two(before, after));
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
            value: table::time_or_dash(totals.latency.supported(0.5)),
            note: format!(
                "service time {}",
                table::time_or_dash(totals.service_time.supported(0.5))
            ),
            is_bad: false,
        },
        Tile {
            name: "latency p99",
            value: table::time_or_dash(totals.latency.supported(0.99)),
            note: format!(
                "service time {}",
                table::time_or_dash(totals.service_time.supported(0.99))
            ),
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
