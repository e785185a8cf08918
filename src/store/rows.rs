//! What the shards take and give: plain rows, the same for both stores.

use uuid::Uuid;

use crate::domain::click_batch::ClickBatch;
use crate::domain::code::ShortCode;
use crate::domain::label::Category;
use crate::domain::label::Label;
use crate::domain::label::Verdict;
use crate::domain::link::ClickTotals;
use crate::domain::link::Link;
use crate::domain::route::LinkState;
use crate::domain::time::Timestamp;
use crate::slots::Slot;

/// Who a shard is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRow {
    /// The cluster it belongs to.
    pub cluster_id: String,
    /// Its identity, not its address.
    pub shard_id: String,
    /// Its number, in order of registration.
    pub ordinal: i32,
    /// Raised after a restore, so that old cache entries are not found.
    pub generation: i64,
    /// The key of derived codes, the same on every shard.
    pub secret: Vec<u8>,
}

/// One row of `slot_owner`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotOwner {
    /// Which slot.
    pub slot: Slot,
    /// Whether the shard may serve it.
    pub active: bool,
    /// The higher one wins where two are active.
    pub owner_epoch: i64,
}

/// One row of the cluster-wide small data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataRow {
    /// Such as `key/<id>`.
    pub key: String,
    /// The highest one on any shard is the value.
    pub version: i64,
    /// JSON.
    pub value: String,
}

/// A change that the feed tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub code: ShortCode,
    /// The version after it.
    pub version: i64,
    /// When, by the shard's clock.
    pub at: Timestamp,
}

/// What an insert did.
#[derive(Clone, Debug, PartialEq)]
pub enum Inserted {
    /// The row is new.
    New(Box<Link>),
    /// The code was there before, live or as a tombstone.
    Taken,
}

/// What a change or deletion did.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// The row now looks like this.
    Done(Box<Link>),
    /// The version was another one, or the state did not allow it.
    Mismatch,
}

/// Which links a list shows.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Only links of this owner; `None`: of everybody.
    pub owner: Option<String>,
    /// Only links with this tag.
    pub tag: Option<String>,
    /// Only links of this category.
    pub category: Option<Category>,
    /// Only links in this state.
    pub status: Option<ListStatus>,
    /// Created at this time or later.
    pub created_after: Option<Timestamp>,
    /// Created before this time.
    pub created_before: Option<Timestamp>,
    /// Only links before this one in the order (newest first, then by code downwards).
    pub before: Option<(i64, String)>,
}

impl ListFilter {
    /// The category as the databases write it.
    pub(super) fn category_number(&self) -> Option<i16> {
        self.category
            .and_then(|category| i16::try_from(category.number()).ok())
    }

    /// The first time that is in, the first that is out, and the place that comes before all.
    ///
    /// Always numbers: with `IS NULL OR` the databases would not seek in their index, and the
    /// last page of a walk would read all that came before it.
    pub(super) fn bounds(&self) -> (i64, i64, (i64, &str)) {
        let after = self.created_after.map_or(i64::MIN, Timestamp::micros);
        let before = self.created_before.map_or(i64::MAX, Timestamp::micros);
        let last = self.before.as_ref();
        let last = last.map_or((i64::MAX, ""), |(time, code)| (*time, code.as_str()));
        (after, before, last)
    }
}

/// The states a list can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListStatus {
    /// May be followed, apart from `valid_from`.
    Active,
    /// Switched off.
    Disabled,
    /// Past its `expires_at`.
    Expired,
    /// Judged suspicious.
    Quarantined,
    /// Judged malicious, or blocked for legal reasons.
    Blocked,
    /// A tombstone.
    Deleted,
}

impl ListStatus {
    /// The state number and, for links in the active state, whether they must have expired.
    #[must_use]
    pub const fn parts(self) -> (i16, Option<bool>) {
        match self {
            Self::Active | Self::Quarantined | Self::Blocked => {
                (LinkState::Active.number(), Some(false))
            }
            Self::Disabled => (LinkState::Disabled.number(), None),
            Self::Expired => (LinkState::Active.number(), Some(true)),
            Self::Deleted => (LinkState::Deleted.number(), None),
        }
    }

    /// What both databases must find true of the verdict in force, an operator's first.
    pub(super) const fn held(self) -> &'static str {
        match self {
            Self::Active => "(NOT l.legal AND coalesce(l.risk_override, l.verdict) = 0)",
            Self::Quarantined => "(NOT l.legal AND coalesce(l.risk_override, l.verdict) = 1)",
            Self::Blocked => "(l.legal OR coalesce(l.risk_override, l.verdict) = 2)",
            Self::Disabled | Self::Expired | Self::Deleted => "true",
        }
    }
}

/// What a labeller reads of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToLabel {
    /// Whose label it will be.
    pub code: ShortCode,
    /// The version that was read: a label of an older one is worth nothing.
    pub version: i64,
    /// What it leads to.
    pub target: String,
    /// What it leads to once it has expired.
    pub expired_url: Option<String>,
    /// A name for people.
    pub title: Option<String>,
    /// The verdict of the labeller before.
    pub verdict: Verdict,
}

