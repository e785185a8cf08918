//! Two runs side by side: what changed, and what is noise.

use std::str::FromStr;

use serde::Serialize;
use serde_json::json;

use super::THRESHOLDS_FAILED;
use super::args::CompareArgs;
use super::files::save;
use super::noise;
use super::noise::Band;
use super::noise::Drawn;
use super::noise::Figure;
use super::page;
use super::results::Results;
use super::table;
use crate::commands::Failure;
use crate::commands::report;

/// Differences below these matter to nobody, or are the machine's own from run to run.
const LEAST_RATE: f64 = 0.05;
const LEAST_LATENCY: f64 = 0.10;
/// Nor does a latency that moved by less than this, in milliseconds.
const LEAST_MS: f64 = 0.2;
/// Or errors by less than this share of all requests.
const LEAST_ERRORS: f64 = 0.000_1;

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Chance, or too small to matter.
    Noise,
    /// The second run is better.
    Better,
    /// The second run is worse.
    Worse,
    /// A run is too short to tell.
    TooShort,
    /// A run has too few requests for that percentile.
    TooFew,
}

/// One figure of both runs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// Its name.
    pub(super) figure: &'static str,
    /// Of the first run, and of the second.
    pub(super) before: Option<f64>,
    /// See `before`; nothing where a run has too few requests to tell.
    pub(super) after: Option<f64>,
    /// The change, as a ratio minus 1.
    pub(super) change: Option<f64>,
    /// Where 95 % of the changes would lie that these two runs make likely.
    pub(super) likely: Option<(f64, f64)>,
    /// What it means.
    pub(super) verdict: Verdict,
    unit: &'static str,
}

/// A change that fails: `p99>+10%`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FailOn {
    text: String,
    figure: &'static str,
    /// Above, or below.
    above: bool,
    /// As a ratio minus 1.
    change: f64,
}

const FIGURES: [(&str, Figure, &str); 7] = [
    ("rps", Figure::Rate, "/s"),
    ("p50", Figure::Latency(0.5), "ms"),
    ("p90", Figure::Latency(0.9), "ms"),
    ("p99", Figure::Latency(0.99), "ms"),
    ("p99.9", Figure::Latency(0.999), "ms"),
    ("max", Figure::Latency(1.0), "ms"),
    ("error_rate", Figure::ErrorRate, "%"),
];

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = FIGURES.map(|(name, ..)| name).join(", ");
        let at = text
            .find(['<', '>'])
            .ok_or("has no < or >: such as p99>+10% or rps<-5%")?;
        let (name, rest) = text.split_at(at);
        let figure = FIGURES.iter().find(|(known, ..)| *known == name.trim());
        let (figure, ..) = figure.ok_or_else(|| format!("knows no {name:?}: there are {names}"))?;
        let number = rest.trim_start_matches(['<', '>']).trim();
        let signed = Some(number).filter(|number| number.starts_with(['+', '-']));
        let number = signed.and_then(|number| number.strip_suffix('%'));
        let number = number.and_then(|number| number.parse::<f64>().ok());
        let change = number
            .filter(|number| number.is_finite())
            .ok_or_else(|| format!("compares with {rest:?}: a change in percent, as >+10%"))?;
        // Fewer answers a second are worse, and more of everything else.
        let is_worse = if *figure == "rps" {
            rest.starts_with('<') && change <= 0.0
        } else {
            rest.starts_with('>') && change >= 0.0
        };
        if !is_worse {
            return Err(format!(
                "would fail on what is better: write rps<-5%, or {}>+10%",
                if *figure == "rps" { "p99" } else { figure }
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            figure,
            above: rest.starts_with('>'),
            change: change / 100.0,
        })
    }
}

impl FailOn {
    fn is_broken_by(&self, row: &Row) -> bool {
        let beyond = row.change.is_some_and(|change| {
            if self.above {
                change > self.change
            } else {
                change < self.change
            }
        });
        let is_judged = matches!(row.verdict, Verdict::Better | Verdict::Worse);
        row.figure == self.figure && beyond && is_judged
    }

    /// Whether the runs are too short, or have too few requests, to say anything of its figure.
    fn is_unjudged_by(&self, row: &Row) -> bool {
        row.figure == self.figure && matches!(row.verdict, Verdict::TooShort | Verdict::TooFew)
    }
}

