//! How far the counting is behind the topic.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use serde_json::json;
use tokio::time::timeout;

use crate::app;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::PATIENCE;
use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::shards::Health;
use crate::commands::diagnose::shell;
use crate::commands::diagnose::vitals::age;
use crate::config::Config;
use crate::config::ShardUrl;
use crate::domain::time::Timestamp;
use crate::events::kafka::Kafka;
use crate::pipeline::consume::MADE_AGAIN;
use crate::store::vitals::PartitionSeen;

/// Partitions that are asked for at once.
const AT_ONCE: usize = 16;
/// A record that waits for longer than this waits too long, seconds.
const LATE: u64 = 60;

/// A partition of the topic beside the reading of it.
struct Partition {
    slot: u8,
    lag: i64,
    lost: i64,
    oldest_at: Option<Timestamp>,
    holder: Option<String>,
    stopped: Option<String>,
    owner: ShardUrl,
}

/// Asks the topic where it begins and ends, and compares that with the shards' progress.
pub(super) async fn lag(config: &Config, health: &[Health]) -> Vec<Finding> {
    let (Some(kafka), Some(now)) = (app::kafka(config), health.iter().map(|h| h.now).max()) else {
        return Vec::new();
    };
    let seen: Vec<(&PartitionSeen, &ShardUrl)> = health
        .iter()
        .flat_map(|health| {
            let partitions = health.vitals.partitions.iter();
            partitions.map(|seen| (seen, &health.url))
        })
        .collect();
    let n_seen = seen.len();
    let asked = seen
        .into_iter()
        .map(|(seen, owner)| look(&kafka, seen, owner));
    let list = shell::topic(&config.events.kafka_brokers, &config.events.topic);
    let asked = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
    let Ok(found) = timeout(2 * PATIENCE, asked.collect::<Vec<_>>()).await else {
        let remedy = Remedy::new(
            "the brokers are overloaded, or one of them hangs",
            "look at the brokers' load and their log",
            list,
        );
        let what = "the partitions do not answer within 4 s";
        return vec![Finding::warn("kafka lag", what, remedy)];
    };
    let mut found: Vec<Partition> = found.into_iter().flatten().collect();
    found.sort_by_key(|partition| partition.slot);
    let mut findings = stopped(&found);
    for partition in found.iter().filter(|seen| seen.lost > 0) {
        if partition.stopped.is_none() {
            findings.push(lost(partition, config));
        }
    }
    findings.push(summary(&found, n_seen, now, list));
    findings
}

/// Partitions that nobody may count, those of a shard together that have the same way out.
fn stopped(found: &[Partition]) -> Vec<Finding> {
    let mut groups: BTreeMap<(String, bool), Vec<&Partition>> = BTreeMap::new();
    for partition in found {
        if let Some(why) = &partition.stopped {
            let key = (partition.owner.to_string(), why.contains(MADE_AGAIN));
            groups.entry(key).or_default().push(partition);
        }
    }
    let finding = |((_, is_new_topic), group): ((String, bool), Vec<&Partition>)| {
        let first = group.first()?;
        let slots: Vec<String> = group.iter().map(|seen| seen.slot.to_string()).collect();
        let slots = slots.join(", ");
        let (next, set) = if is_new_topic {
            // What was counted before is known by its number and not counted again.
            (
                "once the topic is the one that is to be counted, count it from its start",
                "stopped = NULL, next_offset = 0, last_producer = NULL, last_seq = NULL",
            )
        } else {
            ("once the cause is gone, let them go on", "stopped = NULL")
        };
        let what = match group.len() {
            1 => format!("partition {slots} is stopped: nobody may count what it holds"),
            n => format!("{n} partitions are stopped: nobody may count what {slots} hold"),
        };
        let sql = format!("UPDATE urlshort.progress SET {set} WHERE slot IN ({slots})");
        let why = first.stopped.clone().unwrap_or_default();
        let remedy = Remedy::new(why, next, shell::sql(&first.owner, &sql));
        Some(Finding::fail("kafka lag", what, remedy))
    };
    groups.into_iter().filter_map(finding).collect()
}

