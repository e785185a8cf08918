//! Which clicks of a batch count, and what they add: the part of a rollup that needs no database.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use foldhash::quality::RandomState;
use uuid::Uuid;

use crate::domain::agent::AgentTable;
use crate::domain::click::Click;
use crate::domain::click_batch::ClickBatch;
use crate::domain::code::is_code;
use crate::domain::counts::Counts;
use crate::domain::counts::LinkCounts;
use crate::domain::counts::MAX_VALUES;
use crate::domain::counts::OTHER;
use crate::domain::counts::Tally;
use crate::domain::dedupe::Verdict;
use crate::domain::dedupe::Watermark;
use crate::domain::link::ClickTotals;
use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::rows::DeadEvent;
use crate::store::rows::RolledUp;

/// Watermarks by slot and producer, as a store read them behind the slots' locks.
pub(super) type Marks = BTreeMap<(u8, Uuid), Watermark>;

/// What a store knows before it settles a batch.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Watermarks and gaps of the batch's producers.
    pub(super) marks: Marks,
    /// Producers that `producers` names.
    pub(super) producers: HashSet<Uuid>,
    /// Codes of the batch that are links and not purged.
    pub(super) live: HashSet<Arc<str>, RandomState>,
}

/// What a store has to write.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Sorted counts.
    pub(super) counts: Counts,
    /// Watermarks that moved or whose gaps changed.
    pub(super) moved: Marks,
    /// Events to set aside.
    pub(super) dead: Vec<DeadEvent>,
    /// The figures so far; `rows` is filled in by the store.
    pub(super) figures: RolledUp,
}

/// The slots, producers and codes that a batch touches, each once and sorted.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) slots: Vec<Slot>,
    pub(super) producers: Vec<Uuid>,
    pub(super) codes: Vec<Arc<str>>,
}

impl Touched {
    pub(super) fn by(clicks: &ClickBatch, and: Option<Slot>) -> Self {
        let mut slots: Vec<Slot> = clicks
            .runs()
            .filter_map(|(origin, _)| Slot::new(origin.slot))
            .collect();
        slots.extend(and);
        slots.sort_unstable();
        slots.dedup();
        let mut producers: Vec<Uuid> = clicks.runs().map(|(origin, _)| origin.producer).collect();
        producers.sort_unstable();
        producers.dedup();
        let codes = clicks.codes().iter();
        let mut codes: Vec<Arc<str>> = codes
            .filter(|code| is_code(code.as_bytes()))
            .map(Arc::clone)
            .collect();
        codes.sort_unstable();
        Self {
            slots,
            producers,
            codes,
        }
    }
}

/// What a batch's code is.
#[derive(Clone, Copy)]
struct CodeFacts {
    /// The slot it belongs to; nothing where it cannot be a code.
    slot: Option<u8>,
    /// Whether it is a link that is not purged.
    is_live: bool,
}

/// Sorts the clicks into new ones and copies, and adds the new ones up.
pub(super) fn settle(
    clicks: &ClickBatch,
    mut known: Known,
    now: Timestamp,
    agents: &mut AgentTable,
) -> Settled {
    let mut settled = Settled::default();
    let mut tally = Tally::new(clicks);
    let codes: Vec<CodeFacts> = clicks
        .codes()
        .iter()
        .map(|code| CodeFacts {
            slot: is_code(code.as_bytes()).then(|| Slot::of(code).number()),
            is_live: known.live.contains(code),
        })
        .collect();
    for (origin, run) in clicks.runs() {
        let key = (origin.slot, origin.producer);
        let mut mark = known.marks.remove(&key);
        let mut moved = false;
        let seqs = (0_u64..).map_while(|place| origin.first_seq.checked_add(place));
        for (place, (seq, click)) in seqs.zip(run).enumerate() {
            let facts = codes.get(click.code as usize);
            let mut set_aside = |reason: &str| {
                let click = clicks.unpacked(origin, place, *click);
                let dead = click.and_then(|click| dead(&click, reason));
                settled.dead.extend(dead);
            };
            if let Some(flaw) = flaw(seq, facts, origin.slot) {
                set_aside(flaw);
                continue;
            }
            let stranger = mark.is_none() && !known.producers.contains(&key.1) && seq != 1;
            if stranger {
                set_aside("a producer that nobody knows begins in the middle");
                continue;
            }
            if mark.get_or_insert_default().take(seq) == Verdict::Duplicate {
                settled.figures.duplicates += 1;
                continue;
            }
            moved = true;
            if facts.is_some_and(|facts| facts.is_live) {
                tally.add(*click, now);
            } else {
                settled.figures.ignored += 1;
            }
        }
        if let Some(mark) = mark {
            if moved {
                settled.moved.insert(key, mark.clone());
            }
            known.marks.insert(key, mark);
        }
    }
    let slots: Vec<u8> = codes
        .iter()
        .map(|facts| facts.slot.unwrap_or_default())
        .collect();
    settled.counts = tally.counts(&slots, agents);
    for link in settled.counts.links.values() {
        settled.figures.counted.human += link.totals.human;
        settled.figures.counted.bot += link.totals.bot;
        settled.figures.counted.preview += link.totals.preview;
        settled.figures.counted.head += link.totals.head;
    }
    settled.figures.dead = settled.dead.len() as u64;
    settled
}

