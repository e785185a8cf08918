//! This file speaks with Redis, one server or a cluster, and never waits for it.
//!
//! # Why
//!
//! The driver waits for ever by default, keeps commands while it is not connected, and gives up
//! for good after some errors. So every call has a deadline of ours around the driver's, is refused
//! at once while nothing is connected, passes a breaker, and a task starts the driver again.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::clients::Pool;
use fred::clients::WithOptions;
use fred::error::ErrorKind;
use fred::interfaces::ClientLike as _;
use fred::interfaces::EventInterface as _;
use fred::interfaces::KeysInterface as _;
use fred::types::Builder;
use fred::types::InfoKind;
use fred::types::config::Config;
use fred::types::config::Options;
use fred::types::config::ReconnectError;
use fred::types::config::ReconnectPolicy;
use fred::types::config::UnresponsiveConfig;
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::FarError;
use super::FarFacts;
use super::breaker::Breaker;
use super::reads::Answer;
use super::reads::Reads;
use super::scripts::Scripts;
use super::scripts::Write;
use crate::telemetry::metrics;

/// Connections; each carries the commands of all tasks.
const CLIENTS: usize = 2;

/// What one command that reads may take. With less, a machine whose processors are all busy takes
/// Redis for lost and asks the databases instead, which makes it busier.
const READ: Duration = Duration::from_millis(40);

/// What a redirect waits for a read, and for the command before it: the owner is to have time left.
const READ_IN_ALL: Duration = Duration::from_millis(50);

/// Keys of one command: the server answers nobody else meanwhile.
const READ_KEYS: usize = 128;

/// What a write may take: no visitor waits for it.
const WRITE: Duration = Duration::from_millis(200);

/// What one question of `diagnose` may take, connecting included.
const ASK: Duration = Duration::from_secs(2);

/// How far the driver's deadline lies before ours.
const MARGIN: Duration = Duration::from_millis(5);

/// The pause before a driver that gave up is started again.
const RESTART: Duration = Duration::from_secs(5);

/// A far cache in Redis.
#[derive(Debug, Clone)]
pub struct RedisCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    reads: Arc<Reads>,
    scripts: Scripts,
    breaker: Breaker,
    runtime: Handle,
    closed: CancellationToken,
}

/// A deadline of ours passed first.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct TooLate(Duration);

impl RedisCache {
    /// Prepares the connections and starts connecting behind the caller's back.
    pub(super) fn start(url: &str) -> Result<Self, String> {
        let pool = pool(url).map_err(|error| error.details().to_owned())?;
        let cache = Self(Arc::new(Inner {
            reads: Reads::new(if pool.next().client_config().server.is_clustered() {
                1
            } else {
                READ_KEYS
            }),
            pool,
            scripts: Scripts::new(),
            breaker: Breaker::new(),
            runtime: Handle::current(),
            closed: CancellationToken::new(),
        }));
        metrics::redis_up(false);
        for client in cache.0.pool.clients() {
            tokio::spawn(keep_running(client.clone(), cache.0.closed.clone()));
            tokio::spawn(cache.clone().watch(client.clone()));
        }
        Ok(cache)
    }

    /// The bytes under `key`.
    pub(super) async fn read(&self, key: Bytes) -> Answer {
        let (answer, must_send) = self.0.reads.ask(key);
        if must_send {
            // Not by this caller, who may hang up: others wait for it.
            self.0.runtime.spawn(self.clone().send());
        }
        match tokio::time::timeout(READ_IN_ALL, answer).await {
            // Only a process that ends drops it.
            Ok(answer) => answer.unwrap_or(Err(FarError::Skipped)),
            Err(_) => Err(unavailable(TooLate(READ_IN_ALL))),
        }
    }

    /// Sends what is asked for until nothing is: while one command is under way, the next gathers.
    async fn send(self) {
        while let Some(batch) = self.0.reads.take() {
            let keys = batch.keys().to_vec();
            let asked = async |client: WithOptions<Client>| client.mget(keys).await;
            batch.settle(self.call(READ, asked).await);
        }
    }

