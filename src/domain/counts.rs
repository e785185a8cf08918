//! Pre-aggregated counts of a batch of clicks: one row for each counter that moves.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

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
    /// Visitor hashes of people, per UTC day.
    pub visitors: BTreeMap<i32, BTreeSet<u64>>,
}

impl Counts {
    /// Adds one click that counts. Times beyond `now` are clamped to it.
    pub fn add(&mut self, click: &Click, now: Timestamp, agents: &mut AgentTable) {
        let at = click.at.min(now);
        let link = self
            .links
            .entry((click.slot, Arc::clone(&click.code)))
            .or_default();
        self.clicks += 1;
        bump(&mut link.totals, click.kind);
        bump(link.quarters.entry(at.quarter()).or_default(), click.kind);
        if click.kind == ClickKind::Head {
            return;
        }
        let day = at.day();
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
            bump(link.values.entry(key).or_default(), click.kind);
        }
        if click.kind == ClickKind::Human {
            link.visitors.entry(day).or_default().insert(click.visitor);
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

fn bump(totals: &mut ClickTotals, kind: ClickKind) {
    match kind {
        ClickKind::Human => totals.human += 1,
        ClickKind::Bot => totals.bot += 1,
        ClickKind::Preview => totals.preview += 1,
        ClickKind::Head => totals.head += 1,
    }
}
