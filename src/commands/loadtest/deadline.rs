//! A deadline that is moved with every request, and costs hardly anything to move.
//!
//! # Why
//!
//! A timer for each request is a tenth of what the request itself costs. Requests of one connection
//! have later and later deadlines, so the timer of the first is left to fire, and only then set anew.

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use tokio::time::Sleep;

/// The time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elapsed;

/// The deadline of one connection.
#[derive(Debug)]
pub(super) struct Deadline {
    patience: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// Gives everything `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            timer: Box::pin(tokio::time::sleep(patience)),
        }
    }

    /// Waits for `task`, which began at `begun`.
    ///
    /// # Errors
    /// [`Elapsed`], where it takes longer.
    pub(super) async fn wait<T>(
        &mut self,
        begun: Instant,
        task: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        let until = begun + self.patience;
        let mut task = pin!(task);
        poll_fn(|context| {
            if let Poll::Ready(done) = task.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            while self.timer.as_mut().poll(context).is_ready() {
                if Instant::now() >= until {
                    return Poll::Ready(Err(Elapsed));
                }
                self.timer.as_mut().reset(until.into());
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_takes_too_long_is_given_up_each_time() {
        let mut deadline = Deadline::new(Duration::from_millis(20));
        for _ in 0..3 {
            let begun = Instant::now();
            let never = deadline.wait(begun, std::future::pending::<()>()).await;
            assert_eq!(never, Err(Elapsed));
            assert!(begun.elapsed() >= Duration::from_millis(20));
            assert_eq!(deadline.wait(Instant::now(), async { 7 }).await, Ok(7));
        }
    }
}
