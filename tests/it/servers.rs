//! Databases, a cache namespace and a topic for one test process; gone when this is dropped.

use std::env;
use std::thread;

use tokio::runtime::Runtime;
use tokio_postgres::NoTls;
use uuid::Uuid;

/// Three databases on three servers, Redis, and a topic of its own.
#[derive(Debug)]
pub(crate) struct Servers {
    admins: Vec<String>,
    database: String,
    redis: String,
    kafka: String,
    topic: String,
}

impl Servers {
    /// `None` where a server is not named; says so.
    #[expect(clippy::print_stderr, reason = "a skipped half must be seen")]
    pub(crate) fn new() -> Option<Self> {
        let name = |name: &str| env::var(name).map_err(|_error| name.to_owned());
        let find = || {
            let admins: Result<Vec<_>, _> = (0..3)
                .map(|shard| name(&format!("URLSHORT_TEST_POSTGRES_{shard}")))
                .collect();
            Ok((
                admins?,
                name("URLSHORT_TEST_REDIS")?,
                name("URLSHORT_TEST_KAFKA")?,
            ))
        };
        let (admins, redis, kafka) = match find() {
            Ok(found) => found,
            Err(name) => {
                let missing: String = name;
                let required = env::var("URLSHORT_TEST_REQUIRED").is_ok_and(|value| value == "1");
                assert!(!required, "{missing} is not set");
                eprintln!("SKIPPED: the distributed shape, because {missing} is not set");
                return None;
            }
        };
        let id = Uuid::now_v7().simple();
        let servers = Self {
            admins,
            database: format!("it_{id}"),
            redis,
            kafka,
            topic: format!("it-{id}"),
        };
        servers.ask_each(&format!(
            "CREATE DATABASE {} TEMPLATE template0",
            servers.database
        ));
        Some(servers)
    }

    /// What makes a process use them.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("URLSHORT__CACHE__REDIS_URL".to_owned(), self.redis.clone()),
            ("KAFKA_BOOTSTRAP_SERVERS".to_owned(), self.kafka.clone()),
            ("URLSHORT__EVENTS__TOPIC".to_owned(), self.topic.clone()),
            (
                "URLSHORT__CLASSIFY__TOPIC".to_owned(),
                format!("{}.links", self.topic),
            ),
            // So seldom that whatever gets a label here got it by an event.
            (
                "URLSHORT__CLASSIFY__SWEEP_SECONDS".to_owned(),
                "3600".to_owned(),
            ),
        ];
        for (shard, admin) in self.admins.iter().enumerate() {
            let (server, _) = admin.rsplit_once('/').unwrap();
            variables.push((
                format!("DB_SHARD_{shard}_URL"),
                format!("{server}/{}", self.database),
            ));
        }
        variables
    }

    fn ask_each(&self, sql: &str) {
        let runtime = Runtime::new().unwrap();
        for admin in &self.admins {
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(admin, NoTls).await.unwrap();
                let driver = tokio::spawn(connection);
                client.batch_execute(sql).await.unwrap();
                driver.abort();
            });
        }
    }

    async fn delete_topic(&self) -> Result<(), rskafka::client::error::Error> {
        let brokers = vec![self.kafka.clone()];
        let client = rskafka::client::ClientBuilder::new(brokers).build().await?;
        let controller = client.controller_client()?;
        controller.delete_topic(self.topic.clone(), 5_000).await?;
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        thread::scope(|scope| {
            let dropping = scope.spawn(|| {
                self.ask_each(&format!("DROP DATABASE {} WITH (FORCE)", self.database));
                drop(Runtime::new().unwrap().block_on(self.delete_topic()));
            });
            drop(dropping.join());
        });
    }
}
