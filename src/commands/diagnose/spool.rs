//! The clicks that lie on this machine's disk.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::finding::size;
use crate::commands::diagnose::shell;
use crate::config::Config;

/// Looks at the clicks that lie on this machine's disk.
pub(super) fn state(config: &Config) -> Finding {
    let folder = &config.data_dir;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok("spool", "empty: there is no data folder yet");
        }
        Err(error) => {
            let remedy = Remedy::new(
                error.to_string(),
                "correct data_dir or its permissions",
                format!("ls -ld {}", shell::file(folder)),
            );
            let what = format!("{} cannot be read", folder.display());
            return Finding::fail("spool", what, remedy);
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
        let remedy = Remedy::new(
            "they are damaged, or belong to another cluster than the one that is served here",
            "start `serve` with the cluster they belong to, or keep them for a repair",
            format!("ls -l {}", shell::file(folder)),
        );
        Finding::warn(
            "spool",
            format!("{summary}; clicks that nobody counts: {}", aside.join(", ")),
            remedy,
        )
    } else if bytes > limit / 2 {
        let remedy = Remedy::new(
            "clicks come in and do not go on: see what is said of the shards and Kafka",
            "mend that before the limit, at which clicks are lost; or raise events.spool_bytes",
            "urlshort diagnose --watch",
        );
        Finding::warn("spool", format!("{summary}: more than half full"), remedy)
    } else {
        Finding::ok("spool", summary)
    };
    finding.with(json!({"files": files, "bytes": bytes, "limit_bytes": limit, "aside": aside}))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}
