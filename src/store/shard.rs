//! One database that owns slots: the seam between routing and the two kinds of store.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use uuid::Uuid;

use crate::config::ShardUrl;
use crate::domain::agent::AgentTable;
use crate::domain::click::Dimension;
use crate::domain::code::ShortCode;
use crate::domain::link::ClickTotals;
use crate::domain::link::Link;
use crate::domain::link::LinkFields;
use crate::domain::link::NewLink;
use crate::domain::route::Route;
use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::slots::hash;
use crate::store::error::StoreError;
use crate::store::migrate::POSTGRES;
use crate::store::migrate::SQLITE;
use crate::store::postgres::PostgresShard;
use crate::store::rows::Beat;
use crate::store::rows::Change;
use crate::store::rows::Changed;
use crate::store::rows::ClusterRow;
use crate::store::rows::CountedTo;
use crate::store::rows::DataRow;
use crate::store::rows::Freshness;
use crate::store::rows::Gap;
use crate::store::rows::Inserted;
use crate::store::rows::Job;
use crate::store::rows::Labeller;
use crate::store::rows::LabelsWritten;
use crate::store::rows::Lease;
use crate::store::rows::LinkStats;
use crate::store::rows::ListFilter;
use crate::store::rows::NewLabel;
use crate::store::rows::RollupBatch;
use crate::store::rows::RollupOutcome;
use crate::store::rows::ShardPage;
use crate::store::rows::SlotOwner;
use crate::store::rows::ToLabel;
use crate::store::sqlite::SqliteShard;

/// How long the feed keeps changes.
pub const CHANGES_KEPT: Duration = Duration::from_mins(15);
/// How long a watermark outlives its producer.
pub const WATERMARKS_KEPT: Duration = Duration::from_hours(30 * 24);
/// How long a lease lasts without renewal.
pub const LEASE: Duration = Duration::from_secs(15);
/// How long a worker counts as alive after its last sign of life.
pub const WORKER_ALIVE: Duration = Duration::from_secs(15);
/// How far a process' measurement of a database's clock may be off, in microseconds.
pub(super) const CLOCKS: i64 = 100_000;

/// The hash under which a URL is found for reuse, as the databases' signed integer.
#[must_use]
pub fn url_hash(url: &str) -> i64 {
    hash(url.as_bytes()).cast_signed()
}

/// What a look from outside found: for it nothing was made, changed or migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The database's clock.
    pub now: Timestamp,
    /// The newest migration that was applied; 0: none, so that all below is empty.
    pub schema: i64,
    /// Who it is; `None` for an empty database.
    pub identity: Option<ClusterRow>,
    /// Every row of `slot_owner`.
    pub slots: Vec<SlotOwner>,
    /// The slot map as this shard knows it, as JSON.
    pub map: Option<String>,
    /// Whether it holds a link, or the tombstone of one.
    pub has_links: bool,
}

/// One database that owns slots. Closed on purpose: these two, and no third.
#[derive(Debug, Clone)]
pub enum Shard {
    /// A file of this process.
    Sqlite(SqliteShard),
    /// A server that many processes share.
    Postgres(PostgresShard),
}

/// Writes each method of the seam once: its signature, and a match that delegates.
macro_rules! delegate {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Shard {
            $($(#[$doc])*
            ///
            /// # Errors
            /// [`StoreError`], named by what the caller can do.
            pub async fn $name(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                match self {
                    Self::Sqlite(shard) => shard.$name($($arg),*).await,
                    Self::Postgres(shard) => shard.$name($($arg),*).await,
                }
            })*
        }
    };
}

