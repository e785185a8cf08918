//! The composition root: reads the configuration and builds the seams.

mod admin_key;
mod labels;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::runtime::Handle;

use crate::cache::far::FarCache;
use crate::cache::near::NearCache;
use crate::classify::Classifier;
use crate::config::Config;
use crate::config::ShardUrl;
use crate::domain::agent::AgentTable;
use crate::domain::target::TargetPolicy;
use crate::domain::target::without_port;
use crate::events::kafka::Kafka;
use crate::events::links::LinkEvents;
use crate::events::queue::Queue;
use crate::events::spool::Spool;
use crate::events::spool::SpoolOptions;
use crate::http::AppState;
use crate::http::Health;
use crate::http::render::Pages;
use crate::service::coherence::Coherence;
use crate::service::keys::Keys;
use crate::service::limits::Limit;
use crate::service::links::Links;
use crate::service::redirect::Redirector;
use crate::service::stats::Stats;
use crate::store::Judgement;
use crate::store::Store;
use crate::store::shard::Shard;
use crate::telemetry;
use crate::telemetry::Metrics;
use crate::telemetry::Stripes;

pub use admin_key::first_admin_key;
pub use labels::classifier;
pub use labels::labeller;
pub use labels::link_bus;

/// Why nothing can be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration, or what the shards say about it.
    #[error("{0}")]
    Configuration(String),
    /// A dependency that the command needs does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// Something of ours is broken.
    #[error("{0}")]
    Bug(String),
}

/// Everything that `serve` runs on.
#[derive(Debug)]
pub struct Service {
    /// What the handlers share.
    pub state: Arc<AppState>,
    /// What keeps caches honest.
    pub coherence: Arc<Coherence>,
    /// Events of links, for who labels them.
    pub events: Arc<LinkEvents>,
    /// The bus that takes them, where there is one.
    pub link_bus: Option<Kafka>,
    /// The bus, where there is one.
    pub kafka: Option<Kafka>,
    /// Parsed user agents, shared by the loops.
    pub agents: Arc<Mutex<AgentTable>>,
    /// Workers of the public port.
    pub workers: usize,
}

/// The shards of a configuration; nothing is opened yet.
///
/// # Errors
/// [`BuildError::Configuration`].
pub fn store(config: &Config) -> Result<Arc<Store>, BuildError> {
    Store::new(&config.shards)
        .map(Arc::new)
        .map_err(BuildError::Configuration)
}

/// The shards, judged once, for a process that lives: what does not answer yet is waited for later.
///
/// # Errors
/// [`BuildError::Configuration`], where the shards contradict it.
pub async fn patient_store(config: &Config) -> Result<Arc<Store>, BuildError> {
    let store = store(config)?;
    match store.judge().await {
        Judgement::Started => store.measure_clock().await,
        Judgement::Waiting(why) => tracing::warn!("{why}"),
        Judgement::Refused(reasons) => return Err(BuildError::Configuration(reasons.join("\n"))),
    }
    Ok(store)
}

/// The shards, judged, as a command needs them that does its work and ends.
///
/// # Errors
/// [`BuildError`]: refused, or no shard usable.
pub async fn started_store(config: &Config) -> Result<Arc<Store>, BuildError> {
    let store = store(config)?;
    match store.judge().await {
        Judgement::Started => (),
        Judgement::Waiting(why) => return Err(BuildError::Unreachable(why)),
        Judgement::Refused(reasons) => return Err(BuildError::Configuration(reasons.join("\n"))),
    }
    store.measure_clock().await;
    Ok(store)
}

/// The redirector over a store, with the caches of the configuration.
///
/// # Errors
/// [`BuildError::Configuration`] where Redis' URL is wrong.
pub fn redirector(
    config: &Config,
    store: &Arc<Store>,
    coherence: &Arc<Coherence>,
) -> Result<Arc<Redirector>, BuildError> {
    let far = match &config.cache.redis {
        None => FarCache::None,
        Some(url) => FarCache::redis(url.expose())
            .map_err(|error| BuildError::Configuration(format!("cache.redis_url: {error}")))?,
    };
    Ok(Redirector::new(
        Arc::clone(store),
        NearCache::new(config.cache.near_bytes),
        far,
        targets(config),
        Arc::clone(coherence),
        config.cache.stale,
        Handle::current(),
    ))
}

/// Where links may lead in this deployment.
fn targets(config: &Config) -> TargetPolicy {
    let own = config
        .http
        .public_url
        .as_ref()
        .map(|url| without_port(url.host_header()).to_owned());
    TargetPolicy::new(own, config.links.allow_private_targets)
}

/// The use cases of links, as the API and `seed` share them.
#[must_use]
pub fn links(
    config: &Config,
    store: &Arc<Store>,
    redirector: &Arc<Redirector>,
    classifier: &Arc<Classifier>,
    events: &Arc<LinkEvents>,
) -> Links {
    Links::new(
        Arc::clone(store),
        Arc::clone(redirector),
        targets(config),
        Arc::clone(classifier),
        Arc::clone(events),
    )
}

