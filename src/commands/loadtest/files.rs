//! The files that results are written to.

use std::path::Path;

use crate::commands::Failure;
use crate::commands::report;

/// Whether a name means the standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether two names mean one file.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let plain = |path: &Path| {
        let whole = std::path::absolute(path).ok();
        whole.map(|path| path.components().collect::<std::path::PathBuf>())
    };
    let real = |path: &Path| path.canonicalize().ok();
    plain(one) == plain(other) || real(one).is_some_and(|path| Some(path) == real(other))
}

/// Refuses a file before the run that it could not be written after.
pub(super) fn writable(path: &Path) -> Result<(), Failure> {
    if is_stdout(path) {
        return Ok(());
    }
    let is_new = !path.exists();
    let opened = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path);
    opened.map_err(|error| unwritable(path, &error))?;
    if is_new {
        // A run that is given up leaves no empty file behind.
        std::fs::remove_file(path).map_err(|error| unwritable(path, &error))?;
    }
    Ok(())
}

/// Writes `text` to a file, or to the standard output.
pub(super) fn save(path: &Path, text: &str) -> Result<(), Failure> {
    if is_stdout(path) {
        report::line(text);
        return Ok(());
    }
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!(
        "{} cannot be written: {error}; name another file",
        path.display()
    ))
}
