//! `diagnose`: every state has its exit status, and looking changes nothing.

use std::net::TcpListener;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::servers::Databases;
use crate::servers::setting;
use crate::support::Done;
use crate::support::Folder;
use crate::support::names_in;

/// A port where nobody listens.
const NOWHERE: &str = "127.0.0.1:1";

#[test]
fn an_empty_folder_is_not_started_and_stays_empty() {
    let folder = Folder::new();
    let done = folder.run(&["diagnose"]);
    assert_eq!(done.status, Some(1), "{}", done.errors);
    assert!(done.output.contains("not started yet"), "{}", done.output);
    assert!(
        done.output.contains("$    urlshort serve"),
        "{}",
        done.output
    );
    folder.check_holds(&[]);
}

#[test]
fn a_working_shard_is_healthy_and_untouched() {
    let folder = Folder::new();
    folder.run(&["keys", "list"]);
    // SQLite keeps its own files beside a database that is looked at; ours must stay as they are.
    let ours = |folder: &Folder| -> Vec<String> {
        let names = names_in(&folder.path("data")).into_iter();
        names
            .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect()
    };
    let before = ours(&folder);
    let done = folder.run(&["diagnose", "--json"]);
    check(&done, 0, "healthy");
    let told = done.json();
    assert_eq!(told["schema_version"], 1);
    let found = named(&done, "shard 0 (sqlite:data/shard-0.db)");
    let facts = &found["facts"];
    assert_eq!((&facts["slots"], &facts["schema"]), (&64.into(), &2.into()));
    let health = named(&done, "shard 0 health");
    assert!(health["facts"]["free_bytes"].as_u64() > Some(0), "{health}");
    assert_eq!(ours(&folder), before);
    let quiet = folder.run(&["diagnose", "--quiet"]);
    assert_eq!((quiet.status, quiet.output.as_str()), (Some(0), ""));
}

#[test]
fn lost_helpers_are_degraded() {
    let folder = Folder::new();
    folder.run(&["keys", "list"]);
    let done = folder
        .program(&["diagnose", "--json"])
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", "1")
        .env("KAFKA_BOOTSTRAP_SERVERS", NOWHERE)
        .done();
    check(&done, 1, "degraded");
    for name in ["redis", "kafka"] {
        let found = named(&done, name);
        assert_eq!(found["severity"], "warn", "{found}");
        assert!(found["next"].is_string(), "{found}");
    }
}

#[test]
fn block_lists_that_cannot_be_used_are_told() {
    let folder = Folder::new();
    folder.run(&["keys", "list"]);
    let with = |lists: &str| {
        let look = folder.program(&["diagnose", "--json"]);
        look.env("URLSHORT__CLASSIFY__BLOCKLISTS", lists).done()
    };
    folder.write("good.txt", "evil.example\n203.0.113.0/24\n");
    let done = with("good.txt");
    check(&done, 0, "healthy");
    assert_eq!(named(&done, "block lists")["facts"]["entries"], 2);
    folder.write("odd.txt", "evil.example\nno host at all\n");
    for (lists, complaint) in [
        ("good.txt,gone.txt", "gone.txt: "),
        ("odd.txt", "odd.txt:2: "),
    ] {
        let done = with(lists);
        check(&done, 1, "degraded");
        let found = named(&done, "block lists");
        assert!(
            found["cause"].as_str().unwrap().contains(complaint),
            "{found}"
        );
    }
}

#[test]
fn a_shard_file_that_nobody_names_is_told() {
    for (name, other) in [("shard-0.db", "other.db"), ("links.sqlite", "shard-0.db")] {
        let folder = Folder::new();
        let url = |name: &str| format!("sqlite:data/{name}");
        let seed = folder.program(&["seed", "--count", "1"]);
        let done = seed.env("DB_SHARD_0_URL", &url(name)).done();
        assert_eq!(done.status, Some(0), "{}", done.errors);
        let done = folder
            .program(&["diagnose", "--json"])
            .env("DB_SHARD_0_URL", &url(other))
            .done();
        check(&done, 1, "degraded");
        let found = named(&done, "unnamed shard");
        assert!(found["summary"].as_str().unwrap().contains(name));
    }
}

#[test]
fn without_a_usable_shard_it_is_broken() {
    let folder = Folder::new();
    let done = folder
        .program(&["diagnose", "--json"])
        .env(
            "DB_SHARD_0_URL",
            &format!("postgres://u:hunter2secret@{NOWHERE}/d"),
        )
        .done();
    check(&done, 69, "broken");
    assert!(!done.output.contains("hunter2secret"), "{}", done.output);
    folder.write(
        "text.db",
        "This is no database, however long one looks at it.",
    );
    let done = folder
        .program(&["diagnose", "--json"])
        .env("DB_SHARD_0_URL", "sqlite:text.db")
        .done();
    check(&done, 69, "broken");
}

