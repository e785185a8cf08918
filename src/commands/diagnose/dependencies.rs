//! Redis, Kafka and the spool: none of them may stop a redirect, so the worst is a warning, except
//! where clicks cannot go on.

use std::fs;
use std::path::Path;

use serde_json::json;
use tokio::time::timeout;

use crate::app;
use crate::cache::far::FarCache;
use crate::cache::far::FarFacts;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::PATIENCE;
use crate::commands::diagnose::finding::cause;
use crate::commands::diagnose::finding::millis;
use crate::commands::diagnose::finding::size;
use crate::config::Config;
use crate::slots::SLOTS;

/// Asks Redis for a pong, its version and its memory.
pub(super) async fn redis(config: &Config) -> Finding {
    let Some(url) = &config.cache.redis else {
        return Finding::ok("redis", "not configured: each process has its own cache");
    };
    let far = match FarCache::redis(url.expose()) {
        Ok(far) => far,
        Err(error) => return Finding::fail("redis", error, "correct cache.redis_url"),
    };
    let answer = timeout(PATIENCE, far.ask()).await;
    far.close().await;
    let away = |why: &str| {
        Finding::warn(
            "redis",
            format!("does not answer: {why}"),
            "start it, or correct cache.redis_url; until then every miss goes to a shard",
        )
    };
    match answer {
        Ok(Ok(Some(facts))) => memory_of(&facts),
        Ok(Ok(None)) => Finding::ok("redis", "not configured"),
        Ok(Err(error)) => away(&cause(&error)),
        Err(_) => away("silent for 2 s"),
    }
}

fn memory_of(facts: &FarFacts) -> Finding {
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
        Finding::warn(
            "redis",
            format!("{summary}: once it is full, it refuses to remember links"),
            "set maxmemory-policy to allkeys-lfu",
        )
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
pub(super) async fn kafka(config: &Config) -> Finding {
    let Some(kafka) = app::kafka(config) else {
        let what = "not configured: `serve` counts its clicks itself";
        return Finding::ok("kafka", what);
    };
    let topic = &config.events.topic;
    let away = |why: &str| {
        Finding::warn(
            "kafka",
            format!("does not answer: {why}"),
            "start it, or correct events.kafka_brokers; until then clicks wait in the spool",
        )
    };
    let facts = match timeout(PATIENCE, kafka.facts()).await {
        Ok(Ok(facts)) => facts,
        Ok(Err(error)) => return away(&cause(&error)),
        Err(_) => return away("silent for 2 s"),
    };
    let latency = millis(facts.latency);
    let finding = match facts.partitions {
        Some(n) if n == usize::from(SLOTS) => Finding::ok(
            "kafka",
            format!("topic {topic} has {n} partitions, {latency} ms"),
        ),
        Some(n) => Finding::fail(
            "kafka",
            format!("topic {topic} has {n} partitions, not {SLOTS}: nothing is shipped or counted"),
            "name another topic in events.topic, or delete this one and let `serve` make it",
        ),
        None => Finding::warn(
            "kafka",
            format!("topic {topic} does not exist yet"),
            "run `urlshort serve`: it makes the topic",
        ),
    };
    finding.with(json!({
        "brokers": facts.brokers, "topic": topic, "partitions": facts.partitions,
        "latency_ms": latency,
    }))
}

/// Looks at the clicks that lie on this machine's disk.
pub(super) fn spool(config: &Config) -> Finding {
    let folder = &config.data_dir;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok("spool", "empty: there is no data folder yet");
        }
        Err(error) => {
            return Finding::fail(
                "spool",
                format!("{} cannot be read: {error}", folder.display()),
                "correct data_dir or its permissions",
            );
        }
    };
    let (mut files, mut bytes, mut aside) = (0_usize, 0_u64, Vec::new());
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("spool-") {
            continue;
        }
        if name.ends_with(".damaged") || name.ends_with(".foreign") {
            aside.push(entry.path().display().to_string());
        } else if name.ends_with(".db") {
            files += 1;
            bytes += length(&entry.path());
        } else if name.ends_with(".db-wal") {
            bytes += length(&entry.path());
        }
    }
    let limit = config.events.spool_bytes;
    let summary = format!("{files} files, {} of {}", size(bytes), size(limit));
    let finding = if !aside.is_empty() {
        Finding::warn(
            "spool",
            format!("{summary}; clicks that nobody counts: {}", aside.join(", ")),
            "start `serve` with the cluster they belong to, or keep them for a repair",
        )
    } else if bytes > limit / 2 {
        Finding::warn(
            "spool",
            format!("{summary}: more than half full"),
            "find out why clicks are not counted (shards and kafka above); at its limit they are lost",
        )
    } else {
        Finding::ok("spool", summary)
    };
    finding.with(json!({"files": files, "bytes": bytes, "limit_bytes": limit, "aside": aside}))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}
