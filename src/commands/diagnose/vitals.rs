//! How each shard is, and who holds clicks.

use std::collections::BTreeMap;

use serde_json::json;

use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::finding::size;
use crate::commands::diagnose::shards::Health;
use crate::commands::diagnose::shell;
use crate::config::ShardUrl;
use crate::domain::time::Timestamp;
use crate::store::vitals::Host;
use crate::store::vitals::ProducerHeld;

/// Less than this on the disk of a file is too little, bytes.
const LITTLE_DISK: u64 = 1 << 30;
/// A replica further behind than this is told, seconds.
const FAR_BEHIND: f64 = 10.0;
/// A producer that was not seen for this long has vanished, seconds.
const VANISHED: u64 = 60;
/// A click that is held for longer than this waits too long, seconds.
const HELD_LONG: u64 = 60;

/// What a shard says of its host, its feed and the clicks that were set aside.
pub(super) fn of(health: &Health) -> Vec<Finding> {
    let mut findings = vec![host(health)];
    let dead = health.vitals.dead_events;
    if dead > 0 {
        let what = format!("{dead} clicks were set aside");
        let sql = "SELECT reason, count(*) FROM urlshort.dead_events GROUP BY reason";
        let remedy = Remedy::new(
            "nothing could read or take them: another producer writes into the topic, or a bug",
            "read the reasons, then mend who wrote them; delete the rows once they are understood",
            shell::sql(&health.url, sql),
        );
        findings.push(Finding::warn(&health.name, what, remedy).with(json!({"dead_events": dead})));
    }
    findings
}

fn host(health: &Health) -> Finding {
    let name = &health.name;
    let feed = health.vitals.newest_change.map_or_else(
        || "no change in its feed".to_owned(),
        |at| format!("last change {} ago", age(health.now, at)),
    );
    match &health.vitals.host {
        Host::File { bytes, free_bytes } => {
            let free = free_bytes.map_or_else(|| "an unknown amount".to_owned(), size);
            let what = format!("{} on disk, {free} free, {feed}", size(*bytes));
            let finding = if free_bytes.is_some_and(|free| free < LITTLE_DISK) {
                let remedy = Remedy::new(
                    "the disk is almost full: once it is, no link can be made",
                    "free some disk, or move the shard",
                    format!("df -h {}", disk(&health.url)),
                );
                Finding::warn(name, what, remedy)
            } else {
                Finding::ok(name, what)
            };
            finding.with(json!({"bytes": bytes, "free_bytes": free_bytes}))
        }
        Host::Server {
            bytes,
            connections,
            max_connections,
            is_standby,
            is_read_only,
            replicas,
        } => {
            let behind = replicas
                .iter()
                .filter_map(|(_, lag)| *lag)
                .fold(0.0, f64::max);
            let replication = match replicas.len() {
                0 => "no replica".to_owned(),
                1 => format!("a replica {behind:.1} s behind"),
                n => format!("{n} replicas, {behind:.1} s behind at most"),
            };
            let what = format!(
                "{} stored, {connections} of {max_connections} connections, {replication}, {feed}",
                size(u64::try_from(*bytes).unwrap_or(0))
            );
            let finding = if *is_standby {
                let sql = "SELECT sender_host, sender_port FROM pg_stat_wal_receiver";
                let remedy = Remedy::new(
                    "the URL leads to a replica, or the primary failed and nobody took its place",
                    "name its primary in the configuration, or promote this one: SELECT pg_promote()",
                    shell::sql(&health.url, sql),
                );
                let what = format!("a standby, which takes no writes; {what}");
                Finding::fail(name, what, remedy)
            } else if *is_read_only {
                let sql = "SELECT source, sourcefile FROM pg_settings \
                           WHERE name = 'default_transaction_read_only'";
                let remedy = Remedy::new(
                    "default_transaction_read_only is on for the server, the database or the user",
                    "find out who set it and why, then turn it off where it was set",
                    shell::sql(&health.url, sql),
                );
                let what = format!("takes no writes; {what}");
                Finding::fail(name, what, remedy)
            } else if connections * 10 > max_connections * 8 {
                let sql =
                    "SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2";
                let remedy = Remedy::new(
                    "more than four fifths of its connections are taken",
                    "raise max_connections, or run fewer processes per shard",
                    shell::sql(&health.url, sql),
                );
                Finding::warn(name, what, remedy)
            } else if behind > FAR_BEHIND {
                let sql = "SELECT application_name, state, replay_lag FROM pg_stat_replication";
                let remedy = Remedy::new(
                    "the replica replays more slowly than its primary writes",
                    "look at the replica's disk and network",
                    shell::sql(&health.url, sql),
                );
                Finding::warn(name, what, remedy)
            } else {
                Finding::ok(name, what)
            };
            finding.with(json!({
                "bytes": bytes, "connections": connections, "max_connections": max_connections,
                "is_standby": is_standby, "is_read_only": is_read_only, "replicas": replicas.len(),
                "replication_lag_seconds": behind,
            }))
        }
    }
}

