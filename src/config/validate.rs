//! Turns what was written into what it means, or into all that is wrong with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::addresses;
use super::addresses::PublicUrl;
use super::check;
use super::check::Checker;
use super::complaint::Complaint;
use super::complaint::ConfigError;
use super::complaint::Fault;
use super::raw::RawShard;
use super::raw::Settings;
use super::secret::Secret;
use super::shard_url::ShardUrl;
use super::typed::Ack;
use super::typed::Admin;
use super::typed::Auth;
use super::typed::Cache;
use super::typed::Classify;
use super::typed::Config;
use super::typed::Events;
use super::typed::Http;
use super::typed::Limits;
use super::typed::Links;
use super::typed::Log;
use super::typed::LogFormat;
use super::typed::ShardConfig;
use super::typed::Stop;

/// One slot is the least a shard can own.
const MAX_SHARDS: usize = 64;

const MONTH: u64 = 30 * 86_400;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// `settings` as a [`Config`], unless these `complaints` or others speak against it.
pub(super) fn validate(
    settings: &Settings,
    complaints: Vec<Complaint>,
) -> Result<Config, ConfigError> {
    let mut check = Checker::new(settings, complaints);
    let data_dir = check
        .text("data_dir", |text| Ok(PathBuf::from(text)))
        .unwrap_or_default();
    let config = Config {
        http: http(&mut check),
        admin: Admin {
            listen: address(&mut check, "admin.listen"),
        },
        shards: shards(&mut check, &settings.shards, &data_dir),
        data_dir,
        cache: Cache {
            redis: check.optional_text("cache.redis_url", addresses::redis),
            near_bytes: check.whole("cache.near_bytes", 0..=TIB),
            stale: Duration::from_secs(check.whole("cache.stale_seconds", 0..=MONTH)),
            warm_on_start: usize::try_from(check.whole("cache.warm_on_start", 0..=10_000_000))
                .unwrap_or(0),
        },
        events: events(&mut check),
        auth: Auth {
            admin_key: check.optional_text("auth.admin_key", admin_key),
            anonymous_create: check.flag("auth.anonymous_create"),
            public_stats: check.flag("auth.public_stats"),
        },
        limits: Limits {
            anonymous_creates_per_minute: check
                .small("limits.anonymous_creates_per_minute", 0..=1_000_000),
            misses_per_minute: check.small("limits.misses_per_minute", 0..=1_000_000),
        },
        classify: Classify {
            model_dir: check.optional_text("classify.model_dir", |text| Ok(PathBuf::from(text))),
            blocklists: check.list("classify.blocklists", |text| Ok(PathBuf::from(text))),
            sweep: Duration::from_secs(check.whole("classify.sweep_seconds", 1..=86_400)),
            fetch: check.flag("classify.fetch"),
            topic: check.text("classify.topic", topic).unwrap_or_default(),
        },
        links: Links {
            allow_private_targets: check.flag("links.allow_private_targets"),
            permanent_max_age: check.small("links.permanent_max_age_seconds", 0..=300),
        },
        log: log(&mut check),
        stop: Stop {
            delay: Duration::from_secs(check.whole("stop.delay_seconds", 0..=300)),
            ship: Duration::from_secs(check.whole("stop.ship_seconds", 0..=600)),
        },
    };
    if collide(config.http.listen, config.admin.listen) {
        let problem = format!("is {}, the port of http.listen", config.admin.listen);
        check.complain(
            "admin.listen",
            Fault::new(problem, "choose another port for one of them"),
        );
    }
    if !config.events.topic.is_empty() && config.events.topic == config.classify.topic {
        let problem = format!(
            "is {:?}, the topic of the clicks too",
            config.classify.topic
        );
        let remedy = "choose another one: each topic has records of one kind";
        check.complain("classify.topic", Fault::new(problem, remedy));
    }
    ConfigError::unless_none(check.into_complaints(), config)
}

fn http(check: &mut Checker<'_>) -> Http {
    let workers = check.optional_whole("http.workers", 1..=1024);
    Http {
        listen: address(check, "http.listen"),
        public_url: check.optional_text("http.public_url", PublicUrl::parse),
        workers: workers
            .and_then(|n| usize::try_from(n).ok())
            .and_then(NonZeroUsize::new),
        trusted_proxies: check.list("http.trusted_proxies", network),
        expose_metrics: check.flag("http.expose_metrics"),
    }
}

