//! What the handlers share: services, built once, outside the workers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use ipnet::IpNet;

use crate::classify::Classifier;
use crate::events::queue::Queue;
use crate::events::spool::Spool;
use crate::http::render::Pages;
use crate::service::keys::Keys;
use crate::service::limits::Limit;
use crate::service::links::Links;
use crate::service::redirect::Redirector;
use crate::service::stats::Stats;
use crate::service::visitors::VisitorKeys;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::telemetry::Stripes;

/// What the configuration says about HTTP.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What short URLs begin with; `None`: the request's own host.
    pub public_url: Option<String>,
    /// The `Host` that goes with it.
    pub public_host: Option<String>,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether `/metrics` stands on the public port.
    pub expose_metrics: bool,
    /// Whether creation needs no key.
    pub anonymous_create: bool,
    /// Whether the statistics of one link need no key.
    pub public_stats: bool,
    /// How long a browser may remember a 301 or 308, seconds.
    pub permanent_max_age: u32,
    /// Whether a redirect waits for its click to be durable.
    pub wait_for_spool: bool,
}

/// Whether the process is fit, for probes.
#[derive(Debug, Default)]
pub struct Health {
    draining: AtomicBool,
    keyed: AtomicBool,
    kafka_up: AtomicBool,
    /// Complaints that are not a dependency's, such as unnamed shard files.
    warnings: std::sync::Mutex<Vec<(String, String)>>,
}

impl Health {
    /// Says that the process is going to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        crate::telemetry::ready(false);
    }

    /// Whether it is going to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Says that the first admin key lies where it belongs, or that nobody makes it.
    pub fn set_keyed(&self) {
        self.keyed.store(true, Ordering::Release);
    }

    /// Whether who waited for the start may look for the first admin key.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.keyed.load(Ordering::Acquire)
    }

    /// Says whether the bus took or gave something last time.
    pub fn set_kafka_up(&self, up: bool) {
        self.kafka_up.store(up, Ordering::Release);
        crate::telemetry::kafka_up(up);
    }

    /// Whether the bus took or gave something last time.
    #[must_use]
    pub fn is_kafka_up(&self) -> bool {
        self.kafka_up.load(Ordering::Acquire)
    }

    /// Adds a warning under a check's name, once.
    pub fn warn(&self, check: &str, message: &str) {
        let mut warnings = self
            .warnings
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let warning = (check.to_owned(), message.to_owned());
        if !warnings.contains(&warning) && warnings.len() < 100 {
            tracing::warn!(check, "{message}");
            warnings.push(warning);
        }
    }

    /// Every warning so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<(String, String)> {
        self.warnings
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

/// Everything a handler needs.
#[derive(Debug)]
pub struct AppState {
    /// The shards, for probes.
    pub store: Arc<Store>,
    /// Follows codes.
    pub redirector: Arc<Redirector>,
    /// Links.
    pub links: Links,
    /// Says what URLs are about.
    pub classifier: Arc<Classifier>,
    /// Statistics.
    pub stats: Stats,
    /// API keys.
    pub keys: Keys,
    /// Creations without a key.
    pub creations: Limit,
    /// Redirects that find nothing.
    pub misses: Limit,
    /// Where clicks go.
    pub queue: Arc<Queue>,
    /// Where they are durable.
    pub spool: Arc<Spool>,
    /// Hashes visitors.
    pub visitors: Arc<VisitorKeys>,
    /// Counts redirects.
    pub stripes: Arc<Stripes>,
    /// Everything counted.
    pub metrics: Metrics,
    /// For probes.
    pub health: Arc<Health>,
    /// Templates and static files.
    pub pages: Pages,
    /// The configuration's part.
    pub settings: Settings,
    /// Which dependencies there are besides the shards.
    pub kafka: bool,
}
