//! A process that works on the shards in loops and shows nothing but its admin port: `analytics`
//! and `classify`.

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::commands::Failure;
use crate::commands::report;
use crate::commands::serve::bind;
use crate::config::Config;
use crate::http;
use crate::pipeline::supervise;
use crate::pipeline::upkeep;
use crate::pipeline::upkeep::Upkeep;
use crate::shutdown;
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::Metrics;

/// How long the loops may take to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// A process that has begun and listens, but answers nobody yet.
pub(super) struct Worker {
    /// The shards.
    pub(super) store: Arc<Store>,
    /// Cancelled where the loops have to end.
    pub(super) stop: CancellationToken,
    failed: CancellationToken,
    signals: Shutdown,
    metrics: Metrics,
    admin: TcpListener,
    tasks: Vec<JoinHandle<()>>,
}

impl Worker {
    /// Opens the shards, waiting for them if need be, takes the admin port, and looks after both.
    ///
    /// # Errors
    /// [`Failure`] where the configuration cannot be used, or the port is taken.
    pub(super) async fn begin(config: &Config) -> Result<Self, Failure> {
        let metrics = app::metrics();
        let store = app::patient_store(config).await?;
        let admin = bind(config.admin.listen, "admin.listen")?;
        let mut worker = Self {
            store,
            stop: CancellationToken::new(),
            failed: CancellationToken::new(),
            signals: shutdown::listen(),
            metrics,
            admin,
            tasks: Vec::new(),
        };
        let looked_after = Upkeep {
            store: Arc::clone(&worker.store),
            visitors: None,
            coherence: Arc::default(),
            redirector: None,
            metrics: worker.metrics.clone(),
        };
        let started = CancellationToken::new();
        let kept = upkeep::run(looked_after, started, worker.stop.clone());
        worker.start("upkeep", kept);
        Ok(worker)
    }

    /// Starts a loop, without which the process cannot go on.
    pub(super) fn start(
        &mut self,
        name: &'static str,
        body: impl Future<Output = ()> + Send + 'static,
    ) {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        self.tasks.push(supervise(name, stop, failed, body));
    }

    /// Greets with what it does, and runs until a signal or until a loop fails; then the loops end.
    ///
    /// # Errors
    /// [`Failure`] where the port cannot be used or a loop failed.
    pub(super) async fn run(self, does: &str) -> Result<(), Failure> {
        let probes_stop = CancellationToken::new();
        let probes = http::admin(
            self.admin,
            http::Role::Worker(Arc::clone(&self.store)),
            self.metrics,
            probes_stop.clone().cancelled_owned(),
        )
        .map_err(|error| Failure::Failed(format!("admin.listen: {error}")))?;
        report::line(&format!(
            "urlshort {does}; metrics on http://{}/metrics",
            probes.address
        ));
        tokio::spawn(probes.server);
        tokio::select! {
            () = self.signals.token.cancelled() => (),
            () = self.failed.cancelled() => (),
        }
        tracing::info!("stopping: work at hand is finished, partitions are given back");
        self.stop.cancel();
        let ended = futures_util::future::join_all(self.tasks);
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            let seconds = PATIENCE.as_secs();
            tracing::warn!(
                seconds,
                "a loop did not end; its partitions run out by themselves"
            );
        }
        probes_stop.cancel();
        if self.failed.is_cancelled() {
            let why = "a loop of the process failed; see the log".to_owned();
            return Err(Failure::Bug(why));
        }
        Ok(())
    }
}
