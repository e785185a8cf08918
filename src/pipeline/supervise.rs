//! Loops must not end before the stop: one that does takes the process with it.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Runs a loop until `stop`; if it ends earlier (a panic is a bug), cancels `failed`.
pub fn supervise(
    name: &'static str,
    stop: CancellationToken,
    failed: CancellationToken,
    body: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let running = tokio::spawn(body);
    tokio::spawn(async move {
        let ended = running.await;
        if let Err(error) = ended {
            tracing::error!(name, %error, "a loop failed; the process stops");
            failed.cancel();
        } else if !stop.is_cancelled() {
            tracing::error!(name, "a loop ended early; the process stops");
            failed.cancel();
        }
    })
}