    /// Whether the write was done, or its condition forbade it.
    pub(super) async fn write(&self, write: Write) -> Result<bool, FarError> {
        self.call(WRITE, async |client| {
            self.0.scripts.write(&client, write).await
        })
        .await
    }

    /// Whether calls pass: something is connected, and the last ones did not all fail.
    pub(super) fn is_up(&self) -> bool {
        self.0.breaker.is_closed() && self.0.pool.clients().iter().any(Client::is_connected)
    }

    /// One question where the last ones failed, within the deadline of a read.
    pub(super) async fn look_after(&self) {
        if !self.is_up() {
            let answer = self.read(Bytes::from_static(b"us:anybody-there")).await;
            tracing::debug!(up = answer.is_ok(), "redis was asked whether it is back");
        }
        self.report();
    }

    /// Waits until every connection stands; the caller bounds the time.
    pub(super) async fn connected(&self) -> bool {
        let all = self.0.pool.wait_for_connect().await;
        self.0.breaker.hurry(Instant::now());
        all.is_ok()
    }

    /// What the server says of itself; waits for a connection, and passes no breaker.
    pub(super) async fn ask(&self) -> Result<FarFacts, FarError> {
        let client = self.client(ASK, false);
        let asked = async {
            // The first answer may wait for the connection; the second one says how fast it is.
            client.ping::<String>(None).await?;
            let start = Instant::now();
            client.ping::<String>(None).await?;
            let latency = start.elapsed();
            let info: String = client.info(Some(InfoKind::Default)).await?;
            Ok((latency, info))
        };
        let answer: Result<(Duration, String), fred::error::Error> =
            match tokio::time::timeout(ASK + MARGIN, asked).await {
                Ok(answer) => answer,
                Err(_) => return Err(unavailable(TooLate(ASK))),
            };
        let (latency, info) = answer.map_err(unavailable)?;
        Ok(facts(latency, &info))
    }

    /// Ends the connections; calls fail from here on.
    pub(super) async fn close(&self) {
        self.0.closed.cancel();
        // A server that does not answer loses its connections with the process.
        let quit = tokio::time::timeout(WRITE, self.0.pool.quit()).await;
        if !matches!(quit, Ok(Ok(()))) {
            tracing::debug!("redis did not say goodbye");
        }
        metrics::redis_up(false);
    }

    /// One call: admitted by the breaker, bounded by `deadline`, counted.
    async fn call<T>(
        &self,
        deadline: Duration,
        command: impl AsyncFnOnce(WithOptions<Client>) -> Result<T, fred::error::Error>,
    ) -> Result<T, FarError> {
        let start = Instant::now();
        let Some(permit) = self.0.breaker.admit(start) else {
            return Err(FarError::Skipped);
        };
        let client = self.client(deadline, true);
        // The driver's state is kilobytes: in a box it is moved once, and not by everybody who waits.
        let asked = Box::pin(command(client));
        let answer = tokio::time::timeout(deadline + MARGIN, asked).await;
        let now = Instant::now();
        metrics::redis_command(now - start);
        let (result, trouble) = match answer {
            Ok(Ok(value)) => (Ok(value), None),
            Ok(Err(error)) if is_answer(&error) => (Err(refused(error)), Some("refused")),
            Ok(Err(error)) => {
                let word = word(error.kind());
                (Err(unavailable(error)), Some(word))
            }
            Err(_) => (
                Err(unavailable(TooLate(deadline + MARGIN))),
                Some("timeout"),
            ),
        };
        if let Some(word) = trouble {
            metrics::redis_errors(word);
        }
        let was_up = self.0.breaker.is_closed();
        permit.end(!matches!(result, Err(FarError::Unavailable { .. })), now);
        if was_up != self.0.breaker.is_closed() {
            self.report();
        }
        result
    }

    fn client(&self, deadline: Duration, fail_fast: bool) -> WithOptions<Client> {
        self.0.pool.next_connected().with_options(&Options {
            timeout: Some(deadline),
            max_attempts: Some(1),
            fail_fast,
            ..Options::default()
        })
    }

