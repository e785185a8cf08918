//! Statistics that say `complete` have every click, whoever took it and whatever was killed.

use std::time::Duration;

use crate::clicks::distributed;
use crate::clicks::spooled;
use crate::http::Client;
use crate::ledger::counted;
use crate::ledger::make_links;
use crate::ledger::visit;
use crate::process;
use crate::process::Environment;
use crate::process::Folder;
use crate::process::until;
use crate::servers;

/// Longer than a spool waits for somebody to adopt it, a lease for its heir, and a flush.
const PATIENCE: Duration = Duration::from_secs(60);

/// Clicks one by one and asks at once; what is said to be complete must be.
fn follow_and_ask(client: &mut Client, code: &str, clicks: u64) {
    for number in 1..=clicks {
        assert_eq!(client.get(&format!("/{code}")).unwrap().status, 302);
        let report = counted(client, code).unwrap();
        assert!(
            !report.complete || report.clicks == number,
            "said to be complete with {} of {number}",
            report.clicks
        );
        if number % 5 == 0 {
            complete(client, code, number);
        }
    }
}

/// Waits until the report says that it is complete, and checks it.
fn complete(client: &mut Client, code: &str, clicks: u64) {
    let report = until("a complete report", PATIENCE, || {
        counted(client, code).filter(|report| report.complete)
    });
    assert_eq!(report.clicks, clicks);
}

#[test]
fn one_process_knows_of_every_click_that_it_answered() {
    let folder = Folder::new();
    let serve = process::serve(&folder.0, &Environment::default());
    let code = make_links(&mut serve.client(), 1).remove(0);
    follow_and_ask(&mut serve.client(), &code, 40);
}

#[test]
fn clicks_on_the_bus_are_on_their_way() {
    let Some(environment) =
        servers::shared("URLSHORT_TEST_KAFKA").and_then(|kafka| distributed(&kafka))
    else {
        return;
    };
    let folders = [Folder::new(), Folder::new()];
    let serve = process::serve(&folders[0].0, &environment);
    serve.ready();
    let mut client = serve.client();
    let code = make_links(&mut client, 1).remove(0);
    // Nobody counts: the bus takes them, and they are still on their way.
    for number in 1..=5 {
        assert_eq!(client.get(&format!("/{code}")).unwrap().status, 302);
        let report = counted(&mut client, &code).unwrap();
        assert!(
            !report.complete && report.clicks == 0,
            "{number}: {report:?}"
        );
    }
    let counter = process::analytics(&folders[1].0, &environment);
    complete(&mut client, &code, 5);
    for number in 6..=20 {
        assert_eq!(client.get(&format!("/{code}")).unwrap().status, 302);
        let report = counted(&mut client, &code).unwrap();
        assert!(
            !report.complete || report.clicks == number,
            "{number}: {report:?}"
        );
    }
    complete(&mut client, &code, 20);
    // Who stops hands its clicks over; whoever asks next still waits for them to be counted.
    counter.kill();
    for _ in 0..3 {
        assert_eq!(client.get(&format!("/{code}")).unwrap().status, 302);
    }
    assert_eq!(serve.stop(), Some(0));
    let folder = Folder::new();
    let serve = process::serve(&folder.0, &environment);
    serve.ready();
    let mut client = serve.client();
    let report = counted(&mut client, &code).unwrap();
    assert!(!report.complete, "{report:?}");
    let _counter = process::analytics(&folders[1].0, &environment);
    complete(&mut client, &code, 23);
}

#[test]
fn a_survivor_knows_that_the_dead_may_hold_clicks() {
    let folder = Folder::new();
    let environment = spooled();
    let survivor = process::serve(&folder.0, &environment);
    survivor.ready();
    let victim = process::serve(&folder.0, &environment);
    victim.ready();
    let codes = make_links(&mut survivor.client(), 3);
    let address = victim.address;
    let visitors = visit(&codes, move || address);
    visitors.wait_for(600);
    victim.kill();
    // Every report is looked at: none may be complete and lack a click.
    visitors.end().compare(&mut survivor.client(), 0);
    let code = &codes[0];
    until("a complete report", PATIENCE, || {
        counted(&mut survivor.client(), code).filter(|report| report.complete)
    });
}

#[test]
fn nobody_waits_for_the_dead_who_left_nothing() {
    let folder = Folder::new();
    let environment = spooled();
    // One that was killed before its first click left nothing to adopt.
    let idle = process::serve(&folder.0, &environment);
    idle.ready();
    idle.kill();
    // One was killed after its clicks were counted and deleted, before it could say so.
    let serve = process::serve(&folder.0, &environment);
    serve.ready();
    let mut client = serve.client();
    let code = make_links(&mut client, 1).remove(0);
    follow_and_ask(&mut client, &code, 5);
    let spools = || {
        let entries = std::fs::read_dir(folder.0.join("data")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut spools: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|kind| kind == "db"))
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with("spool-")
            })
            .collect();
        spools.sort();
        spools
    };
    let left = spools();
    assert_eq!(left.len(), 1, "{left:?}");
    let open = "SELECT count(*) FROM producers WHERE closed_at IS NULL";
    let shard = rusqlite::Connection::open(folder.0.join("data/shard-0.db")).unwrap();
    let producers = || {
        shard
            .query_row(open, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    until("the sign of life", PATIENCE, || {
        (producers() == 1).then_some(())
    });
    serve.kill();
    let spool = rusqlite::Connection::open(&left[0]).unwrap();
    spool.execute("DELETE FROM spool", []).unwrap();
    drop(spool);
    let serve = process::serve(&folder.0, &environment);
    serve.ready();
    complete(&mut serve.client(), &code, 5);
    until("the end of all producers", PATIENCE, || {
        (producers() == 0).then_some(())
    });
    until("the end of the spool", PATIENCE, || {
        spools().is_empty().then_some(())
    });
    assert_eq!(serve.stop(), Some(0));
}
