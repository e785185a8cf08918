//! `analytics`: Kafka clicks → counts in the shards. Any number of processes share the partitions.

use std::sync::Arc;

use uuid::Uuid;

use crate::app;
use crate::commands::Failure;
use crate::commands::worker::Worker;
use crate::config::Config;
use crate::pipeline::consume::Consumer;
use crate::pipeline::lease;
use crate::pipeline::lease::Work;
use crate::pipeline::pace::Loops;

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
    let mut worker = Worker::begin(&config).await?;
    let id = Uuid::now_v7().simple().to_string();
    let consumer = Consumer {
        store: Arc::clone(&worker.store),
        kafka,
        agents: Arc::default(),
        loops: Loops::default(),
    };
    for member in Arc::clone(&worker.store).members() {
        let work = Work::Count(consumer.clone());
        let leases = lease::run(work, member.place, id.clone(), worker.stop.clone());
        worker.start("leases", leases);
    }
    let does = format!(
        "analytics counts clicks of {} into {}",
        config.events.topic,
        app::shards(&config)
    );
    worker.run(&does).await
}
