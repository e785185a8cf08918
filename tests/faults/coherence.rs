//! A change on one process is seen by another, with Redis, without it, in every kind of store.

use std::time::Duration;

use crate::ledger::make_links;
use crate::process;
use crate::process::Environment;
use crate::process::Folder;
use crate::process::until;
use crate::servers;

fn key() -> String {
    "k".repeat(32)
}

fn send(client: &mut crate::http::Client, method: &str, path: &str, body: &str) -> u16 {
    let bearer = format!("Bearer {}", key());
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    client.send(method, path, &headers, body).unwrap().status
}

/// Two processes on the same shards: what one changes, deletes or makes, the other sees.
fn check(environment: &Environment, folders: [&Folder; 2]) {
    let environment = environment.clone().with("URLSHORT__AUTH__ADMIN_KEY", key());
    let writer = process::serve(&folders[0].0, &environment);
    writer.ready();
    let reader = process::serve(&folders[1].0, &environment);
    reader.ready();
    let (mut writes, mut reads) = (writer.client(), reader.client());
    let code = make_links(&mut writes, 1).remove(0);
    let path = format!("/api/v1/links/{code}");
    assert_eq!(reads.get(&format!("/{code}")).unwrap().status, 302);
    for number in 0..5 {
        let target = format!("https://example.com/changed/{number}");
        assert_eq!(
            send(
                &mut writes,
                "PATCH",
                &path,
                &format!("{{\"long_url\":\"{target}\"}}")
            ),
            200
        );
        let own = writes.get(&format!("/{code}")).unwrap();
        assert_eq!(
            own.header("location"),
            Some(target.as_str()),
            "the writer itself sees it at once"
        );
        until(
            "the other process sees the change",
            Duration::from_secs(1),
            || {
                let answer = reads.get(&format!("/{code}")).unwrap();
                (answer.header("location") == Some(target.as_str())).then_some(())
            },
        );
    }
    assert_eq!(send(&mut writes, "DELETE", &path, ""), 204);
    until(
        "the other process sees the deletion",
        Duration::from_secs(1),
        || (reads.get(&format!("/{code}")).unwrap().status == 410).then_some(()),
    );
    // A code that was asked for before somebody made it.
    assert_eq!(reads.get("/asked-before").unwrap().status, 404);
    let body = "{\"long_url\":\"https://example.com/\",\"code\":\"asked-before\"}";
    assert_eq!(send(&mut writes, "POST", "/api/v1/links", body), 201);
    until(
        "the other process sees the new link",
        Duration::from_secs(2),
        || (reads.get("/asked-before").unwrap().status == 302).then_some(()),
    );
}

#[test]
fn two_processes_on_the_same_files_agree() {
    let folder = Folder::new();
    check(&Environment::default(), [&folder, &folder]);
}

#[test]
fn two_processes_on_servers_without_redis_agree() {
    let (Some(first), Some(second)) = (servers::database(0), servers::database(1)) else {
        return;
    };
    let environment = Environment::default()
        .with("DB_SHARD_0_URL", first)
        .with("DB_SHARD_1_URL", second);
    check(&environment, [&Folder::new(), &Folder::new()]);
}

#[test]
fn two_processes_with_redis_agree() {
    let (Some(database), Some(redis)) =
        (servers::database(0), servers::shared("URLSHORT_TEST_REDIS"))
    else {
        return;
    };
    let environment = Environment::default()
        .with("DB_SHARD_0_URL", database)
        .with("URLSHORT__CACHE__REDIS_URL", redis);
    check(&environment, [&Folder::new(), &Folder::new()]);
}

#[test]
fn two_processes_with_a_redis_cluster_agree() {
    let Some(cluster) = servers::shared("URLSHORT_TEST_REDIS_CLUSTER") else {
        return;
    };
    let Some(database) = servers::database(0) else {
        return;
    };
    let environment = Environment::default()
        .with("DB_SHARD_0_URL", database)
        .with("URLSHORT__CACHE__REDIS_URL", cluster);
    check(&environment, [&Folder::new(), &Folder::new()]);
}
