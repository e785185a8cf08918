//! Stores to test on, links and clicks to test with.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use tokio::runtime::Runtime;
use tokio_postgres::NoTls;
use urlshort::domain::agent::AgentTable;
use urlshort::domain::click::Click;
use urlshort::domain::click::ClickKind;
use urlshort::domain::click::SCHEMA_VERSION;
use urlshort::domain::click::Trigger;
use urlshort::domain::code::ShortCode;
use urlshort::domain::link::Link;
use urlshort::domain::link::LinkFields;
use urlshort::domain::link::NewLink;
use urlshort::domain::time::Timestamp;
use urlshort::slots::Slot;
use urlshort::store::error::StoreError;
use urlshort::store::postgres::PostgresShard;
use urlshort::store::rows::ClusterRow;
use urlshort::store::rows::Inserted;
use urlshort::store::rows::RolledUp;
use urlshort::store::rows::RollupBatch;
use urlshort::store::rows::RollupOutcome;
use urlshort::store::shard::Shard;
use urlshort::store::sqlite::SqliteShard;
use uuid::Uuid;

/// When the clicks of these tests happen: long ago, inside a quarter of an hour.
pub(crate) const THEN: Timestamp = Timestamp::from_micros(1_764_000_100_000_000);

/// A database of one test; gone when this is dropped, also by a panic.
pub(crate) struct Store {
    pub(crate) shard: Shard,
    place: Place,
}

enum Place {
    File(PathBuf),
    Database { admin: String, name: String },
}

/// Runs `test` on an empty store of each kind.
pub(crate) async fn on_empty(test: impl AsyncFn(&Store)) {
    test(&Store::in_file()).await;
    if let Some(store) = Store::on_server().await {
        test(&store).await;
    }
}

/// Runs `test` on a store of each kind that owns every slot.
pub(crate) async fn on_each(test: impl AsyncFn(&Store)) {
    on_owner_of(Slot::all().collect(), test).await;
}

/// Runs `test` on a store of each kind that owns the slots 0 to 31.
pub(crate) async fn on_half(test: impl AsyncFn(&Store)) {
    on_owner_of(Slot::all().take(32).collect(), test).await;
}

async fn on_owner_of(slots: Vec<Slot>, test: impl AsyncFn(&Store)) {
    on_empty(async |store| {
        store.shard.connect().await.unwrap();
        store
            .shard
            .found(&identity("a"), &slots, &[])
            .await
            .unwrap();
        test(store).await;
    })
    .await;
}

/// The identity of a shard with that id.
pub(crate) fn identity(shard: &str) -> ClusterRow {
    ClusterRow {
        cluster_id: "cluster".to_owned(),
        shard_id: shard.to_owned(),
        ordinal: 0,
        generation: 1,
        secret: vec![0, 1, 255],
    }
}

impl Store {
    fn in_file() -> Self {
        let folder = env::temp_dir().join(format!("urlshort-contract-{}", Uuid::now_v7()));
        let place = Place::File(folder);
        let shard = place.open();
        Self { shard, place }
    }

    #[expect(clippy::print_stderr, reason = "a skipped half must be seen")]
    async fn on_server() -> Option<Self> {
        let Ok(admin) = env::var("URLSHORT_TEST_POSTGRES_0") else {
            let required = env::var("URLSHORT_TEST_REQUIRED").is_ok_and(|value| value == "1");
            assert!(!required, "URLSHORT_TEST_POSTGRES_0 is not set");
            eprintln!("SKIPPED: PostgreSQL, because URLSHORT_TEST_POSTGRES_0 is not set");
            return None;
        };
        let name = format!("contract_{}", Uuid::now_v7().simple());
        ask_server(
            &admin,
            &format!("CREATE DATABASE {name} TEMPLATE template0"),
        )
        .await
        .unwrap();
        let place = Place::Database { admin, name };
        let shard = place.open();
        Some(Self { shard, place })
    }

    /// The same store as another process would open it.
    pub(crate) fn again(&self) -> Shard {
        self.place.open()
    }

    /// Whether this is the file-backed store.
    pub(crate) const fn is_file(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// Runs a statement past the program; the first column of the first row, if there is one.
    pub(crate) async fn ask(&self, sql: &str) -> Result<Option<String>, String> {
        match &self.place {
            Place::File(folder) => {
                let connection = rusqlite::Connection::open(folder.join("links.db"))
                    .map_err(|error| error.to_string())?;
                let mut statement = connection.prepare(sql).map_err(|error| error.to_string())?;
                let mut rows = statement.query([]).map_err(|error| error.to_string())?;
                let row = rows.next().map_err(|error| error.to_string())?;
                Ok(row.map(|row| match row.get_ref(0) {
                    Ok(rusqlite::types::ValueRef::Integer(number)) => number.to_string(),
                    Ok(rusqlite::types::ValueRef::Text(text)) => {
                        String::from_utf8_lossy(text).into_owned()
                    }
                    other => format!("{other:?}"),
                }))
            }
            Place::Database { admin, name } => ask_server(&database_url(admin, name), sql).await,
        }
    }

    /// A number that a statement past the program answers.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.ask(sql).await.unwrap().unwrap().parse().unwrap()
    }

