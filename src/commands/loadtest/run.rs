//! One run: starts the workers, looks at them every second, and ends them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::measure::Meter;
use super::measure::Window;
use super::options::Arrivals;
use super::request::Workload;
use super::schedule::Pace;
use super::schedule::Schedule;
use super::worker::Worker;
use crate::commands::Failure;

/// What is shorter, in seconds, is no second of its own.
const SHORTEST: f64 = 0.5;

/// How requests are started.
#[derive(Clone, Copy, Debug)]
pub(super) enum Discipline {
    /// By a plan, whatever the answers do.
    Open(Pace, Arrivals),
    /// Each connection asks again once it has its answer.
    Closed,
}

/// The form of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// How requests are started.
    pub(super) discipline: Discipline,
    /// Before anything counts.
    pub(super) warmup: Duration,
    /// For how long it counts.
    pub(super) duration: Duration,
    /// Connections of all workers.
    pub(super) connections: usize,
    /// Threads.
    pub(super) workers: usize,
    /// How long an answer may take.
    pub(super) patience: Duration,
    /// Whether connections are kept.
    pub(super) keep_alive: bool,
    /// Makes the draws the same in every run.
    pub(super) seed: u64,
}

/// One second of a run.
#[derive(Clone, Debug)]
pub(super) struct Second {
    /// When it ended, in seconds from the beginning.
    pub(super) at: f64,
    /// How long it was, in seconds.
    pub(super) length: f64,
    /// Before anything counts.
    pub(super) is_warmup: bool,
    /// What was asked for, requests a second; nothing in a closed loop.
    pub(super) wanted: Option<f64>,
    /// Requests that wait at its end.
    pub(super) in_flight: usize,
    /// What happened.
    pub(super) window: Window,
}

/// All of a run.
#[derive(Debug)]
pub(super) struct Measured {
    /// Second by second, the warm-up too.
    pub(super) seconds: Vec<Second>,
    /// Requests that still waited when the time was over; their answers count.
    pub(super) in_flight_at_end: usize,
    /// Whether a signal ended it early.
    pub(super) interrupted: bool,
    /// The processor time of this process, in seconds.
    pub(super) cpu_seconds: f64,
    /// How long it took.
    pub(super) took: Duration,
}

/// Runs `load` in this form until the time is over or `stop`; `tell` sees every second.
///
/// # Errors
/// Where this machine cannot go on.
pub(super) async fn run(
    load: &Arc<Workload>,
    form: &Form,
    stop: &CancellationToken,
    mut tell: impl FnMut(&Second),
) -> Result<Measured, Failure> {
    let length = form.warmup + form.duration;
    let in_flight = Arc::new(AtomicUsize::new(0));
    let cpu_before = cpu_seconds();
    // A little later than now, so that every worker is there in time.
    let begun = Instant::now() + Duration::from_millis(20);
    let mut meters = Vec::new();
    let mut ends = Vec::new();
    for number in 0..form.workers {
        let meter = Meter::new();
        meters.push(meter.clone());
        let (tell_end, end) = oneshot::channel();
        let part = Part {
            number,
            begun,
            length,
            meter,
            in_flight: Arc::clone(&in_flight),
        };
        let (load, form, stop) = (Arc::clone(load), *form, stop.child_token());
        thread::Builder::new()
            .name(format!("load-{number}"))
            .spawn(move || {
                let ended = part.run(load, &form, stop);
                // Nobody listens only where the whole run was given up.
                drop(tell_end.send(ended));
            })
            .map_err(|error| Failure::Failed(format!("no thread for the load: {error}")))?;
        ends.push(end);
    }
    let all_ended = futures_util::future::join_all(ends);
    tokio::pin!(all_ended);
    let mut watch = Watch::new(form, begun, in_flight);
    let mut tick = tokio::time::interval_at(
        (begun + Duration::from_secs(1)).into(),
        Duration::from_secs(1),
    );
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let time_is_over = tokio::time::sleep_until((begun + length).into());
    tokio::pin!(time_is_over);
    let mut in_flight_at_end = None;
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut all_ended => break ended,
            () = &mut time_is_over, if in_flight_at_end.is_none() => {
                in_flight_at_end = Some(watch.in_flight.load(Ordering::Relaxed));
            }
            _ = tick.tick() => tell(watch.look(&meters)),
        }
    };
    // A plan's time is not over with its last start.
    let whole = (!stop.is_cancelled()).then_some(length);
    watch.end(&meters, whole.unwrap_or_default());
    for ended in ended {
        let why = match ended {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => format!("a worker gave up: {error}"),
            Err(_) => "a worker's thread ended early".to_owned(),
        };
        return Err(Failure::Failed(why));
    }
    Ok(Measured {
        seconds: watch.seconds,
        in_flight_at_end: in_flight_at_end.unwrap_or(0),
        interrupted: stop.is_cancelled(),
        cpu_seconds: cpu_seconds() - cpu_before,
        took: begun.elapsed(),
    })
}

