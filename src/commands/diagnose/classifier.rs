//! What labels links, how many wait for it, and the block lists.

use std::path::Path;
use std::path::PathBuf;

use serde_json::json;

use crate::classify;
use crate::classify::blocklist::BlockLists;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::shards::Health;
use crate::config::Config;

/// More waiting links than this are a backlog, not a moment.
const MANY: i64 = 10_000;

/// The classifier of this configuration, and its backlog over all shards that answer.
pub(super) async fn state(config: &Config, health: &[Health]) -> Finding {
    let name = "classifier";
    let folder = config.classify.model_dir.as_deref();
    let damaged = match folder.map(Path::to_owned) {
        Some(folder) => unusable(folder).await,
        None => None,
    };
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
            error,
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

/// Why the model of `folder` cannot be used; `None`: it can.
async fn unusable(folder: PathBuf) -> Option<String> {
    let loading = tokio::task::spawn_blocking(move || classify::verify_model(&folder));
    match loading.await {
        Ok(loaded) => loaded.err().map(|error| error.to_string()),
        Err(error) => Some(format!("loading the model failed: {error}")),
    }
}

/// The block lists of this configuration, where there are any.
pub(super) fn block_lists(config: &Config) -> Option<Finding> {
    let name = "block lists";
    let paths = &config.classify.blocklists;
    let first = paths.first()?;
    let read = BlockLists::new(paths.clone()).reload();
    let summary = format!("{} entries of {} files", read.entries, paths.len());
    let facts = json!({"files": paths, "entries": read.entries, "complaints": read.complaints});
    let Some(complaint) = read.complaints.first() else {
        return Some(Finding::ok(name, summary).with(facts));
    };
    let more = match read.complaints.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let remedy = Remedy::new(
        format!("classify.blocklists: {complaint}{more}"),
        "a file that cannot be read keeps all lists as they were, at a start empty; mend it, or \
         take it out of classify.blocklists. Lines that are no entries are left out",
        format!("ls -l {}", first.display()),
    );
    Some(Finding::warn(name, summary, remedy).with(facts))
}
