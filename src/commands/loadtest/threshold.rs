//! What a run must hold, as it is typed: `p99<5ms`, `error_rate<0.1%`, `rps>=20000`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::hdr;
use super::hdr::Hdr;
use super::options::Operation;
use super::options::span;
use super::results::Known;
use super::results::Results;

/// One demand.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Threshold {
    text: String,
    /// Only this operation.
    operation: Option<Operation>,
    metric: Metric,
    comparison: Comparison,
    /// In milliseconds, as a ratio, or a plain number.
    bound: f64,
}

/// A demand, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// As it was typed.
    pub(super) threshold: String,
    /// What was measured, in its own unit.
    pub(super) value: String,
    /// Whether it holds.
    pub(super) holds: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Latency(Quantity),
    ServiceTime(Quantity),
    ErrorRate,
    Errors,
    Rate,
    Dropped,
    Late,
    ClicksMissing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Quantity {
    Quantile(f64),
    Mean,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    AtMost,
    Greater,
    AtLeast,
}

const KNOWN: &str = "p50 … p99.99, mean, max, service_p50 …, error_rate, errors, rps, dropped, late, \
                     clicks_missing; for one operation, as create.p99";

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text
            .find(['<', '>'])
            .ok_or("has no < or >: such as p99<5ms, error_rate<0.1%, rps>=20000")?;
        let (name, rest) = text.split_at(at);
        let (comparison, bound) = match (rest.strip_prefix("<="), rest.strip_prefix(">=")) {
            (Some(bound), _) => (Comparison::AtMost, bound),
            (_, Some(bound)) => (Comparison::AtLeast, bound),
            _ if rest.starts_with('<') => (Comparison::Less, rest.trim_start_matches('<')),
            _ => (Comparison::Greater, rest.trim_start_matches('>')),
        };
        let (operation, name) = match name.trim().split_once('.') {
            Some((first, rest)) if !first.trim_start_matches("service_").starts_with('p') => {
                let found = Operation::ALL.into_iter().find(|one| one.name() == first);
                let found = found.ok_or_else(|| format!("knows no operation {first:?}"))?;
                (Some(found), rest)
            }
            _ => (None, name.trim()),
        };
        let metric =
            Metric::named(name).ok_or_else(|| format!("knows no {name:?}: there are {KNOWN}"))?;
        if operation.is_some()
            && !matches!(
                metric,
                Metric::Latency(_) | Metric::ErrorRate | Metric::Errors
            )
        {
            return Err(format!("{name} is not known for one operation alone"));
        }
        let bound = metric.bound(bound.trim())?;
        Ok(Self {
            text: text.to_owned(),
            operation,
            metric,
            comparison,
            bound,
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Metric {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "error_rate" => Self::ErrorRate,
            "errors" => Self::Errors,
            "rps" | "rate" => Self::Rate,
            "dropped" => Self::Dropped,
            "late" => Self::Late,
            "clicks_missing" => Self::ClicksMissing,
            _ => match name.strip_prefix("service_") {
                Some(name) => Self::ServiceTime(Quantity::named(name)?),
                None => Self::Latency(Quantity::named(name)?),
            },
        })
    }

    fn bound(self, text: &str) -> Result<f64, String> {
        let number = |text: &str| {
            let number = text.parse::<f64>().ok();
            number
                .filter(|number| number.is_finite() && *number >= 0.0)
                .ok_or_else(|| format!("compares with {text:?}, which is no number"))
        };
        match self {
            Self::Latency(_) | Self::ServiceTime(_) => {
                if text.ends_with(|letter: char| letter.is_ascii_digit()) {
                    return Err(format!("compares with {text:?}: say the unit, as {text}ms"));
                }
                let span =
                    span(text).map_err(|error| format!("compares with {text:?}: {error}"))?;
                Ok(span.as_secs_f64() * 1_000.0)
            }
            Self::ErrorRate => match text.strip_suffix('%') {
                Some(percent) => Ok(number(percent)? / 100.0),
                None => number(text),
            },
            Self::Rate => match text.strip_suffix(['k', 'K']) {
                Some(thousands) => Ok(number(thousands)? * 1_000.0),
                None => number(text),
            },
            Self::Errors | Self::Dropped | Self::Late | Self::ClicksMissing => number(text),
        }
    }
}

impl Quantity {
    fn named(name: &str) -> Option<Self> {
        match name {
            "mean" | "avg" => return Some(Self::Mean),
            "max" => return Some(Self::Max),
            _ => (),
        }
        let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
        (0.0..=100.0)
            .contains(&percent)
            .then(|| Self::Quantile(percent / 100.0))
    }

    /// Its value; nothing where too few samples support it.
    fn of(self, hdr: &Hdr) -> Option<f64> {
        match self {
            Self::Quantile(quantile) => hdr.supported(quantile),
            Self::Mean => Some(hdr.mean()),
            Self::Max => Some(hdr.max()),
        }
    }
}

impl Threshold {
    /// Whether `results` hold it. What was not measured does not.
    pub(super) fn judge(&self, results: &Results) -> Outcome {
        let value = self.value(results);
        let holds = value.is_some_and(|value| match self.comparison {
            Comparison::Less => value < self.bound,
            Comparison::AtMost => value <= self.bound,
            Comparison::Greater => value > self.bound,
            Comparison::AtLeast => value >= self.bound,
        });
        Outcome {
            threshold: self.text.clone(),
            value: value.map_or_else(|| self.unmeasured(results), |value| self.shown(value)),
            holds,
        }
    }

