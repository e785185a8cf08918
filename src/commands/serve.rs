//! `serve`: redirects, API and pages; with the local bus also the rollup.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::app::Service;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;
use crate::http;
use crate::http::AppState;
use crate::pipeline::block_lists;
use crate::pipeline::feed;
use crate::pipeline::feed::Feed;
use crate::pipeline::heartbeat;
use crate::pipeline::heartbeat::Heart;
use crate::pipeline::label;
use crate::pipeline::label_sweep;
use crate::pipeline::link_ship;
use crate::pipeline::outlet::Outlet;
use crate::pipeline::rollup;
use crate::pipeline::ship;
use crate::pipeline::supervise;
use crate::pipeline::upkeep;
use crate::pipeline::upkeep::Upkeep;
use crate::shutdown;

/// How long the loops are waited for at the end, out of the time that shipping has.
const LOOPS_END: Duration = Duration::from_secs(3);

/// The loops of the process, and what they share.
struct Loops {
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    failed: CancellationToken,
    started: CancellationToken,
    heart: Arc<Heart>,
    outlet: Outlet,
}

/// Runs until a signal; a second one ends the process at once.
///
/// # Errors
/// [`Failure`], before it listens or when a loop fails.
pub async fn run(config: Config) -> Result<(), Failure> {
    std::fs::create_dir_all(&config.data_dir).map_err(|error| {
        Failure::Configuration(format!(
            "data_dir: {} cannot be used: {error}; name a folder that this process may write to",
            config.data_dir.display()
        ))
    })?;
    may_write(&config.data_dir)?;
    let metrics = app::metrics();
    let store = app::patient_store(&config).await?;
    let public = bind(config.http.listen, "http.listen")?;
    let admin = bind(config.admin.listen, "admin.listen")?;
    let service = app::service(&config, store, metrics)?;
    let writer = service
        .state
        .spool
        .start(Arc::clone(&service.state.queue))
        .map_err(|error| Failure::Bug(format!("no thread for the spool: {error}")))?;
    let signals = shutdown::listen();
    let loops = start_loops(&config, &service);
    let state = Arc::clone(&service.state);
    let stopping = stop_accepting(&config, &signals.token, &loops.failed, &state);
    let server = http::public(public, Arc::clone(&state), service.workers, stopping)
        .map_err(|error| Failure::Failed(format!("http.listen: {error}")))?;
    let admin_stop = CancellationToken::new();
    let probes = http::admin(
        admin,
        http::Role::Service(Arc::clone(&state)),
        state.metrics.clone(),
        admin_stop.clone().cancelled_owned(),
    )
    .map_err(|error| Failure::Failed(format!("admin.listen: {error}")))?;
    let admin_address = probes.address;
    tokio::spawn(probes.server);
    report::serving(
        &format!("http://{}", server.address),
        &format!("http://{admin_address}/metrics"),
        &config.data_dir,
        &app::shape(&config),
    );
    let first = tokio::spawn(after_start(
        config.clone(),
        Arc::clone(&state),
        loops.started.clone(),
    ));
    let served = server.server.await;
    first.abort();
    tracing::info!("no more requests; the queue goes to the spool");
    let clean = finish(&config, &state, loops, writer).await;
    admin_stop.cancel();
    served.map_err(|error| Failure::Failed(format!("the server ended: {error}")))?;
    clean
}

/// Clicks go to files in the data folder: where none can be made, all of them would be lost.
fn may_write(folder: &Path) -> Result<(), Failure> {
    let trial = folder.join(format!(".trial-{}", std::process::id()));
    match std::fs::File::create(&trial) {
        Ok(_) => drop(std::fs::remove_file(&trial)),
        // A full disk is none of the configuration: clicks are lost, redirects go on.
        Err(error) if error.kind() == ErrorKind::StorageFull => (),
        Err(error) => {
            return Err(Failure::Configuration(format!(
                "data_dir: no file can be made in {}: {error}; name a folder that this process may \
                 write to",
                folder.display()
            )));
        }
    }
    Ok(())
}

