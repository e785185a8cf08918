//! What operators use beside `serve`: warm caches, made-up histories, completions and manuals.

use std::io::BufRead as _;

use serde_json::Value;
use uuid::Uuid;

use crate::servers::Databases;
use crate::servers::setting;
use crate::support::Folder;
use crate::support::Program;
use crate::support::Server;
use crate::support::names_in;

#[test]
fn a_warm_up_in_the_wrong_folder_founds_nothing() {
    let folder = Folder::new();
    let done = folder.run(&["warmup"]);
    assert_eq!(done.status, Some(69));
    let path = "data/shard-0.db is not there";
    assert!(done.errors.contains(path), "{}", done.errors);
    folder.check_holds(&[]);
}

#[test]
fn a_running_process_is_warmed_once() {
    let folder = Folder::new();
    folder.json(&["seed", "--count", "300", "--clicks", "3000", "--json"]);
    let server = folder.serve();
    server.wait_until_ready();
    let warm = |arguments: &[&str]| {
        let admin = format!("http://{}", server.admin);
        let arguments = [&["warmup", "--json", "--admin", admin.as_str()], arguments].concat();
        folder.json(&arguments)
    };
    let first = warm(&["--top", "100"]);
    assert_eq!(
        (&first["links"], &first["source"]),
        (&100.into(), &"most followed".into())
    );
    check_near(&first, [100, 0, 0, 0]);
    check_near(&warm(&["--top", "150"]), [50, 100, 0, 0]);
    folder.write("codes.txt", "nobody1\nnobody2\n");
    check_near(&warm(&["--codes", "codes.txt"]), [0, 0, 2, 0]);
    // What is warm is answered near, and warming is no click.
    let (_, metrics) = server.ask("GET", "/metrics", "");
    assert!(
        metrics.contains("urlshort_clicks_spooled_total 0"),
        "{metrics}"
    );
}

#[test]
fn warming_nothing_is_unreachable_and_a_bad_file_is_told() {
    let folder = Folder::new();
    folder.json(&["seed", "--count", "10", "--json"]);
    let nobody = folder
        .program(&["warmup"])
        .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:1")
        .done();
    assert_eq!(nobody.status, Some(69), "{}", nobody.errors);
    assert!(nobody.errors.contains("--admin"), "{}", nobody.errors);
    let server = folder.serve();
    server.wait_until_ready();
    let admin = format!("http://{}", server.admin);
    folder.write("codes.txt", "good\nno code\n-bad\n");
    let bad = folder.run(&["warmup", "--admin", &admin, "--codes", "codes.txt"]);
    assert_eq!(bad.status, Some(1));
    assert!(bad.errors.contains("codes.txt:3"), "{}", bad.errors);
}

#[test]
fn redis_is_warmed_over_three_servers() {
    let (Some(databases), Some(redis)) = (Databases::on_servers(), setting("URLSHORT_TEST_REDIS"))
    else {
        return;
    };
    let folder = Folder::new();
    let run = |arguments: &[&str]| {
        let program = databases.configure(folder.program(arguments));
        program
            .env("URLSHORT__CACHE__REDIS_URL", &redis)
            .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:1")
            .json()
    };
    run(&["seed", "--count", "200", "--json"]);
    // Seeding tells Redis of every link; a backup's new generation makes it forget them.
    let migrated = databases
        .configure(folder.program(&["migrate", "--restored"]))
        .done();
    assert_eq!(migrated.status, Some(0), "{}", migrated.errors);
    let first = run(&["warmup", "--top", "120", "--json"]);
    assert_eq!(
        (&first["source"], &first["far"]["loaded"]),
        (&"newest".into(), &120.into())
    );
    let second = run(&["warmup", "--top", "120", "--json"]);
    assert_eq!(second["far"]["already_warm"], 120, "{second}");
}

#[test]
fn what_is_warm_already_is_not_held_back() {
    let folder = Folder::new();
    folder.run(&["seed", "--count", "300"]);
    let server = folder.serve();
    server.wait_until_ready();
    let admin = server.admin.to_string();
    let first = folder.json(&["warmup", "--json", "--newest", "--admin", &admin]);
    let warmed = &first["near"][0]["warmed"];
    let loaded = warmed["loaded"].as_u64().unwrap() + warmed["missing"].as_u64().unwrap();
    assert!(loaded > 200, "{first}");
    // At one link a second this would outlast the patience of every test.
    let again = folder.json(&[
        "warmup", "--json", "--newest", "--rate", "1", "--admin", &admin,
    ]);
    check_near(&again, [0, loaded, 0, 0]);
}

