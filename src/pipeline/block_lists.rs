//! Block lists that follow their files.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::classify::Classifier;
use crate::telemetry;

/// Between two looks at the files.
const EVERY: Duration = Duration::from_secs(1);

/// Reads the block lists again when their files change, until `stop`.
pub async fn watch(
    classifier: Arc<Classifier>,
    generation: Arc<watch::Sender<u64>>,
    stop: CancellationToken,
) {
    loop {
        let asked = Arc::clone(&classifier);
        let read = tokio::task::spawn_blocking(move || asked.lists().reload()).await;
        if let Ok(reload) = read {
            for complaint in &reload.complaints {
                tracing::warn!(complaint, "classify.blocklists");
            }
            telemetry::blocklist_entries(reload.entries);
            if reload.changed {
                tracing::info!(entries = reload.entries, "the block lists were read");
                generation.send_modify(|generation| *generation += 1);
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => (),
        }
    }
}
