//! Clicks are counted exactly once, whatever is killed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use crate::ledger::make_links;
use crate::ledger::visit;
use crate::process;
use crate::process::Environment;
use crate::process::Folder;
use crate::servers;
use crate::servers::Kafka;

/// Where visitors go: the process of the moment.
#[derive(Clone)]
pub(crate) struct Door(Arc<Mutex<SocketAddr>>);

impl Door {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(address)))
    }

    pub(crate) fn set(&self, address: SocketAddr) {
        *self.0.lock().unwrap() = address;
    }

    pub(crate) fn asks(&self) -> impl Fn() -> SocketAddr + Send + Sync + 'static {
        let door = self.clone();
        move || *door.0.lock().unwrap()
    }
}

pub(crate) fn spooled() -> Environment {
    Environment::default().with("URLSHORT__EVENTS__ACK", "spooled")
}

#[test]
fn a_killed_embedded_process_loses_no_acknowledged_click() {
    let folder = Folder::new();
    let mut serve = process::serve(&folder.0, &spooled());
    let codes = make_links(&mut serve.client(), 20);
    let door = Door::to(serve.address);
    let visitors = visit(&codes, door.asks());
    for _ in 0..4 {
        visitors.wait_for(400);
        serve.kill();
        serve = process::serve(&folder.0, &spooled());
        serve.ready();
        door.set(serve.address);
    }
    visitors.wait_for(200);
    let ledger = visitors.end();
    ledger.compare(&mut serve.client(), 0);
    assert_eq!(serve.stop(), Some(0));
}

#[test]
fn with_queued_clicks_a_kill_costs_at_most_the_last_drain() {
    let folder = Folder::new();
    let mut serve = process::serve(&folder.0, &Environment::default());
    let codes = make_links(&mut serve.client(), 20);
    let door = Door::to(serve.address);
    let visitors = visit(&codes, door.asks());
    let mut lost = 0;
    for _ in 0..3 {
        visitors.wait_for(3_000);
        let moment = Instant::now();
        serve.kill();
        // 5 ms between drains, and what a busy machine adds to that.
        let span = Duration::from_millis(40);
        lost += visitors.shortly_before(moment + Duration::from_millis(5), span);
        serve = process::serve(&folder.0, &Environment::default());
        serve.ready();
        door.set(serve.address);
    }
    let ledger = visitors.end();
    assert!(
        lost < ledger.total() / 4,
        "the allowance says nothing: {lost} of {}",
        ledger.total()
    );
    ledger.compare(&mut serve.client(), lost);
}

#[test]
fn two_processes_on_one_server_count_each_click_once_whoever_is_killed() {
    let Some(database) = servers::database(0) else {
        return;
    };
    let environment = spooled().with("DB_SHARD_0_URL", database);
    let folders = [Folder::new(), Folder::new()];
    let mut first = process::serve(&folders[0].0, &environment);
    first.ready();
    let mut second = process::serve(&folders[1].0, &environment);
    let codes = make_links(&mut first.client(), 20);
    let doors = [Door::to(first.address), Door::to(second.address)];
    let visitors = [
        visit(&codes[..10], doors[0].asks()),
        visit(&codes[10..], doors[1].asks()),
    ];
    for _ in 0..2 {
        visitors[0].wait_for(200);
        first.kill();
        first = process::serve(&folders[0].0, &environment);
        first.ready();
        doors[0].set(first.address);
        visitors[1].wait_for(200);
        second.kill();
        second = process::serve(&folders[1].0, &environment);
        second.ready();
        doors[1].set(second.address);
    }
    visitors.iter().for_each(|visitors| visitors.wait_for(100));
    for ledger in visitors.map(crate::ledger::Visitors::end) {
        ledger.compare(&mut first.client(), 0);
    }
}

/// Three servers, Redis and Kafka, all shared, with a topic of its own.
pub(crate) fn distributed(kafka: &str) -> Option<Environment> {
    let redis = servers::shared("URLSHORT_TEST_REDIS")?;
    let topic = format!("faults.{}", uuid::Uuid::now_v7().simple());
    Some(
        spooled()
            .with("DB_SHARD_0_URL", servers::database(0)?)
            .with("DB_SHARD_1_URL", servers::database(1)?)
            .with("DB_SHARD_2_URL", servers::database(2)?)
            .with("URLSHORT__CACHE__REDIS_URL", redis)
            .with("KAFKA_BOOTSTRAP_SERVERS", kafka)
            .with("URLSHORT__EVENTS__TOPIC", topic),
    )
}

#[test]
fn killed_servers_and_counters_lose_nothing_and_count_nothing_twice() {
    let Some(kafka) = servers::shared("URLSHORT_TEST_KAFKA") else {
        return;
    };
    let Some(environment) = distributed(&kafka) else {
        return;
    };
    let folders = [Folder::new(), Folder::new(), Folder::new()];
    let mut serve = process::serve(&folders[0].0, &environment);
    serve.ready();
    let mut counter = process::analytics(&folders[1].0, &environment);
    let steady = process::analytics(&folders[2].0, &environment);
    let codes = make_links(&mut serve.client(), 30);
    let door = Door::to(serve.address);
    let visitors = visit(&codes, door.asks());
    for _ in 0..3 {
        visitors.wait_for(300);
        counter.kill();
        counter = process::analytics(&folders[1].0, &environment);
        visitors.wait_for(300);
        serve.kill();
        serve = process::serve(&folders[0].0, &environment);
        serve.ready();
        door.set(serve.address);
    }
    visitors.wait_for(300);
    let ledger = visitors.end();
    ledger.compare(&mut serve.client(), 0);
    assert_eq!(counter.stop(), Some(0));
    assert_eq!(steady.stop(), Some(0));
    assert_eq!(serve.stop(), Some(0));
}

#[test]
fn a_frozen_and_a_killed_broker_cost_no_redirect_and_no_click() {
    let Some(mut kafka) = Kafka::start() else {
        return;
    };
    let Some(environment) = distributed(&kafka.address()) else {
        return;
    };
    let folders = [Folder::new(), Folder::new()];
    let serve = process::serve(&folders[0].0, &environment);
    serve.ready();
    let counter = process::analytics(&folders[1].0, &environment);
    let codes = make_links(&mut serve.client(), 30);
    let address = serve.address;
    let visitors = visit(&codes, move || address);
    visitors.wait_for(500);
    kafka.freeze(true);
    visitors.wait_for(3_000);
    kafka.freeze(false);
    visitors.wait_for(500);
    kafka.stop();
    let stopped = Instant::now();
    while stopped.elapsed() < process::outage() {
        visitors.wait_for(500);
    }
    kafka.resume();
    visitors.wait_for(500);
    let ledger = visitors.end();
    assert_eq!(ledger.without_answer(), 0, "redirects depend on the bus");
    ledger.compare(&mut serve.client(), 0);
    drop(counter);
}
