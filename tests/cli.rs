//! The command line, as a person or a script meets it: the real program in folders of its own.
#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test may stop at the first surprise"
    )
)]

#[path = "cli/answering.rs"]
mod answering;
#[path = "cli/causes.rs"]
mod causes;
#[path = "cli/classify.rs"]
mod classify;
#[path = "cli/demands.rs"]
mod demands;
#[path = "cli/diagnose.rs"]
mod diagnose;
#[path = "cli/loadtest.rs"]
mod loadtest;
#[path = "cli/misconfigured.rs"]
mod misconfigured;
#[path = "cli/operators.rs"]
mod operators;
#[path = "cli/reports.rs"]
mod reports;
#[path = "cli/serve.rs"]
mod serve;
#[path = "cli/servers.rs"]
mod servers;
#[path = "cli/support.rs"]
mod support;

use serde_json::Value;

use servers::Databases;
use support::Folder;

#[test]
fn what_cannot_be_meant_is_usage() {
    let folder = Folder::new();
    for arguments in [
        &[][..],
        &["fly"],
        &["serve", "--fast"],
        &["seed", "--count", "0"],
        &["seed", "--count", "1.5"],
        &["diagnose", "--offline", "--probe"],
        &["keys", "create", "--scope", "everything"],
        &["keys", "create", "--expires", "tomorrow"],
    ] {
        let done = folder.run(arguments);
        assert_eq!(done.status, Some(2), "{arguments:?}: {}", done.errors);
        assert!(done.output.is_empty(), "{arguments:?}: {}", done.output);
    }
    folder.check_holds(&[]);
}

#[test]
fn every_help_has_examples() {
    let folder = Folder::new();
    for command in [
        &["serve"][..],
        &["analytics"],
        &["migrate"],
        &["seed"],
        &["diagnose"],
        &["loadtest"],
        &["loadtest", "report"],
        &["loadtest", "compare"],
        &["keys"],
        &["keys", "create"],
        &["keys", "list"],
        &["keys", "revoke"],
    ] {
        let done = folder.run(&[command, &["--help"]].concat());
        assert_eq!(done.status, Some(0));
        assert!(done.output.contains("Examples:\n  "), "{}", done.output);
    }
}

#[test]
fn a_wrong_configuration_is_told_in_one_run() {
    let folder = Folder::new();
    folder.write("config.toml", "[events]\nack = \"maybe\"\n[cash]\nx = 1\n");
    let done = folder
        .program(&["serve", "--listen", "nowhere"])
        .env("URLSHORT__EVENTS__DRAIN_MS", "0")
        .env("URLSHORT__AUTH__ADMIN_KEY", "too-short-7788")
        .env("DB_SHARD_1_URL", "postgres://u@h/d")
        .env("REDIS_PORT", "6379")
        .done();
    assert_eq!(done.status, Some(78), "{}", done.errors);
    for named in [
        "http.listen",
        "events.ack",
        "cash",
        "events.drain_ms",
        "auth.admin_key",
        "DB_SHARD_0_URL",
        "REDIS_PORT",
    ] {
        assert!(done.errors.contains(named), "{named}: {}", done.errors);
    }
    assert!(!done.errors.contains("too-short-7788"), "{}", done.errors);
    folder.check_holds(&["config.toml"]);
    let done = folder.run(&["serve", "--config", "missing.toml"]);
    assert_eq!(done.status, Some(78));
    assert!(done.errors.contains("missing.toml"), "{}", done.errors);
}

#[test]
fn without_a_shard_a_command_says_unreachable() {
    let folder = Folder::new();
    for arguments in [&["keys", "list"][..], &["migrate"], &["seed"]] {
        let done = folder
            .program(arguments)
            .env("DB_SHARD_0_URL", "postgres://u:hunter2secret@127.0.0.1:1/d")
            .done();
        assert_eq!(done.status, Some(69), "{arguments:?}: {}", done.errors);
        assert!(done.errors.contains("127.0.0.1:1/d"), "{}", done.errors);
        assert!(!done.errors.contains("hunter2secret"), "{}", done.errors);
    }
}

