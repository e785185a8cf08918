//! What a configuration means, once it is known to make sense: one struct for each concern.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::addresses::PublicUrl;
use super::secret::Secret;
use super::shard_url::ShardUrl;

/// The whole configuration; parts receive their own struct, never this one.
#[derive(Debug, Clone)]
pub struct Config {
    /// The public port.
    pub http: Http,
    /// The port for metrics and probes.
    pub admin: Admin,
    /// Where `SQLite` shards, the spool and the admin key live.
    pub data_dir: PathBuf,
    /// At least one, no database twice, in the order of their ordinals.
    pub shards: Vec<ShardConfig>,
    /// Both caches.
    pub cache: Cache,
    /// Clicks on their way.
    pub events: Events,
    /// Who may do what.
    pub auth: Auth,
    /// How often.
    pub limits: Limits,
    /// How links are labelled.
    pub classify: Classify,
    /// What links may be.
    pub links: Links,
    /// What is logged.
    pub log: Log,
    /// How to stop.
    pub stop: Stop,
}

/// The public port.
#[derive(Debug, Clone)]
pub struct Http {
    /// Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// `None`: short URLs begin with the request's host.
    pub public_url: Option<PublicUrl>,
    /// `None`: one per core.
    pub workers: Option<NonZeroUsize>,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether `/metrics` answers here too.
    pub expose_metrics: bool,
}

/// The port for metrics and probes.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Never the public port's address.
    pub listen: SocketAddr,
}

/// One database and its share of the links.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardConfig {
    /// Where it is.
    pub url: ShardUrl,
    /// Above 0, at most 1000.
    pub weight: f64,
}

/// Both caches.
#[derive(Debug, Clone)]
pub struct Cache {
    /// `redis://…` or `redis-cluster://…`; `None`: no far cache.
    pub redis: Option<Secret>,
    /// 0: no near cache.
    pub near_bytes: u64,
    /// How long a link may be followed while its shard is down.
    pub stale: Duration,
    /// How many of the most followed links are loaded behind the start; 0: none.
    pub warm_on_start: usize,
}

/// Clicks on their way.
#[derive(Debug, Clone)]
pub struct Events {
    /// Each as `host:port`; empty: no bus, clicks are counted where they were taken.
    pub kafka_brokers: Vec<String>,
    /// A legal topic name.
    pub topic: String,
    /// When a click counts as taken.
    pub ack: Ack,
    /// How long clicks gather in memory; never zero.
    pub drain: Duration,
    /// Whether each write to the spool waits for the disk.
    pub fsync: bool,
    /// How much the spool may hold.
    pub spool_bytes: u64,
}

/// When a click counts as taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// In memory: a crash loses a few milliseconds of clicks.
    Queued,
    /// In the spool: the redirect waits for the write.
    Spooled,
}

/// Who may do what.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Given from outside, at least 32 characters; `None`: made at the first start.
    pub admin_key: Option<Secret>,
    /// Whether links may be made without a key.
    pub anonymous_create: bool,
    /// Whether a link's statistics may be read without a key.
    pub public_stats: bool,
}

/// How often, per client; 0 means without limit.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Links made without a key.
    pub anonymous_creates_per_minute: u32,
    /// Requests for codes that nobody made.
    pub misses_per_minute: u32,
}

/// How links are labelled.
#[derive(Debug, Clone)]
pub struct Classify {
    /// The folder of a model; `None`: the rules alone.
    pub model_dir: Option<PathBuf>,
    /// Files of hosts, suffixes and networks that are blocked.
    pub blocklists: Vec<PathBuf>,
    /// Between two looks for links that no event announced.
    pub sweep: Duration,
    /// Whether the pages behind links without a title are fetched.
    pub fetch: bool,
    /// The topic of link events.
    pub topic: String,
}

/// What links may be.
#[derive(Debug, Clone)]
pub struct Links {
    /// Whether they may lead to private addresses.
    pub allow_private_targets: bool,
    /// Seconds, 0 to 300, that browsers may remember a 301 or 308.
    pub permanent_max_age: u32,
}

/// What is logged.
#[derive(Debug, Clone)]
pub struct Log {
    /// `trace`, `debug`, `info`, `warn`, `error` or `off`.
    pub level: String,
    /// In which form.
    pub format: LogFormat,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable on a terminal, JSON otherwise.
    Auto,
    /// Readable.
    Text,
    /// One JSON object per line.
    Json,
}

/// How to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Between not ready and not accepting.
    pub delay: Duration,
    /// How long the spool is shipped after that.
    pub ship: Duration,
}