    /// Notes that a connection came or went, and lets the next call try a new one at once.
    async fn watch(self, client: Client) {
        let mut connected = client.reconnect_rx();
        let mut failed = client.error_rx();
        loop {
            let event = tokio::select! {
                biased;
                () = self.0.closed.cancelled() => return,
                event = connected.recv() => event.map(|_server| true),
                event = failed.recv() => event.map(|_error| false),
            };
            match event {
                Ok(true) | Err(RecvError::Lagged(_)) => self.0.breaker.hurry(Instant::now()),
                Ok(false) => (),
                Err(RecvError::Closed) => {
                    tokio::time::sleep(RESTART).await;
                    connected = client.reconnect_rx();
                    failed = client.error_rx();
                }
            }
            // The driver tells of it before its own state has followed.
            tokio::time::sleep(MARGIN).await;
            self.report();
        }
    }

    fn report(&self) {
        metrics::redis_up(self.is_up());
    }
}

/// Keeps the driver running: it ends for good on what it takes for a wrong configuration.
async fn keep_running(client: Client, closed: CancellationToken) {
    loop {
        let run = client.connect();
        tokio::select! {
            biased;
            () = closed.cancelled() => return,
            ended = run => match ended {
                Ok(Err(error)) => tracing::warn!(error = %error, "redis connection ended"),
                Ok(Ok(())) | Err(_) => tracing::warn!("redis connection ended"),
            },
        }
        tokio::select! {
            biased;
            () = closed.cancelled() => return,
            () = tokio::time::sleep(RESTART) => (),
        }
    }
}

fn pool(url: &str) -> Result<Pool, fred::error::Error> {
    let mut config = Config::from_url(url)?;
    config.fail_fast = false; // start without Redis
    Builder::from_config(config)
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 2_000, 2))
        .with_performance_config(|performance| performance.default_command_timeout = READ)
        .with_connection_config(|connection| {
            connection.connection_timeout = Duration::from_secs(1);
            connection.internal_command_timeout = Duration::from_secs(1);
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = 2_000;
            connection.tcp.nodelay = Some(true);
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(Duration::from_secs(1)),
                interval: Duration::from_millis(300),
            };
            connection.reconnect_errors = vec![
                ReconnectError::ClusterDown,
                ReconnectError::Loading,
                ReconnectError::MasterDown,
                ReconnectError::ReadOnly,
            ];
        })
        .build_pool(CLIENTS)
}

/// Whether the server itself said no: it is alive, and would say the same again.
fn is_answer(error: &fred::error::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Auth
            | ErrorKind::InvalidArgument
            | ErrorKind::InvalidCommand
            | ErrorKind::Parse
            | ErrorKind::Unknown
    )
}

fn word(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Timeout => "timeout",
        ErrorKind::Backpressure => "full",
        ErrorKind::Cluster | ErrorKind::Routing => "cluster",
        ErrorKind::Config
        | ErrorKind::Auth
        | ErrorKind::IO
        | ErrorKind::InvalidCommand
        | ErrorKind::InvalidArgument
        | ErrorKind::Url
        | ErrorKind::Protocol
        | ErrorKind::Canceled
        | ErrorKind::Unknown
        | ErrorKind::Parse
        | ErrorKind::Sentinel
        | ErrorKind::NotFound => "connection",
    }
}

fn unavailable(source: impl Error + Send + Sync + 'static) -> FarError {
    FarError::Unavailable {
        source: Arc::new(source),
    }
}

fn refused(source: impl Error + Send + Sync + 'static) -> FarError {
    FarError::Refused {
        source: Arc::new(source),
    }
}

fn facts(latency: Duration, info: &str) -> FarFacts {
    let lines: HashMap<&str, &str> = info
        .lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .collect();
    let text = |name: &str| lines.get(name).map(|value| (*value).to_owned());
    let number = |name: &str| lines.get(name).and_then(|value| value.parse().ok());
    FarFacts {
        latency,
        version: text("redis_version"),
        used_bytes: number("used_memory"),
        max_bytes: number("maxmemory"),
        eviction: text("maxmemory_policy"),
        is_cluster: lines.get("cluster_enabled") == Some(&"1"),
        reads: number("keyspace_hits").zip(number("keyspace_misses")),
        evicted: number("evicted_keys"),
    }
}
