//! Pools, what every connection is told, and migrations.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Hook;
use deadpool_postgres::HookError;
use deadpool_postgres::Manager;
use deadpool_postgres::ManagerConfig;
use deadpool_postgres::Pool;
use deadpool_postgres::RecyclingMethod;
use deadpool_postgres::Runtime;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::Config;
use tokio_postgres::NoTls;

use crate::store::error::StoreError;
use crate::store::migrate::POSTGRES;
use crate::store::postgres::PostgresShard;
use crate::store::postgres::expected::Expected;
use crate::store::postgres::lease::Lent;

/// Connections for requests, per process and shard.
const FRONT: usize = 8;
/// Connections for loops and statistics.
const BACK: usize = 4;

/// A transaction that changes links must end soon: the feed is read 5 s back.
const FRONT_SETTINGS: &str = "SET statement_timeout = '2s'; SET lock_timeout = '500ms'; \
     SET idle_in_transaction_session_timeout = '2s'; \
     SET search_path = urlshort; SET default_transaction_isolation = 'read committed'; \
     SET synchronous_commit = on";
const BACK_SETTINGS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '5s'; \
     SET search_path = urlshort; SET default_transaction_isolation = 'read committed'; \
     SET synchronous_commit = on";

/// Connects on the program's main runtime, whoever asks: a socket belongs to the runtime that
/// made it, and a web worker's runtime ends before the program does.
struct OnRuntime(Handle);

impl deadpool_postgres::Connect for OnRuntime {
    fn connect(
        &self,
        config: &Config,
    ) -> futures_util::future::BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>>
    {
        let config = config.clone();
        let runtime = self.0.clone();
        Box::pin(async move {
            let inner = runtime.clone();
            let connecting = runtime.spawn(async move {
                let (client, connection) = config.connect(NoTls).await?;
                let driver = inner.spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended");
                    }
                });
                Ok((client, driver))
            });
            match connecting.await {
                Ok(connected) => connected,
                // The runtime is going down; the caller's deadline ends the wait.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// The two pools of a shard.
pub(super) fn pools(url: &str, expected: &Arc<Expected>) -> Result<(Pool, Pool), String> {
    let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        // The driver's message never repeats the URL, so no password can show.
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    })?;
    config
        .application_name("urlshort")
        .connect_timeout(Duration::from_secs(1))
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(5));
    let handle = Handle::try_current().map_err(|error| error.to_string())?;
    let front = pool(&config, handle.clone(), FRONT, FRONT_SETTINGS, expected)?;
    let back = pool(&config, handle, BACK, BACK_SETTINGS, expected)?;
    Ok((front, back))
}

fn pool(
    config: &Config,
    handle: Handle,
    size: usize,
    settings: &'static str,
    expected: &Arc<Expected>,
) -> Result<Pool, String> {
    let expected = Arc::clone(expected);
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_connect(config.clone(), OnRuntime(handle), recycling);
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .create_timeout(Some(Duration::from_secs(1)))
        .recycle_timeout(Some(Duration::from_millis(500)))
        .queue_mode(deadpool_postgres::QueueMode::Lifo)
        .post_create(Hook::async_fn(move |client, _| {
            let expected = Arc::clone(&expected);
            Box::pin(async move {
                client
                    .batch_execute(settings)
                    .await
                    .map_err(HookError::Backend)?;
                expected.check(client).await
            })
        }))
        .build()
        .map_err(|error| error.to_string())
}

/// Applies what is pending. Any number of processes may do so at once.
pub(super) async fn migrate(shard: &PostgresShard) -> Result<(), StoreError> {
    let mut lent = Lent::probe(shard).await?;
    for step in POSTGRES {
        lent.begin().await?;
        lent.query("SELECT pg_advisory_xact_lock(7000, 0)", &[])
            .await?;
        lent.batch(
            "CREATE SCHEMA IF NOT EXISTS urlshort; CREATE TABLE IF NOT EXISTS \
             urlshort.schema_versions (version bigint PRIMARY KEY, name text NOT NULL, \
             applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
        let known = lent
            .query(
                "SELECT 1 FROM urlshort.schema_versions WHERE version = $1",
                &[&step.version],
            )
            .await?;
        if known.is_empty() {
            lent.batch(step.sql).await?;
            lent.query(
                "INSERT INTO urlshort.schema_versions (version, name) VALUES ($1, $2)",
                &[&step.version, &step.name],
            )
            .await?;
        }
        lent.commit().await?;
    }
    Ok(())
}