/// A label to be written, if the link still has the version that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLabel {
    /// Whose.
    pub code: ShortCode,
    /// The version that was read.
    pub version: i64,
    /// What was said.
    pub label: Label,
}

/// Who labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labeller<'name> {
    /// The name of the rules or the model.
    pub model: &'name str,
    /// The higher, the better.
    pub rank: i32,
    /// Whether labels of a better one are overwritten too.
    pub force: bool,
}

/// What writing labels did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelsWritten {
    /// Links that carry the label now.
    pub written: usize,
    /// Those whose verdict changed by it, and their new version.
    pub changed: Vec<Change>,
}

/// A page of one shard and the slots that it covers.
#[derive(Clone, Debug, Default)]
pub struct ShardPage {
    /// Newest first.
    pub links: Vec<Link>,
    /// The slots that the shard owns.
    pub slots: Vec<Slot>,
}

/// A producer's sign of life.
#[derive(Clone, Debug)]
pub struct Beat {
    /// The process incarnation.
    pub producer: Uuid,
    /// Where it runs, for people.
    pub host: String,
    /// When it looked at what it holds.
    pub at: Timestamp,
    /// No click of it from before this time is uncounted; `None`: none at all is.
    pub held_since: Option<Timestamp>,
    /// Whether it stopped and its spool is empty.
    pub closed: bool,
}

/// What a shard counted of one slot of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedTo {
    /// The producer.
    pub producer: Uuid,
    /// The slot.
    pub slot: Slot,
    /// The highest number that was counted.
    pub seq: u64,
    /// The first number that is missing below it.
    pub gap: Option<u64>,
}

/// An open gap in a producer's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The slot.
    pub slot: Slot,
    /// The producer.
    pub producer: Uuid,
    /// First missing number.
    pub from: u64,
    /// Last missing number.
    pub to: u64,
}

/// A record that cannot be counted, kept for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadEvent {
    /// The slot it came with.
    pub slot: Slot,
    /// Why.
    pub reason: String,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Where a partition's offset moves with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetMove {
    /// The partition, which is the slot.
    pub slot: Slot,
    /// Where it must stand.
    pub from: i64,
    /// Where it will stand.
    pub to: i64,
    /// The lease under which this was read.
    pub lease_epoch: i64,
    /// Identity of the last record before `to`.
    pub last: Option<(Uuid, u64)>,
    /// Offsets that the bus no longer had, skipped by this move.
    pub lost: Option<(i64, i64)>,
}

/// One transaction of the rollup.
#[derive(Debug, Default)]
pub struct RollupBatch {
    /// In order per producer and slot.
    pub clicks: ClickBatch,
    /// Records that could not be read.
    pub dead: Vec<DeadEvent>,
    /// With Kafka: the partition's move.
    pub offset: Option<OffsetMove>,
}

/// What a rollup transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollupOutcome {
    /// Committed.
    Done(RolledUp),
    /// Somebody else moved the offset or took the lease: nothing was written.
    Fenced,
}

/// The figures of a committed rollup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolledUp {
    /// Clicks that counted now.
    pub counted: ClickTotals,
    /// Copies that were dropped.
    pub duplicates: u64,
    /// Clicks of unknown or purged links.
    pub ignored: u64,
    /// Events set aside.
    pub dead: u64,
    /// Rows written.
    pub rows: u64,
}

/// What a worker reads partitions for; each kind has leases and places of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Clicks → counts.
    Count,
    /// Links → labels.
    Label,
}

impl Job {
    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Count => "progress",
            Self::Label => "label_progress",
        }
    }
}

/// A partition's lease and position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The partition.
    pub slot: Slot,
    /// Who holds it, if it has not run out.
    pub holder: Option<String>,
    /// Grows with every taking, never with a renewal.
    pub epoch: i64,
    /// The next offset to read.
    pub next_offset: i64,
    /// Identity of the record before it.
    pub last: Option<(Uuid, u64)>,
    /// Why nobody may read it, if so.
    pub stopped: Option<String>,
}

/// The counts of one link in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Quarters of an hour with clicks.
    pub quarters: Vec<(i64, ClickTotals)>,
    /// Sum of the days' unique visitors.
    pub uniques: u64,
}

/// How far the counts of a slot can be behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The database's time.
    pub now: Timestamp,
    /// Every producer that did not close, and those that did with clicks on the bus which nobody
    /// can have counted yet.
    pub producers: Vec<ProducerSeen>,
    /// With Kafka: when the partition's reader last stood at its end.
    pub caught_up_at: Option<Timestamp>,
}

/// A producer that has not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerSeen {
    /// The process incarnation.
    pub id: Uuid,
    /// When it last looked at what it holds.
    pub seen_at: Timestamp,
    /// No click of it from before this time is uncounted; `None`: none at all was, then.
    pub held_since: Option<Timestamp>,
    /// Whether it ended: no further sign of life comes.
    pub closed: bool,
}
