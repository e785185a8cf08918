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

/// The files that are laid over it for a standby, and for servers that one has already.
#[test]
fn the_compose_of_today_takes_the_other_files() {
    let Some(compose) = files::tool("compose-v5") else {
        return;
    };
    let with = |other: &str| {
        let mut command = Command::new(&compose);
        command.args(["--profile", "*"]);
        for file in ["deploy/compose.yaml", other] {
            command.arg("-f").arg(files::path(file));
        }
        files::parse(&files::run(command.arg("config"))).unwrap()["services"].clone()
    };
    let services = with("deploy/compose.standby.yaml");
    // It is as its primary is, but for where its data lie and how it begins.
    let (primary, standby) = (&services["shard-0"], &services["standby-0"]);
    for part in [
        "image",
        "user",
        "command",
        "healthcheck",
        "networks",
        "cap_drop",
    ] {
        assert_eq!(primary[part], standby[part], "{part}");
    }
    let ours = ["app", "analytics", "classify", "migrate", "seed"];
    for name in ours {
        let url = services[name]["environment"]["DB_SHARD_0_URL_FILE"].as_str();
        assert_eq!(
            url,
            Some("/run/secrets/db/shard-0-or-standby.url"),
            "{name}"
        );
    }
    assert!(files::text("deploy/secrets/make.sh").contains("shard-$shard-or-standby.url"));

    let services = with("deploy/compose.external.example.yaml");
    for gone in ["shard-0", "redis", "redpanda", "topics", "redis-exporter"] {
        assert!(services[gone].is_null(), "{gone}");
    }
    for name in ours {
        let environment = &services[name]["environment"];
        assert_eq!(environment["REDIS_HOST"], "cache0.internal", "{name}");
        // A way out of the internal network.
        assert!(services[name]["networks"].get("front").is_some(), "{name}");
    }
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
