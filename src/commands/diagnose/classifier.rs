//! What labels links, and how many wait for it.

use serde_json::json;

use crate::classify;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::shards::Health;
use crate::config::Config;

/// More waiting links than this are a backlog, not a moment.
const MANY: i64 = 10_000;

/// The classifier of this configuration, and its backlog over all shards that answer.
pub(super) fn state(config: &Config, health: &[Health]) -> Finding {
    let name = "classifier";
    let folder = config.classify.model_dir.as_deref();
    let damaged = folder.and_then(|folder| classify::verify_model(folder).err());
    let waiting: i64 = health.iter().map(|health| health.unlabelled).sum();
    let who = match (folder, &damaged) {
        (Some(folder), None) => format!("the model of {}", folder.display()),
        (Some(_), Some(_)) | (None, _) => "rules".to_owned(),
    };
    let counted = i64::try_from(classify::COUNTED).unwrap_or(i64::MAX);
    let at_least = if waiting >= counted { "at least " } else { "" };
    let summary = format!("{who}, {at_least}{waiting} links wait for a label");
    let finding = if let Some(error) = &damaged {
        let next = "fetch it again with `make model`, or unset classify.model_dir";
        Finding::warn(name, format!("{summary}; {error}"), next)
    } else if waiting > MANY {
        let next = if config.events.kafka_brokers.is_empty() {
            "`serve` labels them behind its answers: look at its log"
        } else {
            "start one more `urlshort classify`, or look at the log of those that run"
        };
        Finding::warn(name, summary, next)
    } else {
        Finding::ok(name, summary)
    };
    finding.with(json!({
        "model_dir": folder, "usable": damaged.is_none(), "backlog": waiting,
    }))
}
