//! Files of the checkout, read as what they are, and the tools that judge them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A path in the checkout.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// A file's text.
#[track_caller]
pub(crate) fn text(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// A YAML (or JSON) file; anchors and merge keys are resolved.
#[track_caller]
pub(crate) fn yaml(relative: &str) -> Value {
    parse(&text(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

pub(crate) fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// The files of a folder with this ending, in order.
#[track_caller]
pub(crate) fn list(folder: &str, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(ending))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    names.sort();
    names
}

/// Where `deploy/local/tools` puts what it builds.
fn target() -> PathBuf {
    std::env::var("CARGO_TARGET_DIR").map_or_else(|_| path("target"), PathBuf::from)
}

/// A tool that `deploy/local/tools` installs; `None` where it is missing and may be.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let own = target().join("tools/bin").join(name);
    let places = std::env::var("PATH").unwrap_or_default();
    let found = std::iter::once(own)
        .chain(
            std::env::split_paths(&places)
                .chain([PathBuf::from("/usr/sbin")])
                .map(|place| place.join(name)),
        )
        .find(|path| path.is_file());
    if found.is_none() {
        let required = std::env::var("URLSHORT_TEST_REQUIRED").is_ok_and(|value| value == "1");
        assert!(!required, "{name} is missing: run deploy/local/tools");
        eprintln!("SKIPPED: {name} is missing (deploy/local/tools installs it)");
    }
    found
}

/// Runs a tool, which must succeed, and answers what it printed.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        done.status.success(),
        "{command:?} ended with {}:\n{}{}",
        done.status,
        said(&done.stdout),
        said(&done.stderr)
    );
    said(&done.stdout)
}

/// The texts of a YAML list, or none.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|text| {
            text.as_str()
                .map_or_else(|| text.to_string(), str::to_owned)
        })
        .collect()
}

/// What the program says about itself with `--help`.
pub(crate) fn help(arguments: &[&str]) -> Option<String> {
    let done = Command::new(env!("CARGO_BIN_EXE_urlshort"))
        .args(arguments)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    done.status
        .success()
        .then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Whether this build has the subcommand.
pub(crate) fn has_command(name: &str) -> bool {
    help(&[name]).is_some()
}
