//! The gate of one worker: lets one connection after another start its request when it is due.
//!
//! # Why
//!
//! Timers of the runtime tick in milliseconds, which is more than a redirect takes; the kernel's own
//! timer is exact. One connection waits at the gate, the others queue behind it, so the order of
//! starts is the plan's, and a start is late only where no connection was free, or this process
//! got no processor in time: the two are told apart.

use std::io;
use std::time::Duration;
use std::time::Instant;

use rustix::time::Itimerspec;
use rustix::time::TimerfdClockId;
use rustix::time::TimerfdFlags;
use rustix::time::TimerfdTimerFlags;
use rustix::time::Timespec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::schedule::Schedule;

/// A start this much after its time is late.
pub(super) const LATE: Duration = Duration::from_millis(1);

/// One request may start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// When it was due; in a closed loop, now.
    pub(super) intended: Instant,
    /// Whether a connection was waiting for it when it was due.
    pub(super) expected: bool,
}

/// What lets requests start.
#[derive(Debug)]
pub(super) enum Gate {
    /// By a plan.
    Open(Mutex<Planned>),
    /// As soon as an answer is there, until a point in time or a signal.
    Closed(Instant, CancellationToken),
}

/// The plan, and the timer that waits for it.
#[derive(Debug)]
pub(super) struct Planned {
    schedule: Schedule,
    begun: Instant,
    timer: AsyncFd<rustix::fd::OwnedFd>,
    stop: CancellationToken,
}

impl Gate {
    /// A gate that follows `schedule` from `begun` on, until `stop`.
    ///
    /// # Errors
    /// Where the kernel has no timer left.
    pub(super) fn open(
        schedule: Schedule,
        begun: Instant,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "it is unsound for descriptors that may be closed beneath it: this one is owned"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self::Open(Mutex::new(Planned {
            schedule,
            begun,
            timer,
            stop,
        })))
    }

    /// Waits for the next start; `None` once there are no more.
    ///
    /// # Errors
    /// Where the timer fails.
    pub(super) async fn next(&self) -> io::Result<Option<Start>> {
        let arrived = Instant::now();
        match self {
            Self::Closed(end, stop) => {
                let goes_on = arrived < *end && !stop.is_cancelled();
                Ok(goes_on.then_some(Start {
                    intended: arrived,
                    expected: true,
                }))
            }
            Self::Open(planned) => {
                let mut planned = planned.lock().await;
                if planned.stop.is_cancelled() {
                    return Ok(None);
                }
                let Some(after) = planned.schedule.next() else {
                    return Ok(None);
                };
                let intended = planned.begun + after;
                let due = planned.wait(intended).await?;
                Ok(due.then_some(Start {
                    intended,
                    expected: arrived <= intended,
                }))
            }
        }
    }
}

impl Planned {
    /// Whether the time came, before a stop.
    async fn wait(&self, until: Instant) -> io::Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(true);
        }
        let due = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            },
        };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &due)?;
        let mut ticks = [0; 8];
        let read = |timer: &rustix::fd::OwnedFd| Ok(rustix::io::read(timer, &mut ticks)?);
        tokio::select! {
            () = self.stop.cancelled() => Ok(false),
            ticked = self.timer.async_io(Interest::READABLE, read) => ticked.map(|_bytes| true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::loadtest::options::Arrivals;
    use crate::commands::loadtest::options::Rate;
    use crate::commands::loadtest::schedule::Pace;

    fn gate(rate: f64, begun: Instant, stop: &CancellationToken) -> Gate {
        let plan = (Pace::steady(Rate(rate)), Arrivals::Constant);
        let schedule = Schedule::new(plan, Duration::from_secs(1), (0, 1), 1);
        Gate::open(schedule, begun, stop.clone()).unwrap()
    }

    #[tokio::test]
    async fn nobody_starts_before_the_time() {
        let begun = Instant::now();
        let gate = gate(100.0, begun, &CancellationToken::new());
        let mut started = 0;
        while let Some(start) = gate.next().await.unwrap() {
            assert!(Instant::now() >= start.intended);
            started += 1;
        }
        assert_eq!(started, 100);
        assert!(begun.elapsed() >= Duration::from_millis(990));
    }

    #[tokio::test]
    async fn who_comes_late_is_let_through_and_known() {
        let begun = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        let gate = gate(1_000.0, begun, &CancellationToken::new());
        let first = gate.next().await.unwrap().unwrap();
        assert!(!first.expected);
        assert_eq!(first.intended, begun);
    }

    #[tokio::test]
    async fn a_stop_wakes_who_waits_for_a_distant_start() {
        let stop = CancellationToken::new();
        let gate = gate(1.1, Instant::now(), &stop);
        assert!(gate.next().await.unwrap().is_some());
        let (start, ()) = tokio::join!(gate.next(), async { stop.cancel() });
        assert!(start.unwrap().is_none());
        assert!(gate.next().await.unwrap().is_none());
    }
}