/// The bus of the configuration, if there is one.
#[must_use]
pub fn kafka(config: &Config) -> Option<Kafka> {
    let brokers = &config.events.kafka_brokers;
    (!brokers.is_empty()).then(|| Kafka::new(brokers.clone(), config.events.topic.clone()))
}

/// Everything that `serve` runs on, over shards that were judged or not.
///
/// # Errors
/// [`BuildError`].
pub fn service(
    config: &Config,
    store: Arc<Store>,
    metrics: Metrics,
) -> Result<Service, BuildError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let workers = config
        .http
        .workers
        .map_or(cores, std::num::NonZeroUsize::get);
    let coherence: Arc<Coherence> = Arc::default();
    let redirector = redirector(config, &store, &coherence)?;
    let stripes = Arc::new(Stripes::new(workers));
    metrics.attach(Arc::clone(&stripes));
    let spool = Spool::new(SpoolOptions {
        folder: config.data_dir.clone(),
        drain: config.events.drain,
        fsync: config.events.fsync,
        bytes: config.events.spool_bytes,
    });
    let kafka = kafka(config);
    let health: Arc<Health> = Arc::default();
    let classifier = classifier(config);
    let events = Arc::new(if kafka.is_some() {
        LinkEvents::for_bus()
    } else {
        LinkEvents::local()
    });
    let admin_key = config
        .auth
        .admin_key
        .as_ref()
        .map(crate::config::Secret::expose);
    let state = AppState {
        links: links(config, &store, &redirector, &classifier, &events),
        classifier,
        stats: Stats::new(Arc::clone(&store), Arc::clone(&spool), kafka.is_some()),
        keys: Keys::new(Arc::clone(&store), admin_key),
        creations: Limit::per_minute(config.limits.anonymous_creates_per_minute),
        misses: Limit::per_minute(config.limits.misses_per_minute),
        queue: Arc::new(Queue::new(workers)),
        spool,
        visitors: Arc::default(),
        stripes,
        metrics,
        health,
        pages: Pages::new().map_err(|error| BuildError::Bug(format!("a template: {error}")))?,
        settings: settings::of(config),
        kafka: kafka.is_some(),
        redirector,
        store,
    };
    Ok(Service {
        state: Arc::new(state),
        coherence,
        events,
        link_bus: link_bus(config),
        kafka,
        agents: Arc::default(),
        workers,
    })
}

/// Shard files in the data folder that hold links and that the configuration does not name: links
/// that nobody serves. They are looked at, never opened for writing.
pub async fn unnamed_shards(config: &Config) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(&config.data_dir) else {
        return Vec::new();
    };
    let named: Vec<PathBuf> = config
        .shards
        .iter()
        .filter_map(|shard| match &shard.url {
            ShardUrl::Sqlite(path) => path.canonicalize().ok(),
            ShardUrl::Postgres(_) => None,
        })
        .collect();
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_beside = ["-wal", "-shm", "-journal", ".lock"]
            .iter()
            .any(|suffix| name.ends_with(suffix));
        if is_beside
            || name.starts_with("spool-")
            || path.canonicalize().is_ok_and(|path| named.contains(&path))
        {
            continue;
        }
        // SQLite itself finds out what is no database: to open a file that this process works on, by
        // whatever name, and to close it again would end the locks that SQLite has on it.
        let Ok(shard) = Shard::of(usize::MAX, &ShardUrl::Sqlite(path.clone())) else {
            continue;
        };
        let seen = tokio::time::timeout(std::time::Duration::from_secs(2), shard.peek()).await;
        if matches!(seen, Ok(Ok(Some(seen))) if seen.has_links) {
            found.push(path);
        }
    }
    found
}

/// How many shards of which kind there are, for people.
#[must_use]
pub fn shards(config: &Config) -> String {
    let files = config
        .shards
        .iter()
        .filter(|shard| matches!(shard.url, ShardUrl::Sqlite(_)))
        .count();
    let servers = config.shards.len() - files;
    let mut parts = Vec::new();
    if files > 0 {
        parts.push(format!(
            "{files} SQLite shard{}",
            if files == 1 { "" } else { "s" }
        ));
    }
    if servers > 0 {
        parts.push(format!(
            "{servers} PostgreSQL shard{}",
            if servers == 1 { "" } else { "s" }
        ));
    }
    parts.join(", ")
}

/// Which dependencies the configuration names, in one line for people.
#[must_use]
pub fn shape(config: &Config) -> String {
    let mut parts = vec![shards(config)];
    if config.cache.redis.is_some() {
        parts.push("Redis".to_owned());
    }
    if !config.events.kafka_brokers.is_empty() {
        parts.push("Kafka".to_owned());
    }
    parts.join(", ")
}

/// Counting begins: call once, before anything is counted.
#[must_use]
pub fn metrics() -> Metrics {
    telemetry::install()
}