/// What one thread does.
struct Part {
    number: usize,
    begun: Instant,
    length: Duration,
    meter: Meter,
    in_flight: Arc<AtomicUsize>,
}

impl Part {
    fn run(self, load: Arc<Workload>, form: &Form, stop: CancellationToken) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (connections, workers) = (form.connections, form.workers);
        let first = connections * self.number / workers;
        let n = connections * (self.number + 1) / workers - first;
        runtime.block_on(async move {
            let gate = match form.discipline {
                Discipline::Closed => {
                    tokio::time::sleep_until(self.begun.into()).await;
                    Gate::Closed(self.begun + self.length, stop)
                }
                Discipline::Open(pace, arrivals) => {
                    let place = (self.number, workers);
                    let schedule = Schedule::new((pace, arrivals), self.length, place, form.seed);
                    Gate::open(schedule, self.begun, stop)?
                }
            };
            let worker = Worker {
                load,
                gate: Arc::new(gate),
                meter: self.meter,
                in_flight: self.in_flight,
                patience: form.patience,
                keep_alive: form.keep_alive,
                seed: form.seed,
            };
            worker.run(first as u64, n as u64).await
        })
    }
}

/// Gathers what the meters say, second by second.
struct Watch {
    begun: Instant,
    warmup: Duration,
    discipline: Discipline,
    in_flight: Arc<AtomicUsize>,
    last: f64,
    seconds: Vec<Second>,
}

impl Watch {
    fn new(form: &Form, begun: Instant, in_flight: Arc<AtomicUsize>) -> Self {
        Self {
            begun,
            warmup: form.warmup,
            discipline: form.discipline,
            in_flight,
            last: 0.0,
            seconds: Vec::new(),
        }
    }

    /// The rest after the last whole second, which lasts until `whole` at least; a short one is a
    /// part of it.
    fn end(&mut self, meters: &[Meter], whole: Duration) {
        let at = self.begun.elapsed().max(whole);
        self.look_at(meters, at);
        if self.seconds.len() > 1
            && let Some(rest) = self.seconds.pop_if(|rest| rest.length < SHORTEST)
            && let Some(last) = self.seconds.last_mut()
        {
            last.at = rest.at;
            last.length += rest.length;
            last.in_flight = rest.in_flight;
            last.window.add(&rest.window);
        }
    }

    fn look(&mut self, meters: &[Meter]) -> &Second {
        self.look_at(meters, self.begun.elapsed())
    }

    fn look_at(&mut self, meters: &[Meter], at: Duration) -> &Second {
        let at = at.as_secs_f64();
        let mut window = Window::new();
        for meter in meters {
            window.add(&meter.take());
        }
        let wanted = match self.discipline {
            Discipline::Open(pace, _) => Some(pace.rate_at(f64::midpoint(self.last, at))),
            Discipline::Closed => None,
        };
        // A window that began in the warm-up belongs to it, but for the last tenth of a second.
        let is_warmup = self.last + 0.1 < self.warmup.as_secs_f64();
        self.seconds.push(Second {
            at,
            length: at - self.last,
            is_warmup,
            wanted,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            window,
        });
        self.last = at;
        self.seconds.last().expect("one was pushed just now")
    }
}

/// The processor time of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds of a process")]
    let seconds = time.tv_sec as f64;
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    seconds + f64::from(nanos) * 1e-9
}
