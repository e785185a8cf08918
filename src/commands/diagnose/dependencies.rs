//! Redis and Kafka: neither may stop a redirect, so the worst is a warning, except where clicks
//! cannot go on.

use serde_json::json;
use tokio::time::timeout;
use url::Url;

use crate::app;
use crate::cache::far::FarCache;
use crate::cache::far::FarFacts;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::PATIENCE;
use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::finding::cause;
use crate::commands::diagnose::finding::millis;
use crate::commands::diagnose::finding::size;
use crate::commands::diagnose::reach;
use crate::commands::diagnose::reach::Reach;
use crate::commands::diagnose::resp;
use crate::commands::diagnose::shell;
use crate::config::Loaded;
use crate::slots::SLOTS;

/// Asks Redis for a pong, its version and its memory.
pub(super) async fn redis(loaded: &Loaded) -> Finding {
    let Some(url) = &loaded.config.cache.redis else {
        return Finding::ok("redis", "not configured: each process has its own cache");
    };
    let (url, setting) = (url.expose(), loaded.named("cache.redis_url"));
    let far = match FarCache::redis(url) {
        Ok(far) => far,
        Err(error) => {
            let next = format!("correct {setting}");
            let remedy = Remedy::new(error, next, "urlshort diagnose --offline");
            return Finding::fail("redis", "its URL cannot be used", remedy);
        }
    };
    let answer = timeout(PATIENCE, far.ask()).await;
    far.close().await;
    let told = match answer {
        Ok(Ok(Some(facts))) if facts.is_cluster && url.starts_with("redis://") => {
            return a_node_of_many(url, &setting);
        }
        Ok(Ok(Some(facts))) => return memory_of(&facts, url),
        Ok(Ok(None)) => return Finding::ok("redis", "not configured"),
        Ok(Err(error)) => Some(cause(&error)),
        Err(_) => None,
    };
    let told = resp::refusal(url).await.or(told);
    let (host, port) = host_of(url);
    let away = reach::reach(&host, port).await;
    let away = away.explain(&host, port, told.as_deref(), &setting);
    let ping = shell::redis(url, "ping");
    let remedy = Remedy::new(away.cause, away.next, away.command.unwrap_or(ping));
    let what = "does not answer; until it does, every miss of a process goes to a shard";
    Finding::warn("redis", what, remedy)
}

/// A node of a cluster that is asked as if it were alone: it refuses most keys.
fn a_node_of_many(url: &str, setting: &str) -> Finding {
    let (host, port) = host_of(url);
    let remedy = Remedy::new(
        format!("{host}:{port} is a node of a Redis Cluster, and refuses the keys of other nodes"),
        format!("name the cluster in {setting}: redis-cluster://{host}:{port}"),
        format!("URLSHORT__CACHE__REDIS_URL=redis-cluster://{host}:{port} urlshort diagnose"),
    );
    let what = "answers, and remembers hardly any link";
    Finding::warn("redis", what, remedy).with(json!({"is_cluster": true}))
}

/// Where a Redis URL leads.
fn host_of(url: &str) -> (String, u16) {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(|url| url.host_str());
    let port = url.as_ref().and_then(Url::port);
    (host.unwrap_or("localhost").to_owned(), port.unwrap_or(6379))
}

fn memory_of(facts: &FarFacts, url: &str) -> Finding {
    let version = facts.version.as_deref().unwrap_or("of unknown version");
    let eviction = facts.eviction.as_deref().unwrap_or("unknown");
    let (used, limit) = (
        facts.used_bytes.unwrap_or(0),
        facts.max_bytes.filter(|limit| *limit > 0),
    );
    let memory = match limit {
        Some(limit) => format!("{} of {} used, {eviction}", size(used), size(limit)),
        None => format!("{} used, no limit", size(used)),
    };
    let latency = millis(facts.latency);
    let mode = if facts.is_cluster {
        "a cluster node, "
    } else {
        ""
    };
    let hit_ratio = facts.reads.and_then(|(hits, misses)| ratio(hits, misses));
    let hits = hit_ratio.map_or_else(String::new, |ratio| {
        format!(", {:.1} % of its reads hit", ratio * 100.0)
    });
    let summary = format!("{version}, {mode}{memory}{hits}, {latency} ms");
    let finding = if limit.is_some() && eviction == "noeviction" {
        let remedy = Remedy::new(
            "its policy is noeviction: once it is full, it refuses to remember links",
            "let it evict what is asked for least, here and in its configuration",
            shell::redis(url, "CONFIG SET maxmemory-policy allkeys-lfu"),
        );
        Finding::warn("redis", summary, remedy)
    } else {
        Finding::ok("redis", summary)
    };
    finding.with(json!({
        "version": facts.version, "latency_ms": latency, "used_bytes": facts.used_bytes,
        "max_bytes": facts.max_bytes, "eviction": facts.eviction, "is_cluster": facts.is_cluster,
        "hit_ratio": hit_ratio, "evicted_keys": facts.evicted,
    }))
}

