//! What labels links, and how many wait for it.

use serde_json::json;

use crate::classify;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::Remedy;
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
        let remedy = Remedy::new(
            error.to_string(),
            "fetch it again, or unset classify.model_dir; until then rules label",
            "make model",
        );
        Finding::warn(name, format!("{summary}; the model cannot be used"), remedy)
    } else if waiting > MANY {
        let remedy = if config.events.kafka_brokers.is_empty() {
            Remedy::new(
                "`serve` labels links behind its answers, and is not at it or not fast enough",
                "label them at once",
                "urlshort classify --backfill",
            )
        } else {
            Remedy::new(
                "no `classify` runs, or links come faster than it labels them",
                "start one more, or look at the log of those that run",
                "urlshort classify",
            )
        };
        Finding::warn(name, summary, remedy)
    } else {
        Finding::ok(name, summary)
    };
    finding.with(json!({
        "model_dir": folder, "usable": damaged.is_none(), "backlog": waiting,
    }))
}
