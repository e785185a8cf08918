//! Nobody's spools: files whose process is gone are taken over and shipped under its name.

use std::path::Path;

use crate::domain::time::Timestamp;
use crate::events::spool::file::SpoolError;
use crate::events::spool::file::SpoolFile;
use crate::events::spool::registry::Spool;
use crate::events::spool::salvage::salvage;
use crate::slots::Slot;

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
        Ok(_) => match file.numbers() {
            Ok(numbers) => {
                tracing::info!(path = %path.display(), "adopted a spool that nobody holds");
                keep(spool, file, &numbers);
                true
            }
            Err(error) => save(spool, file, path, cluster, &error),
        },
        Err(error) => damaged(path, &error),
    }
}

fn keep(spool: &Spool, file: SpoolFile, numbers: &[(Slot, u64, Timestamp)]) {
    spool.ledger.take_over(file.producer(), numbers);
    spool.add(file);
}

/// Takes what can still be read of a damaged file, and sets the file aside.
fn save(spool: &Spool, file: SpoolFile, path: &Path, cluster: &str, error: &SpoolError) -> bool {
    let saved = salvage(&file);
    drop(file);
    damaged(path, error);
    match saved {
        Ok((Some(new), rows)) => {
            tracing::warn!(path = %path.display(), rows, "saved what can be read of it");
            if let Err(error) = new.set_cluster(cluster) {
                tracing::warn!(%error, "the spool does not name its cluster yet");
            }
            let numbers = new.numbers().unwrap_or_default();
            keep(spool, new, &numbers);
            true
        }
        Ok((None, _)) => false,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "nothing of it could be saved");
            false
        }
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

#[cfg(test)]
mod tests {
    use std::io::Seek as _;
    use std::io::SeekFrom;
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::click::Hit;
    use crate::domain::click::Trigger;
    use crate::events::queue::Queue;
    use crate::events::queue::Visit;
    use crate::events::spool::SpoolOptions;

    const DRAINS: usize = 200;

    fn spool(folder: &Path) -> Arc<Spool> {
        Spool::new(SpoolOptions {
            folder: folder.to_owned(),
            drain: Duration::from_millis(1),
            fsync: false,
            bytes: 1 << 30,
        })
    }

    fn visit() -> Visit<'static> {
        Visit {
            at: 1,
            visitor: 2,
            agent: b"Firefox",
            referrer: b"",
            language: b"de",
            country: *b"DE",
            hit: Hit::Get,
            trigger: Trigger::Link,
        }
    }

    /// A folder with the file of a process that is gone, and the path of the file.
    async fn left_behind() -> (PathBuf, PathBuf) {
        let folder = std::env::temp_dir().join(format!("spool-{}", uuid::Uuid::now_v7()));
        let (dead, queue) = (spool(&folder), Arc::new(Queue::new(1)));
        let writer = dead.start(Arc::clone(&queue)).unwrap();
        let slot = Slot::of("code");
        for _ in 0..DRAINS {
            for _ in 0..20 {
                queue.push(0, slot, "code", &visit()).unwrap();
            }
            assert!(dead.flush(Duration::from_secs(20)).await);
        }
        dead.stop();
        writer.join().unwrap();
        let path = dead.files()[0].path().to_owned();
        // The thread that checkpoints holds the file a moment longer.
        while Arc::strong_count(&dead) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (folder, path)
    }

    #[tokio::test]
    async fn of_a_damaged_file_everything_readable_is_saved() {
        let (folder, path) = left_behind().await;
        let pages = std::fs::metadata(&path).unwrap().len() / 4096;
        let mut file = std::fs::File::options().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(pages / 2 * 4096)).unwrap();
        file.write_all(&[0xff; 4096]).unwrap();
        drop(file);
        let heir = spool(&folder);
        assert_eq!(adopt(&heir, "cluster"), 1);
        let files = heir.files();
        assert_eq!(files.len(), 1);
        let rows = files[0].rows_after(0, 10 * DRAINS).unwrap();
        assert!(
            rows.len() > DRAINS / 2 && rows.len() < DRAINS,
            "{}",
            rows.len()
        );
        let last = rows.last().unwrap();
        let clicks = 20 * DRAINS as u64;
        assert_eq!(
            last.first_seq + last.count - 1,
            clicks,
            "those behind it too"
        );
        let aside = format!("{}.damaged", path.display());
        assert!(!path.exists() && Path::new(&aside).exists());
        assert_eq!(adopt(&heir, "cluster"), 0, "nothing else to be found");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn the_last_file_of_a_producer_stays_until_it_is_buried() {
        let (folder, path) = left_behind().await;
        let heir = spool(&folder);
        assert_eq!(adopt(&heir, "cluster"), 1);
        let file = Arc::clone(&heir.files()[0]);
        let producer = file.producer();
        assert!(heir.ledger().has_issued(producer));
        assert!(heir.over().is_empty());
        let rows = file.rows_after(0, 10 * DRAINS).unwrap();
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        file.delete(&ids).unwrap();
        heir.discard(&file);
        assert_eq!((heir.over(), heir.files().len()), (vec![producer], 0));
        assert!(path.exists() && !heir.ledger().has_issued(producer));
        drop(file);
        drop(heir);
        // Whoever finds it empty knows that the end is still to be told.
        let next = spool(&folder);
        adopt(&next, "cluster");
        assert_eq!((next.over(), next.files().len()), (vec![producer], 0));
        next.bury(producer);
        assert!(!path.exists() && next.over().is_empty());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