/// Shows two saved runs side by side.
///
/// # Errors
/// Where a file is none, or a run too short for `--fail-on`; status 99 where the second is worse
/// than that allows.
pub(super) fn run(args: &CompareArgs) -> Result<(), Failure> {
    let before = Results::read(&args.before)?;
    let after = Results::read(&args.after)?;
    let rows = rows(&before, &after);
    let warnings = warnings(&before, &after);
    let broken: Vec<String> = args
        .fail_on
        .iter()
        .filter(|one| rows.iter().any(|row| one.is_broken_by(row)))
        .map(|one| one.text.clone())
        .collect();
    match &args.html {
        Some(path) => save(path, &page::render_two(&before, &after, &rows, &warnings)?)?,
        None if args.json => report::json(&json!({
            "schema_version": 1, "a": args.before, "b": args.after, "figures": rows,
            "warnings": warnings, "failed": broken,
        })),
        None => report::text(&render((&before, &after), &rows, &warnings)),
    }
    let mut demands = args.fail_on.iter();
    if let Some(one) = demands.find(|one| rows.iter().any(|row| one.is_unjudged_by(row))) {
        return Err(Failure::Failed(format!(
            "--fail-on {} cannot be judged: a run of under 8 s is too short, and a percentile takes \
             ten slower requests; repeat both for longer",
            one.text
        )));
    }
    if broken.is_empty() {
        return Ok(());
    }
    report::note(&format!(
        "urlshort: the second run is worse: {}",
        broken.join(", ")
    ));
    Err(Failure::Status(THRESHOLDS_FAILED))
}

/// Every figure of both runs.
pub(super) fn rows(before: &Results, after: &Results) -> Vec<Row> {
    let drawn = Drawn::of(before).zip(Drawn::of(after));
    FIGURES
        .iter()
        .map(|(name, figure, unit)| {
            let (first, second) = (value(before, *figure), value(after, *figure));
            let known = first.zip(second);
            let band =
                drawn
                    .as_ref()
                    .zip(known)
                    .map(|((drawn_before, drawn_after), (first, second))| {
                        noise::band(*figure, (first, drawn_before), (second, drawn_after))
                    });
            Row {
                figure: name,
                before: first,
                after: second,
                change: known
                    .filter(|(first, _)| *first > 0.0)
                    .map(|(first, second)| second / first - 1.0),
                likely: band
                    .filter(|_| *figure != Figure::ErrorRate)
                    .map(|band| (band.low - 1.0, band.high - 1.0)),
                verdict: known.map_or(Verdict::TooFew, |known| verdict(*figure, known, band)),
                unit,
            }
        })
        .collect()
}

/// Nothing where the table of the run shows nothing either.
fn value(results: &Results, figure: Figure) -> Option<f64> {
    match figure {
        Figure::Rate => Some(results.totals.rate),
        Figure::Latency(quantile) => results.totals.latency.supported(quantile),
        Figure::ErrorRate => Some(results.totals.error_rate),
    }
}

fn verdict(figure: Figure, (before, after): (f64, f64), band: Option<Band>) -> Verdict {
    let Some(band) = band else {
        return Verdict::TooShort;
    };
    let (is_real, is_better) = match figure {
        Figure::Rate => (band.is_difference(LEAST_RATE), after > before),
        Figure::Latency(_) => (
            band.is_difference(LEAST_LATENCY) && (after - before).abs() >= LEAST_MS,
            after < before,
        ),
        Figure::ErrorRate => (
            band.is_difference(0.0) && (after - before).abs() >= LEAST_ERRORS,
            after < before,
        ),
    };
    match (is_real, is_better) {
        (false, _) => Verdict::Noise,
        (true, true) => Verdict::Better,
        (true, false) => Verdict::Worse,
    }
}

/// What makes two runs hard to compare.
fn warnings(before: &Results, after: &Results) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut differs = |what: &str, first: String, second: String| {
        if first != second {
            warnings.push(format!(
                "{what}: {first} in the first run, {second} in the second"
            ));
        }
    };
    let (a, b) = (&before.plan, &after.plan);
    differs("load", load_of(a), load_of(b));
    differs("mix", a.mix.to_string(), b.mix.to_string());
    differs("links", a.keys.to_string(), b.keys.to_string());
    differs(
        "connections",
        a.connections.to_string(),
        b.connections.to_string(),
    );
    let (a, b) = (&before.environment, &after.environment);
    differs("processor", a.processor.clone(), b.processor.clone());
    differs("cores", a.cores.to_string(), b.cores.to_string());
    for (which, results) in [("first", before), ("second", after)] {
        if results.interrupted {
            let seconds = results.totals.seconds;
            warnings.push(format!(
                "the {which} run was interrupted after {seconds:.1} s"
            ));
        }
        if let Some(why) = &results.generator.saturated {
            warnings.push(format!(
                "the generator of the {which} run was saturated: {why}"
            ));
        }
    }
    warnings
}

fn load_of(plan: &super::results::Plan) -> String {
    let headline = table::headline(plan);
    let (_, load) = headline.split_once(": ").unwrap_or(("", &headline));
    load.to_owned()
}

/// What was asked for, and where it ended early.
pub(super) fn run_of(results: &Results) -> String {
    let headline = table::headline(&results.plan);
    if results.interrupted {
        let seconds = results.totals.seconds;
        return format!("{headline}; INTERRUPTED after {seconds:.1} s");
    }
    headline
}

