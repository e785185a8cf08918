//! What was measured: one window of histograms and counts for each worker and second.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Deserialize;
use serde::Serialize;

use super::options::Operation;

/// Times are recorded in microseconds, up to this many (60 s), with three digits.
const LONGEST: u64 = 60_000_000;

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Trouble {
    /// No connection.
    Connect,
    /// The connection ended before the answer.
    Closed,
    /// No answer in time.
    Timeout,
    /// Another status than the link has.
    BadStatus,
    /// A redirect to somewhere else.
    WrongLocation,
    /// A body that does not say what it should.
    BadBody,
    /// It could not start within the time it had for its answer.
    Dropped,
}

impl Trouble {
    /// Its name in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::BadStatus => "bad_status",
            Self::WrongLocation => "wrong_location",
            Self::BadBody => "bad_body",
            Self::Dropped => "dropped",
        }
    }
}

/// One finished request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// What it did.
    pub(super) operation: Operation,
    /// From the intended start to the end.
    pub(super) latency: Duration,
    /// From sending to the end.
    pub(super) service: Duration,
    /// The status of the answer, if there was one.
    pub(super) status: Option<u16>,
    /// What was wrong.
    pub(super) trouble: Option<Trouble>,
    /// Bytes of the answer's body.
    pub(super) bytes: u64,
}

/// What happened within a span of time.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// From the intended start.
    pub(super) latency: Histogram<u64>,
    /// From sending.
    pub(super) service: Histogram<u64>,
    /// From the intended start, by the number of the operation.
    pub(super) by_operation: Vec<Histogram<u64>>,
    /// Requests that failed, by the number of the operation.
    pub(super) failed_by_operation: Vec<u64>,
    /// The counts.
    pub(super) counts: Counts,
}

/// The counts of a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Requests that were sent.
    pub(super) started: u64,
    /// Requests that ended, well or not.
    pub(super) finished: u64,
    /// Requests that did not get the answer that was expected.
    pub(super) errors: u64,
    /// Starts over a millisecond late because no connection was free.
    pub(super) late_busy: u64,
    /// Starts over a millisecond late although one was: this machine's own delay.
    pub(super) late_generator: u64,
    /// Starts given up: they could not begin within the time for an answer.
    pub(super) dropped: u64,
    /// Connections that were opened.
    pub(super) connects: u64,
    /// Bytes of bodies.
    pub(super) bytes: u64,
    /// Answers by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Errors by kind.
    pub(super) troubles: BTreeMap<Trouble, u64>,
}

impl Window {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self {
            latency: histogram(),
            service: histogram(),
            by_operation: Operation::ALL.iter().map(|_| histogram()).collect(),
            failed_by_operation: vec![0; Operation::ALL.len()],
            counts: Counts::default(),
        }
    }

    /// A request has ended.
    pub(super) fn record(&mut self, sample: &Sample) {
        let place = sample.operation as usize;
        let latency = micros(sample.latency);
        self.latency.saturating_record(latency);
        if sample.trouble != Some(Trouble::Dropped) {
            self.service.saturating_record(micros(sample.service));
        }
        if let Some(histogram) = self.by_operation.get_mut(place) {
            histogram.saturating_record(latency);
        }
        let counts = &mut self.counts;
        counts.finished += 1;
        counts.bytes += sample.bytes;
        if let Some(status) = sample.status {
            *counts.statuses.entry(status).or_default() += 1;
        }
        if let Some(trouble) = sample.trouble {
            counts.errors += 1;
            *counts.troubles.entry(trouble).or_default() += 1;
            if trouble == Trouble::Dropped {
                counts.dropped += 1;
            }
            if let Some(failed) = self.failed_by_operation.get_mut(place) {
                *failed += 1;
            }
        }
    }

    /// Adds another window.
    pub(super) fn add(&mut self, other: &Self) {
        // All histograms have the same bounds, so none can be refused.
        let join = |to: &mut Histogram<u64>, from: &Histogram<u64>| {
            to.add(from).expect("histograms of equal bounds add up");
        };
        join(&mut self.latency, &other.latency);
        join(&mut self.service, &other.service);
        for (to, from) in self.by_operation.iter_mut().zip(&other.by_operation) {
            join(to, from);
        }
        let failed = self.failed_by_operation.iter_mut();
        for (to, from) in failed.zip(&other.failed_by_operation) {
            *to += from;
        }
        self.counts.add(&other.counts);
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.started += other.started;
        self.finished += other.finished;
        self.errors += other.errors;
        self.late_busy += other.late_busy;
        self.late_generator += other.late_generator;
        self.dropped += other.dropped;
        self.connects += other.connects;
        self.bytes += other.bytes;
        for (status, n) in &other.statuses {
            *self.statuses.entry(*status).or_default() += n;
        }
        for (trouble, n) in &other.troubles {
            *self.troubles.entry(*trouble).or_default() += n;
        }
    }
}

/// Where one worker writes and the report reads; locked for nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Meter(Arc<Mutex<Window>>);

impl Meter {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Window::new())))
    }

    /// Lets `change` see the present window.
    pub(super) fn with(&self, change: impl FnOnce(&mut Window)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What came in since the last call.
    pub(super) fn take(&self) -> Window {
        let fresh = Window::new();
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut window, fresh)
    }
}

/// An empty histogram of microseconds.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order")
}

fn micros(time: Duration) -> u64 {
    // Half a microsecond up, as a clock of that unit would.
    u64::try_from((time.as_nanos() + 500) / 1_000).unwrap_or(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(trouble: Option<Trouble>) -> Sample {
        Sample {
            operation: Operation::Create,
            latency: Duration::from_millis(30),
            service: Duration::from_millis(10),
            status: trouble.is_none().then_some(201),
            trouble,
            bytes: 5,
        }
    }

    #[test]
    fn windows_add_up() {
        let (meter, mut sum) = (Meter::new(), Window::new());
        for _ in 0..2 {
            meter.with(|window| {
                window.record(&sample(None));
                window.record(&sample(Some(Trouble::Timeout)));
                window.record(&sample(Some(Trouble::Dropped)));
            });
            sum.add(&meter.take());
        }
        let counts = &sum.counts;
        assert_eq!((counts.finished, counts.errors, counts.dropped), (6, 4, 2));
        assert_eq!(counts.statuses, BTreeMap::from([(201, 2)]));
        assert_eq!(counts.bytes, 30);
        assert_eq!(sum.latency.len(), 6);
        assert_eq!(
            sum.service.len(),
            4,
            "what was never sent has no service time"
        );
        let create = &sum.by_operation[Operation::Create as usize];
        assert_eq!(create.value_at_quantile(0.5).div_ceil(1_000), 31);
        assert_eq!(sum.failed_by_operation[Operation::Create as usize], 4);
        assert_eq!(meter.take().counts, Counts::default());
    }

    #[test]
    fn what_takes_longer_than_a_minute_is_a_minute() {
        let mut window = Window::new();
        let mut long = sample(None);
        long.latency = Duration::from_secs(90);
        window.record(&long);
        assert!(window.latency.max() >= LONGEST);
    }
}