fn lost(partition: &Partition, config: &Config) -> Finding {
    let (slot, lost) = (partition.slot, partition.lost);
    Finding::fail(
        "kafka lag",
        format!("partition {slot}: {lost} records were deleted before they were counted"),
        Remedy::new(
            "the topic's retention is shorter than the time for which nobody counted",
            "raise the topic's retention; the spools ship what they still have",
            format!(
                "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics \
                 --entity-name {} --add-config retention.ms=1209600000",
                config.events.kafka_brokers.join(","),
                shell::quoted(&config.events.topic),
            ),
        ),
    )
}

fn summary(found: &[Partition], n_seen: usize, now: Timestamp, list: String) -> Finding {
    let behind: i64 = found.iter().map(|partition| partition.lag).sum();
    let idle = found
        .iter()
        .filter(|partition| partition.holder.is_none())
        .count();
    let oldest = found
        .iter()
        .filter_map(|partition| partition.oldest_at)
        .min();
    let waits = oldest.map_or_else(String::new, |at| {
        format!(", the oldest sent {} ago", age(now, at))
    });
    let what = format!("{behind} records are not counted yet{waits}");
    let is_late = oldest.is_some_and(|at| now.since(at).as_secs() > LATE);
    let finding = if found.len() < n_seen {
        let n = n_seen - found.len();
        let remedy = Remedy::new(
            "a partition without a leader cannot be read",
            "bring back the brokers that hold them",
            list,
        );
        let what = format!("{n} partitions did not answer; {what}");
        Finding::warn("kafka lag", what, remedy)
    } else if idle == found.len() && behind > 0 {
        let remedy = Remedy::new(
            "no `analytics` runs, or none that reaches these shards and brokers",
            "start it",
            "urlshort analytics",
        );
        Finding::warn("kafka lag", format!("{what}, and nobody reads"), remedy)
    } else if idle > 0 && is_late {
        let what = format!("{what}, and nobody reads {idle} partitions");
        let remedy = Remedy::new(
            "a reader ended, and the others have not taken its partitions over",
            "start one more",
            "urlshort analytics",
        );
        Finding::warn("kafka lag", what, remedy)
    } else if is_late {
        let remedy = Remedy::new(
            "clicks come faster than they are counted",
            "start one more reader, or look at the shards' load",
            "urlshort analytics",
        );
        Finding::warn("kafka lag", what, remedy)
    } else {
        Finding::ok("kafka lag", what)
    };
    let partitions: Vec<Value> = found
        .iter()
        .map(|partition| {
            json!({"partition": partition.slot, "lag": partition.lag, "lost": partition.lost,
                "oldest_at": partition.oldest_at, "reader": partition.holder,
                "stopped": partition.stopped})
        })
        .collect();
    finding.with(json!({"lag": behind, "partitions": partitions}))
}

async fn look(kafka: &Kafka, seen: &PartitionSeen, owner: &ShardUrl) -> Option<Partition> {
    let (earliest, latest) = kafka.bounds(seen.slot).await.ok()?;
    let next = seen.next_offset;
    let lag = (latest - next.max(earliest)).max(0);
    let mut oldest_at = None;
    if lag > 0 {
        let fetched = kafka
            .fetch(seen.slot, next.max(earliest), Duration::from_millis(50))
            .await;
        oldest_at = fetched
            .ok()
            .and_then(|fetched| fetched.records.first().map(|record| record.at));
    }
    Some(Partition {
        slot: seen.slot.number(),
        lag,
        // Nothing was ever read of a partition at 0: what is gone there is somebody else's.
        lost: if next > 0 {
            (earliest - next).max(0)
        } else {
            0
        },
        oldest_at,
        holder: seen.holder.clone(),
        stopped: seen.stopped.clone(),
        owner: owner.clone(),
    })
}