#[test]
fn analytics_without_a_bus_is_a_configuration_error() {
    let done = Folder::new().run(&["analytics"]);
    assert_eq!(done.status, Some(78));
    assert!(
        done.errors.contains("events.kafka_brokers"),
        "{}",
        done.errors
    );
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let folder = Folder::new();
    let made = folder.run(&["keys", "create", "--owner", "team"]);
    assert_eq!(made.status, Some(0), "{}", made.errors);
    let key = made.output.trim();
    assert!(key.starts_with("us_") && key.len() > 40, "{key}");
    let made = folder.json(&[
        "keys",
        "create",
        "--owner",
        "ci",
        "--scope",
        "links:read,stats:read",
        "--expires",
        "30d",
        "--json",
    ]);
    assert_eq!(made["schema_version"], 1);
    assert_eq!(
        made["scopes"],
        serde_json::json!(["links:read", "stats:read"])
    );
    assert!(made["expires_at"].is_string(), "{made}");
    let past = folder.json(&[
        "keys",
        "create",
        "--expires",
        "2020-01-01T00:00:00Z",
        "--json",
    ]);

    let listed = folder.run(&["keys", "list"]);
    assert!(listed.output.contains("team"), "{}", listed.output);
    for secret in [key, made["key"].as_str().unwrap()] {
        let secret = secret.rsplit('_').next().unwrap();
        assert!(!listed.output.contains(secret), "a secret is listed");
    }

    let revoked = folder.run(&["keys", "revoke", key]); // the whole key does as well as its id
    assert_eq!(revoked.status, Some(0), "{}", revoked.errors);
    let id = made["id"].as_str().unwrap();
    let revoked = folder.json(&["keys", "revoke", id, "--json"]);
    assert_eq!(revoked["state"], "revoked");
    let unknown = folder.run(&["keys", "revoke", "nobody"]);
    assert_eq!(unknown.status, Some(1));
    assert!(unknown.errors.contains("keys list"), "{}", unknown.errors);

    let listed = folder.json(&["keys", "list", "--json"]);
    let keys = listed["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    for listed in keys {
        let expected = if listed["id"] == past["id"] {
            "expired"
        } else {
            "revoked"
        };
        assert_eq!(listed["state"], expected, "{listed}");
    }
}

#[test]
fn seeding_twice_makes_nothing_twice() {
    let folder = Folder::new();
    check_seed(|arguments| folder.json(arguments));
    let other = folder.json(&["seed", "--count", "200", "--seed", "2", "--json"]);
    assert_eq!((&other["made"], &other["failed"]), (&200.into(), &0.into()));
    let silent = folder.run(&["seed", "--count", "10", "--quiet"]);
    assert_eq!((silent.output.as_str(), silent.errors.as_str()), ("", ""));
    let told = folder.run(&["seed", "--count", "10"]);
    assert!(told.output.contains("10 already there"), "{}", told.output);
}

#[test]
fn seeding_works_over_three_servers() {
    let Some(databases) = Databases::on_servers() else {
        return;
    };
    let folder = Folder::new();
    let run = |arguments: &[&str]| databases.configure(folder.program(arguments)).json();
    check_seed(run);
    let state = run(&["diagnose", "--json"]);
    assert_eq!(state["status"], "healthy", "{state}");
}

/// 1,500 links, then the same with 500 more, then all of them again.
fn check_seed(run: impl Fn(&[&str]) -> Value) {
    for (count, made, there) in [("1500", 1_500, 0), ("2000", 500, 1_500), ("2000", 0, 2_000)] {
        let told = run(&["seed", "--count", count, "--json"]);
        assert_eq!(told["schema_version"], 1);
        let figures = ["made", "already_there", "failed"].map(|key| told[key].as_u64().unwrap());
        assert_eq!(figures, [made, there, 0], "{told}");
    }
}
