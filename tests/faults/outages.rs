//! A dependency is away: what is cached goes on, what is not is told, and everything heals.

use std::time::Duration;
use std::time::Instant;

use crate::http::Client;
use crate::ledger::make_links;
use crate::process;
use crate::process::Environment;
use crate::process::Folder;
use crate::process::until;
use crate::servers;
use crate::servers::Postgres;
use crate::servers::Redis;

fn follow(client: &mut Client, code: &str) -> u16 {
    client.get(&format!("/{code}")).unwrap().status
}

/// The shard of each link, learned from its slot's owner: asks until the frozen one is known.
fn is_away(client: &mut Client, code: &str) -> bool {
    follow(client, code) == 503
}

#[test]
fn a_frozen_shard_costs_only_what_nobody_has_cached() {
    let (Some(frozen), Some(other)) = (Postgres::start(), servers::database(1)) else {
        return;
    };
    let folders = [Folder::new(), Folder::new()];
    let environment = Environment::default()
        .with("DB_SHARD_0_URL", frozen.database())
        .with("DB_SHARD_1_URL", other);
    let cached = process::serve(&folders[0].0, &environment);
    cached.ready();
    let codes = make_links(&mut cached.client(), 40);
    let mut visitor = cached.client();
    for code in &codes {
        assert_eq!(follow(&mut visitor, code), 302);
    }
    // Another process that has nothing cached.
    let cold = process::serve(&folders[1].0, &environment);
    cold.ready();
    let mut stranger = cold.client();
    frozen.freeze(true);
    let away: Vec<&String> = codes
        .iter()
        .filter(|code| is_away(&mut stranger, code))
        .collect();
    assert!(
        (1..codes.len()).contains(&away.len()),
        "{} of {} are away",
        away.len(),
        codes.len()
    );
    // Beyond the time that an entry is believed without asking: it is asked for, and served.
    let begun = Instant::now();
    while begun.elapsed() < process::outage() {
        for code in &codes {
            assert_eq!(
                follow(&mut visitor, code),
                302,
                "a cached link of a frozen shard"
            );
        }
    }
    for code in &codes {
        let preview = visitor.get(&format!("/{code}+")).unwrap();
        assert_eq!(preview.status, 200, "{}", preview.body);
        assert!(
            preview.body.contains("https://example.com/"),
            "{}",
            preview.body
        );
        assert_eq!(visitor.get(&format!("/{code}/qr.svg")).unwrap().status, 200);
    }
    for code in &away {
        let answer = stranger.get(&format!("/{code}")).unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3).contains(&seconds));
    }
    for number in 0..20 {
        let body = format!("{{\"long_url\":\"https://example.com/new/{number}\"}}");
        assert_eq!(
            stranger.post("/api/v1/links", &body).unwrap().status,
            201,
            "a random code"
        );
    }
    let ready = stranger.get("/readyz").unwrap();
    assert_eq!(
        (ready.status, ready.json()["status"].as_str()),
        (200, Some("warn"))
    );
    frozen.freeze(false);
    until("the shard is back", Duration::from_secs(20), || {
        away.iter()
            .all(|code| follow(&mut stranger, code) == 302)
            .then_some(())
    });
}

#[test]
fn a_crashed_shard_is_never_a_404_and_heals() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let folder = Folder::new();
    let environment = Environment::default().with("DB_SHARD_0_URL", server.database());
    let serve = process::serve(&folder.0, &environment);
    serve.ready();
    let mut client = serve.client();
    let codes = make_links(&mut client, 10);
    assert_eq!(follow(&mut client, &codes[0]), 302);
    server.crash();
    for _ in 0..5 {
        assert_eq!(follow(&mut client, &codes[0]), 302, "cached");
        assert_eq!(follow(&mut client, &codes[1]), 503, "not cached");
        assert_eq!(
            follow(&mut client, "nobody-made-this"),
            503,
            "unknown is not absent"
        );
        let body = "{\"long_url\":\"https://example.com/\"}";
        assert_eq!(client.post("/api/v1/links", body).unwrap().status, 503);
    }
    server.resume();
    until("the shard is back", Duration::from_secs(20), || {
        (follow(&mut client, &codes[1]) == 302).then_some(())
    });
    assert_eq!(follow(&mut client, "nobody-made-this"), 404);
}