/// The share of `hits`, rounded to a thousandth; `None` where nothing was read.
fn ratio(hits: u64, misses: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let share = hits as f64 / (hits + misses) as f64;
    (hits + misses > 0).then(|| (share * 1_000.0).round() / 1_000.0)
}

/// Asks Kafka for the topic's partitions.
pub(super) async fn kafka(loaded: &Loaded) -> Finding {
    let config = &loaded.config;
    let Some(kafka) = app::kafka(config) else {
        let what = "not configured: `serve` counts its clicks itself";
        return Finding::ok("kafka", what);
    };
    let topic = &config.events.topic;
    let list = shell::topic(&config.events.kafka_brokers, topic);
    let facts = match timeout(PATIENCE, kafka.facts()).await {
        Ok(Ok(facts)) => facts,
        Ok(Err(error)) => return no_bus(loaded, Some(cause(&error)), list).await,
        Err(_) => return no_bus(loaded, None, list).await,
    };
    let latency = millis(facts.latency);
    let silent = silent_brokers(loaded).await;
    let finding = match facts.partitions {
        Some(n) if n == usize::from(SLOTS) && !silent.is_empty() => Finding::warn(
            "kafka",
            format!("topic {topic} has {n} partitions, {latency} ms; a broker does not answer"),
            Remedy::new(
                silent.join("; "),
                format!(
                    "bring it back, or take it out of {}",
                    loaded.named("events.kafka_brokers")
                ),
                list,
            ),
        ),
        Some(n) if n == usize::from(SLOTS) => Finding::ok(
            "kafka",
            format!("topic {topic} has {n} partitions, {latency} ms"),
        ),
        Some(n) => Finding::fail(
            "kafka",
            format!("topic {topic} has {n} partitions, not {SLOTS}: nothing is shipped or counted"),
            Remedy::new(
                "somebody else made the topic, by hand or because the broker makes topics itself",
                format!(
                    "name another topic in {}, or delete this one and let `serve` make it",
                    loaded.named("events.topic")
                ),
                list,
            ),
        ),
        None => Finding::warn(
            "kafka",
            format!("topic {topic} does not exist yet"),
            Remedy::new(
                "no process has started with these brokers",
                "start one: it makes the topic",
                "urlshort serve",
            ),
        ),
    };
    finding.with(json!({
        "brokers": facts.brokers, "topic": topic, "partitions": facts.partitions,
        "latency_ms": latency,
    }))
}

/// The brokers that the configuration names.
fn brokers(loaded: &Loaded) -> Vec<(String, u16)> {
    let brokers = loaded.config.events.kafka_brokers.iter();
    let addresses = brokers.filter_map(|broker| {
        let (host, port) = broker.rsplit_once(':')?;
        Some((host.to_owned(), port.parse::<u16>().ok()?))
    });
    addresses.collect()
}

/// Why brokers of the configuration cannot even be connected to, while another one answers.
async fn silent_brokers(loaded: &Loaded) -> Vec<String> {
    let setting = loaded.named("events.kafka_brokers");
    let asked = brokers(loaded).into_iter().map(|(host, port)| {
        let setting = &setting;
        async move {
            let reached = reach::reach(&host, port).await;
            let is_away = reached != Reach::Accepted;
            is_away.then(|| reached.explain(&host, port, None, setting).cause)
        }
    });
    let asked = futures_util::future::join_all(asked).await;
    asked.into_iter().flatten().collect()
}

/// No broker answers: why each of them does not.
async fn no_bus(loaded: &Loaded, told: Option<String>, list: String) -> Finding {
    let setting = loaded.named("events.kafka_brokers");
    let addresses = brokers(loaded);
    let away = reach::explain_all(&addresses, told.as_deref(), &setting).await;
    let remedy = Remedy::new(away.cause, away.next, away.command.unwrap_or(list));
    let what = "does not answer; until it does, clicks wait in the spools";
    Finding::warn("kafka", what, remedy)
}