    /// The operation that it is about, if it is about one alone.
    pub(super) const fn operation(&self) -> Option<Operation> {
        self.operation
    }

    /// Whether it takes a comparison of the clicks.
    pub(super) fn is_of_clicks(&self) -> bool {
        self.metric == Metric::ClicksMissing
    }

    /// Requests without which it cannot be judged.
    pub(super) fn requests_needed(&self) -> f64 {
        match self.metric {
            Metric::Latency(Quantity::Quantile(quantile))
            | Metric::ServiceTime(Quantity::Quantile(quantile)) => hdr::samples_for(quantile),
            Metric::Latency(Quantity::Mean | Quantity::Max)
            | Metric::ServiceTime(Quantity::Mean | Quantity::Max)
            | Metric::ErrorRate
            | Metric::Errors
            | Metric::Rate
            | Metric::Dropped
            | Metric::Late
            | Metric::ClicksMissing => 1.0,
        }
    }

    /// Why there is no value.
    fn unmeasured(&self, results: &Results) -> String {
        let operation = self.operation.map(Operation::name);
        let of = results.operations.iter();
        let of = of.filter(|of| operation.is_none_or(|name| of.operation.name() == name));
        let finished: u64 = of.map(|of| of.finished).sum();
        if finished == 0 {
            return match operation {
                Some(name) => format!("not measured: no {name} was answered"),
                None => "not measured: nothing was answered".to_owned(),
            };
        }
        if self.metric == Metric::ClicksMissing {
            return match &results.clicks {
                Known::Yes(_) => "not measured: others followed these links too".to_owned(),
                Known::No { not_known } => format!("not measured: {not_known}"),
            };
        }
        format!(
            "not measured: {finished} requests are too few, it takes {:.0}",
            self.requests_needed()
        )
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    fn value(&self, results: &Results) -> Option<f64> {
        let totals = &results.totals;
        if totals.finished == 0 {
            return None;
        }
        if let Some(operation) = self.operation {
            let of = results.operations.iter();
            let of = of.clone().find(|of| of.operation == operation)?;
            return match self.metric {
                Metric::Latency(quantity) => quantity.of(&of.latency),
                Metric::ErrorRate => Some(of.errors as f64 / of.finished as f64),
                Metric::Errors => Some(of.errors as f64),
                Metric::ServiceTime(_)
                | Metric::Rate
                | Metric::Dropped
                | Metric::Late
                | Metric::ClicksMissing => None,
            };
        }
        match self.metric {
            Metric::Latency(quantity) => quantity.of(&totals.latency),
            Metric::ServiceTime(quantity) => quantity.of(&totals.service_time),
            Metric::ErrorRate => Some(totals.error_rate),
            Metric::Errors => Some(totals.errors as f64),
            Metric::Rate => Some(totals.rate),
            Metric::Dropped => Some(totals.dropped as f64),
            Metric::Late => Some((totals.late_busy + totals.late_generator) as f64),
            Metric::ClicksMissing => {
                // Somebody else's clicks may stand for lost ones.
                let clicks = results.clicks.get().filter(|clicks| clicks.surplus == 0)?;
                Some(clicks.missing as f64)
            }
        }
    }

    fn shown(&self, value: f64) -> String {
        match self.metric {
            Metric::Latency(_) | Metric::ServiceTime(_) => format!("{value:.3} ms"),
            Metric::ErrorRate => format!("{:.3} %", value * 100.0),
            Metric::Rate => format!("{value:.1}"),
            Metric::Errors | Metric::Dropped | Metric::Late | Metric::ClicksMissing => {
                format!("{value:.0}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::loadtest::sample;

    #[track_caller]
    fn check(text: &str, holds: bool) {
        let outcome = text.parse::<Threshold>().unwrap().judge(&sample::results());
        assert_eq!(outcome.holds, holds, "{outcome:?}");
    }

    #[test]
    fn a_threshold_holds_or_not() {
        // The sample: 1,000 requests of 0.1 to 100 ms, ten of them failed, at 100/s.
        check("p99<100ms", true);
        check("p99<50ms", false);
        check("p50 <= 51ms", true);
        check("service_max<1s", true);
        check("mean>1us", true);
        check("error_rate<1%", false);
        check("error_rate<=0.01", true);
        check("errors<11", true);
        check("rps>=99", true);
        check("rps>1k", false);
        check("redirect.p99<100ms", true);
        check("create.p99<100ms", false); // it did not occur
        check("clicks_missing<=0", true);
        check("dropped<1", true);
    }

    #[test]
    fn a_percentile_that_the_table_does_not_show_is_not_judged() {
        let demand: Threshold = "p99.9<1s".parse().unwrap();
        let outcome = demand.judge(&sample::results());
        assert!(!outcome.holds);
        assert_eq!(
            outcome.value,
            "not measured: 1000 requests are too few, it takes 10000"
        );
        assert!((demand.requests_needed() - 10_000.0).abs() < 1e-3);
        let demand: Threshold = "create.max<1s".parse().unwrap();
        let outcome = demand.judge(&sample::results());
        assert_eq!(outcome.value, "not measured: no create was answered");
    }

    #[test]
    fn a_demand_that_cannot_be_read_says_why() {
        for (text, part) in [
            ("p99", "no < or >"),
            ("p99<5", "say the unit"),
            ("p101<5ms", "knows no"),
            ("speed<5", "knows no"),
            ("fly.p99<5ms", "no operation"),
            ("create.rps>5", "for one operation"),
            ("error_rate<x%", "no number"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
