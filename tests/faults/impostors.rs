//! The address of a shard leads to another database while the program runs.

use std::time::Duration;

use crate::clicks::distributed;
use crate::ledger::counted;
use crate::ledger::make_links;
use crate::process;
use crate::process::Environment;
use crate::process::Folder;
use crate::process::until;
use crate::servers;
use crate::servers::Postgres;

const ACTIVE: &str = "SELECT count(*) FROM urlshort.slot_owner WHERE state = 'active'";
const LINKS: &str = "SELECT count(*) FROM urlshort.links";

#[test]
fn another_database_behind_the_address_of_a_shard_is_neither_read_nor_written() {
    let (Some(server), Some(steady)) = (Postgres::start(), servers::database(0)) else {
        return;
    };
    let (ours, theirs) = (server.database(), server.database());
    let (postgres, ours_name) = servers::beside(&ours);
    let (_, theirs_name) = servers::beside(&theirs);
    let folders = [Folder::new(), Folder::new()];
    // A cluster of somebody else.
    let environment = Environment::default().with("DB_SHARD_0_URL", &theirs);
    let stranger = process::serve(&folders[0].0, &environment);
    stranger.ready();
    make_links(&mut stranger.client(), 3);
    assert_eq!(stranger.stop(), Some(0));

    let environment = Environment::default()
        .with("DB_SHARD_0_URL", &steady)
        .with("DB_SHARD_1_URL", &ours)
        .with("URLSHORT__CACHE__NEAR_BYTES", 0);
    let serve = process::serve(&folders[1].0, &environment);
    serve.ready();
    let mut client = serve.client();
    let codes = make_links(&mut client, 40);
    let swap = || {
        let pairs = [
            (ours_name, "aside"),
            (theirs_name, ours_name),
            ("aside", theirs_name),
        ];
        let [first, second, third] =
            pairs.map(|(from, to)| format!("ALTER DATABASE {from} RENAME TO {to}"));
        let each = [&first, &second, &third].into_iter();
        // Whoever connects again in between makes the renaming fail.
        for rename in each {
            until("it is renamed", Duration::from_secs(20), || {
                servers::try_psql(&postgres, &[servers::DISCONNECT, rename])
            });
        }
    };
    let mut statuses = |expected: &[u16]| {
        for code in &codes {
            let status = client.get(&format!("/{code}")).unwrap().status;
            assert!(expected.contains(&status), "{code}: {status}");
        }
        let body = "{\"long_url\":\"https://example.com/\"}";
        let made = client.post("/api/v1/links", body).unwrap();
        assert!([201, 503].contains(&made.status), "{}", made.body);
        client.get("/readyz").unwrap().body
    };
    swap();
    until("it is told", Duration::from_secs(30), || {
        let told = statuses(&[302, 503]);
        told.contains("leads to a shard of another cluster")
            .then_some(())
    });
    for _ in 0..5 {
        statuses(&[302, 503]);
    }
    let seen = servers::psql(&ours, &[ACTIVE, LINKS]);
    assert_eq!(seen, "64\n3", "theirs is as it was");
    swap();
    until("the shard is back", Duration::from_secs(30), || {
        let told = statuses(&[302, 503]);
        (!told.contains("\"fail\"") && !told.contains("\"warn\"")).then_some(())
    });
    until("every link is followed", Duration::from_secs(10), || {
        let mut client = serve.client();
        let all = codes
            .iter()
            .all(|code| client.get(&format!("/{code}")).unwrap().status == 302);
        all.then_some(())
    });
    let active: Vec<u32> = [&steady, &ours]
        .iter()
        .map(|url| servers::psql(url, &[ACTIVE]).parse().unwrap())
        .collect();
    assert_eq!(active.iter().sum::<u32>(), 64, "{active:?}");
}

#[test]
fn nothing_is_written_to_a_file_that_is_not_there_any_more() {
    let folder = Folder::new();
    let serve = process::serve(&folder.0, &Environment::default());
    serve.ready();
    let mut client = serve.client();
    let code = make_links(&mut client, 1).remove(0);
    let body = "{\"long_url\":\"https://example.com/\"}";
    let (path, aside) = (folder.0.join("data/shard-0.db"), folder.0.join("aside.db"));
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(client.post("/api/v1/links", body).unwrap().status, 503);
    let told = client.get("/readyz").unwrap().body;
    assert!(told.contains("deleted or replaced"), "{told}");
    assert_eq!(client.get(&format!("/{code}")).unwrap().status, 302);
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(client.post("/api/v1/links", body).unwrap().status, 201);
}

#[test]
fn clicks_of_another_cluster_on_the_same_topic_are_not_counted() {
    let Some(kafka) = servers::shared("URLSHORT_TEST_KAFKA") else {
        return;
    };
    let Some(environment) = distributed(&kafka) else {
        return;
    };
    let Some(other) = servers::database(0) else {
        return;
    };
    let folders: Vec<Folder> = (0..4).map(|_| Folder::new()).collect();
    // The last value of a name holds.
    let theirs = environment
        .0
        .iter()
        .filter(|(name, _)| !name.starts_with("DB_SHARD_"))
        .fold(Environment::default(), |all, (name, value)| {
            all.with(name, value)
        })
        .with("DB_SHARD_0_URL", other);
    let environments = [&environment, &theirs];
    let clusters: Vec<_> = environments
        .iter()
        .zip(folders.chunks(2))
        .map(|(environment, folders)| {
            let serve = process::serve(&folders[0].0, environment);
            serve.ready();
            let counter = process::analytics(&folders[1].0, environment);
            let body = "{\"long_url\":\"https://example.com/\",\"code\":\"both\"}";
            let made = serve.client().post("/api/v1/links", body).unwrap();
            assert_eq!(made.status, 201);
            (serve, counter)
        })
        .collect();
    for ((serve, _), visits) in clusters.iter().zip([7, 3]) {
        for _ in 0..visits {
            assert_eq!(serve.client().get("/both").unwrap().status, 302);
        }
    }
    for ((serve, _), visits) in clusters.iter().zip([7, 3]) {
        let seen = until("all is counted", Duration::from_secs(60), || {
            counted(&mut serve.client(), "both")
                .filter(|seen| seen.complete && seen.clicks >= visits)
        });
        assert_eq!(seen.clicks, visits);
    }
}
