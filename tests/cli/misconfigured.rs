//! `diagnose` beside servers that run, but not as they should.

use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::diagnose::named;
use crate::servers::setting;
use crate::support::Folder;

#[test]
fn misconfigured_servers_are_named_with_what_to_do() {
    let Some(kafka) = setting("URLSHORT_TEST_KAFKA") else {
        return;
    };
    let redis = FullRedis::start();
    let topic = three_partitions(&kafka);
    let folder = Folder::new();
    let look = || {
        folder
            .program(&["diagnose", "--json"])
            .env("REDIS_HOST", "127.0.0.1")
            .env("REDIS_PORT", &redis.port.to_string())
            .env("KAFKA_BOOTSTRAP_SERVERS", &kafka)
            .env("URLSHORT__EVENTS__TOPIC", &topic)
            .done()
    };
    let done = look();
    let found = named(&done, "redis");
    assert_eq!(found["severity"], "warn", "{found}");
    assert!(
        found["command"]
            .as_str()
            .unwrap()
            .ends_with("CONFIG SET maxmemory-policy allkeys-lfu"),
        "{found}"
    );
    let found = named(&done, "kafka");
    assert_eq!(found["severity"], "fail", "{found}");
    assert!(
        found["summary"]
            .as_str()
            .unwrap()
            .contains("3 partitions, not 64"),
        "{found}"
    );
    // Frozen, it is told within its deadline.
    redis.signal("STOP");
    let done = look();
    redis.signal("CONT");
    let found = named(&done, "redis");
    assert_eq!(found["severity"], "warn", "{found}");
    assert!(
        found["cause"].as_str().unwrap().contains("frozen"),
        "{found}"
    );
}

#[test]
fn a_redis_that_says_no_is_quoted_and_not_called_frozen() {
    if setting("URLSHORT_TEST_KAFKA").is_none() {
        return; // without servers there is no redis-server either
    }
    let redis = FullRedis::start();
    let folder = Folder::new();
    let cause = |url: &str| {
        let done = folder
            .program(&["diagnose", "--json"])
            .env("URLSHORT__CACHE__REDIS_URL", url)
            .done();
        let found = named(&done, "redis");
        assert_eq!(found["severity"], "warn", "{found}");
        found["cause"].as_str().unwrap().to_owned()
    };
    let place = format!("127.0.0.1:{}", redis.port);
    let alone = cause(&format!("redis-cluster://{place}"));
    assert!(alone.contains("cluster support disabled"), "{alone}");
    redis.tell("CONFIG SET requirepass right");
    let closed = cause(&format!("redis://{place}"));
    assert!(closed.contains("NOAUTH"), "{closed}");
    let wrong = cause(&format!("redis://:wrong@{place}"));
    assert!(wrong.contains("WRONGPASS"), "{wrong}");
    if let Some(cluster) = setting("URLSHORT_TEST_REDIS_CLUSTER") {
        let node = cause(&cluster.replace("redis-cluster://", "redis://"));
        assert!(node.contains("a node of a Redis Cluster"), "{node}");
    }
}

/// A Redis that refuses writes once it is full; gone when this is dropped.
struct FullRedis {
    child: Child,
    port: u16,
}

impl FullRedis {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(["--maxmemory", "64mb", "--maxmemory-policy", "noeviction"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "Redis does not start"
            );
            std::thread::yield_now();
        }
        Self { child, port }
    }

    fn tell(&self, words: &str) {
        let mut client = Command::new("redis-cli");
        client.args(["-p", &self.port.to_string()]);
        let told = client.args(words.split(' ')).output().unwrap();
        assert!(told.status.success(), "{told:?}");
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for FullRedis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A topic that somebody else made with too few partitions.
fn three_partitions(kafka: &str) -> String {
    let topic = format!("cli.{}", Uuid::now_v7().simple());
    Runtime::new().unwrap().block_on(async {
        let client = rskafka::client::ClientBuilder::new(vec![kafka.to_owned()]);
        let client = client.build().await.unwrap();
        let controller = client.controller_client().unwrap();
        controller
            .create_topic(topic.as_str(), 3, 1, 5_000)
            .await
            .unwrap();
    });
    topic
}