#[test]
fn a_shard_that_is_missing_from_the_list_is_broken() {
    let folder = Folder::new();
    let program = |n: usize| {
        let program = folder.program(&["diagnose", "--json"]);
        (0..n).fold(program, |program, n| {
            program.env(
                &format!("DB_SHARD_{n}_URL"),
                &format!("sqlite:shard-{n}.db"),
            )
        })
    };
    let made = folder
        .program(&["migrate"])
        .env("DB_SHARD_0_URL", "sqlite:shard-0.db")
        .env("DB_SHARD_1_URL", "sqlite:shard-1.db")
        .done();
    assert_eq!(made.status, Some(0), "{}", made.errors);
    check(&program(2).done(), 0, "healthy");
    let done = program(1).done();
    check(&done, 69, "broken");
    assert_eq!(named(&done, "cluster")["severity"], "fail");
    let done = program(3).done();
    check(&done, 1, "degraded");
    assert!(done.output.contains("joins the cluster"), "{}", done.output);
}

#[test]
fn silent_servers_are_not_waited_for() {
    // They accept connections and say nothing, as a stopped process does.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let folder = Folder::new();
    let begun = Instant::now();
    let done = folder
        .program(&["diagnose", "--json"])
        .env("DB_SHARD_0_URL", &format!("postgres://u@{address}/d"))
        .env("DB_SHARD_1_URL", &format!("postgres://u@{address}/e"))
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", &address.port().to_string())
        .env("KAFKA_BOOTSTRAP_SERVERS", &address.to_string())
        .done();
    check(&done, 69, "broken");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn three_servers_are_looked_at_and_not_touched() {
    let Some(databases) = Databases::on_servers() else {
        return;
    };
    let folder = Folder::new();
    let look = || databases.configure(folder.program(&["diagnose", "--json"]));
    for _ in 0..2 {
        let done = look().done();
        check(&done, 1, "degraded");
        assert!(done.output.contains("an empty database"), "{}", done.output);
    }
    let made = databases.configure(folder.program(&["migrate"])).done();
    assert_eq!(made.status, Some(0), "{}", made.errors);
    check(&look().done(), 0, "healthy");
    let away = format!("postgres://u@{NOWHERE}/d");
    let done = look().env("DB_SHARD_2_URL", &away).done();
    check(&done, 1, "degraded");
    assert_eq!(named(&done, "slots")["severity"], "fail");
    let twice = databases.url(1).replace("127.0.0.1", "localhost");
    check(&look().env("DB_SHARD_2_URL", &twice).done(), 69, "broken");
}

#[test]
fn redis_and_kafka_answer_for_themselves() {
    let (Some(redis), Some(kafka)) = (
        setting("URLSHORT_TEST_REDIS"),
        setting("URLSHORT_TEST_KAFKA"),
    ) else {
        return;
    };
    let folder = Folder::new();
    let done = folder
        .program(&["diagnose", "--json"])
        .env("URLSHORT__CACHE__REDIS_URL", &redis)
        .env("KAFKA_BOOTSTRAP_SERVERS", &kafka)
        .env("URLSHORT__EVENTS__TOPIC", "nobody-made-this-one")
        .done();
    let found = named(&done, "redis");
    assert_eq!(found["severity"], "ok", "{found}");
    assert!(found["facts"]["version"].is_string(), "{found}");
    let found = named(&done, "kafka");
    assert_eq!(
        (&found["severity"], &found["facts"]["partitions"]),
        (&"warn".into(), &Value::Null)
    );
}

#[test]
fn offline_shows_every_value_its_source_and_no_secret() {
    let folder = Folder::new();
    folder.write("config.toml", "[stop]\nship_seconds = 7\n");
    folder.write(
        "url",
        "postgresql+asyncpg://app:first-secret@db0:5432/links\n",
    );
    let program = |arguments: &[&str]| {
        folder
            .program(arguments)
            .env("DB_SHARD_0_URL_FILE", "url")
            .env("DB_SHARD_1_URL", "postgres://app:second-secret@db1/links")
            .env(
                "URLSHORT__CACHE__REDIS_URL",
                "redis://me:third-secret@cache:6379/2",
            )
            .env("KAFKA_BOOTSTRAP_SERVERS", "kafka0:9092,kafka1:9092")
            .env(
                "URLSHORT__AUTH__ADMIN_KEY",
                "fourth-secret-fourth-secret-fourth",
            )
            .env("REDIS_HOST", "")
    };
    let told = program(&["diagnose", "--offline", "--log-level", "warn"]).done();
    let listed = program(&["diagnose", "--offline", "--json"]).json();
    assert_eq!(told.status, Some(0), "{}", told.errors);
    for text in [&told.output, &told.errors, &listed.to_string()] {
        assert!(!text.contains("secret"), "{text}");
    }
    assert_eq!(listed["schema_version"], 1);
    for (key, value, source) in [
        (
            "shards[0].url",
            "postgres://app:***@db0:5432/links",
            "DB_SHARD_0_URL_FILE",
        ),
        (
            "shards[1].url",
            "postgres://app:***@db1:5432/links",
            "DB_SHARD_1_URL",
        ),
        (
            "cache.redis_url",
            "redis://me:***@cache:6379/2",
            "URLSHORT__CACHE__REDIS_URL",
        ),
        (
            "events.kafka_brokers",
            "kafka0:9092,kafka1:9092",
            "KAFKA_BOOTSTRAP_SERVERS",
        ),
        ("auth.admin_key", "***", "URLSHORT__AUTH__ADMIN_KEY"),
        ("stop.ship_seconds", "7", "config.toml"),
        ("http.listen", "0.0.0.0:8000", "default"),
    ] {
        let settings = listed["settings"].as_array().unwrap();
        let found = settings
            .iter()
            .find(|setting| setting["key"] == key)
            .unwrap();
        assert_eq!(
            (&found["value"], &found["source"]),
            (&value.into(), &source.into())
        );
        assert!(told.output.contains(value), "{value}: {}", told.output);
    }
    folder.check_holds(&["config.toml", "url"]);
    let flat = folder
        .program(&["diagnose", "--offline"])
        .env("REDIS_HOST", "cache")
        .env("REDIS_PORT", "6380")
        .done();
    assert!(
        flat.output.contains("redis://cache:6380"),
        "{}",
        flat.output
    );
}

#[test]
fn a_probe_asks_the_process_that_runs_here() {
    let folder = Folder::new();
    let server = folder.serve();
    let probe = |listen: &str| {
        folder
            .program(&["diagnose", "--probe"])
            .env("URLSHORT__ADMIN__LISTEN", listen)
            .done()
    };
    server.printed("admin key"); // the start has succeeded
    let done = probe(&format!("0.0.0.0:{}", server.admin.port()));
    assert_eq!((done.status, done.output.as_str()), (Some(0), "ready\n"));
    let done = probe(NOWHERE);
    assert_eq!(done.status, Some(69));
    assert!(done.errors.contains("readyz"), "{}", done.errors);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let done = probe(&silent.local_addr().unwrap().to_string());
    assert_eq!(done.status, Some(69));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

/// The finding of that name.
#[track_caller]
pub(crate) fn named(done: &Done, name: &str) -> Value {
    let told = done.json();
    let checks = told["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("{name}: {told}")).clone()
}

#[track_caller]
fn check(done: &Done, status: i32, word: &str) {
    let told = done.json();
    assert_eq!(
        (done.status, &told["status"]),
        (Some(status), &word.into()),
        "{told:#}"
    );
}

#[test]
fn a_running_process_answers_for_itself_and_nobody_for_nobody() {
    let folder = Folder::new();
    let server = folder.serve();
    server.wait_until_ready();
    let public = format!("http://{}", server.public);
    let done = folder.run(&["diagnose", "--json", "--url", &public]);
    check(&done, 0, "healthy");
    let found = named(&done, &format!("serve ({public})"));
    assert_eq!(found["facts"]["status"], "pass", "{found}");
    let nobody = "http://127.0.0.1:1";
    let done = folder.run(&["diagnose", "--json", "--url", &public, "--url", nobody]);
    check(&done, 1, "degraded");
    let found = named(&done, &format!("serve ({nobody})"));
    assert_eq!(found["severity"], "fail", "{found}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let done = folder.run(&["diagnose", "--quiet", "--url", &silent]);
    assert_eq!(done.status, Some(1));
    assert!(done.output.contains("says nothing"), "{}", done.output);
}

#[test]
fn watching_asks_again_until_it_is_stopped() {
    let folder = Folder::new();
    folder.run(&["keys", "list"]);
    let watch = folder
        .program(&["diagnose", "--json", "--watch", "1"])
        .run_on();
    for _ in 0..2 {
        let told: Value = serde_json::from_str(&watch.printed("schema_version")).unwrap();
        assert_eq!(told["status"], "healthy", "{told}");
    }
    watch.terminate();
    assert_eq!(watch.ended().0, Some(0));
}
