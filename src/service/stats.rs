//! Statistics of one link: counts by interval and by dimension, and how fresh they are.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use serde::Serialize;

use crate::domain::calendar::CalendarError;
use crate::domain::calendar::Interval;
use crate::domain::calendar::Zone;
use crate::domain::calendar::ceil_quarter;
use crate::domain::calendar::floor_quarter;
use crate::domain::click::Dimension;
use crate::domain::code::ShortCode;
use crate::domain::link::ClickTotals;
use crate::domain::time::Timestamp;
use crate::events::spool::Spool;
use crate::service::freshness;
use crate::slots::Slot;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::shard::Shard;

/// The most values of a dimension in one answer.
const MAX_VALUES: usize = 1_000;

/// Which clicks a dimension counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// People.
    Human,
    /// Crawlers and tools.
    Bot,
    /// Link previews.
    Preview,
    /// All three.
    #[default]
    All,
}

impl Kind {
    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "human" => Some(Self::Human),
            "bot" => Some(Self::Bot),
            "preview" => Some(Self::Preview),
            "all" => Some(Self::All),
            _ => None,
        }
    }

    const fn of(self, totals: &ClickTotals) -> i64 {
        match self {
            Self::Human => totals.human,
            Self::Bot => totals.bot,
            Self::Preview => totals.preview,
            Self::All => totals.total(),
        }
    }

    /// The totals with the other kinds blanked.
    const fn only(self, totals: ClickTotals) -> ClickTotals {
        let zero = ClickTotals {
            human: 0,
            bot: 0,
            preview: 0,
            head: 0,
        };
        match self {
            Self::Human => ClickTotals {
                human: totals.human,
                ..zero
            },
            Self::Bot => ClickTotals {
                bot: totals.bot,
                ..zero
            },
            Self::Preview => ClickTotals {
                preview: totals.preview,
                ..zero
            },
            Self::All => totals,
        }
    }
}

/// Which clicks are asked for.
#[derive(Clone, Debug)]
pub struct Range {
    /// In.
    pub from: Timestamp,
    /// Out.
    pub to: Timestamp,
    /// Whose days.
    pub zone: Zone,
    /// How they are grouped.
    pub interval: Interval,
    /// Which of them.
    pub kind: Kind,
}

/// The answer about one link.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// In, in the zone's offset.
    pub from: String,
    /// Out.
    pub to: String,
    /// The zone's name.
    pub tz: String,
    /// How the series is grouped.
    pub interval: Interval,
    /// Clicks of the range by kind.
    pub totals: ClickTotals,
    /// A sum of UTC days.
    pub uniques: u64,
    /// One entry for each interval, empty ones too.
    pub series: Vec<Point>,
    /// Everything before this time is counted.
    pub as_of: Timestamp,
    /// How far that lies back.
    pub lag_seconds: f64,
    /// Whether no click of the range may be on its way: nobody holds any, or the range ended before
    /// `as_of`.
    pub complete: bool,
}

/// One interval of a series.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Its beginning, in the zone's offset.
    pub start: String,
    /// People.
    pub human: i64,
    /// Crawlers and tools.
    pub bot: i64,
    /// Link previews.
    pub preview: i64,
}

/// One value of a dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Value {
    /// Such as `Firefox`.
    pub value: String,
    /// Its clicks.
    pub clicks: i64,
}

/// Statistics over the store.
#[derive(Debug)]
pub struct Stats {
    store: Arc<Store>,
    /// What this process holds itself.
    spool: Arc<Spool>,
    /// Whether clicks travel through Kafka, so that its lag counts too.
    kafka: bool,
    /// By shard: when it was asked how fresh it is, and what it said.
    asked: Mutex<HashMap<usize, (Instant, Timestamp)>>,
}

impl Range {
    /// The range of a request; what is not given is the last 30 days (of hours: the last two days)
    /// by UTC days, of everybody.
    ///
    /// # Errors
    /// The parameter's name and what is wrong with it.
    pub fn of(
        from: Option<&str>,
        to: Option<&str>,
        zone: Zone,
        interval: Interval,
        kind: Kind,
        now: Timestamp,
    ) -> Result<Self, (&'static str, CalendarError)> {
        let to = match to {
            Some(text) => zone.parse(text).map_err(|error| ("to", error))?,
            None => now.plus(Duration::from_micros(1)),
        };
        let days = match interval {
            Interval::Hour => 1,
            Interval::Day => 29,
            Interval::Week => 12 * 7 - 1,
            Interval::Month => 364,
        };
        let from = match from {
            Some(text) => zone.parse(text).map_err(|error| ("from", error))?,
            None => zone.day_before(to.minus(Duration::from_micros(1)), days),
        };
        if to <= from {
            return Err(("from", CalendarError::Order));
        }
        // Counts stand in quarters of an hour: the range grows to whole ones.
        Ok(Self {
            from: floor_quarter(from),
            to: ceil_quarter(to),
            zone,
            interval,
            kind,
        })
    }

