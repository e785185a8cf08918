//! `analytics`: Kafka clicks → counts in the shards. Any number of processes share the partitions.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app;
use crate::commands::Failure;
use crate::commands::report;
use crate::commands::serve::bind;
use crate::config::Config;
use crate::http;
use crate::pipeline::consume::Consumer;
use crate::pipeline::lease;
use crate::pipeline::lease::Work;
use crate::pipeline::pace::Loops;
use crate::pipeline::supervise;
use crate::pipeline::upkeep;
use crate::pipeline::upkeep::Upkeep;
use crate::shutdown;

/// Runs until a signal; then finishes its batches and gives its partitions back.
///
/// # Errors
/// [`Failure`], before it begins or when a loop fails.
pub async fn run(config: Config) -> Result<(), Failure> {
    let Some(kafka) = app::kafka(&config) else {
        return Err(Failure::Configuration(
            "events.kafka_brokers is not set: without Kafka, `serve` counts its clicks itself and \
             needs no `analytics`"
                .to_owned(),
        ));
    };
    let metrics = app::metrics();
    let store = app::patient_store(&config).await?;
    let admin = bind(config.admin.listen, "admin.listen")?;
    let signals = shutdown::listen();
    let (stop, failed) = (CancellationToken::new(), CancellationToken::new());
    let coherence = Arc::default();
    let looked_after = Upkeep {
        store: Arc::clone(&store),
        visitors: None,
        coherence,
        redirector: None,
        metrics: metrics.clone(),
    };
    let started = CancellationToken::new();
    let worker = Uuid::now_v7().simple().to_string();
    let mut tasks = vec![supervise(
        "upkeep",
        stop.clone(),
        failed.clone(),
        upkeep::run(looked_after, started, stop.clone()),
    )];
    let consumer = Consumer {
        store: Arc::clone(&store),
        kafka,
        agents: Arc::default(),
        loops: Loops::default(),
    };
    for member in store.members() {
        let leases = lease::run(
            Work::Count(consumer.clone()),
            member.place,
            worker.clone(),
            stop.clone(),
        );
        tasks.push(supervise("leases", stop.clone(), failed.clone(), leases));
    }
    let probes_stop = CancellationToken::new();
    let probes = http::admin(
        admin,
        http::Role::Worker(Arc::clone(&store)),
        metrics,
        probes_stop.clone().cancelled_owned(),
    )
    .map_err(|error| Failure::Failed(format!("admin.listen: {error}")))?;
    report::line(&format!(
        "urlshort analytics counts clicks of {} into {}; metrics on http://{}/metrics",
        config.events.topic,
        app::shards(&config),
        probes.address
    ));
    tokio::spawn(probes.server);
    tokio::select! {
        () = signals.token.cancelled() => (),
        () = failed.cancelled() => (),
    }
    tracing::info!("stopping: batches are finished, partitions given back");
    stop.cancel();
    let ended = tokio::time::timeout(
        Duration::from_secs(15),
        futures_util::future::join_all(tasks),
    );
    if ended.await.is_err() {
        tracing::warn!("a loop did not end within 15 s; its partitions run out by themselves");
    }
    probes_stop.cancel();
    if failed.is_cancelled() {
        return Err(Failure::Bug(
            "a loop of the process failed; see the log".to_owned(),
        ));
    }
    Ok(())
}
