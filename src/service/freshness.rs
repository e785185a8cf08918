//! How fresh counts are: what this process holds itself, and what the others said they hold.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::events::spool::Spool;
use crate::slots::Slot;
use crate::store::StoreError;
use crate::store::rows::Freshness;
use crate::store::shard::Shard;

/// A producer that was not seen for this long may hold clicks that nobody knows of: three signs of
/// life and a bit.
const VANISHED: Duration = Duration::from_secs(7);
/// A partition whose reader did not stand at its end for this long may hold records.
const BEHIND: Duration = Duration::from_secs(15);
/// A click needs this long at most from the visitor to its number, where its producer sees it.
const ON_ITS_WAY: Duration = Duration::from_millis(250);

/// What this process, and the producers that it speaks for, hold of some slots.
#[derive(Clone, Debug)]
pub struct Mine {
    /// When this was looked at: no click before it is unknown.
    pub asked: Timestamp,
    /// By producer: no click before this time is uncounted; `None`: none at all is.
    pub held: BTreeMap<Uuid, Option<Timestamp>>,
    /// Whether every click that was taken before has its number, and every file its keeper.
    pub is_whole: bool,
}

/// Asks a shard what it counted of this process' clicks, and what is left of these slots.
///
/// # Errors
/// An outage of the shard.
pub async fn mine(
    spool: &Spool,
    shard: &Shard,
    slots: &[Slot],
    asked: Timestamp,
) -> Result<Mine, StoreError> {
    let ledger = spool.ledger();
    let is_whole = spool.flush(ON_ITS_WAY).await && ledger.is_whole();
    for mark in shard.watermarks(&ledger.producers()).await? {
        ledger.settle((mark.producer, mark.slot), mark.seq, mark.gap, asked);
    }
    Ok(Mine {
        asked,
        held: ledger.held(slots),
        is_whole,
    })
}

/// Until when everything is counted, and whether nobody may hold anything at all.
#[must_use]
pub fn judge(mine: &Mine, seen: &Freshness, kafka: bool) -> (Timestamp, bool) {
    let mut as_of = seen.now;
    let mut nothing_held = mine.is_whole;
    for held in mine.held.values() {
        let settled = if mine.is_whole {
            mine.asked
        } else {
            mine.asked.minus(ON_ITS_WAY)
        };
        as_of = as_of.min(held.unwrap_or(settled));
        nothing_held &= held.is_none();
    }
    for producer in &seen.producers {
        if mine.held.contains_key(&producer.id) {
            continue;
        }
        let settled = producer.seen_at.minus(ON_ITS_WAY);
        as_of = as_of.min(producer.held_since.unwrap_or(settled));
        let silent = !producer.closed && seen.now.since(producer.seen_at) > VANISHED;
        nothing_held &= producer.held_since.is_none() && !silent;
    }
    if kafka {
        // Where no reader ever came to the end, the producers alone tell what is missing.
        as_of = as_of.min(seen.caught_up_at.unwrap_or(as_of));
        let behind = |at| seen.now.since(at) > BEHIND;
        nothing_held &= !seen.caught_up_at.is_none_or(behind);
    }
    (as_of, nothing_held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::ProducerSeen;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn mine(held: &[(Uuid, Option<Timestamp>)]) -> Mine {
        Mine {
            asked: at(100),
            held: held.iter().copied().collect(),
            is_whole: true,
        }
    }

    fn seen(producers: &[(Uuid, i64, Option<Timestamp>, bool)]) -> Freshness {
        let producer =
            |&(id, seen_at, held_since, closed): &(Uuid, i64, Option<Timestamp>, bool)| {
                ProducerSeen {
                    id,
                    seen_at: at(seen_at),
                    held_since,
                    closed,
                }
            };
        Freshness {
            now: at(100),
            producers: producers.iter().map(producer).collect(),
            caught_up_at: Some(at(98)),
        }
    }

    #[test]
    fn what_this_process_knows_of_itself_stands_above_what_it_told() {
        let me = Uuid::now_v7();
        let told = seen(&[(me, 10, Some(at(5)), false)]);
        assert_eq!(judge(&mine(&[(me, None)]), &told, false), (at(100), true));
        let held = mine(&[(me, Some(at(99)))]);
        assert_eq!(
            judge(&held, &seen(&[(me, 100, None, false)]), false),
            (at(99), false)
        );
        let blind = Mine {
            is_whole: false,
            ..mine(&[(me, None)])
        };
        assert!(!judge(&blind, &told, false).1);
    }

    #[test]
    fn others_hold_what_they_said_and_may_hold_more_once_they_are_silent() {
        let (me, other) = (Uuid::now_v7(), Uuid::now_v7());
        let mine = mine(&[(me, None)]);
        let judged =
            |seen_at, held, closed| judge(&mine, &seen(&[(other, seen_at, held, closed)]), false);
        let quarter = Duration::from_millis(250);
        assert_eq!(judged(95, None, false), (at(95).minus(quarter), true));
        assert_eq!(judged(99, Some(at(40)), false), (at(40), false));
        assert_eq!(judged(90, None, false), (at(90).minus(quarter), false));
        assert_eq!(
            judged(50, Some(at(40)), true),
            (at(40), false),
            "on the bus"
        );
    }

    #[test]
    fn a_bus_counts_up_to_where_its_reader_stood_at_the_end() {
        let me = Uuid::now_v7();
        let mine = mine(&[(me, None)]);
        let mut seen = seen(&[]);
        assert_eq!(judge(&mine, &seen, true), (at(98), true));
        seen.caught_up_at = Some(at(80));
        assert_eq!(judge(&mine, &seen, true), (at(80), false));
        seen.caught_up_at = None;
        assert_eq!(judge(&mine, &seen, true), (at(100), false));
    }
}