    /// How many rows a table has.
    pub(crate) async fn rows(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    /// A new link under `code`.
    pub(crate) async fn insert(&self, new: &NewLink) -> Link {
        match self.shard.insert(new, false).await.unwrap() {
            Inserted::New(link) => *link,
            Inserted::Taken => panic!("{} is taken", new.code.as_str()),
        }
    }

    /// A plain new link in `slot`.
    pub(crate) async fn insert_in(&self, slot: u8) -> Link {
        self.insert(&plain(&code_in(slot, 0))).await
    }

    /// Counts these clicks as one batch.
    pub(crate) async fn count(&self, clicks: &[Click]) -> RolledUp {
        match roll_up(&self.shard, clicks).await.unwrap() {
            RollupOutcome::Done(figures) => figures,
            RollupOutcome::Fenced => panic!("a batch without an offset cannot be fenced"),
        }
    }

    /// The clicks that `code` has.
    pub(crate) async fn human(&self, code: &ShortCode) -> i64 {
        let link = self.shard.find(code).await.unwrap().unwrap();
        link.clicks.human
    }
}

impl Place {
    fn open(&self) -> Shard {
        match self {
            Self::File(folder) => Shard::Sqlite(SqliteShard::new(0, &folder.join("links.db"))),
            Self::Database { admin, name } => {
                Shard::Postgres(PostgresShard::new(0, &database_url(admin, name)).unwrap())
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        match &self.place {
            Place::File(folder) => drop(fs::remove_dir_all(folder)),
            Place::Database { admin, name } => {
                let (admin, name) = (admin.clone(), name.clone());
                let dropping = thread::spawn(move || {
                    let sql = format!("DROP DATABASE {name} WITH (FORCE)");
                    Runtime::new().unwrap().block_on(ask_server(&admin, &sql))
                });
                drop(dropping.join());
            }
        }
    }
}

/// `postgres://host/postgres` with another database.
fn database_url(admin: &str, name: &str) -> String {
    let (server, _) = admin.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

async fn ask_server(url: &str, sql: &str) -> Result<Option<String>, String> {
    let said = |error: tokio_postgres::Error| {
        let error = error.as_db_error().map(|error| {
            let code = error.code().code();
            format!("{code}: {}", error.message())
        });
        error.unwrap_or_else(|| "no answer".to_owned())
    };
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(said)?;
    let driver = tokio::spawn(connection);
    drop(client.batch_execute("SET search_path = urlshort").await);
    let answer = client.simple_query(sql).await.map_err(said);
    driver.abort();
    Ok(answer?.iter().find_map(|message| {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
            row.get(0).map(str::to_owned)
        } else {
            None
        }
    }))
}

/// The `n`th code of a slot.
pub(crate) fn code_in(slot: u8, n: usize) -> ShortCode {
    let mut codes = (0..).map(|number| format!("c{number}"));
    let code = codes
        .by_ref()
        .filter(|code| Slot::of(code).number() == slot)
        .nth(n);
    code.unwrap().parse().unwrap()
}

/// A code that is known to be one.
pub(crate) fn code(text: &str) -> ShortCode {
    text.parse().unwrap()
}

/// A plain link of nobody.
pub(crate) fn plain(code: &ShortCode) -> NewLink {
    let target = format!("https://example.com/{}", code.as_str());
    NewLink {
        code: code.clone(),
        owner: None,
        fields: LinkFields::to(target),
    }
}

/// A human click on `code`, the `seq`th of `producer` there.
pub(crate) fn click(producer: Uuid, code: &ShortCode, seq: u64) -> Click {
    Click {
        v: SCHEMA_VERSION,
        producer_id: producer,
        slot: Slot::of(code.as_str()).number(),
        seq,
        code: code.as_str().into(),
        at: THEN,
        kind: ClickKind::Human,
        trigger: Trigger::Link,
        country: None,
        referrer: None,
        agent: "Mozilla/5.0".into(),
        language: None,
        visitor: seq.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

/// The clicks `from` to `to` of a producer.
pub(crate) fn clicks(producer: Uuid, code: &ShortCode, from: u64, to: u64) -> Vec<Click> {
    (from..=to).map(|seq| click(producer, code, seq)).collect()
}

/// Counts clicks without an offset.
pub(crate) async fn roll_up(shard: &Shard, clicks: &[Click]) -> Result<RollupOutcome, StoreError> {
    let batch = RollupBatch {
        clicks: clicks.iter().collect(),
        ..RollupBatch::default()
    };
    roll_up_batch(shard, batch).await
}

/// Counts a batch.
pub(crate) async fn roll_up_batch(
    shard: &Shard,
    batch: RollupBatch,
) -> Result<RollupOutcome, StoreError> {
    let agents = Arc::new(Mutex::new(AgentTable::new()));
    shard.roll_up(&Arc::new(batch), &agents).await
}

/// Fails unless the shard said that the slot is not active there.
#[track_caller]
pub(crate) fn check_not_owner<T: std::fmt::Debug>(what: &str, answer: Result<T, StoreError>) {
    assert!(
        matches!(answer, Err(StoreError::NotOwner)),
        "{what}: {answer:?}"
    );
}
