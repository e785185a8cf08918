//! The first admin key of a cluster: made once, in a file that only its owner may read.

use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use crate::config::Config;
use crate::domain::key;
use crate::domain::key::ApiKey;
use crate::domain::key::Scope;
use crate::service::keys::Keys;
use crate::store::Store;

/// Makes the first admin key, unless the cluster ever had one or one is given from outside; answers
/// where it lies.
///
/// The file is written before the key is inserted: a key that nobody can read would be worse than
/// a file that nobody needs. Of several processes that do so at once, the first key stays; those
/// that share a data folder share its key from the beginning.
///
/// # Errors
/// Where the file or the key cannot be written.
pub async fn first_admin_key(
    config: &Config,
    store: &Arc<Store>,
) -> Result<Option<PathBuf>, String> {
    let keys = Keys::new(Arc::clone(store), None);
    if config.auth.admin_key.is_some() || keys.has_admin() {
        return Ok(None);
    }
    let path = config.data_dir.join("admin-key");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let now = store.clock().now();
    let (mut key, text) = ApiKey::generate(
        &mut rand::rng(),
        "admin".to_owned(),
        Scope::ALL.to_vec(),
        now,
        None,
    );
    let text = claim(&path, text).map_err(failed)?;
    if let Some((id, secret)) = key::split(&text) {
        key.id = id.to_owned();
        key.digest = key::digest(secret);
    }
    keys.insert(&key).await.map_err(|error| error.to_string())?;
    store.refresh_data().await;
    let first = keys
        .list()
        .into_iter()
        .rfind(|other| other.scopes.contains(&Scope::KeysAdmin) && !other.revoked);
    if first.is_some_and(|first| first.id != key.id) {
        keys.revoke(&key.id)
            .await
            .map_err(|error| error.to_string())?;
        match std::fs::remove_file(&path) {
            // Another one with this folder has lost with the same key.
            Err(error) if error.kind() == ErrorKind::NotFound => (),
            done => done.map_err(failed)?,
        }
        return Ok(None);
    }
    Ok(Some(path))
}

/// Writes `text` to a file that only its owner may read, whole and at once; if a key lies there
/// already, that one is kept. Answers what lies there now.
///
/// A key that is there is of a start that ended between file and insert, or of another process with
/// the same folder that is about to insert it: had each its own key, the loser would take the file
/// of the winner away.
fn claim(path: &Path, text: String) -> std::io::Result<String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Containers have the same process ids.
    let draft = path.with_extension(format!("{}.new", Uuid::now_v7().simple()));
    write_private(&draft, &text)?;
    // A link is never put in place of a file, as a rename would be.
    let known = match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let known = std::fs::read_to_string(path)?.trim().to_owned();
            key::split(&known).is_some().then_some(known)
        }
        Err(_no_links_on_this_file_system) => None,
        Ok(()) => Some(text.clone()),
    };
    match known {
        Some(known) => std::fs::remove_file(draft).map(|()| known),
        None => std::fs::rename(draft, path).map(|()| text),
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn a_key() -> String {
        let now = crate::domain::time::Timestamp::from_micros(0);
        let owner = "admin".to_owned();
        ApiKey::generate(&mut rand::rng(), owner, Scope::ALL.to_vec(), now, None).1
    }

    #[test]
    fn processes_with_one_folder_have_one_key() {
        let folder = std::env::temp_dir().join(format!("admin-key-{}", Uuid::now_v7().simple()));
        let path = folder.join("data").join("admin-key");
        // What is no key is none that could be shared.
        std::fs::create_dir_all(folder.join("data")).unwrap();
        std::fs::write(&path, "").unwrap();
        let first = a_key();
        assert_eq!(claim(&path, first.clone()).unwrap(), first);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        // All at once.
        let barrier = std::sync::Barrier::new(8);
        let kept: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let own = a_key();
                        barrier.wait();
                        claim(&path, own).unwrap()
                    })
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        let there = std::fs::read_to_string(&path).unwrap();
        assert!(kept.iter().all(|key| key == there.trim()), "{kept:?}");
        let left = std::fs::read_dir(folder.join("data")).unwrap().count();
        assert_eq!(left, 1, "no draft is left");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
