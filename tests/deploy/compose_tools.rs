//! The compose files, by the tools that are there to judge them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::compose_checks::DUE;
use crate::files;
use crate::process::Folder;

#[test]
fn the_schema_of_compose_takes_both_files() {
    let Some(check) = files::tool("check-jsonschema") else {
        return;
    };
    let mut command = Command::new(check);
    files::run(
        command
            .args(["--builtin-schema", "vendor.compose-spec"])
            .arg(files::path("deploy/compose.yaml"))
            .arg(files::path("deploy/compose.override.example.yaml")),
    );
}

/// What Compose makes of the file, with the example of an override laid over it or not.
fn merged(compose: &mut Command, file: &Path, with_example: bool) -> Value {
    compose.arg("-f").arg(file);
    if with_example {
        let example = files::path("deploy/compose.override.example.yaml");
        compose.arg("-f").arg(example);
    }
    files::parse(&files::run(compose.arg("config"))).unwrap()
}

#[track_caller]
fn check_app(app: &Value, with_example: bool) {
    assert_eq!(files::texts(&app["command"]), ["serve"]);
    let (replicas, bytes) = if with_example {
        (4, "536870912")
    } else {
        (2, "268435456")
    };
    assert_eq!(app["deploy"]["replicas"], replicas);
    let near = &app["environment"]["URLSHORT__CACHE__NEAR_BYTES"];
    assert_eq!(near.as_str().unwrap(), bytes);
}

/// The Compose that people run: the one that says no where it must.
#[test]
fn the_compose_of_today_takes_the_file() {
    let Some(compose) = files::tool("compose-v5") else {
        return;
    };
    let file = files::path("deploy/compose.yaml");
    for with_example in [false, true] {
        let mut command = Command::new(&compose);
        command.args(["--profile", "*"]);
        let seen = merged(&mut command, &file, with_example);
        check_app(&seen["services"]["app"], with_example);
        let services = seen["services"].as_object().unwrap();
        for name in DUE {
            assert!(services.contains_key(name), "{name}");
        }
    }
    // The example of variables changes nothing.
    let config = |example: &[&str]| {
        let mut command = Command::new(&compose);
        command.args(example).args(["--profile", "*"]);
        merged(&mut command, &file, false)
    };
    let example = files::path("deploy/.env.example").display().to_string();
    assert_eq!(config(&["--env-file", &example]), config(&[]));
}

/// Debian's docker-compose is older than some words of the file.
#[test]
fn docker_compose_takes_the_file() {
    let Some(compose) = files::tool("docker-compose") else {
        return;
    };
    let text: String = files::text("deploy/compose.yaml")
        .lines()
        .filter(|line| !line.starts_with("name:") && !line.trim().starts_with("start_interval:"))
        .map(|line| line.replace(", pids: 512 }", " }") + "\n")
        .collect();
    let folder = Folder::new();
    let file = folder.0.join("compose.yaml");
    fs::write(&file, text).unwrap();
    for with_example in [false, true] {
        let seen = merged(&mut Command::new(&compose), &file, with_example);
        check_app(&seen["services"]["app"], with_example);
    }
}
