//! A spool that is full, and what comes after that.

use std::time::Duration;
use std::time::Instant;

use crate::clicks::spooled;
use crate::ledger::counted;
use crate::ledger::make_links;
use crate::process;
use crate::process::Folder;
use crate::process::until;
use crate::servers::Postgres;

#[test]
fn a_full_spool_takes_clicks_again_once_those_it_has_are_counted() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let folder = Folder::new();
    let environment = spooled()
        .with("DB_SHARD_0_URL", server.database())
        .with("URLSHORT__EVENTS__SPOOL_BYTES", 1 << 20)
        .with("URLSHORT__EVENTS__DRAIN_MS", 1);
    let serve = process::serve(&folder.0, &environment);
    serve.ready();
    let mut client = serve.client();
    let code = make_links(&mut client, 1).remove(0);
    let path = format!("/{code}");
    // Each with a referrer of its own, which takes more room than the click.
    let mut number = 0_u32;
    let mut visit = |path: &str| {
        number += 1;
        let host = format!("https://{}.{number:060}.example/", "a".repeat(60));
        client
            .send("GET", path, &[("referer", &host)], "")
            .unwrap()
            .status
    };
    assert_eq!(visit(&path), 302);
    server.freeze(true);
    let (mut acknowledged, mut refused, begun) = (1, 0, Instant::now());
    while refused < 3 {
        match visit(&path) {
            302 => acknowledged += 1,
            503 => refused += 1,
            status => panic!("{status}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "never full");
    }
    server.freeze(false);
    until("there is room again", Duration::from_secs(60), || {
        let status = visit(&path);
        if status == 302 {
            acknowledged += 1;
            return Some(());
        }
        refused += 1;
        None
    });
    let mut client = serve.client();
    until("all are counted", Duration::from_secs(30), || {
        counted(&mut client, &code).filter(|seen| seen.complete)
    });
    let seen = counted(&mut client, &code).unwrap().clicks;
    assert!(
        (acknowledged..=acknowledged + refused).contains(&seen),
        "{seen} counted, {acknowledged} acknowledged, {refused} refused"
    );
}