delegate! {
    /// What stands there, for people: creates and migrates nothing. `None`: no file is there.
    fn peek() -> Option<Sighting>;
    /// Opens or connects, and applies pending migrations.
    fn connect() -> ();
    /// The database's clock.
    fn now() -> Timestamp;
    /// Who this shard is; `None` for an empty database.
    fn cluster_row() -> Option<ClusterRow>;
    /// Gives an empty database its identity, slots and data; answers who it is now.
    fn found(identity: &ClusterRow, slots: &[Slot], data: &[DataRow]) -> ClusterRow;
    /// Every row of `slot_owner`.
    fn slot_owners() -> Vec<SlotOwner>;
    /// Takes a slot that another shard holds with a higher epoch.
    fn demote(slot: Slot) -> ();
    /// Raises the generation of the cache keys, after a restore.
    fn set_generation(generation: i64) -> ();
    /// The cluster-wide small data as this shard knows it.
    fn data() -> Vec<DataRow>;
    /// Writes a row of it, unless this shard knows the same or a higher version.
    fn put_data(row: &DataRow) -> ();
    /// Deletes keys of it for good.
    fn drop_data(keys: &[String]) -> ();
    /// What the redirect needs of `code`; only an active owner answers `None`.
    fn route(code: &ShortCode) -> Option<Route>;
    /// The same for many codes, as far as they are links in active slots here; the others, unknown
    /// or moved away, are left out.
    fn routes(codes: &[ShortCode]) -> Vec<(ShortCode, Route)>;
    /// The link behind `code`, tombstones included; only an active owner answers `None`.
    fn find(code: &ShortCode) -> Option<Link>;
    /// Inserts one link; `announce` tells the feed.
    fn insert(new: &NewLink, announce: bool) -> Inserted;
    /// Inserts many links, all or none; results in order.
    fn insert_many(new: &[NewLink], announce: bool) -> Vec<Inserted>;
    /// Writes `fields` over the link if its version still is `version`.
    fn update(code: &ShortCode, version: i64, fields: &LinkFields) -> Changed;
    /// Makes the link a tombstone if its version still is `version`; `purge` blanks it.
    fn delete(code: &ShortCode, version: i64, purge: bool) -> Changed;
    /// The caller's active links to exactly this URL, oldest first.
    fn reusable(url: &str, owner: Option<&str>) -> Vec<Link>;
    /// A page of the links in owned slots, newest first.
    fn list(filter: &ListFilter, limit: usize) -> ShardPage;
    /// The active links of owned slots that people and machines followed most, most followed first.
    fn most_followed(limit: usize) -> Vec<ShortCode>;
    /// How many links stand here, tombstones included.
    fn count_links() -> i64;
    /// Links of each slot, tombstones included: a server's estimate, a file's count.
    fn slot_links() -> Vec<(Slot, i64)>;
    /// Links whose labeller had a lower rank than `rank`, unlabelled ones first.
    fn unlabelled(rank: i32, limit: usize) -> Vec<ToLabel>;
    /// How many of them there are, counted up to `limit`.
    fn label_backlog(rank: i32, limit: usize) -> i64;
    /// What a labeller reads of these links; tombstones and strangers are left out.
    fn to_label(codes: &[ShortCode]) -> Vec<ToLabel>;
    /// The links behind `after` in the order of their codes, whoever labelled them.
    fn to_label_after(after: &str, limit: usize) -> Vec<ToLabel>;
    /// Writes labels where the version still is the one that was read and nobody of a higher rank
    /// has spoken, unless `force`. Only a changed verdict raises the version and is told.
    fn label(labels: &[NewLabel], labeller: Labeller<'_>) -> LabelsWritten;
    /// Moves a label worker's place in a partition, under its lease; `false`: it is lost.
    fn label_offset(slot: Slot, epoch: i64, next: i64) -> bool;
    /// A number that changes with every new row of the feed, where asking is cheap.
    fn feed_head() -> Option<i64>;
    /// The changes of the last `micros` microseconds.
    fn changes(micros: i64) -> Vec<Change>;
    /// Deletes old changes and watermarks.
    fn prune() -> ();
    /// Writes a producer's sign of life.
    fn beat(beat: &Beat) -> ();
    /// What it counted of these producers, in slots that it owns.
    fn watermarks(producers: &[Uuid]) -> Vec<CountedTo>;
    /// The open gaps of these producers.
    fn gaps(producers: &[Uuid]) -> Vec<Gap>;
    /// Writes a worker's sign of life and names the workers that live.
    fn beat_worker(worker: &str) -> Vec<String>;
    /// Takes a worker off the list.
    fn forget_worker(worker: &str) -> ();
    /// The leases of this shard's partitions.
    fn leases(job: Job) -> Vec<Lease>;
    /// Takes a free partition; `None` if somebody holds it.
    fn take_lease(job: Job, slot: Slot, worker: &str) -> Option<Lease>;
    /// Prolongs leases without changing their epoch; answers which are still held.
    fn renew_leases(job: Job, worker: &str, held: &[(Slot, i64)]) -> Vec<Slot>;
    /// Gives leases back.
    fn release_leases(job: Job, worker: &str, held: &[(Slot, i64)]) -> ();
    /// Notes when the readers of these partitions stood at their end.
    fn caught_up(slots: &[(Slot, Timestamp)]) -> ();
    /// Stops a partition for everybody until an operator clears it; `None` clears.
    fn stop_partition(slot: Slot, why: Option<&str>) -> ();
    /// Counts a batch exactly once.
    fn roll_up(batch: &Arc<RollupBatch>, agents: &Arc<Mutex<AgentTable>>) -> RollupOutcome;
    /// The counts of `code` in these quarters of an hour, and the visitors of these UTC days.
    fn stats(code: &ShortCode, quarters: Range<i64>, days: Range<i32>) -> LinkStats;
    /// The clicks of `code` by the values of a dimension, over these UTC days.
    fn values(code: &ShortCode, dimension: Dimension, days: Range<i32>) -> Vec<(String, ClickTotals)>;
    /// How far the counts of `slot` can be behind.
    fn freshness(slot: Slot) -> Freshness;
}

impl Shard {
    /// A shard at its place in the configuration; nothing is opened yet.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn of(place: usize, url: &ShardUrl) -> Result<Self, String> {
        match url {
            ShardUrl::Sqlite(path) => Ok(Self::Sqlite(SqliteShard::new(place, path))),
            ShardUrl::Postgres(url) => PostgresShard::new(place, url.expose()).map(Self::Postgres),
        }
    }

    /// The newest migration that this program knows for it.
    #[must_use]
    pub fn newest_schema(&self) -> i64 {
        let steps = match self {
            Self::Sqlite(_) => SQLITE,
            Self::Postgres(_) => POSTGRES,
        };
        steps.iter().map(|step| step.version).max().unwrap_or(0)
    }

    /// Says who it was judged to be. A file that is open stays the same one.
    pub(super) fn expect(&self, identity: &ClusterRow) {
        match self {
            Self::Sqlite(_) => (),
            Self::Postgres(shard) => shard.expect(&identity.cluster_id, &identity.shard_id),
        }
    }

    /// Who was found in its place, if it was somebody else.
    #[must_use]
    pub fn impostor(&self) -> Option<String> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(shard) => shard.impostor(),
        }
    }

    /// Why its last write failed, or why every one would.
    #[must_use]
    pub fn unwritable(&self) -> Option<String> {
        match self {
            Self::Sqlite(shard) => shard.unwritable(),
            Self::Postgres(shard) => shard.unwritable(),
        }
    }

    /// Whether it answered last time it was asked.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match self {
            Self::Sqlite(shard) => shard.is_up(),
            Self::Postgres(shard) => shard.is_up(),
        }
    }
}
