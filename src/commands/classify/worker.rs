//! The worker: labels what events name and what the sweep finds. Or everything once, and ends.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app;
use crate::commands::Failure;
use crate::commands::classify::loaded;
use crate::commands::report;
use crate::commands::worker::Worker;
use crate::config::Config;
use crate::events::links::LinkEvents;
use crate::pipeline::block_lists;
use crate::pipeline::label;
use crate::pipeline::label_consume::LabelConsumer;
use crate::pipeline::label_sweep;
use crate::pipeline::lease;
use crate::pipeline::lease::Work;

/// Runs until a signal, or labels everything once.
pub(super) async fn run(config: Config, backfill: bool, as_json: bool) -> Result<(), Failure> {
    if backfill {
        let _figures = app::metrics();
        return everything(&config, as_json).await;
    }
    let mut worker = Worker::begin(&config).await?;
    let classifier = app::classifier(&config);
    if let Some(folder) = config.classify.model_dir.clone() {
        // Before anything is labelled, so that nothing is labelled twice.
        label::load_model(Arc::clone(&classifier), folder).await;
    }
    let (store, stop) = (Arc::clone(&worker.store), worker.stop.clone());
    let labeller = app::labeller(&config, &store, &classifier);
    let lists = block_lists::watch(classifier, Arc::clone(&labeller.lists), stop.clone());
    worker.start("block lists", lists);
    let events = Arc::new(LinkEvents::local());
    for member in store.members() {
        let (labeller, events) = (labeller.clone(), Arc::clone(&events));
        let every = config.classify.sweep;
        let swept = label_sweep::sweep(labeller, member.place, events, every, stop.clone());
        worker.start("sweep", swept);
    }
    if let Some(kafka) = app::link_bus(&config) {
        let id = Uuid::now_v7().simple().to_string();
        for member in store.members() {
            let work = Work::Label(LabelConsumer {
                labeller: labeller.clone(),
                kafka: kafka.clone(),
            });
            let leases = lease::run(work, member.place, id.clone(), stop.clone());
            worker.start("leases", leases);
        }
        worker.start("topic", make_topic(kafka, stop));
    }
    let does = format!(
        "classify labels links of {} with {}",
        app::shards(&config),
        labeller.classifier.name()
    );
    worker.run(&does).await
}

/// Makes the topic where it is missing, and says once if it cannot be used.
async fn make_topic(kafka: crate::events::kafka::Kafka, stop: CancellationToken) {
    let mut said = false;
    while let Err(error) = kafka.check_topic().await {
        if !said {
            tracing::warn!(%error, "no link events; the sweep finds what there is to label");
            said = true;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(5)) => (),
        }
    }
    stop.cancelled().await;
}

/// Labels every link again.
async fn everything(config: &Config, as_json: bool) -> Result<(), Failure> {
    let store = app::started_store(config).await?;
    let classifier = loaded(config);
    let labeller = app::labeller(config, &store, &classifier);
    let mut total = 0_u64;
    for member in store.members() {
        let counted = member.shard.count_links().await;
        total += counted.map_or(0, |count| u64::try_from(count).unwrap_or(0));
    }
    let bar = report::progress(total, "links", as_json);
    let begun = Instant::now();
    let (mut labelled, mut freed) = (0, 0);
    for member in store.members() {
        let place = member.place;
        let done = label::backfill(&labeller, &member.shard, |read| bar.inc(read as u64)).await;
        let done = done.map_err(|error| {
            Failure::Unavailable(format!(
                "shard {place}: {error}; labels up to here are kept"
            ))
        })?;
        labelled += done.labelled;
        freed += done.freed;
    }
    bar.finish_and_clear();
    let (model, seconds) = (classifier.name(), begun.elapsed().as_secs_f64());
    if as_json {
        report::json(&json!({
            "schema_version": 1, "labelled": labelled, "unblocked": freed, "model": model, "seconds": seconds,
        }));
    } else {
        report::line(&format!(
            "{labelled} links labelled by {model} in {seconds:.1} s"
        ));
    }
    if freed > 0 && !classifier.lists().are_any() {
        report::note(&format!(
            "{freed} links that were blocked are not any more, and no block lists are configured \
             here; if the service has some, name its configuration with --config and run this again"
        ));
    }
    store.close().await;
    Ok(())
}
