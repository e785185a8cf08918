//! Pre-aggregated counts of a batch of clicks: one row for each counter that moves.
//!
//! # Why
//!
//! A click moves a dozen counters. Clicks that agree in everything that is counted are therefore
//! first tallied as one group (one look-up a click), and the groups are spread over the counters
//! once, at the end.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::domain::agent::AgentTable;
use crate::domain::click::ClickKind;
use crate::domain::click::Dimension;
use crate::domain::click_batch::ClickBatch;
use crate::domain::click_batch::PackedClick;
use crate::domain::click_batch::Traits;
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

/// Clicks that are equal in all that is counted: their code, traits and quarter.
type Group = (u32, u32, i64);

/// Adds clicks of one batch up; [`counts`](Tally::counts) spreads them over the counters.
#[derive(Debug)]
pub struct Tally<'batch> {
    batch: &'batch ClickBatch,
    /// How many clicks of each group.
    groups: HashMap<Group, i64, RandomState>,
    /// Code, day and hash of people.
    visitors: HashSet<(u32, i32, u64), RandomState>,
}

impl<'batch> Tally<'batch> {
    /// Begins with nothing.
    #[must_use]
    pub fn new(batch: &'batch ClickBatch) -> Self {
        Self {
            batch,
            groups: HashMap::default(),
            visitors: HashSet::default(),
        }
    }

    /// Adds one click of the batch that counts. Times beyond `now` are clamped to it.
    pub fn add(&mut self, click: PackedClick, now: Timestamp) {
        let at = click.at.min(now);
        let group = (click.code, click.traits, at.quarter());
        *self.groups.entry(group).or_default() += 1;
        let traits = self.batch.traits().get(click.traits as usize);
        if traits.is_some_and(|traits| traits.kind == ClickKind::Human) {
            self.visitors.insert((click.code, at.day(), click.visitor));
        }
    }

    /// The counts of everything that was added; `slots` holds the slot of each of the batch's
    /// codes.
    #[must_use]
    pub fn counts(self, slots: &[u8], agents: &mut AgentTable) -> Counts {
        let mut counts = Counts::default();
        let link = |code: u32| {
            let slot = slots.get(code as usize)?;
            let code = self.batch.codes().get(code as usize)?;
            Some((*slot, Arc::clone(code)))
        };
        let dimensions: Vec<[Arc<str>; Dimension::ALL.len()]> = self
            .batch
            .traits()
            .iter()
            .map(|traits| dimensions(traits, agents))
            .collect();
        for ((code, traits, quarter), clicks) in self.groups {
            let known = self.batch.traits().get(traits as usize);
            let values = dimensions.get(traits as usize);
            if let (Some(key), Some(traits), Some(values)) = (link(code), known, values) {
                counts.clicks += clicks.cast_unsigned();
                let link = counts.links.entry(key).or_default();
                link.spread((traits.kind, values), quarter, clicks);
            }
        }
        for (code, day, visitor) in self.visitors {
            if let Some(link) = link(code).and_then(|key| counts.links.get_mut(&key)) {
                link.visitors.entry(day).or_default().push(visitor);
            }
        }
        counts
    }
}

/// What traits count as, in the order of [`Dimension::ALL`].
fn dimensions(traits: &Traits, agents: &mut AgentTable) -> [Arc<str>; Dimension::ALL.len()] {
    let agent = agents.parse(&traits.agent);
    Dimension::ALL.map(|dimension| {
        clamp(match dimension {
            Dimension::Country => agents.intern(traits.country.as_deref().unwrap_or("unknown")),
            Dimension::Referrer => agents.intern(traits.referrer.as_deref().unwrap_or("direct")),
            Dimension::Browser => Arc::clone(&agent.browser),
            Dimension::Os => Arc::clone(&agent.os),
            Dimension::Device => Arc::clone(&agent.device),
            Dimension::Language => agents.intern(traits.language.as_deref().unwrap_or("unknown")),
            Dimension::Trigger => agents.intern(traits.trigger.word()),
        })
    })
}

impl LinkCounts {
    fn spread(
        &mut self,
        (kind, values): (ClickKind, &[Arc<str>; Dimension::ALL.len()]),
        quarter: i64,
        clicks: i64,
    ) {
        bump(&mut self.totals, kind, clicks);
        bump(self.quarters.entry(quarter).or_default(), kind, clicks);
        if kind == ClickKind::Head {
            return;
        }
        let day = Timestamp::from_quarter(quarter).day();
        for (dimension, value) in Dimension::ALL.iter().zip(values) {
            let key = (day, dimension.number(), Arc::clone(value));
            bump(self.values.entry(key).or_default(), kind, clicks);
        }
    }
}

impl Counts {
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::click::Click;
    use crate::domain::click::SCHEMA_VERSION;
    use crate::domain::click::Trigger;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
    /// A day and a bit, in microseconds.
    const THEN: i64 = 90_000_000_000;

    fn click(code: &str, kind: ClickKind, visitor: u64) -> Click {
        Click {
            v: SCHEMA_VERSION,
            producer_id: Uuid::nil(),
            slot: 0,
            seq: 1,
            code: code.into(),
            at: Timestamp::from_micros(THEN),
            kind,
            trigger: Trigger::Link,
            country: None,
            referrer: Some(format!("{visitor}.example").into()),
            agent: FIREFOX.into(),
            language: None,
            visitor,
        }
    }

    #[test]
    fn every_counter_of_every_link_gains_its_own_clicks() {
        let late = Click {
            at: Timestamp::from_micros(THEN * 2),
            ..click("b", ClickKind::Human, 2)
        };
        let clicks = [
            click("a", ClickKind::Human, 1),
            click("a", ClickKind::Human, 1),
            click("a", ClickKind::Head, 3),
            click("b", ClickKind::Human, 1),
            click("b", ClickKind::Bot, 4),
            late,
        ];
        let batch: ClickBatch = clicks.iter().collect();
        let mut tally = Tally::new(&batch);
        let now = Timestamp::from_micros(THEN + 1);
        for (_, run) in batch.runs() {
            run.iter().for_each(|click| tally.add(*click, now));
        }
        let counts = tally.counts(&[5, 6], &mut AgentTable::new());
        let link = |slot, code: &str| &counts.links[&(slot, code.into())];
        let (a, b) = (link(5, "a"), link(6, "b"));
        let sums = |totals: &ClickTotals| (totals.human, totals.bot, totals.head);
        assert_eq!((sums(&a.totals), sums(&b.totals)), ((2, 0, 1), (2, 1, 0)));
        assert_eq!(
            (a.quarters.len(), b.quarters.len()),
            (1, 1),
            "clamped to now"
        );
        let visitors = |link: &LinkCounts| {
            let mut hashes = link.visitors[&1].clone();
            hashes.sort_unstable();
            hashes
        };
        assert_eq!((visitors(a), visitors(b)), (vec![1], vec![1, 2]));
        let value = |link: &LinkCounts, dimension: Dimension, value: &str| {
            let key = (1, dimension.number(), value.into());
            link.values.get(&key).map(sums)
        };
        assert_eq!(value(a, Dimension::Browser, "Firefox"), Some((2, 0, 0)));
        assert_eq!(value(a, Dimension::Referrer, "3.example"), None);
        assert_eq!(value(b, Dimension::Referrer, "4.example"), Some((0, 1, 0)));
        assert_eq!(value(b, Dimension::Trigger, "link"), Some((2, 1, 0)));
        assert_eq!(counts.clicks, 6);
        assert_eq!(counts.rows(), 2 + 2 + 2 + (7 + 9));
    }
}
