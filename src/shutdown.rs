//! Turns signals into one cancellation token, and the second signal into an exit at once.
//!
//! # Why
//!
//! `timeout` of coreutils signals its child and then the group that the child is in, so one stop
//! can arrive twice within microseconds. Nobody can have changed their mind by then.

use std::io;
use std::time::Duration;
use std::time::Instant;

use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;

/// The exit status after a second SIGINT.
const INTERRUPTED: i32 = 130;

/// The exit status after a second SIGTERM.
const TERMINATED: i32 = 143;

/// The same signal again within this time is still the first one.
const ECHO: Duration = Duration::from_millis(100);

/// Whether the process has been asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled by the first SIGTERM or SIGINT, or by a part that cannot go on.
    pub token: CancellationToken,
}

/// Listens for signals from now on, in a task of the current runtime.
///
/// Call it once, and inside a runtime. If the system refuses the handlers (never seen), a signal
/// ends the process as if nobody listened.
#[must_use]
pub fn listen() -> Shutdown {
    let shutdown = Shutdown::default();
    // Here and not in the task: from the return on, no signal may be missed.
    let mut signals = match Signals::handle() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "cannot listen for signals; a stop will not be orderly");
            return shutdown;
        }
    };
    let token = shutdown.token.clone();
    drop(tokio::spawn(async move {
        let (first, _) = signals.next().await;
        let heard = Instant::now();
        tracing::info!(signal = first, "stopping; a second signal stops at once");
        token.cancel();
        let (name, status) = loop {
            let (name, status) = signals.next().await;
            if !is_echo(first, name, heard.elapsed()) {
                break (name, status);
            }
        };
        tracing::warn!(signal = name, "second signal: stopping at once");
        std::process::exit(status);
    }));
    shutdown
}

/// Whether the signal `again` is the one called `first`, delivered once more.
fn is_echo(first: &str, again: &str, later: Duration) -> bool {
    first == again && later < ECHO
}

/// The two signals that ask a process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn handle() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    /// Its name, and the exit status if it is the last.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => ("SIGTERM", TERMINATED),
            _ = self.interrupt.recv() => ("SIGINT", INTERRUPTED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_signal_at_once_is_the_same_wish() {
        let after = Duration::from_millis;
        assert!(is_echo("SIGTERM", "SIGTERM", after(0)));
        assert!(is_echo("SIGINT", "SIGINT", after(99)));
        assert!(!is_echo("SIGTERM", "SIGTERM", after(100)));
        assert!(!is_echo("SIGTERM", "SIGINT", after(0)));
    }
}