/// The comparison, for people.
pub(super) fn render(
    (before, after): (&Results, &Results),
    rows: &[Row],
    warnings: &[String],
) -> String {
    let mut text = format!(
        "A  {}  {}\nB  {}  {}\n\n{:<12}{:>14}{:>14}{:>10}  {:<20}verdict\n",
        before.started_at,
        run_of(before),
        after.started_at,
        run_of(after),
        "",
        "A",
        "B",
        "change",
        "likely (95 %)"
    );
    for row in rows {
        let likely = row.likely.map_or("–".to_owned(), |(low, high)| {
            format!("{:+.1} to {:+.1} %", low * 100.0, high * 100.0)
        });
        text.push_str(&format!(
            "{:<12}{:>14}{:>14}{:>10}  {likely:<20}{}\n",
            row.figure,
            row.shown(row.before),
            row.shown(row.after),
            row.shown_change(),
            row.verdict.word()
        ));
    }
    for warning in warnings {
        text.push_str(&format!("note: {warning}\n"));
    }
    text
}

impl Row {
    /// A value with its unit.
    pub(super) fn shown(&self, value: Option<f64>) -> String {
        let Some(value) = value else {
            return "–".to_owned();
        };
        match self.unit {
            "ms" => table::time(value),
            "%" => format!("{:.3} %", value * 100.0),
            unit => format!("{value:.1}{unit}"),
        }
    }

    /// The change in percent.
    pub(super) fn shown_change(&self) -> String {
        self.change.map_or_else(
            || "–".to_owned(),
            |change| format!("{:+.1} %", change * 100.0),
        )
    }
}

impl Verdict {
    /// For people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::TooShort => "run of under 8 s: no verdict",
            Self::TooFew => "under ten slower requests: no verdict",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::loadtest::sample;

    fn verdict_of(rows: &[Row], figure: &str) -> Verdict {
        let row = rows.iter().find(|row| row.figure == figure);
        row.unwrap().verdict
    }

    #[test]
    fn equal_runs_are_noise_throughout() {
        let rows = rows(&sample::results(), &sample::results());
        assert_eq!(rows.len(), FIGURES.len());
        for row in &rows {
            // A thousand requests do not tell a p99.9, which the table of a run hides too.
            let expected = match row.figure {
                "p99.9" => Verdict::TooFew,
                _ => Verdict::Noise,
            };
            assert_eq!(row.verdict, expected, "{row:?}");
            assert_eq!(row.after.is_none(), expected == Verdict::TooFew, "{row:?}");
        }
        assert!(warnings(&sample::results(), &sample::results()).is_empty());
    }

    #[test]
    fn a_slower_run_is_worse_and_a_faster_one_better() {
        let slower = rows(&sample::results(), &sample::scaled(1.5));
        assert_eq!(verdict_of(&slower, "p50"), Verdict::Worse);
        assert_eq!(verdict_of(&slower, "p99"), Verdict::Worse);
        assert_eq!(verdict_of(&slower, "rps"), Verdict::Noise);
        let faster = rows(&sample::scaled(1.5), &sample::results());
        assert_eq!(verdict_of(&faster, "p99"), Verdict::Better);
        // Within what machines do from run to run.
        let close = rows(&sample::results(), &sample::scaled(1.05));
        assert_eq!(verdict_of(&close, "p99"), Verdict::Noise);
    }

    #[test]
    fn only_a_real_change_of_the_named_size_fails() {
        let slower = rows(&sample::results(), &sample::scaled(1.5));
        let breaks = |text: &str, rows: &[Row]| {
            let fail_on: FailOn = text.parse().unwrap();
            rows.iter().any(|row| fail_on.is_broken_by(row))
        };
        assert!(breaks("p99>+10%", &slower));
        assert!(!breaks("p99>+80%", &slower));
        assert!(!breaks("rps<-5%", &slower));
        let close = rows(&sample::results(), &sample::scaled(1.05));
        assert!(!breaks("p99>+1%", &close));
        let mut short = slower;
        for row in &mut short {
            row.verdict = Verdict::TooShort;
        }
        assert!(!breaks("p99>+10%", &short), "nobody can tell");
        let demand: FailOn = "p99>+10%".parse().unwrap();
        assert!(short.iter().any(|row| demand.is_unjudged_by(row)));
        for bad in [
            "p99", "p98>5%", "p99>5", "p99>x%", "p99>10%", "rps>+10%", "p99<-5%",
        ] {
            assert!(bad.parse::<FailOn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn runs_of_another_kind_are_told() {
        let mut other = sample::results();
        other.plan.connections = 8;
        other.environment.cores = 4;
        let warnings = warnings(&sample::results(), &other);
        assert_eq!(warnings.len(), 3, "{warnings:?}"); // the load names its connections too
    }
}
