//! `diagnose` tells the ways of being away from each other, names the setting that somebody must
//! change, and the command to type.

use std::net::TcpListener;

use serde_json::Value;

use crate::diagnose::named;
use crate::servers::setting;
use crate::support::Folder;

/// What `diagnose` says of `name` with this environment.
fn told(folder: &Folder, name: &str, environment: &[(&str, &str)]) -> Value {
    let program = folder.program(&["diagnose", "--json"]);
    let done = environment
        .iter()
        .fold(program, |program, (variable, value)| {
            program.env(variable, value)
        })
        .done();
    named(&done, name)
}

/// Checks that each of these parts stands in that text of a finding.
#[track_caller]
fn check(found: &Value, parts: &[(&str, &str)]) {
    for (key, part) in parts {
        let text = found[*key].as_str().unwrap_or_default();
        assert!(text.contains(part), "{key} lacks {part:?}: {found:#}");
    }
}

#[test]
fn each_way_to_be_away_has_its_own_cause() {
    let folder = Folder::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    let port = silent.port().to_string();
    // Nobody listens at port 1; the name is reserved for having no address.
    let redis = |host: &str, port: &str| {
        told(
            &folder,
            "redis",
            &[("REDIS_HOST", host), ("REDIS_PORT", port)],
        )
    };
    check(
        &redis("127.0.0.1", "1"),
        &[
            ("cause", "127.0.0.1:1 refuses connections"),
            ("next", "REDIS_HOST"),
            ("command", "redis-cli -h 127.0.0.1 -p 1 ping"),
        ],
    );
    check(
        &redis("cache.invalid", "6379"),
        &[
            ("cause", "cache.invalid has no address"),
            ("command", "getent hosts cache.invalid"),
        ],
    );
    check(&redis("127.0.0.1", &port), &[("cause", "says nothing")]);
    let brokers = format!("127.0.0.1:1,{silent},kafka.invalid:9092");
    let kafka = told(&folder, "kafka", &[("KAFKA_BOOTSTRAP_SERVERS", &brokers)]);
    check(
        &kafka,
        &[
            ("cause", "127.0.0.1:1 refuses connections"),
            ("cause", "says nothing"),
            ("cause", "kafka.invalid has no address"),
            ("next", "KAFKA_BOOTSTRAP_SERVERS"),
            ("command", "kcat -b 127.0.0.1:1,"),
        ],
    );
    let nobody = "postgres://u:hunter2@127.0.0.1:1/links";
    let shard = told(
        &folder,
        "shard 0 (postgres://u:***@127.0.0.1:1/links)",
        &[("DB_SHARD_0_URL", nobody)],
    );
    check(
        &shard,
        &[
            ("cause", "refuses connections"),
            ("next", "DB_SHARD_0_URL"),
            ("command", "pg_isready -h 127.0.0.1 -p 1"),
        ],
    );
}

#[test]
fn a_broker_that_is_away_is_told_though_another_answers() {
    let Some(kafka) = setting("URLSHORT_TEST_KAFKA") else {
        return;
    };
    let folder = Folder::new();
    let topic = format!("causes-{}", uuid::Uuid::now_v7());
    let environment = [
        ("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:2,{kafka}")),
        ("URLSHORT__EVENTS__TOPIC", topic),
        ("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("URLSHORT__HTTP__LISTEN", "127.0.0.1:0".to_owned()),
    ];
    let configure = |arguments: &[&str]| {
        environment
            .iter()
            .fold(folder.program(arguments), |program, (name, value)| {
                program.env(name, value)
            })
    };
    // It makes the topic.
    let seeded = configure(&["seed", "--count", "1", "--clicks", "1"]).done();
    assert_eq!(seeded.status, Some(0), "{}", seeded.errors);
    let found = named(&configure(&["diagnose", "--json"]).done(), "kafka");
    check(&found, &[("cause", "127.0.0.1:2 refuses connections")]);
}

