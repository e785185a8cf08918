//! `serve` from its first start to its last signal.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::servers::Databases;
use crate::support::Folder;
use crate::support::Server;
use crate::support::names_in;

#[test]
fn the_first_start_alone_tells_where_the_admin_key_lies() {
    let folder = Folder::new();
    let server = folder.serve();
    let line = server.printed("admin key");
    assert!(line.contains("data/admin-key"), "{line}");
    let key = fs::read_to_string(folder.path("data/admin-key")).unwrap();
    assert!(!line.contains(key.trim()), "the key itself is printed");
    let mode = fs::metadata(folder.path("data/admin-key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    stop(server);
    let server = folder.serve();
    // The next answer that needs the shard comes after the look for keys.
    server.wait_until_ready();
    let printed = stop(server);
    assert!(!printed.contains("admin key"), "{printed}");
}

#[test]
fn a_stop_is_clean_and_every_click_is_counted() {
    let folder = Folder::new();
    let server = folder.serve();
    server.wait_until_ready();
    let body = r#"{"long_url": "https://example.com/", "code": "counted"}"#;
    assert_eq!(server.ask("POST", "/api/v1/links", body).0, 201);
    for _ in 0..40 {
        assert_eq!(server.ask("GET", "/counted", "").0, 302);
    }
    stop(server);
    let data = names_in(&folder.path("data"));
    assert!(
        !data
            .iter()
            .any(|name| name.starts_with("spool-") && name.ends_with(".db")),
        "{data:?}"
    );
    let server = folder.serve();
    server.wait_until_ready();
    let (status, body) = server.ask("GET", "/api/v1/links/counted/stats", "");
    assert_eq!(status, 200, "{body}");
    let stats: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(stats["totals"]["human"], 40, "{stats}");
}

#[test]
fn a_second_signal_stops_at_once() {
    let folder = Folder::new();
    let server = folder
        .program(&["serve", "--listen", "127.0.0.1:0"])
        .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
        .env("URLSHORT__STOP__DELAY_SECONDS", "60")
        .start();
    server.wait_until_ready();
    server.terminate();
    server.logged("a second signal stops at once");
    server.wait_until(503);
    let begun = Instant::now();
    server.signal("INT");
    let (status, _) = server.ended();
    assert_eq!(status, Some(130));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_signal_that_arrives_twice_at_once_is_one() {
    let folder = Folder::new();
    let mut server = folder
        .program(&["serve", "--listen", "127.0.0.1:0"])
        .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
        .env("URLSHORT__STOP__DELAY_SECONDS", "60")
        .start();
    server.wait_until_ready();
    let begun = Instant::now();
    while server.is_running() {
        assert!(begun.elapsed() < Duration::from_secs(5), "never a second");
        server.terminate();
    }
    let lived = begun.elapsed();
    assert!(lived >= Duration::from_millis(100), "{lived:?}");
    let (status, _) = server.ended();
    assert_eq!(status, Some(143));
}

#[test]
fn a_busy_port_is_told_with_its_key() {
    let folder = Folder::new();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    for (key, public, admin) in [
        ("http.listen", address.as_str(), "127.0.0.1:0"),
        ("admin.listen", "127.0.0.1:0", address.as_str()),
    ] {
        let done = folder
            .program(&["serve", "--listen", public])
            .env("URLSHORT__ADMIN__LISTEN", admin)
            .done();
        assert_eq!(done.status, Some(78), "{}", done.errors);
        assert!(done.errors.contains(key), "{key}: {}", done.errors);
        assert!(done.errors.contains(&address), "{}", done.errors);
    }
}

#[test]
fn serving_twice_on_one_port_is_refused_and_the_first_goes_on() {
    let folder = Folder::new();
    let server = folder.serve();
    server.wait_until_ready();
    let again = folder.run(&["serve", "--listen", &server.public.to_string()]);
    assert_eq!(again.status, Some(78), "{}", again.errors);
    assert!(again.errors.contains("http.listen"), "{}", again.errors);
    assert_eq!(server.ask("GET", "/livez", "").0, 200);
}

#[test]
fn keys_are_made_beside_a_running_service() {
    let folder = Folder::new();
    let server = folder.serve();
    server.printed("admin key");
    let made = folder.json(&["keys", "create", "--json"]);
    let listed = folder.json(&["keys", "list", "--json"]);
    let ids: Vec<&Value> = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["id"])
        .collect();
    assert!(ids.contains(&&made["id"]) && ids.len() == 2, "{listed}");
}

#[test]
fn the_names_of_older_deployments_serve_three_shards() {
    let Some(databases) = Databases::on_servers() else {
        return;
    };
    let folder = Folder::new();
    folder.write("url", &databases.url(0));
    let server = folder
        .program(&["serve", "--listen", "127.0.0.1:0"])
        .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
        .env("DB_SHARD_0_URL_FILE", "url")
        .env(
            "DB_SHARD_1_URL",
            &databases
                .url(1)
                .replace("postgres://", "postgresql+asyncpg://"),
        )
        .env(
            "DB_SHARD_2_URL",
            &databases.url(2).replace("postgres://", "postgresql://"),
        )
        .start();
    server.printed("admin key");
    let (status, body) = server.ask(
        "POST",
        "/api/v1/links",
        r#"{"long_url": "https://example.com/"}"#,
    );
    assert_eq!(status, 201, "{body}");
    let link: Value = serde_json::from_str(&body).unwrap();
    let path = format!("/{}", link["code"].as_str().unwrap());
    assert_eq!(server.ask("GET", &path, "").0, 302);
    stop(server);
}

/// Stops it, which must succeed; answers what else it printed.
#[track_caller]
fn stop(server: Server) -> String {
    server.terminate();
    let (status, printed) = server.ended();
    assert_eq!(status, Some(0), "{printed}");
    printed
}