#[test]
fn redis_stopped_frozen_or_flushed_changes_nothing_that_anybody_sees() {
    let (Some(mut redis), Some(database)) = (Redis::start(), servers::database(0)) else {
        return;
    };
    let folders = [Folder::new(), Folder::new()];
    let environment = Environment::default()
        .with("DB_SHARD_0_URL", database)
        .with("REDIS_HOST", "127.0.0.1")
        .with("REDIS_PORT", redis.port)
        .with("URLSHORT__AUTH__ADMIN_KEY", "k".repeat(32));
    let writer = process::serve(&folders[0].0, &environment);
    writer.ready();
    let reader = process::serve(&folders[1].0, &environment);
    reader.ready();
    let (mut writes, mut reads) = (writer.client(), reader.client());
    let code = make_links(&mut writes, 1).remove(0);
    let check = |writes: &mut Client, reads: &mut Client, what: &str| {
        assert_eq!(follow(reads, &code), 302, "{what}");
        let target = format!("https://example.com/{}", what.replace(' ', "-"));
        let body = format!("{{\"long_url\":\"{target}\"}}");
        let key = format!("Bearer {}", "k".repeat(32));
        let headers = [
            ("authorization", key.as_str()),
            ("content-type", "application/json"),
        ];
        let path = format!("/api/v1/links/{code}");
        assert_eq!(
            writes.send("PATCH", &path, &headers, &body).unwrap().status,
            200,
            "{what}"
        );
        until(
            &format!("the change is seen: {what}"),
            Duration::from_secs(2),
            || {
                let answer = reads.get(&format!("/{code}")).unwrap();
                assert_eq!(answer.status, 302, "{what}");
                (answer.header("location") == Some(target.as_str())).then_some(())
            },
        );
        // And it stays seen: no cache brings the old value back.
        for _ in 0..50 {
            let answer = reads.get(&format!("/{code}")).unwrap();
            assert_eq!(
                answer.header("location"),
                Some(target.as_str()),
                "{what}: an old value"
            );
        }
    };
    check(&mut writes, &mut reads, "in health");
    redis.freeze(true);
    check(&mut writes, &mut reads, "frozen");
    redis.freeze(false);
    check(&mut writes, &mut reads, "thawed");
    redis.flush();
    check(&mut writes, &mut reads, "flushed");
    redis.stop();
    check(&mut writes, &mut reads, "stopped");
    redis.resume();
    check(&mut writes, &mut reads, "back");
}

#[test]
fn with_everything_down_at_the_start_it_listens_and_heals_by_itself() {
    let (Some(server), Some(mut redis)) = (Postgres::start(), Redis::start()) else {
        return;
    };
    let database = server.database();
    server.crash();
    redis.stop();
    let folder = Folder::new();
    let environment = Environment::default()
        .with("DB_SHARD_0_URL", database)
        .with("REDIS_HOST", "127.0.0.1")
        .with("REDIS_PORT", redis.port)
        .with("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
    let serve = process::serve(&folder.0, &environment);
    let mut client = serve.client();
    assert_eq!(client.get("/livez").unwrap().status, 200);
    assert_eq!(client.get("/readyz").unwrap().status, 503);
    assert_eq!(follow(&mut client, "abc"), 503);
    assert_eq!(client.get("/").unwrap().status, 200);
    let body = "{\"long_url\":\"https://example.com/\"}";
    assert_eq!(client.post("/api/v1/links", body).unwrap().status, 503);
    // Whether a key is good cannot be told: to be refused would be final for whoever has it.
    let key = [(
        "x-api-key",
        "us_0123456789abcdef_0123456789abcdef0123456789abcdef",
    )];
    let mut listed = |expected| {
        let answer = client.send("GET", "/api/v1/links", &key, "").unwrap();
        assert_eq!(answer.status, expected, "{}", answer.body);
    };
    listed(503);
    server.resume();
    redis.resume();
    serve.ready();
    listed(401);
    until("links can be made", Duration::from_secs(20), || {
        (client.post("/api/v1/links", body).ok()?.status == 201).then_some(())
    });
    assert_eq!(follow(&mut client, "abc"), 404);
}

#[test]
fn a_server_that_takes_no_writes_is_told_with_its_reason() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let database = server.database();
    let folder = Folder::new();
    let environment = Environment::default().with("DB_SHARD_0_URL", &database);
    let serve = process::serve(&folder.0, &environment);
    serve.ready();
    let mut client = serve.client();
    let code = make_links(&mut client, 1).remove(0);
    let (beside, name) = servers::beside(&database);
    let set = |to| {
        let alter = format!("ALTER DATABASE {name} SET default_transaction_read_only = {to}");
        servers::psql(&beside, &[&alter, servers::DISCONNECT]);
    };
    set("on");
    let body = "{\"long_url\":\"https://example.com/\"}";
    until("creation fails", Duration::from_secs(20), || {
        (client.post("/api/v1/links", body).unwrap().status == 503).then_some(())
    });
    assert_eq!(follow(&mut client, &code), 302);
    until("it is told", Duration::from_secs(30), || {
        let told = client.get("/readyz").unwrap();
        assert_eq!(told.status, 200);
        told.body.contains("cannot be written").then_some(())
    });
    let log = process::log(&folder.0);
    assert!(log.contains("read-only transaction"), "{log}");
    set("off");
    until("links can be made", Duration::from_secs(30), || {
        (client.post("/api/v1/links", body).unwrap().status == 201).then_some(())
    });
}