/// Binds a port; a busy one is told with its key.
pub(super) fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).map_err(|error| {
        Failure::Configuration(format!(
            "{key}: cannot listen on {address}: {error}; choose another port"
        ))
    })?;
    listener
        .set_nonblocking(true)
        .map_err(|error| Failure::Failed(format!("{key}: {error}")))?;
    Ok(listener)
}

/// Ends when the server is to stop accepting: not ready first, then a short wait.
fn stop_accepting(
    config: &Config,
    signal: &CancellationToken,
    failed: &CancellationToken,
    state: &Arc<AppState>,
) -> impl Future<Output = ()> + Send + 'static {
    let (signal, failed) = (signal.clone(), failed.clone());
    let (state, delay) = (Arc::clone(state), config.stop.delay);
    async move {
        tokio::select! {
            () = signal.cancelled() => (),
            () = failed.cancelled() => (),
        }
        tracing::info!("stopping: not ready any more");
        state.health.drain();
        tokio::time::sleep(delay).await;
    }
}

/// What needs the shards: once they are known, however late that is.
async fn after_start(config: Config, state: Arc<AppState>, started: CancellationToken) {
    started.cancelled().await;
    if let Some(cluster) = state.store.cluster() {
        state.spool.set_cluster(&cluster.cluster_id);
    }
    state.store.refresh_data().await;
    match app::first_admin_key(&config, &state.store).await {
        Ok(Some(path)) => report::admin_key(&path),
        Ok(None) => (),
        Err(why) => tracing::error!(
            why,
            "the first admin key was not made; run `urlshort keys create`"
        ),
    }
    state.health.set_keyed();
    if config.cache.warm_on_start > 0 {
        warm(&state, config.cache.warm_on_start).await;
    }
    for path in app::unnamed_shards(&config).await {
        let message = format!(
            "{} holds links and the configuration does not name it: add it to [[shards]], or move it \
             out of the data folder",
            path.display()
        );
        state.health.warn("shards:unnamed", &message);
    }
}

/// Loads the most followed links, so that a new process does not meet its first visitors cold.
async fn warm(state: &AppState, limit: usize) {
    let begun = std::time::Instant::now();
    let (codes, silent) = state.store.most_followed(limit).await;
    let warmed = state.redirector.warm_near(codes).await;
    tracing::info!(
        loaded = warmed.loaded,
        failed = warmed.failed,
        silent_shards = silent,
        seconds = begun.elapsed().as_secs_f64(),
        "warmed by the most followed links"
    );
}

