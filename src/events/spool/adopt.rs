//! Nobody's spools: files whose process is gone are taken over and shipped under its name.

use std::path::Path;

use crate::events::spool::file::SpoolError;
use crate::events::spool::file::SpoolFile;
use crate::events::spool::registry::Spool;

/// Takes every spool file in the folder that nobody holds and that is for `cluster`.
///
/// A file of another cluster is renamed to `.foreign`, one that cannot be opened to `.damaged`;
/// both are told and left to people. Returns how many files were adopted.
pub fn adopt(spool: &Spool, cluster: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(spool.folder()) else {
        return 0;
    };
    let mut adopted = 0;
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_spool = name.starts_with("spool-") && name.ends_with(".db");
        if is_spool && !spool.holds(&path) && take(spool, &path, cluster) {
            adopted += 1;
        }
    }
    adopted
}

fn take(spool: &Spool, path: &Path, cluster: &str) -> bool {
    let file = match SpoolFile::take(path) {
        Ok(Some(file)) => file,
        Ok(None) => return false,
        Err(error) => return damaged(path, &error),
    };
    match file.cluster() {
        Ok(Some(other)) if other != cluster => {
            tracing::error!(path = %path.display(), other, "a spool of another cluster; set aside");
            set_aside(path, "foreign");
            false
        }
        Ok(_) => {
            tracing::info!(path = %path.display(), "adopted a spool that nobody holds");
            spool.ledger.take_over(file.producer(), &file.numbers());
            spool.add(file);
            true
        }
        Err(error) => damaged(path, &error),
    }
}

fn damaged(path: &Path, error: &SpoolError) -> bool {
    tracing::error!(path = %path.display(), %error, "a spool cannot be read; set aside");
    set_aside(path, "damaged");
    false
}

/// Renames the file and its write-ahead log, which holds what was not moved into it yet.
fn set_aside(path: &Path, why: &str) {
    for suffix in ["-wal", ""] {
        let mut from = path.to_owned().into_os_string();
        from.push(suffix);
        let mut to = path.to_owned().into_os_string();
        to.push(format!(".{why}{suffix}"));
        if Path::new(&from).exists()
            && let Err(error) = std::fs::rename(&from, to)
        {
            tracing::error!(path = %path.display(), %error, "it cannot be renamed");
        }
    }
}