fn events(check: &mut Checker<'_>) -> Events {
    let acks = [("queued", Ack::Queued), ("spooled", Ack::Spooled)];
    Events {
        kafka_brokers: check.list("events.kafka_brokers", addresses::broker),
        topic: check.text("events.topic", topic).unwrap_or_default(),
        ack: check.choice("events.ack", &acks).unwrap_or(Ack::Queued),
        drain: Duration::from_millis(check.whole("events.drain_ms", 1..=1000)),
        fsync: check.flag("events.fsync"),
        spool_bytes: check.whole("events.spool_bytes", MIB..=TIB),
    }
}

fn log(check: &mut Checker<'_>) -> Log {
    let levels = ["trace", "debug", "info", "warn", "error", "off"].map(|level| (level, level));
    let formats = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
    ];
    Log {
        level: check
            .choice("log.level", &levels)
            .unwrap_or("info")
            .to_owned(),
        format: check
            .choice("log.format", &formats)
            .unwrap_or(LogFormat::Auto),
    }
}

/// The shards in their order; a database that stands there twice would own links twice.
fn shards(check: &mut Checker<'_>, written: &[RawShard], data_dir: &Path) -> Vec<ShardConfig> {
    if written.is_empty() {
        let url = ShardUrl::Sqlite(data_dir.join("shard-0.db"));
        return vec![ShardConfig { url, weight: 1.0 }];
    }
    let mut shards = Vec::with_capacity(written.len());
    let mut seen = BTreeMap::new();
    for (at, shard) in written.iter().enumerate() {
        let key = format!("shards[{at}]");
        let mut complain = |key: String, fault| {
            check.complain_of(Complaint::new(key, fault, shard.source.clone()));
        };
        if at == MAX_SHARDS {
            let problem = format!("is one shard more than the {MAX_SHARDS} slots there are");
            complain(key, Fault::new(problem, "configure fewer shards"));
            break;
        }
        let weight = shard.weight.as_ref().map_or(Ok(1.0), check::weight);
        let weight = weight.unwrap_or_else(|fault| {
            complain(format!("{key}.weight"), fault);
            1.0
        });
        let missing = || Fault::new("is missing", "give each of the [[shards]] its url");
        let url = shard.url.as_ref().ok_or_else(missing);
        let url = match url.and_then(check::text).and_then(ShardUrl::parse) {
            Ok(url) => url,
            Err(fault) => {
                complain(format!("{key}.url"), fault);
                continue;
            }
        };
        if let Some(first) = seen.insert(url.identity(), at) {
            let problem = format!("is {url}, the database of shards[{first}]");
            complain(
                format!("{key}.url"),
                Fault::new(problem, "name each database once"),
            );
        }
        shards.push(ShardConfig { url, weight });
    }
    shards
}

fn address(check: &mut Checker<'_>, key: &str) -> SocketAddr {
    let parsed = check.text(key, |text| {
        text.parse().or(Err(Fault::new(
            format!("is {text:?}, not an IP address with a port"),
            "write 127.0.0.1:8000, 0.0.0.0:8000 or [::]:8000",
        )))
    });
    parsed.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
}

/// Whether two sockets could not both be bound.
fn collide(left: SocketAddr, right: SocketAddr) -> bool {
    let any = left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() != 0 && left.port() == right.port() && (any || left.ip() == right.ip())
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, Fault> {
    let alone = text.parse::<IpAddr>().map(IpNet::from);
    alone.or_else(|_| text.parse()).or(Err(Fault::new(
        format!("holds {text:?}, which is no network"),
        "write 10.0.0.0/8 or 10.0.0.7",
    )))
}

fn topic(text: &str) -> Result<String, Fault> {
    let legal = |sign: char| sign.is_ascii_alphanumeric() || "._-".contains(sign);
    if text.len() > 249 || !text.chars().all(legal) || matches!(text, "." | "..") {
        return Err(Fault::new(
            format!("is {text:?}, which Kafka does not allow"),
            "write at most 249 letters, digits, '.', '_' and '-'",
        ));
    }
    Ok(text.to_owned())
}

/// Long enough that nobody guesses it, and of characters that a header can carry.
fn admin_key(text: &str) -> Result<Secret, Fault> {
    let remedy = "make one with: openssl rand -hex 32";
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::new(
            "holds spaces or signs that are not ASCII",
            remedy,
        ));
    }
    match text.len() {
        32..=1024 => Ok(Secret::new(text)),
        length => Err(Fault::new(
            format!("has {length} characters, not 32 to 1024"),
            remedy,
        )),
    }
}