#[test]
fn a_new_process_warms_itself_behind_its_start() {
    let folder = Folder::new();
    folder.json(&["seed", "--count", "50", "--clicks", "2000", "--json"]);
    let server = folder
        .program(&["serve", "--listen", "127.0.0.1:0"])
        .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
        .env("URLSHORT__CACHE__WARM_ON_START", "20")
        .start();
    server.logged("warmed by the most followed links");
    let admin = format!("http://{}", server.admin);
    let warm = folder.json(&["warmup", "--json", "--top", "20", "--admin", &admin]);
    check_near(&warm, [0, 20, 0, 0]);
}

#[test]
fn a_history_is_counted_once_however_often_it_is_sent() {
    let folder = Folder::new();
    let counted = || {
        let path = folder.path("data/shard-0.db");
        let file = rusqlite::Connection::open(path).unwrap();
        file.query_row(COUNTED, [], |row| row.get(0)).unwrap()
    };
    check_history(|arguments| folder.program(arguments), counted);
}

#[test]
fn a_history_through_the_bus_is_counted_once() {
    let (Some(databases), Some(kafka)) = (Databases::on_servers(), setting("URLSHORT_TEST_KAFKA"))
    else {
        return;
    };
    let folder = Folder::new();
    let topic = format!("history-{}", Uuid::now_v7());
    let configure = |program: Program| {
        databases
            .configure(program)
            .env("KAFKA_BOOTSTRAP_SERVERS", &kafka)
            .env("URLSHORT__EVENTS__TOPIC", &topic)
            .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
    };
    let lag = || {
        let done = configure(folder.program(&["diagnose", "--json"])).done();
        let checks = done.json()["checks"].clone();
        let checks = checks.as_array().unwrap().clone();
        let found = checks
            .iter()
            .find(|check| check["name"] == "kafka lag")
            .cloned();
        found.unwrap_or_else(|| panic!("{checks:?}"))
    };
    let sent = configure(folder.program(&["seed", "--count", "100", "--clicks", "500", "--json"]));
    assert_eq!(sent.json()["clicks"], 500);
    let before = lag();
    let facts = &before["facts"];
    assert_eq!(
        (&before["severity"], &facts["lag"]),
        (&"warn".into(), &500.into()),
        "{before}"
    );
    let _analytics: Server = configure(folder.program(&["analytics"])).start_worker();
    let counted = || {
        while lag()["facts"]["lag"] != 0 {}
        databases.sum(&COUNTED.replace("FROM ", "FROM urlshort."))
    };
    check_history(|arguments| configure(folder.program(arguments)), counted);
}

/// The sum over all counts, whoever clicked.
const COUNTED: &str = "SELECT CAST(sum(human + bot + preview + head) AS bigint) FROM clicks_total";

/// 4,000 clicks, the same again, then 1,000 more, with whatever number of links: 5,000 are counted.
#[track_caller]
fn check_history(program: impl Fn(&[&str]) -> Program, counted: impl Fn() -> i64) {
    for (links, clicks, new, expected) in [
        ("100", "4k", 4_000, 4_000),
        ("100", "4000", 0, 4_000),
        ("250", "4_000", 0, 4_000),
        ("50", "5000", 1_000, 5_000),
    ] {
        let told = program(&["seed", "--count", links, "--json", "--clicks", clicks]).json();
        assert_eq!(told["clicks"], expected);
        // 500 of them may have come before.
        let told_new = told["clicks_new"].as_i64().unwrap();
        assert!([new, new - 500].contains(&told_new), "{told}");
        assert_eq!(told["clicks_already_there"], expected - told_new);
        assert_eq!(counted(), expected);
    }
}

#[test]
fn an_interrupted_seed_says_what_it_made_and_goes_on() {
    let folder = Folder::new();
    let running = folder
        .program(&["seed", "--count", "5M", "--clicks", "10"])
        .run_on();
    while std::fs::metadata(folder.path("data/shard-0.db-wal")).map_or(0, |file| file.len())
        < 1 << 20
    {
        std::thread::yield_now();
    }
    running.signal("INT");
    let said = running.printed("seed 1: ");
    let made: u64 = said
        .split_whitespace()
        .nth(2)
        .and_then(|number| number.parse().ok())
        .unwrap();
    assert!(made > 0, "{said}");
    assert_eq!(running.ended().0, Some(130));
    let again = folder.json(&["seed", "--count", &made.to_string(), "--json"]);
    assert_eq!(again["already_there"], made, "{again}");
}

