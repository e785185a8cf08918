//! Whether a difference between two runs is one, or chance.
//!
//! # Why
//!
//! A run is drawn again many times from its own seconds (a block bootstrap: neighbouring seconds
//! stay together, since a machine is slow for several at a time). If the ratio of two runs leaves 1
//! in hardly any draw, the runs differ. That alone would call tiny differences real in long runs, so
//! a difference must also be large enough to matter.

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::results::Point;
use super::results::Results;

/// How often a run is drawn again.
const DRAWS: usize = 400;
/// Neighbouring seconds that stay together.
const BLOCK: usize = 4;
/// Seconds that a run needs for a verdict.
const FEWEST: usize = 8;
/// The share of draws at either end that is left out: 95 % remain.
const TAIL: f64 = 0.025;

/// A figure of a run that can be drawn again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figure {
    /// Right answers a second.
    Rate,
    /// Milliseconds within which a share of the requests ended.
    Latency(f64),
    /// Errors to requests.
    ErrorRate,
}

/// How much a ratio of two runs may differ from 1 by chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Band {
    /// The ratio of the second run to the first.
    pub(super) ratio: f64,
    /// 95 % of the draws lie from here …
    pub(super) low: f64,
    /// … to here.
    pub(super) high: f64,
}

/// The draws of one run: for each, what its seconds came to.
pub(super) struct Drawn {
    /// Every latency that occurred, in microseconds, ascending.
    times: Vec<u64>,
    draws: Vec<Sum>,
}

#[derive(Clone, Default)]
struct Sum {
    seconds: f64,
    right: u64,
    errors: u64,
    finished: u64,
    /// How often each time occurred, in the order of the times.
    counts: Vec<u64>,
}

/// A second, with the places of its times among all of the run.
struct Second<'run> {
    point: &'run Point,
    counts: Vec<(usize, u64)>,
}

impl Drawn {
    /// Draws a run again; `None` where it is too short.
    pub(super) fn of(results: &Results) -> Option<Self> {
        let points: Vec<&Point> = results
            .series
            .iter()
            .filter(|point| !point.warmup && point.length >= 0.5)
            .collect();
        if points.len() < FEWEST {
            return None;
        }
        let occurred = points.iter().flat_map(|point| recorded(point));
        let mut times: Vec<u64> = occurred.map(|(time, _)| time).collect();
        times.sort_unstable();
        times.dedup();
        let seconds: Vec<Second<'_>> = points
            .into_iter()
            .map(|point| Second {
                point,
                counts: recorded(point)
                    .filter_map(|(time, n)| Some((times.binary_search(&time).ok()?, n)))
                    .collect(),
            })
            .collect();
        // The same draws for the same results: a verdict does not change when it is asked again.
        let mut random = SmallRng::seed_from_u64(seconds.len() as u64);
        let draws = (0..DRAWS).map(|_| {
            let mut sum = Sum {
                counts: vec![0; times.len()],
                ..Sum::default()
            };
            let mut drawn = 0;
            while drawn < seconds.len() {
                let first = random.random_range(0..seconds.len());
                for second in seconds.iter().cycle().skip(first).take(BLOCK) {
                    sum.add(second);
                    drawn += 1;
                }
            }
            sum
        });
        let draws = draws.collect();
        Some(Self { times, draws })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    fn figure(&self, draw: &Sum, figure: Figure) -> f64 {
        match figure {
            Figure::Rate => draw.right as f64 / draw.seconds.max(1e-9),
            Figure::Latency(share) => self.time_within(draw, share) as f64 / 1_000.0,
            Figure::ErrorRate => draw.errors as f64 / (draw.finished as f64).max(1.0),
        }
    }

    /// The time within which `share` of the requests of a draw ended.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    fn time_within(&self, draw: &Sum, share: f64) -> u64 {
        let all: u64 = draw.counts.iter().sum();
        let wanted = all as f64 * share;
        let mut seen = 0;
        let times = self.times.iter().zip(&draw.counts);
        let reached = times.filter(|(_, n)| **n > 0).find(|(_, n)| {
            seen += **n;
            seen as f64 >= wanted - 1e-6
        });
        reached.map_or(0, |(time, _)| *time)
    }
}

/// The times of a second, in microseconds, with how often they occurred.
fn recorded(point: &Point) -> impl Iterator<Item = (u64, u64)> {
    let of = point.latency.0.iter_recorded();
    of.map(|step| (step.value_iterated_to(), step.count_at_value()))
}

impl Sum {
    fn add(&mut self, second: &Second<'_>) {
        let point = second.point;
        self.seconds += point.length;
        self.right += point.finished - point.errors;
        self.errors += point.errors;
        self.finished += point.finished;
        for (place, n) in &second.counts {
            if let Some(count) = self.counts.get_mut(*place) {
                *count += n;
            }
        }
    }
}

/// The ratio of `after` to `before`, whose true values are given, with its band.
pub(super) fn band(
    figure: Figure,
    (before, drawn_before): (f64, &Drawn),
    (after, drawn_after): (f64, &Drawn),
) -> Band {
    let floor = 1e-9;
    let draws = drawn_before.draws.iter().zip(&drawn_after.draws);
    let mut ratios: Vec<f64> = draws
        .map(|(before, after)| {
            let after = drawn_after.figure(after, figure).max(floor);
            after / drawn_before.figure(before, figure).max(floor)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place within 400 draws"
    )]
    let at = |share: f64| {
        let place = (ratios.len() as f64 * share) as usize;
        ratios
            .get(place.min(ratios.len().saturating_sub(1)))
            .copied()
    };
    Band {
        ratio: after.max(floor) / before.max(floor),
        low: at(TAIL).unwrap_or(0.0),
        high: at(1.0 - TAIL).unwrap_or(f64::INFINITY),
    }
}

impl Band {
    /// Whether the runs differ: by more than chance, and by more than `least` (as 0.05).
    pub(super) fn is_difference(&self, least: f64) -> bool {
        let beyond_chance = self.low > 1.0 || self.high < 1.0;
        beyond_chance && (self.ratio - 1.0).abs() > least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::loadtest::sample;

    fn p99_of(before: &Results, after: &Results) -> Band {
        let value = |results: &Results| results.totals.latency.at(0.99);
        band(
            Figure::Latency(0.99),
            (value(before), &Drawn::of(before).unwrap()),
            (value(after), &Drawn::of(after).unwrap()),
        )
    }

    #[test]
    fn equal_runs_do_not_differ() {
        let band = p99_of(&sample::results(), &sample::results());
        assert_eq!(band.ratio, 1.0);
        assert!(!band.is_difference(0.0), "{band:?}");
    }

    #[test]
    fn a_run_of_twice_the_time_differs() {
        let band = p99_of(&sample::results(), &sample::scaled(2.0));
        assert!((1.9..2.1).contains(&band.ratio));
        assert!(band.is_difference(0.05), "{band:?}");
        assert!(!band.is_difference(1.5), "too small to matter");
    }

    #[test]
    fn a_short_run_has_no_verdict() {
        let mut short = sample::results();
        short.series.truncate(7);
        assert!(Drawn::of(&short).is_none());
    }
}
