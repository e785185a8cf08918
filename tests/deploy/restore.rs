//! A shard is lost and restored from its backup by the steps of `deploy/README.md`, while the others
//! serve: links are there again, and what was counted after the backup is counted again from Kafka.

use std::process::Command;
use std::time::Duration;

use crate::children::free_port;
use crate::files;
use crate::http::Client;
use crate::ledger;
use crate::native::Native;

/// The commands of the document that this test stands for.
const STEPS: [&str; 5] = [
    "pg_dump -U urlshort -Fc urlshort > shard-0.dump",
    "DROP SCHEMA IF EXISTS urlshort CASCADE",
    "pg_restore -U urlshort -d urlshort < shard-0.dump",
    "docker compose run --rm migrate migrate --restored",
    "docker compose restart app",
];

#[test]
fn a_lost_shard_comes_back_from_its_backup_with_its_links_and_counts() {
    let document = files::text("deploy/README.md");
    for step in STEPS {
        assert!(
            document.contains(step),
            "the document has another way than {step}"
        );
    }
    let (Some(dump), Some(restore)) = (files::tool("pg_dump"), files::tool("pg_restore")) else {
        return;
    };
    let Some(native) = Native::prepare() else {
        return;
    };
    let (public, admin) = (free_port(), free_port());
    let mut app = native.launch("app", "app-0", public, admin);
    app.healthy();
    let counting = native.up("analytics", "analytics-0");
    let mut client = Client::new(app.public);
    let codes = ledger::make_links(&mut client, 30);
    let address = app.public;
    let before = ledger::visit(&codes, move || address);
    before.wait_for(300);
    let before = before.end();
    before.compare(&mut client, 0);

    let url = &native.stores.databases[0];
    let backup = native.path("shard-0.dump");
    files::run(
        Command::new(&dump)
            .args(["-Fc", "-f"])
            .arg(&backup)
            .arg(url),
    );
    // What comes after the backup: visits that were counted, and are to be counted again.
    let after = ledger::visit(&codes, move || address);
    after.wait_for(300);
    let after = after.end();
    let sum = |code: &str| before.of(code) + after.of(code);
    let all_counted = |client: &mut Client| {
        codes
            .iter()
            .all(|code| clicks(client, code) == Some(sum(code)))
    };
    let patience = Duration::from_secs(60);
    crate::process::until("the later visits are counted", patience, || {
        all_counted(&mut client).then_some(())
    });

    assert_eq!(counting.running.stop(Duration::from_secs(40)), Some(0));
    let drop = "DROP SCHEMA IF EXISTS urlshort CASCADE";
    files::run(Command::new("psql").args(["-q", url, "-c", drop]));
    // The shard is gone: its links come from the caches, the others' are as they were.
    for code in &codes {
        let answer = client.get(&format!("/{code}")).unwrap();
        assert_eq!(answer.status, 302, "{code}: {}", answer.body);
    }
    files::run(Command::new(&restore).args(["-d", url]).arg(&backup));
    let once = native.migrate_restored();
    assert_eq!(once.running.stop_by_itself(patience), Some(0));
    assert_eq!(app.running.stop(Duration::from_secs(75)), Some(0));
    let mut app = native.launch("app", "app-0", public, admin);
    app.healthy();
    let _counting = native.up("analytics", "analytics-1");

    let mut client = Client::new(app.public);
    // Each was followed once more while the shard was away.
    crate::process::until("everything is counted again", patience, || {
        let right = |code: &String| clicks(&mut client, code) == Some(sum(code) + 1);
        codes.iter().all(right).then_some(())
    });
}

/// All clicks of a code, by the API.
fn clicks(client: &mut Client, code: &str) -> Option<u64> {
    ledger::counted(client, code).map(|counted| counted.clicks)
}