#[test]
fn a_producer_whose_disk_is_gone_is_given_up() {
    let folder = Folder::new();
    let server = folder.serve();
    server.wait_until_ready();
    let body = r#"{"long_url": "https://example.com/", "code": "mine"}"#;
    assert_eq!(server.ask("POST", "/api/v1/links", body).0, 201);
    assert_eq!(server.ask("GET", "/mine", "").0, 302);
    let producers = || {
        let told = folder.json(&["producers", "list", "--json"]);
        told["producers"].as_array().unwrap().clone()
    };
    let begun = std::time::Instant::now();
    while producers().is_empty() {
        assert!(begun.elapsed().as_secs() < 20, "no sign of life");
    }
    server.signal("KILL");
    server.ended();
    let alive = producers();
    assert_eq!((alive.len(), &alive[0]["state"]), (1, &"alive".into()));
    let id = alive[0]["id"].as_str().unwrap().to_owned();
    let forget = ["producers", "forget", id.as_str()];
    let refused = folder.run(&forget);
    assert_eq!(refused.status, Some(1), "{}", refused.errors);
    assert!(
        refused.errors.contains("sign of life"),
        "{}",
        refused.errors
    );
    // As if it had been killed two minutes ago.
    let shard = rusqlite::Connection::open(folder.path("data/shard-0.db")).unwrap();
    let aged = shard.execute("UPDATE producers SET seen_at = seen_at - 120000000", []);
    assert_eq!(aged, Ok(1));
    assert_eq!(producers()[0]["state"], "vanished");
    let listed = folder.run(&["producers", "list"]);
    assert!(listed.output.contains(&id), "{}", listed.output);
    let done = folder.run(&forget);
    assert_eq!(done.status, Some(0), "{}", done.errors);
    assert!(producers().is_empty());
    let again = folder.run(&forget);
    assert_eq!(again.status, Some(1), "{}", again.errors);
    assert_eq!(folder.run(&["producers", "forget", "x"]).status, Some(2));
}

#[test]
fn completions_and_manuals_know_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = folder.run(&["completions", shell]);
        assert_eq!(done.status, Some(0), "{}", done.errors);
        for command in ["serve", "warmup", "diagnose"] {
            assert!(done.output.contains(command), "{shell} {command}");
        }
    }
    let page = folder.run(&["man"]);
    assert!(page.output.contains(".TH urlshort 1"), "{}", page.output);
    assert_eq!(folder.run(&["man", "--out", "pages"]).status, Some(0));
    let pages = names_in(&folder.path("pages"));
    for name in ["urlshort.1", "urlshort-serve.1", "urlshort-keys-create.1"] {
        assert!(pages.iter().any(|page| page == name), "{pages:?}");
    }
}

#[track_caller]
fn check_near(told: &Value, [loaded, already, missing, failed]: [u64; 4]) {
    let warmed = &told["near"][0]["warmed"];
    let found = ["loaded", "already_warm", "missing", "failed"].map(|key| warmed[key].as_u64());
    assert_eq!(
        found,
        [loaded, already, missing, failed].map(Some),
        "{told}"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = Folder::new();
    for arguments in [
        &["diagnose"][..],
        &["diagnose", "--json"],
        &["diagnose", "--watch", "1"],
        &["man"],
        &["completions", "bash"],
    ] {
        let errors = folder.program(arguments).unread();
        assert_eq!(errors, "", "{arguments:?}");
    }
}

#[test]
fn a_full_disk_behind_the_messages_changes_no_exit_status() {
    let folder = Folder::new();
    for (arguments, status) in [
        ("loadtest http://127.0.0.1:1", 69),
        ("warmup --admin http://127.0.0.1:1", 69),
        ("loadtest report nobody.json", 1),
    ] {
        let program = env!("CARGO_BIN_EXE_urlshort");
        let ended = std::process::Command::new("sh")
            .args(["-c", &format!("{program} {arguments} 2>/dev/full")])
            .current_dir(folder.path("."))
            .status();
        assert_eq!(ended.unwrap().code(), Some(status), "{arguments}");
    }
}

#[test]
fn a_service_whose_log_nobody_takes_still_stops_in_order() {
    let folder = Folder::new();
    let program = env!("CARGO_BIN_EXE_urlshort");
    let mut child = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("exec {program} serve --listen 127.0.0.1:0 2>/dev/full"),
        ])
        .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
        .current_dir(folder.path("."))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(child.stdout.take().unwrap());
    let started = output
        .lines()
        .any(|line| line.unwrap().contains("admin key"));
    assert!(started);
    let kill = format!("kill -TERM {}", child.id());
    let told = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(told.unwrap().success());
    let begun = std::time::Instant::now();
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        if begun.elapsed() > std::time::Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("it does not stop");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(ended.code(), Some(0));
}