    fn days(&self) -> std::ops::Range<i32> {
        self.from.day()..self.to.minus(Duration::from_micros(1)).day() + 1
    }
}

impl Stats {
    /// Statistics; `spool`: where this process' clicks wait, `kafka`: whether clicks travel through it.
    #[must_use]
    pub fn new(store: Arc<Store>, spool: Arc<Spool>, kafka: bool) -> Self {
        Self {
            store,
            spool,
            kafka,
            asked: Mutex::default(),
        }
    }

    /// Until when the counts of `slot` are complete; asked at most once a second and shard.
    ///
    /// # Errors
    /// An outage of its shard.
    pub async fn as_of(&self, slot: Slot) -> Result<Timestamp, StoreError> {
        let member = self.store.owner(slot).ok_or(StoreError::NoOwner(slot))?;
        let known = {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.get(&member.place).copied()
        };
        if let Some((at, as_of)) = known
            && at.elapsed() < Duration::from_secs(1)
        {
            return Ok(as_of);
        }
        // Of all its slots: the answer is remembered for each of them.
        let slots = self.store.slots_of(member.place);
        let (as_of, _) = self.freshness(&member.shard, slot, &slots).await?;
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(member.place, (Instant::now(), as_of));
        Ok(as_of)
    }

    /// The report about `code`.
    ///
    /// # Errors
    /// An outage of its shard, as the second of the two; a range with too many intervals.
    pub async fn report(&self, code: &ShortCode, range: &Range) -> Result<Report, StatsError> {
        let starts = range.zone.intervals(range.from, range.to, range.interval)?;
        let slot = Slot::of(code.as_str());
        let shard = self.store.shard_of(slot)?;
        // Freshness first: what is counted meanwhile makes the answer better, not a lie.
        let (as_of, nothing_held) = self.freshness(shard, slot, &[slot]).await?;
        let quarters = range.from.quarter()..range.to.quarter();
        let stats = shard.stats(code, quarters, range.days()).await?;
        let mut totals = ClickTotals::default();
        let mut sums: Vec<ClickTotals> = vec![ClickTotals::default(); starts.len()];
        for (quarter, counts) in &stats.quarters {
            let counts = range.kind.only(*counts);
            add(&mut totals, &counts);
            let at = quarter * crate::domain::time::QUARTER_MICROS;
            let index = starts
                .partition_point(|start| start.micros() <= at)
                .saturating_sub(1);
            if let Some(sum) = sums.get_mut(index) {
                add(sum, &counts);
            }
        }
        let series = starts.iter().zip(&sums).map(|(start, sum)| Point {
            start: range.zone.display(*start),
            human: sum.human,
            bot: sum.bot,
            preview: sum.preview,
        });
        Ok(Report {
            from: range.zone.display(range.from),
            to: range.zone.display(range.to),
            tz: range.zone.name().to_owned(),
            interval: range.interval,
            totals,
            uniques: stats.uniques,
            series: series.collect(),
            as_of,
            lag_seconds: self.store.clock().now().since(as_of).as_secs_f64(),
            complete: nothing_held || as_of >= range.to,
        })
    }

    /// The clicks of `code` by a dimension's values, most first.
    ///
    /// # Errors
    /// An outage of its shard.
    pub async fn values(
        &self,
        code: &ShortCode,
        dimension: Dimension,
        range: &Range,
        limit: usize,
    ) -> Result<Vec<Value>, StatsError> {
        let shard = self.store.shard_of(Slot::of(code.as_str()))?;
        let rows = shard.values(code, dimension, range.days()).await?;
        let mut values: Vec<Value> = rows
            .into_iter()
            .map(|(value, totals)| Value {
                value,
                clicks: range.kind.of(&totals),
            })
            .filter(|value| value.clicks > 0)
            .collect();
        values.sort_by(|left, right| (right.clicks, &left.value).cmp(&(left.clicks, &right.value)));
        values.truncate(limit.min(MAX_VALUES));
        Ok(values)
    }

    /// Until when the counts of `slots` are complete, and whether nobody may hold a click of them;
    /// `slot` is one of them, whose partition is asked for.
    async fn freshness(
        &self,
        shard: &Shard,
        slot: Slot,
        slots: &[Slot],
    ) -> Result<(Timestamp, bool), StoreError> {
        let asked = self.store.clock().now();
        let mine = freshness::mine(&self.spool, shard, slots, asked).await?;
        let seen = shard.freshness(slot).await?;
        Ok(freshness::judge(&mine, &seen, self.kafka))
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The range cannot be answered.
    #[error(transparent)]
    Range(#[from] CalendarError),
    /// The link's shard is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn add(sum: &mut ClickTotals, counts: &ClickTotals) {
    sum.human += counts.human;
    sum.bot += counts.bot;
    sum.preview += counts.preview;
    sum.head += counts.head;
}