/// What makes a click one that no store can count; it came from outside, and a batch that fails for
/// it would fail for ever.
fn flaw(seq: u64, code: Option<&CodeFacts>, slot: u8) -> Option<&'static str> {
    let slot_of_code = code.and_then(|code| code.slot);
    if i64::try_from(seq).is_err() {
        Some("its number is too high")
    } else if slot_of_code.is_none() {
        Some("its code is none")
    } else if slot_of_code != Some(slot) {
        Some("its slot is not its code's")
    } else {
        None
    }
}

fn dead(click: &Click, reason: &str) -> Option<DeadEvent> {
    let payload = serde_json::to_vec(click).unwrap_or_default();
    Some(DeadEvent {
        slot: Slot::new(click.slot)?,
        reason: reason.to_owned(),
        payload,
    })
}

/// A link's values of one day and dimension.
pub(super) type Group = (Arc<str>, i32, i16);

/// Per group how many values are stored, and which of the batch's are among them.
pub(super) type Stored = HashMap<Group, (i64, HashSet<Arc<str>>)>;

/// The groups of a batch with the values that it brings.
pub(super) fn groups(counts: &Counts) -> BTreeMap<Group, Vec<Arc<str>>> {
    let mut groups: BTreeMap<Group, Vec<Arc<str>>> = BTreeMap::new();
    for ((_, code), link) in &counts.links {
        for (day, dimension, value) in link.values.keys() {
            let group = (Arc::clone(code), *day, *dimension);
            groups.entry(group).or_default().push(Arc::clone(value));
        }
    }
    groups
}

/// Folds values that would be one too many for their group into `other`.
///
/// A group that is missing in `stored` has no value yet.
pub(super) fn fold_surplus(counts: &mut Counts, stored: &Stored) {
    for ((_, code), link) in &mut counts.links {
        let mut added: HashMap<(i32, i16), i64> = HashMap::new();
        let keys: Vec<(i32, i16, Arc<str>)> = link.values.keys().cloned().collect();
        for (day, dimension, value) in keys {
            let group = stored.get(&(Arc::clone(code), day, dimension));
            if &*value == OTHER || group.is_some_and(|(_, known)| known.contains(&value)) {
                continue;
            }
            let new = added.entry((day, dimension)).or_default();
            if group.map_or(0, |(count, _)| *count) + *new < MAX_VALUES {
                *new += 1;
            } else {
                fold(link, (day, dimension, value));
            }
        }
    }
}

fn fold(link: &mut LinkCounts, key: (i32, i16, Arc<str>)) {
    let Some(surplus) = link.values.remove(&key) else {
        return;
    };
    let other: &mut ClickTotals = link.values.entry((key.0, key.1, OTHER.into())).or_default();
    other.human += surplus.human;
    other.bot += surplus.bot;
    other.preview += surplus.preview;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::click::ClickKind;
    use crate::domain::click::Trigger;

    fn click(seq: u64, referrer: &str) -> Click {
        Click {
            v: 1,
            producer_id: Uuid::from_u128(1),
            slot: Slot::of("abc").number(),
            seq,
            code: "abc".into(),
            at: Timestamp::from_micros(5),
            kind: ClickKind::Human,
            trigger: Trigger::Link,
            country: None,
            referrer: Some(referrer.into()),
            agent: "x".into(),
            language: None,
            visitor: seq,
        }
    }

    fn known() -> Known {
        Known {
            live: std::iter::once("abc".into()).collect(),
            ..Known::default()
        }
    }

    #[test]
    fn copies_are_dropped_and_new_clicks_are_added_up() {
        let clicks = [click(1, "a"), click(2, "a"), click(2, "a"), click(1, "a")];
        let now = Timestamp::from_micros(10);
        let settled = settle(
            &clicks.iter().collect(),
            known(),
            now,
            &mut AgentTable::new(),
        );
        assert_eq!(settled.figures.counted.human, 2);
        assert_eq!(settled.figures.duplicates, 2);
        assert_eq!(
            settled.moved.values().next().map(|mark| mark.last_seq),
            Some(2)
        );
    }

    #[test]
    fn an_unknown_producer_must_begin_at_one() {
        let clicks = [click(5, "a"), click(6, "a")];
        let now = Timestamp::from_micros(10);
        let settled = settle(
            &clicks.iter().collect(),
            known(),
            now,
            &mut AgentTable::new(),
        );
        assert_eq!((settled.dead.len(), settled.figures.counted.human), (2, 0));
    }

    #[test]
    fn a_link_keeps_a_thousand_values_a_day() {
        let clicks: Vec<Click> = (1..=1_500)
            .map(|seq| click(seq, &format!("h{seq}")))
            .collect();
        let now = Timestamp::from_micros(10);
        let mut settled = settle(
            &clicks.iter().collect(),
            known(),
            now,
            &mut AgentTable::new(),
        );
        fold_surplus(&mut settled.counts, &HashMap::new());
        let link = settled.counts.links.values().next().unwrap();
        let referrers: Vec<_> = link
            .values
            .iter()
            .filter(|((_, dim, _), _)| *dim == 1)
            .collect();
        assert_eq!(referrers.len(), 1_001);
        let other = referrers
            .iter()
            .find(|((_, _, value), _)| &**value == OTHER)
            .unwrap();
        assert_eq!(other.1.human, 500);
    }
}
