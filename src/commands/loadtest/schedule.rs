//! When requests are to start: a plan that is made before the first one, and never waits for an
//! answer.
//!
//! # Why
//!
//! A generator that sends the next request once the last is answered asks a slow server less often,
//! and so hides its slowness (coordinated omission). Here every start follows from the number of the
//! request alone.

use std::time::Duration;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::options::Arrivals;
use super::options::Ramp;
use super::options::Rate;

/// How fast requests start over the time of a run: a lead at the first rate, a climb, and from
/// then on the last rate. Requests a second, and seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    from: f64,
    to: f64,
    lead: f64,
    climb: f64,
}

impl Pace {
    /// The same rate all the time.
    pub(super) const fn steady(rate: Rate) -> Self {
        Self {
            from: rate.0,
            to: rate.0,
            lead: 0.0,
            climb: 0.0,
        }
    }

    /// A ramp, after `lead` at its first rate.
    pub(super) const fn ramp(ramp: Ramp, lead: Duration) -> Self {
        Self {
            from: ramp.from.0,
            to: ramp.to.0,
            lead: lead.as_secs_f64(),
            climb: ramp.seconds,
        }
    }

    /// The rate, where it is the same all the time.
    pub(super) fn steady_rate(self) -> Option<Rate> {
        let is_steady = self.from.to_bits() == self.to.to_bits();
        is_steady.then_some(Rate(self.from))
    }

    /// Requests a second, `seconds` after the beginning.
    pub(super) fn rate_at(self, seconds: f64) -> f64 {
        if seconds >= self.lead + self.climb {
            return self.to;
        }
        let climbed = (seconds - self.lead).max(0.0);
        self.from + self.growth() * climbed
    }

    /// Requests due within the first `seconds`.
    pub(super) fn due(self, seconds: f64) -> f64 {
        let leading = seconds.min(self.lead);
        let climbing = (seconds - self.lead).clamp(0.0, self.climb);
        let holding = (seconds - self.lead - self.climb).max(0.0);
        self.from * (leading + climbing)
            + self.growth() * climbing * climbing / 2.0
            + self.to * holding
    }

    /// The second in which the `count`th request is due: the inverse of [`due`](Self::due).
    fn second_of(self, count: f64) -> f64 {
        let before = self.due(self.lead);
        if count <= before {
            return count / self.from;
        }
        let (count, growth) = (count - before, self.growth());
        let climbing = self.due(self.lead + self.climb) - before;
        let after_lead = if count >= climbing {
            self.climb + (count - climbing) / self.to
        } else if growth.abs() < 1e-9 {
            count / self.from
        } else {
            ((self.from * self.from + 2.0 * growth * count)
                .max(0.0)
                .sqrt()
                - self.from)
                / growth
        };
        self.lead + after_lead
    }

    fn growth(self) -> f64 {
        if self.climb > 0.0 {
            (self.to - self.from) / self.climb
        } else {
            0.0
        }
    }
}

/// The starts of one worker, in order.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    end: f64,
    count: f64,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Every `n`th request is this worker's.
    Every(f64),
    /// The worker has a stream of its own, `1 / n` as dense.
    Random(f64, Box<SmallRng>),
}

impl Schedule {
    /// The part of worker `worker` of `workers`; together they start what `pace` says, for `length`.
    pub(super) fn new(
        (pace, arrivals): (Pace, Arrivals),
        length: Duration,
        (worker, workers): (usize, usize),
        seed: u64,
    ) -> Self {
        let n = precise(workers);
        let (count, step) = match arrivals {
            Arrivals::Constant => (precise(worker), Step::Every(n)),
            Arrivals::Poisson => {
                let mut random = SmallRng::seed_from_u64(seed ^ (worker as u64) << 32);
                (gap(&mut random) * n, Step::Random(n, Box::new(random)))
            }
        };
        Self {
            pace,
            end: length.as_secs_f64(),
            count,
            step,
        }
    }

    /// The next start, counted from the beginning; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Duration> {
        let second = self.pace.second_of(self.count);
        if second >= self.end {
            return None;
        }
        self.count += match &mut self.step {
            Step::Every(n) => *n,
            Step::Random(n, random) => gap(random) * *n,
        };
        Some(Duration::from_secs_f64(second))
    }
}

/// The gap between independent arrivals, 1 on average.
fn gap(random: &mut SmallRng) -> f64 {
    let point: f64 = random.random();
    -(1.0 - point).ln()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of workers are small")]
const fn precise(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pace: Pace, arrivals: Arrivals, seconds: u64, workers: usize) -> Vec<f64> {
        let mut starts = Vec::new();
        for worker in 0..workers {
            let length = Duration::from_secs(seconds);
            let mut part = Schedule::new((pace, arrivals), length, (worker, workers), 7);
            starts.extend(std::iter::from_fn(|| part.next()).map(|start| start.as_secs_f64()));
        }
        starts.sort_by(f64::total_cmp);
        starts
    }

    #[test]
    fn workers_together_start_what_was_asked_for_evenly() {
        let starts = all(Pace::steady(Rate(1_000.0)), Arrivals::Constant, 3, 2);
        assert_eq!(starts.len(), 3_000);
        for (n, start) in starts.iter().enumerate() {
            assert!((start - n as f64 / 1_000.0).abs() < 1e-6);
        }
    }

    #[test]
    fn random_arrivals_have_the_rate_and_the_spread_of_independent_people() {
        let starts = all(Pace::steady(Rate(1_000.0)), Arrivals::Poisson, 60, 3);
        // 60,000 ± 4 standard deviations.
        assert!((59_000..61_000).contains(&starts.len()), "{}", starts.len());
        let gaps: Vec<f64> = starts.windows(2).map(|two| two[1] - two[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>();
        let deviation = (variance / gaps.len() as f64).sqrt();
        // Exponential gaps spread by their mean.
        assert!((0.95..1.05).contains(&(deviation / mean)));
    }

    #[test]
    fn a_ramp_climbs_evenly_and_then_holds() {
        let ramp = Ramp {
            from: Rate(100.0),
            to: Rate(300.0),
            seconds: 10.0,
        };
        let starts = all(Pace::ramp(ramp, Duration::ZERO), Arrivals::Constant, 20, 2);
        // 10 s at 200 on average, 10 s at 300.
        assert_eq!(starts.len(), 5_000);
        let within = |from: f64, to: f64| {
            starts
                .iter()
                .filter(|start| (from..to).contains(*start))
                .count()
        };
        assert!((109..=111).contains(&within(0.0, 1.0)));
        assert!((289..=291).contains(&within(9.0, 10.0)));
        assert!((299..=301).contains(&within(15.0, 16.0)));
        let down = Ramp {
            from: Rate(300.0),
            to: Rate(100.0),
            seconds: 10.0,
        };
        let down = Pace::ramp(down, Duration::from_secs(5));
        assert_eq!(all(down, Arrivals::Constant, 15, 1).len(), 1_500 + 2_000);
        assert_eq!(down.rate_at(2.0), 300.0);
        assert_eq!(down.rate_at(10.0), 200.0);
        assert_eq!(down.rate_at(60.0), 100.0);
    }
}
