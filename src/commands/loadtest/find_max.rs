//! The highest rate at which a service keeps its promises: doubled until it breaks them, then
//! halved between the last good and the first bad one.

use serde::Deserialize;
use serde::Serialize;

use super::options::Rate;
use super::results::Results;
use super::threshold::Threshold;

/// Two rates closer than this are the same.
const CLOSE: f64 = 1.05;
/// A run that starts or answers less than this share of what was planned does not hold.
const REACHED: f64 = 0.99;
/// No service is tried below this rate.
const LOWEST: f64 = 1.0;

/// What the search came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Search {
    /// What had to hold.
    pub(super) slo: Vec<String>,
    /// The rates that were tried, in order.
    pub(super) steps: Vec<Step>,
    /// The highest one that held.
    pub(super) best: Option<Rate>,
}

/// One rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    /// Requests a second that were wanted.
    pub(super) rate: Rate,
    /// Right answers a second.
    pub(super) reached: f64,
    /// Milliseconds; nothing where too few requests tell.
    pub(super) p50_ms: Option<f64>,
    /// Milliseconds; nothing where too few requests tell.
    pub(super) p99_ms: Option<f64>,
    /// 0 to 1.
    pub(super) error_rate: f64,
    /// Why it does not hold; empty where it does.
    pub(super) broken: Vec<String>,
}

impl Search {
    /// Before the first step.
    pub(super) fn new(slo: &[Threshold]) -> Self {
        Self {
            slo: slo.iter().map(ToString::to_string).collect(),
            steps: Vec::new(),
            best: None,
        }
    }

    /// The rate to try now; `None` once the answer is known. It begins with `first`.
    pub(super) fn next(&self, first: Rate) -> Option<Rate> {
        let rates = |holds: bool| {
            let steps = self.steps.iter();
            steps
                .filter(move |step| step.broken.is_empty() == holds)
                .map(|step| step.rate.0)
        };
        let good = rates(true).fold(0.0, f64::max);
        let bad = rates(false).fold(f64::INFINITY, f64::min);
        let next = if self.steps.is_empty() {
            first.0
        } else if bad.is_infinite() {
            good * 2.0
        } else if good > 0.0 {
            if bad / good <= CLOSE {
                return None;
            }
            f64::midpoint(good, bad)
        } else {
            bad / 2.0
        };
        (LOWEST..=10_000_000.0)
            .contains(&next)
            .then_some(Rate(next))
    }

    /// Notes what a run at `rate` came to; whether it held.
    pub(super) fn note(&mut self, rate: Rate, results: &Results, slo: &[Threshold]) -> bool {
        let totals = &results.totals;
        let mut broken: Vec<String> = slo
            .iter()
            .map(|threshold| threshold.judge(results))
            .filter(|outcome| !outcome.holds)
            .map(|outcome| format!("{} is {}", outcome.threshold, outcome.value))
            .collect();
        if totals.rate < rate.0 * REACHED {
            broken.push(format!(
                "only {:.0} of {:.0} right answers a second",
                totals.rate, rate.0
            ));
        }
        // What holds in spite of the generator's own delay holds.
        let own = results.generator.saturated.as_ref();
        if let Some(why) = own.filter(|_| !broken.is_empty()) {
            broken.push(format!("the generator is the limit: {why}"));
        }
        let holds = broken.is_empty();
        if holds && self.best.is_none_or(|best| best < rate) {
            self.best = Some(rate);
        }
        self.steps.push(Step {
            rate,
            reached: totals.rate,
            p50_ms: totals.latency.supported(0.5),
            p99_ms: totals.latency.supported(0.99),
            error_rate: totals.error_rate,
            broken,
        });
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a service that holds up to `limit`.
    fn search(first: f64, limit: f64) -> (Option<Rate>, usize) {
        let mut search = Search::new(&[]);
        while let Some(rate) = search.next(Rate(first)) {
            let holds = rate.0 <= limit;
            if holds && search.best.is_none_or(|best| best < rate) {
                search.best = Some(rate);
            }
            search.steps.push(Step {
                rate,
                reached: rate.0,
                p50_ms: None,
                p99_ms: None,
                error_rate: 0.0,
                broken: if holds {
                    Vec::new()
                } else {
                    vec!["slow".to_owned()]
                },
            });
        }
        (search.best, search.steps.len())
    }

    #[test]
    fn the_search_ends_close_below_the_limit() {
        for limit in [1_000.0, 1_499.0, 37_000.0, 12.0] {
            let (best, steps) = search(1_000.0, limit);
            let best = best.unwrap().0;
            assert!(best <= limit && best * 1.06 > limit, "{best} of {limit}");
            assert!(steps <= 16, "{steps} steps for {limit}");
        }
    }

    #[test]
    fn a_service_that_never_holds_has_no_rate() {
        let (best, steps) = search(1_000.0, 0.0);
        assert_eq!(best, None);
        assert!(steps <= 12);
    }
}