/// Who holds clicks that nobody counted, and who vanished with them.
pub(super) fn producers(health: &[Health]) -> Vec<Finding> {
    let Some(now) = health.iter().map(|health| health.now).max() else {
        return Vec::new();
    };
    // Every shard is told; what is newest holds.
    let mut known: BTreeMap<&str, &ProducerHeld> = BTreeMap::new();
    for producer in health.iter().flat_map(|health| &health.vitals.producers) {
        let newest = known.entry(&producer.id).or_insert(producer);
        if newest.seen_at < producer.seen_at {
            *newest = producer;
        }
    }
    let mut findings = Vec::new();
    for producer in known.values() {
        let held = producer.held_since;
        let vanished = now.since(producer.seen_at).as_secs() > VANISHED;
        let late = held.is_some_and(|at| now.since(at).as_secs() > HELD_LONG);
        if !vanished && !late {
            continue;
        }
        let since = held.map_or_else(
            || "it may hold clicks".to_owned(),
            |at| format!("it holds clicks, the oldest from {} ago", age(now, at)),
        );
        let seen = age(now, producer.seen_at);
        let finding = if vanished {
            Finding::warn(
                "producers",
                format!("{} was last seen {seen} ago, and {since}", producer.host),
                Remedy::new(
                    "it was killed, or its machine or its network is gone",
                    "start `serve` on the data folder that it had: its spool is taken over; if its \
                     disk is gone for good, `urlshort producers forget` ends the wait",
                    "urlshort serve --data-dir FOLDER",
                ),
            )
        } else {
            Finding::warn(
                "producers",
                format!("{}: {since}", producer.host),
                Remedy::new(
                    "Kafka or a shard does not take them, or nobody counts",
                    "see what is said here of kafka and the shards, and ask the process itself",
                    format!("urlshort diagnose --url http://{}:8001", producer.host),
                ),
            )
        };
        findings.push(finding.with(json!({
            "producer_id": producer.id, "host": producer.host, "seen_at": producer.seen_at,
            "held_since": held, "vanished": vanished,
        })));
    }
    if findings.is_empty() {
        let n = known.len();
        let holding = known
            .values()
            .filter(|producer| producer.held_since.is_some());
        let what = format!("{n} alive, {} with clicks on their way", holding.count());
        findings.push(Finding::ok("producers", what).with(json!({"alive": n})));
    }
    findings
}

/// Where the file of a shard lies.
fn disk(shard: &ShardUrl) -> String {
    match shard {
        ShardUrl::Sqlite(path) => shell::file(path),
        ShardUrl::Postgres(_) => ".".to_owned(),
    }
}

/// How long ago `at` was, as people say it.
pub(super) fn age(now: Timestamp, at: Timestamp) -> String {
    match now.since(at).as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
