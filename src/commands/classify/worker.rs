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
use crate::commands::serve::bind;
use crate::config::Config;
use crate::events::links::LinkEvents;
use crate::http;
use crate::pipeline::label;
use crate::pipeline::label_consume::LabelConsumer;
use crate::pipeline::lease;
use crate::pipeline::lease::Work;
use crate::pipeline::supervise;
use crate::pipeline::upkeep;
use crate::pipeline::upkeep::Upkeep;
use crate::shutdown;

/// Runs until a signal, or labels everything once.
pub(super) async fn run(config: Config, backfill: bool, as_json: bool) -> Result<(), Failure> {
    let metrics = app::metrics();
    if backfill {
        return everything(&config, as_json).await;
    }
    let store = app::patient_store(&config).await?;
    let admin = bind(config.admin.listen, "admin.listen")?;
    let signals = shutdown::listen();
    let (stop, failed) = (CancellationToken::new(), CancellationToken::new());
    let classifier = app::classifier(&config);
    if let Some(folder) = config.classify.model_dir.clone() {
        // Before anything is labelled, so that nothing is labelled twice.
        label::load_model(Arc::clone(&classifier), folder).await;
    }
    let labeller = app::labeller(&config, &store, &classifier);
    let worker = Uuid::now_v7().simple().to_string();
    let mut tasks = Vec::new();
    let mut start = |name, body: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        tasks.push(supervise(name, stop.clone(), failed.clone(), body));
    };
    let looked_after = Upkeep {
        store: Arc::clone(&store),
        visitors: None,
        coherence: Arc::default(),
        redirector: None,
        metrics: metrics.clone(),
    };
    let started = CancellationToken::new();
    start(
        "upkeep",
        Box::pin(upkeep::run(looked_after, started, stop.clone())),
    );
    let lists = label::watch_lists(classifier, Arc::clone(&labeller.lists), stop.clone());
    start("block lists", Box::pin(lists));
    let events = Arc::new(LinkEvents::local());
    for member in store.members() {
        let (labeller, events) = (labeller.clone(), Arc::clone(&events));
        let every = config.classify.sweep;
        let swept = label::sweep(labeller, member.place, events, every, stop.clone());
        start("sweep", Box::pin(swept));
    }
    let bus = app::link_bus(&config);
    if let Some(kafka) = &bus {
        for member in store.members() {
            let work = Work::Label(LabelConsumer {
                labeller: labeller.clone(),
                kafka: kafka.clone(),
            });
            let leases = lease::run(work, member.place, worker.clone(), stop.clone());
            start("leases", Box::pin(leases));
        }
        start("topic", Box::pin(make_topic(kafka.clone(), stop.clone())));
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
        "urlshort classify labels links of {} with {}; metrics on http://{}/metrics",
        app::shards(&config),
        labeller.classifier.name(),
        probes.address
    ));
    tokio::spawn(probes.server);
    tokio::select! {
        () = signals.token.cancelled() => (),
        () = failed.cancelled() => (),
    }
    tracing::info!("stopping: partitions are given back");
    stop.cancel();
    let ended = futures_util::future::join_all(tasks);
    if tokio::time::timeout(Duration::from_secs(15), ended)
        .await
        .is_err()
    {
        tracing::warn!("a loop did not end within 15 s; its partitions run out by themselves");
    }
    probes_stop.cancel();
    if failed.is_cancelled() {
        let why = "a loop of the process failed; see the log".to_owned();
        return Err(Failure::Bug(why));
    }
    Ok(())
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
    let mut labelled = 0;
    for member in store.members() {
        let place = member.place;
        let done = label::backfill(&labeller, &member.shard, |read| bar.inc(read as u64)).await;
        labelled += done.map_err(|error| {
            Failure::Unavailable(format!(
                "shard {place}: {error}; labels up to here are kept"
            ))
        })?;
    }
    bar.finish_and_clear();
    let (model, seconds) = (classifier.name(), begun.elapsed().as_secs_f64());
    if as_json {
        report::json(&json!({
            "schema_version": 1, "labelled": labelled, "model": model, "seconds": seconds,
        }));
    } else {
        report::line(&format!(
            "{labelled} links labelled by {model} in {seconds:.1} s"
        ));
    }
    store.close().await;
    Ok(())
}
