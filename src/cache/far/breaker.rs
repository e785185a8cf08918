//! This file decides whether the far cache is asked at all: not while it keeps failing.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row open the breaker.
const FAILURES: u32 = 5;

/// The first pause; every failed probe doubles it.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// Lets calls through while they succeed, and one at a time after a pause while they fail.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    Probing { pause: Duration },
}

/// The right to make one call; dropped without an end, it counts as a failure.
#[derive(Debug)]
pub(super) struct Permit<'breaker> {
    breaker: &'breaker Breaker,
    is_probe: bool,
    is_open: bool,
}

impl Breaker {
    /// Closed: everything may pass.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }

    /// The right to make a call now, if there is one.
    pub(super) fn admit(&self, now: Instant) -> Option<Permit<'_>> {
        let mut state = self.state();
        let is_probe = match *state {
            State::Closed { .. } => false,
            State::Open { until, pause } if until <= now => {
                *state = State::Probing { pause };
                true
            }
            State::Open { .. } | State::Probing { .. } => return None,
        };
        Some(Permit {
            breaker: self,
            is_probe,
            is_open: true,
        })
    }

    /// Ends the pause: something says that the next call will succeed.
    pub(super) fn hurry(&self, now: Instant) {
        let mut state = self.state();
        if let State::Open { .. } = *state {
            *state = State::Open {
                until: now,
                pause: SHORTEST,
            };
        }
    }

    /// Whether calls pass.
    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.state(), State::Closed { .. })
    }

    fn settle(&self, is_probe: bool, answered: bool, now: Instant) {
        let mut state = self.state();
        let next = match *state {
            State::Closed { .. } if answered => State::Closed { failures: 0 },
            State::Closed { failures } if failures + 1 < FAILURES => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } => State::Open {
                until: now + SHORTEST,
                pause: SHORTEST,
            },
            State::Probing { .. } if is_probe && answered => State::Closed { failures: 0 },
            State::Probing { pause } if is_probe => {
                let pause = (pause * 2).min(LONGEST);
                State::Open {
                    until: now + pause,
                    pause,
                }
            }
            // A call from before the pause says nothing of now.
            State::Open { .. } | State::Probing { .. } => return,
        };
        *state = next;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// How the call went: answered in time, or not.
    pub(super) fn end(mut self, answered: bool, now: Instant) {
        self.is_open = false;
        self.breaker.settle(self.is_probe, answered, now);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.breaker.settle(self.is_probe, false, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn call(breaker: &Breaker, answered: bool, now: Instant) {
        breaker.admit(now).unwrap().end(answered, now);
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let breaker = Breaker::new();
        let now = Instant::now();
        for answered in [false, false, false, false, true, false, false, false, false] {
            call(&breaker, answered, now);
        }
        assert!(breaker.is_closed());
        drop(breaker.admit(now));
        assert!(!breaker.is_closed());
        assert!(breaker.admit(now).is_none());
    }

    #[test]
    fn one_probe_passes_after_each_pause_and_pauses_grow_to_ten_seconds() {
        let breaker = Breaker::new();
        let mut now = Instant::now();
        for _ in 0..5 {
            call(&breaker, false, now);
        }
        for pause in [1, 2, 4, 8, 10, 10] {
            now += Duration::from_millis(pause * 1000 - 1);
            assert!(breaker.admit(now).is_none(), "{pause}");
            now += Duration::from_millis(1);
            let probe = breaker.admit(now).unwrap();
            assert!(breaker.admit(now).is_none());
            probe.end(false, now);
        }
        breaker.hurry(now);
        call(&breaker, true, now);
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_late_answer_does_not_close_it() {
        let breaker = Breaker::new();
        let now = Instant::now();
        let late = breaker.admit(now).unwrap();
        for _ in 0..5 {
            call(&breaker, false, now);
        }
        late.end(true, now);
        assert!(!breaker.is_closed());
    }
}
