//! Databases on the real servers, one on each, for one test.

use std::env;

use tokio::runtime::Runtime;
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::support::Program;

/// Three empty databases; gone when this is dropped.
pub(crate) struct Databases {
    admins: Vec<String>,
    name: String,
}

impl Databases {
    /// `None`, and a line that says so, where there are no servers.
    pub(crate) fn on_servers() -> Option<Self> {
        let admins = (0..3).map(|n| setting(&format!("URLSHORT_TEST_POSTGRES_{n}")));
        let admins: Vec<String> = admins.collect::<Option<_>>()?;
        let name = format!("cli_{}", Uuid::now_v7().simple());
        let databases = Self { admins, name };
        databases.on_each(&format!(
            "CREATE DATABASE {} TEMPLATE template0",
            databases.name
        ));
        Some(databases)
    }

    /// The address of the `n`th.
    pub(crate) fn url(&self, n: usize) -> String {
        let (server, _) = self.admins[n].rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    /// The program with all three as its shards, under the names that deployments use.
    pub(crate) fn configure(&self, program: Program) -> Program {
        (0..3).fold(program, |program, n| {
            let url = self.url(n).replace("postgres://", "postgresql+asyncpg://");
            program.env(&format!("DB_SHARD_{n}_URL"), &url)
        })
    }

    /// The sum of what this answers on each.
    pub(crate) fn sum(&self, sql: &str) -> i64 {
        let runtime = Runtime::new().unwrap();
        let ask = |n| {
            runtime.block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(&self.url(n), NoTls).await.unwrap();
                let driver = tokio::spawn(connection);
                let found: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
                driver.abort();
                found
            })
        };
        (0..3).map(ask).sum()
    }

    fn on_each(&self, sql: &str) {
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
}

impl Drop for Databases {
    fn drop(&mut self) {
        self.on_each(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// The address of a real server; `None`, and a line that says so, where there is none.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub(crate) fn setting(name: &str) -> Option<String> {
    let found = env::var(name).ok();
    if found.is_none() {
        let required = env::var("URLSHORT_TEST_REQUIRED").is_ok_and(|value| value == "1");
        assert!(!required, "{name} is not set");
        eprintln!("SKIPPED: {name} is not set");
    }
    found
}
