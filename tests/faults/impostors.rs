//! The address of a shard leads to another database while the program runs.

use std::time::Duration;

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