#[test]
fn a_damaged_file_wants_its_backup_and_not_a_start() {
    let folder = Folder::new();
    let made = folder.run(&["keys", "list"]);
    assert_eq!(made.status, Some(0), "{}", made.errors);
    // Its header is gone, as after a disk that wrote elsewhere.
    folder.write("data/shard-0.db", &"x".repeat(8_192));
    for side in ["data/shard-0.db-wal", "data/shard-0.db-shm"] {
        drop(std::fs::remove_file(folder.path(side))); // it is not always there
    }
    let shard = told(&folder, "shard 0 (sqlite:data/shard-0.db)", &[]);
    check(
        &shard,
        &[
            ("cause", "damaged"),
            ("next", "backup"),
            ("next", "urlshort migrate --restored"),
            (
                "command",
                "sqlite3 data/shard-0.db 'PRAGMA integrity_check'",
            ),
        ],
    );
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("data/shard-0.db")).unwrap();
    let shard = told(&folder, "shard 0 (sqlite:data/shard-0.db)", &[]);
    check(&shard, &[("cause", "is a folder")]);
}

#[test]
fn a_server_that_says_no_is_quoted() {
    let Some(server) = setting("URLSHORT_TEST_POSTGRES_0") else {
        return;
    };
    let folder = Folder::new();
    let (base, _) = server.rsplit_once('/').unwrap();
    let url = format!("{base}/nobody_made_this");
    let shard = told(
        &folder,
        &format!("shard 0 ({url})"),
        &[("DB_SHARD_0_URL", &url)],
    );
    check(
        &shard,
        &[
            ("cause", "does not exist (3D000)"),
            ("command", "createdb --maintenance-db="),
            ("command", "nobody_made_this"),
        ],
    );
}

#[test]
fn a_frozen_process_is_not_told_to_start() {
    let folder = Folder::new();
    let server = folder.serve();
    server.wait_until_ready();
    // Without http://, as people type it.
    let address = server.public.to_string();
    server.signal("STOP");
    let done = folder.run(&["diagnose", "--json", "--url", &address]);
    server.signal("CONT");
    let found = named(&done, &format!("serve (http://{address})"));
    check(
        &found,
        &[
            ("cause", "says nothing"),
            (
                "command",
                &format!("ss -ltnp 'sport = :{}'", server.public.port()),
            ),
        ],
    );
    let nobody = folder.run(&["diagnose", "--json", "--url", "127.0.0.1:1"]);
    let found = named(&nobody, "serve (http://127.0.0.1:1)");
    check(
        &found,
        &[
            ("cause", "refuses connections"),
            ("command", "urlshort serve"),
        ],
    );
}

#[test]
fn every_finding_that_is_not_well_has_a_cause_and_a_command() {
    let folder = Folder::new();
    let done = folder
        .program(&["diagnose", "--json", "--quiet", "--url", "127.0.0.1:1"])
        .env("REDIS_HOST", "cache.invalid")
        .env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .done();
    let told = done.json();
    let found = told["checks"].as_array().unwrap();
    assert_eq!(found.len(), 4, "{told:#}"); // shard, redis, kafka, serve
    for one in found {
        assert_ne!(one["severity"], "ok");
        for key in ["cause", "next", "command"] {
            assert!(
                one[key].as_str().is_some_and(|text| !text.is_empty()),
                "{one}"
            );
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_to_programs_too() {
    let folder = Folder::new();
    folder.write("config.toml", "[http]\nlistn = \"x\"\n");
    let done = folder
        .program(&["diagnose", "--json"])
        .env("REDIS_PORT", "x")
        .done();
    assert_eq!(done.status, Some(78));
    let told = done.json();
    assert_eq!(told["status"], "misconfigured");
    let found = told["checks"].as_array().unwrap();
    assert_eq!(found.len(), 2, "{told:#}");
    check(
        &found[0],
        &[("summary", "http.listn"), ("cause", "config.toml")],
    );
    check(
        &found[1],
        &[
            ("summary", "REDIS_PORT"),
            ("command", "printenv REDIS_PORT"),
        ],
    );
    assert!(done.errors.contains("http.listn"), "{}", done.errors);
}
