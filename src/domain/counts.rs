//! Pre-aggregated counts of a batch of clicks: one row for each counter that moves.
//!
//! # Why
//!
//! A click moves a dozen counters. Clicks that agree in everything that is counted are therefore
//! first tallied as one group (one look-up a click), and the groups are spread over the counters
//! once, at the end.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::domain::agent::AgentTable;
use crate::domain::click::Click;
use crate::domain::click::ClickKind;
use crate::domain::click::Dimension;
use crate::domain::link::ClickTotals;
use crate::domain::time::Timestamp;

/// The most values that one link, day and dimension keeps; the rest is counted as [`OTHER`].
pub const MAX_VALUES: i64 = 1_000;

/// The value that stands for all that did not fit.
pub const OTHER: &str = "other";

/// The longest value of a dimension in bytes.
const MAX_VALUE_BYTES: usize = 253;

/// The counts of one batch, sorted so that two batches lock rows in the same order.
#[derive(Debug, Default)]
pub struct Counts {
    /// Per slot and code.
    pub links: BTreeMap<(u8, Arc<str>), LinkCounts>,
    /// Clicks that were added.
    pub clicks: u64,
}

/// What one link gains.
#[derive(Debug, Default)]
pub struct LinkCounts {
    /// Over all time.
    pub totals: ClickTotals,
    /// Per quarter of an hour since 1970.
    pub quarters: BTreeMap<i64, ClickTotals>,
    /// Per UTC day since 1970, dimension and value; `head` stays 0.
    pub values: BTreeMap<(i32, i16, Arc<str>), ClickTotals>,
    /// Visitor hashes of people, each once, per UTC day.
    pub visitors: BTreeMap<i32, Vec<u64>>,
}

/// Clicks that are equal in all that is counted, and how many there are.
#[derive(Debug)]
struct Group<'click> {
    first: &'click Click,
    quarter: i64,
    clicks: i64,
}

/// Adds clicks up; [`counts`](Tally::counts) spreads them over the counters.
#[derive(Debug, Default)]
pub struct Tally<'click> {
    groups: HashTable<Group<'click>>,
    visitors: HashSet<(&'click str, i32, u64), RandomState>,
    hashes: RandomState,
}

impl<'click> Tally<'click> {
    /// Adds one click that counts. Times beyond `now` are clamped to it.
    pub fn add(&mut self, click: &'click Click, now: Timestamp) {
        let at = click.at.min(now);
        let quarter = at.quarter();
        let hash = hash(&self.hashes, click, quarter);
        let same = |group: &Group<'_>| group.quarter == quarter && agree(group.first, click);
        let rehash = |group: &Group<'_>| hash_of(&self.hashes, group);
        match self.groups.entry(hash, same, rehash) {
            Entry::Occupied(mut group) => group.get_mut().clicks += 1,
            Entry::Vacant(place) => {
                place.insert(Group {
                    first: click,
                    quarter,
                    clicks: 1,
                });
            }
        }
        if click.kind == ClickKind::Human {
            self.visitors.insert((&click.code, at.day(), click.visitor));
        }
    }

    /// The counts of everything that was added.
    #[must_use]
    pub fn counts(self, agents: &mut AgentTable) -> Counts {
        let mut counts = Counts::default();
        let mut slots: BTreeMap<&str, (u8, Arc<str>)> = BTreeMap::new();
        for group in &self.groups {
            counts.spread(group, agents);
            let click = group.first;
            slots
                .entry(&click.code)
                .or_insert_with(|| (click.slot, Arc::clone(&click.code)));
        }
        for (code, day, visitor) in self.visitors {
            if let Some(link) = slots.get(code).and_then(|key| counts.links.get_mut(key)) {
                link.visitors.entry(day).or_default().push(visitor);
            }
        }
        counts
    }
}

fn hash_of(hashes: &RandomState, group: &Group<'_>) -> u64 {
    hash(hashes, group.first, group.quarter)
}

fn hash(hashes: &RandomState, click: &Click, quarter: i64) -> u64 {
    let mut hasher = hashes.build_hasher();
    hasher.write_i64(quarter);
    (&click.code, &click.agent, &click.referrer, &click.language).hash(&mut hasher);
    hasher.finish()
}

/// Whether two clicks move the same counters, but for their time.
fn agree(left: &Click, right: &Click) -> bool {
    left.kind == right.kind
        && left.trigger == right.trigger
        && left.code == right.code
        && left.agent == right.agent
        && left.referrer == right.referrer
        && left.language == right.language
        && left.country == right.country
}

impl Counts {
    fn spread(&mut self, group: &Group<'_>, agents: &mut AgentTable) {
        let (click, clicks) = (group.first, group.clicks);
        let link = self
            .links
            .entry((click.slot, Arc::clone(&click.code)))
            .or_default();
        self.clicks += clicks.cast_unsigned();
        bump(&mut link.totals, click.kind, clicks);
        bump(
            link.quarters.entry(group.quarter).or_default(),
            click.kind,
            clicks,
        );
        if click.kind == ClickKind::Head {
            return;
        }
        let day = Timestamp::from_quarter(group.quarter).day();
        let agent = agents.parse(&click.agent);
        for dimension in Dimension::ALL {
            let value = match dimension {
                Dimension::Country => agents.intern(click.country.as_deref().unwrap_or("unknown")),
                Dimension::Referrer => agents.intern(click.referrer.as_deref().unwrap_or("direct")),
                Dimension::Browser => Arc::clone(&agent.browser),
                Dimension::Os => Arc::clone(&agent.os),
                Dimension::Device => Arc::clone(&agent.device),
                Dimension::Language => {
                    agents.intern(click.language.as_deref().unwrap_or("unknown"))
                }
                Dimension::Trigger => agents.intern(click.trigger.word()),
            };
            let key = (day, dimension.number(), clamp(value));
            bump(link.values.entry(key).or_default(), click.kind, clicks);
        }
    }

    /// How many rows a store will write for these counts.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.links
            .values()
            .map(|link| 1 + link.quarters.len() + link.values.len() + link.visitors.len())
            .sum()
    }
}

fn clamp(value: Arc<str>) -> Arc<str> {
    if value.len() <= MAX_VALUE_BYTES && !value.contains('\0') {
        value
    } else {
        OTHER.into()
    }
}

fn bump(totals: &mut ClickTotals, kind: ClickKind, clicks: i64) {
    match kind {
        ClickKind::Human => totals.human += clicks,
        ClickKind::Bot => totals.bot += clicks,
        ClickKind::Preview => totals.preview += clicks,
        ClickKind::Head => totals.head += clicks,
    }
}