fn start_loops(config: &Config, service: &Service) -> Loops {
    let state = &service.state;
    let (stop, failed, started) = (
        CancellationToken::new(),
        CancellationToken::new(),
        CancellationToken::new(),
    );
    let heart = Arc::new(Heart::new(
        Arc::clone(&state.store),
        Arc::clone(&state.spool),
    ));
    let mut tasks = Vec::new();
    let mut start = |name, body: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        tasks.push(supervise(name, stop.clone(), failed.clone(), body));
    };
    let upkeep = Upkeep {
        store: Arc::clone(&state.store),
        visitors: Some(Arc::clone(&state.visitors)),
        coherence: Arc::clone(&service.coherence),
        redirector: Some(Arc::clone(&state.redirector)),
        metrics: state.metrics.clone(),
    };
    start(
        "upkeep",
        Box::pin(upkeep::run(upkeep, started.clone(), stop.clone())),
    );
    start(
        "heartbeat",
        Box::pin(heartbeat::run(Arc::clone(&heart), stop.clone())),
    );
    let feed = Feed {
        store: Arc::clone(&state.store),
        redirector: Arc::clone(&state.redirector),
        coherence: Arc::clone(&service.coherence),
    };
    for member in state.store.members() {
        start(
            "feed",
            Box::pin(feed::follow(feed.clone(), member.place, stop.clone())),
        );
    }
    let labeller = app::labeller(config, &state.store, &state.classifier);
    let lists = block_lists::watch(
        Arc::clone(&state.classifier),
        Arc::clone(&labeller.lists),
        stop.clone(),
    );
    start("block lists", Box::pin(lists));
    if let Some(folder) = &config.classify.model_dir {
        let classifier = Arc::clone(&state.classifier);
        tokio::spawn(label::load_model(classifier, folder.clone()));
    }
    match &service.link_bus {
        Some(bus) => {
            let (events, store) = (Arc::clone(&service.events), Arc::clone(&state.store));
            let told = link_ship::run(events, bus.clone(), store, stop.clone());
            start("link events", Box::pin(told));
        }
        None => {
            for member in state.store.members() {
                let events = Arc::clone(&service.events);
                let every = config.classify.sweep;
                let labelled =
                    label_sweep::sweep(labeller.clone(), member.place, events, every, stop.clone());
                start("labels", Box::pin(labelled));
            }
        }
    }
    let outlet = Outlet::new(
        &state.store,
        &state.spool,
        service.kafka.as_ref(),
        &service.agents,
    );
    match &outlet {
        Outlet::Bus(shipper) => {
            start("ship", Box::pin(ship::run(shipper.clone(), stop.clone())));
            let watched = watch_topic(shipper.kafka.clone(), Arc::clone(state), stop.clone());
            start("topic", Box::pin(watched));
        }
        Outlet::Local(local) => {
            for member in state.store.members() {
                let counted = rollup::run(local.clone(), member.place, stop.clone());
                start("rollup", Box::pin(counted));
            }
        }
    }
    Loops {
        tasks,
        stop,
        failed,
        started,
        heart,
        outlet,
    }
}

/// Makes the topic, and says when it is away or wrong.
async fn watch_topic(
    kafka: crate::events::kafka::Kafka,
    state: Arc<AppState>,
    stop: CancellationToken,
) {
    let mut said = String::new();
    loop {
        let checked = kafka.check_topic().await;
        state.health.set_kafka_up(checked.is_ok());
        let word = checked
            .err()
            .map_or_else(String::new, |error| error.to_string());
        if word != said {
            if word.is_empty() {
                tracing::info!("the bus answers");
            } else {
                tracing::error!(
                    why = word,
                    "the bus cannot be used; clicks wait in the spool"
                );
            }
            said = word;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(2)) => (),
        }
    }
}

/// The queue is durable in the spool, then what can be counted or shipped in time is.
async fn finish(
    config: &Config,
    state: &Arc<AppState>,
    loops: Loops,
    writer: std::thread::JoinHandle<()>,
) -> Result<(), Failure> {
    state.queue.close();
    state.spool.stop();
    let joined = tokio::task::spawn_blocking(move || writer.join()).await;
    if !matches!(joined, Ok(Ok(()))) {
        tracing::error!("the spool's writer ended badly");
    }
    loops.stop.cancel();
    let deadline = tokio::time::Instant::now() + config.stop.ship;
    let ended = futures_util::future::join_all(loops.tasks);
    if tokio::time::timeout(LOOPS_END, ended).await.is_err() {
        tracing::warn!("a loop did not end in time; shipping goes on beside it");
    }
    let done = loops.outlet.drain(deadline).await;
    let outlet = loops.outlet;
    let closed = tokio::task::spawn_blocking(move || outlet.close_files()).await;
    let last = tokio::time::timeout(Duration::from_secs(3), loops.heart.beat(true)).await;
    if last.is_err() {
        tracing::debug!("no shard took the last sign of life in time");
    }
    let left = closed.unwrap_or(0);
    if done && left == 0 {
        tracing::info!("stopped; every click is counted or handed over");
    } else {
        tracing::warn!(
            bytes = left,
            path = %config.data_dir.display(),
            "stopped; clicks are left in the spool, whoever starts here next takes them over"
        );
    }
    state.redirector.far_cache().close().await;
    state.store.close().await;
    if loops.failed.is_cancelled() {
        return Err(Failure::Bug(
            "a loop of the process failed; see the log".to_owned(),
        ));
    }
    Ok(())
}
