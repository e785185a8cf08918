//! Two app processes behind the balancer are replaced again and again, under load: no request
//! fails, no click is lost, none is counted twice.

use std::time::Duration;

use crate::children::free_port;
use crate::children::here;
use crate::files;
use crate::http::Client;
use crate::ledger;
use crate::native::Native;
use crate::native::Role;

/// How often both processes are replaced.
const ROUNDS: usize = 20;

/// As `deploy/rolling-deploy` does it: a new process, healthy, before the old one is told to stop.
#[test]
fn twenty_rolling_restarts_fail_no_request_and_lose_no_click() {
    if files::tool("haproxy").is_none() {
        return;
    }
    let Some(native) = Native::prepare() else {
        return;
    };
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let (public, metrics) = (free_port(), free_port());
    let start = |at: usize, number: usize| {
        let mut role = native.launch("app", &format!("app-{number}"), ports[at], free_port());
        role.healthy();
        (at, role)
    };
    let mut processes: Vec<(usize, Role)> = vec![start(0, 0), start(1, 1)];
    let _counting = native.up("analytics", "analytics");
    let _balancer = native.balancer(&ports, public, metrics).unwrap();
    let mut client = Client::new(here(public));
    let codes = ledger::make_links(&mut client, 20);

    let visitors = ledger::visit(&codes, move || here(public));
    let mut free = 2;
    for number in 0..2 * ROUNDS {
        let (at, old) = {
            let new = start(free, number + 2);
            let old = processes.remove(0);
            processes.push(new);
            old
        };
        free = at;
        let status = old.running.stop(Duration::from_secs(75));
        assert_eq!(status, Some(0), "replacement {number}");
        visitors.wait_for(20);
    }
    let ledger = visitors.end();

    assert_eq!(
        ledger.strange,
        Vec::<String>::new(),
        "answers that are no redirect"
    );
    assert_eq!(
        ledger.without_answer(),
        0,
        "requests without an answer: {:?}",
        ledger.flaws
    );
    let total = ledger.total();
    assert!(total > 40 * ROUNDS as u64, "hardly any load: {total}");
    ledger.compare(&mut client, 0);
    eprintln!(
        "{} replacements, {total} redirects, none failed, all counted",
        2 * ROUNDS
    );
}
