//! One worker: a thread with a runtime of its own, and its connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use hyper::http::response::Parts;

use super::deadline::Deadline;
use super::gate::Gate;
use super::gate::LATE;
use super::gate::Start;
use super::line::Line;
use super::measure::Meter;
use super::measure::Sample;
use super::measure::Trouble;
use super::request::Ask;
use super::request::Drawer;
use super::request::Workload;

/// How long a connection that could not be opened waits before it tries again.
const PAUSE: Duration = Duration::from_millis(100);

/// What a worker needs to know.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    /// What is asked.
    pub(super) load: Arc<Workload>,
    /// When requests start.
    pub(super) gate: Arc<Gate>,
    /// Where it is written down.
    pub(super) meter: Meter,
    /// Requests of all workers that wait for their answer.
    pub(super) in_flight: Arc<AtomicUsize>,
    /// How long an answer may take, connecting included.
    pub(super) patience: Duration,
    /// Whether a connection asks more than once.
    pub(super) keep_alive: bool,
    /// Makes the draws the same in every run.
    pub(super) seed: u64,
}

impl Worker {
    /// Asks over the connections `first..first + n` until the gate closes.
    ///
    /// # Errors
    /// Where the machine has no timers, sockets or memory left.
    pub(super) async fn run(self, first: u64, n: u64) -> io::Result<()> {
        let connections: Vec<_> = (first..first + n)
            .map(|connection| tokio::spawn(self.clone().connection(connection)))
            .collect();
        for connection in connections {
            connection.await.map_err(io::Error::other)??;
        }
        Ok(())
    }

    async fn connection(self, connection: u64) -> io::Result<()> {
        let load = Arc::clone(&self.load);
        let Some(mut drawer) = Drawer::new(&load, connection, self.seed) else {
            return Err(io::Error::other("the distribution of the links is none"));
        };
        let mut line = None;
        let mut deadline = Deadline::new(self.patience);
        while let Some(start) = self.gate.next().await? {
            let begun = Instant::now();
            let waited = begun.saturating_duration_since(start.intended);
            let Some(ask) = drawer.draw(&load) else {
                return Err(io::Error::other("a request could not be written"));
            };
            if waited >= self.patience {
                self.drop(&ask, waited);
                continue;
            }
            self.note_start(start, waited);
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let (sample, usable) = self
                .ask((&mut line, &mut deadline), ask, begun, start.intended)
                .await;
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.meter.with(|window| window.record(&sample));
            if !usable || !self.keep_alive {
                line = None;
            }
            if sample.trouble == Some(Trouble::Connect) {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    fn note_start(&self, start: Start, waited: Duration) {
        self.meter.with(|window| {
            let counts = &mut window.counts;
            counts.started += 1;
            if waited >= LATE {
                if start.expected {
                    counts.late_generator += 1;
                } else {
                    counts.late_busy += 1;
                }
            }
        });
    }

    /// A visitor who could not even ask within his patience.
    fn drop(&self, ask: &Ask<'_>, waited: Duration) {
        let sample = Sample {
            operation: ask.operation,
            latency: waited,
            service: Duration::ZERO,
            status: None,
            trouble: Some(Trouble::Dropped),
            bytes: 0,
        };
        self.meter.with(|window| window.record(&sample));
    }

    /// Asks once; also whether the connection can be used again.
    async fn ask(
        &self,
        (line, deadline): (&mut Option<Line>, &mut Deadline),
        mut ask: Ask<'_>,
        begun: Instant,
        intended: Instant,
    ) -> (Sample, bool) {
        let question = std::mem::take(&mut ask.question);
        let asked = deadline.wait(begun, async {
            let kept = match line {
                Some(kept) => kept.is_open().await,
                None => false,
            };
            if !kept {
                let fresh = Line::open(self.load.target.address).await;
                *line = Some(fresh.map_err(|_error| Trouble::Connect)?);
                self.meter.with(|window| window.counts.connects += 1);
            }
            let open = line.as_mut().ok_or(Trouble::Connect)?;
            open.ask(question).await.map_err(|_error| Trouble::Closed)
        });
        let answer = asked.await.unwrap_or(Err(Trouble::Timeout));
        let ended = Instant::now();
        if let Some(key) = ask.key {
            match &answer {
                Ok((head, _)) if head.status.is_redirection() => key.acknowledge(),
                Ok(_) | Err(Trouble::Connect) => (),
                Err(_) => key.give_up(),
            }
        }
        let usable = answer.as_ref().is_ok_and(|(head, _)| stays_open(head));
        let (status, trouble, bytes) = match &answer {
            Ok((head, body)) => (
                Some(head.status.as_u16()),
                ask.judge(head, body),
                body.len() as u64,
            ),
            Err(trouble) => (None, Some(*trouble), 0),
        };
        let sample = Sample {
            operation: ask.operation,
            latency: ended.saturating_duration_since(intended),
            service: ended.saturating_duration_since(begun),
            status,
            trouble,
            bytes,
        };
        (sample, usable)
    }
}

fn stays_open(head: &Parts) -> bool {
    let connection = head.headers.get(hyper::header::CONNECTION);
    !connection.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}
