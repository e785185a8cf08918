//! First start and every start: what the shards say decides, case by case.

use std::fs;
use std::time::Duration;

use crate::http::Client;
use crate::ledger::make_links;
use crate::process;
use crate::process::Environment;
use crate::process::Folder;
use crate::process::until;
use crate::servers;
use crate::servers::Postgres;

fn shards(urls: &[&str]) -> Environment {
    urls.iter()
        .enumerate()
        .fold(Environment::default(), |environment, (number, url)| {
            environment.with(&format!("DB_SHARD_{number}_URL"), url)
        })
}

fn file(name: &str) -> String {
    format!("sqlite:{name}.db")
}

fn all_followed(client: &mut Client, codes: &[String]) {
    for code in codes {
        assert_eq!(
            client.get(&format!("/{code}")).unwrap().status,
            302,
            "{code}"
        );
    }
}

#[test]
fn an_empty_cluster_is_founded_once_by_any_number_of_processes() {
    let urls: Option<Vec<String>> = (0..3).map(servers::database).collect();
    let Some(urls) = urls else { return };
    let environment = shards(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    let folders: Vec<Folder> = (0..4).map(|_| Folder::new()).collect();
    let processes: Vec<process::Process> = thread_each(&folders, &environment);
    for process in &processes {
        process.ready();
    }
    let codes = make_links(&mut processes[0].client(), 60);
    for process in &processes {
        all_followed(&mut process.client(), &codes);
    }
}

fn thread_each(folders: &[Folder], environment: &Environment) -> Vec<process::Process> {
    std::thread::scope(|scope| {
        let starts: Vec<_> = folders
            .iter()
            .map(|folder| scope.spawn(|| process::serve(&folder.0, environment)))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    })
}

#[test]
fn shards_keep_their_identity_in_another_order() {
    let folder = Folder::new();
    let (a, b, c) = (file("a"), file("b"), file("c"));
    let serve = process::serve(&folder.0, &shards(&[&a, &b, &c]));
    let codes = make_links(&mut serve.client(), 60);
    assert_eq!(serve.stop(), Some(0));
    let serve = process::serve(&folder.0, &shards(&[&c, &a, &b]));
    serve.ready();
    all_followed(&mut serve.client(), &codes);
}

#[test]
fn a_fourth_shard_joins_without_slots() {
    let folder = Folder::new();
    let (a, b) = (file("a"), file("b"));
    let serve = process::serve(&folder.0, &shards(&[&a]));
    let codes = make_links(&mut serve.client(), 30);
    assert_eq!(serve.stop(), Some(0));
    let serve = process::serve(&folder.0, &shards(&[&a, &b]));
    serve.ready();
    let ready = serve.client().get("/readyz").unwrap().json();
    assert_eq!(ready["status"], "pass", "{ready}");
    all_followed(&mut serve.client(), &codes);
    let more = make_links(&mut serve.client(), 30);
    assert_eq!(serve.stop(), Some(0));
    // It owns nothing, so the cluster lives without it.
    let serve = process::serve(&folder.0, &shards(&[&a]));
    serve.ready();
    all_followed(&mut serve.client(), &codes);
    all_followed(&mut serve.client(), &more);
}

#[test]
fn a_list_that_lacks_an_owner_is_refused() {
    let folder = Folder::new();
    let (a, b) = (file("a"), file("b"));
    let serve = process::serve(&folder.0, &shards(&[&a, &b]));
    assert_eq!(serve.stop(), Some(0));
    let (status, log) = process::refused(&folder.0, &shards(&[&a]));
    assert_eq!(status, Some(78), "{log}");
    assert!(
        log.contains("lack an owner") && log.contains("slots"),
        "{log}"
    );
}

#[test]
fn the_same_shard_twice_is_refused() {
    let folder = Folder::new();
    let (a, b) = (file("a"), file("b"));
    let serve = process::serve(&folder.0, &shards(&[&a]));
    assert_eq!(serve.stop(), Some(0));
    fs::copy(folder.0.join("a.db"), folder.0.join("b.db")).unwrap();
    fs::copy(folder.0.join("a.db-wal"), folder.0.join("b.db-wal")).ok();
    let (status, log) = process::refused(&folder.0, &shards(&[&a, &b]));
    assert_eq!(status, Some(78), "{log}");
    assert!(log.contains("copy of the other"), "{log}");
}

#[test]
fn one_empty_database_with_two_names_is_refused_before_anything_is_founded() {
    let folder = Folder::new();
    let full = format!("sqlite:{}", folder.0.join("a.db").display());
    let mut names = vec![(file("a"), full)];
    if let Some(server) = servers::database(0) {
        names.push((server.clone(), server.replace("127.0.0.1", "localhost")));
    }
    for (one, other) in names {
        let (status, log) = process::refused(&folder.0, &shards(&[&one, &other]));
        assert_eq!(status, Some(78), "{log}");
        assert!(log.contains("are the same database"), "{log}");
        let serve = process::serve(&folder.0, &shards(&[&one]));
        serve.ready();
        let codes = make_links(&mut serve.client(), 3);
        all_followed(&mut serve.client(), &codes);
        assert_eq!(serve.stop(), Some(0));
    }
}

#[test]
fn shards_of_different_clusters_are_refused() {
    let folder = Folder::new();
    let (a, b) = (file("a"), file("b"));
    for url in [&a, &b] {
        let serve = process::serve(&folder.0, &shards(&[url]));
        assert_eq!(serve.stop(), Some(0));
    }
    let (status, log) = process::refused(&folder.0, &shards(&[&a, &b]));
    assert_eq!(status, Some(78), "{log}");
    assert!(log.contains("different clusters"), "{log}");
}

#[test]
fn an_empty_database_in_place_of_a_shard_is_a_failure_and_the_others_serve() {
    let folder = Folder::new();
    let (a, b) = (file("a"), file("b"));
    let serve = process::serve(&folder.0, &shards(&[&a, &b]));
    let codes = make_links(&mut serve.client(), 40);
    assert_eq!(serve.stop(), Some(0));
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(folder.0.join(format!("b.db{suffix}"))).ok();
    }
    let serve = process::serve(&folder.0, &shards(&[&a, &b]));
    serve.ready();
    let mut client = serve.client();
    let ready = client.get("/readyz").unwrap();
    assert_eq!(
        (ready.status, ready.json()["status"].as_str()),
        (200, Some("fail")),
        "{}",
        ready.body
    );
    assert!(ready.body.contains("restore"), "{}", ready.body);
    let statuses: Vec<u16> = codes
        .iter()
        .map(|code| client.get(&format!("/{code}")).unwrap().status)
        .collect();
    assert!(
        statuses.contains(&302) && statuses.contains(&503) && !statuses.contains(&404),
        "{statuses:?}"
    );
}

#[test]
fn a_new_cluster_waits_for_every_shard() {
    let (Some(late), Some(other)) = (Postgres::start(), servers::database(0)) else {
        return;
    };
    let url = late.database();
    late.crash();
    let folder = Folder::new();
    let serve = process::serve(&folder.0, &shards(&[&other, &url]));
    let mut client = serve.client();
    assert_eq!(client.get("/readyz").unwrap().status, 503);
    assert_eq!(client.get("/abc").unwrap().status, 503);
    late.resume();
    serve.ready();
    assert_eq!(client.get("/abc").unwrap().status, 404);
}

#[test]
fn shard_files_that_nobody_names_are_told() {
    let folder = Folder::new();
    let serve = process::serve(&folder.0, &Environment::default());
    make_links(&mut serve.client(), 3);
    assert_eq!(serve.stop(), Some(0));
    let serve = process::serve(&folder.0, &shards(&["sqlite:elsewhere/other.db"]));
    until(
        "the warning stands in /readyz",
        Duration::from_secs(5),
        || {
            let body = serve.client().get("/readyz").unwrap().body;
            (body.contains("shard-0.db") && body.contains("holds links")).then_some(())
        },
    );
}
