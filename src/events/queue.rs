//! The bounded queue between redirects and the spool: one lane for each worker.
//!
//! # Why
//!
//! A redirect never waits for a click. It pushes a small record into its own worker's vector, and
//! the spool's writer swaps the vector for an empty one. Texts (agents, referrers, languages) are
//! named by number in a bounded table of the lane, so that a click copies no text.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use foldhash::quality::RandomState;

use crate::domain::click::Hit;
use crate::domain::click::Trigger;
use crate::domain::code::MAX_LENGTH;
use crate::domain::inline::InlineCode;
use crate::slots::Slot;
use crate::telemetry;
use crate::telemetry::DropReason;

/// The memory of all lanes together, in bytes.
const MEMORY: usize = 32 << 20;
/// Texts of a lane; beyond it the table begins anew at the next drain.
const MAX_TEXTS: u16 = 16_384;
/// New texts a second and lane; more than that are [`OTHER`].
const NEW_TEXTS_A_SECOND: u32 = 2_048;
/// The number of the text `other`.
pub const OTHER: u16 = 0;
/// The number of the empty text.
pub const EMPTY: u16 = 1;

/// One click as the redirect leaves it: less than a line of memory, since the writer's core has to
/// fetch it from the worker's.
#[derive(Clone, Debug)]
pub struct Record {
    /// By the databases' clock, microseconds.
    pub at: i64,
    /// Keyed hash of address and agent.
    pub visitor: u64,
    /// The followed code.
    pub code: InlineCode,
    /// Numbers in the lane's table.
    pub agent: u16,
    /// The referring host.
    pub referrer: u16,
    /// The first language.
    pub language: u16,
    /// Two capitals, or zeros.
    pub country: [u8; 2],
    /// Of the code.
    pub slot: Slot,
    /// GET or HEAD.
    pub hit: Hit,
    /// Link or QR code.
    pub trigger: Trigger,
}

/// What a redirect knows of its visitor.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'request> {
    /// By the databases' clock, microseconds.
    pub at: i64,
    /// Keyed hash of address and agent.
    pub visitor: u64,
    /// Clamped to 512 bytes; what is no UTF-8 counts as nothing, here and below.
    pub agent: &'request [u8],
    /// The host alone.
    pub referrer: &'request [u8],
    /// The primary tag.
    pub language: &'request [u8],
    /// Two capitals, or zeros.
    pub country: [u8; 2],
    /// GET or HEAD.
    pub hit: Hit,
    /// Link or QR code.
    pub trigger: Trigger,
}

/// The number of the drain that takes a click along: what a redirect may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A click that found no room, or came after the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped;

/// The lanes of all workers.
#[derive(Debug)]
pub struct Queue {
    lanes: Box<[Lane]>,
    capacity: usize,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane(Mutex<Filling>);

#[derive(Debug, Default)]
struct Filling {
    clicks: Vec<Record>,
    texts: Texts,
    /// How often this lane was drained.
    drains: u64,
}

/// Texts by number; numbers from 2 on are given out.
#[derive(Debug, Default)]
struct Texts {
    /// By bytes: whether they are text is asked once for each, not once a click.
    numbers: HashMap<Box<[u8]>, u16, RandomState>,
    fresh: Vec<(u16, Box<str>)>,
    next: u16,
    second: i64,
    this_second: u32,
}

/// What a drain takes from one lane.
#[derive(Debug, Default)]
pub struct Drained {
    /// In order.
    pub clicks: Vec<Record>,
    /// Texts that are new since the last drain.
    pub fresh: Vec<(u16, Box<str>)>,
    /// Whether the numbers begin anew after these clicks.
    pub reset: bool,
}

impl Texts {
    fn is_full(&self) -> bool {
        self.next >= MAX_TEXTS
    }

    fn number(&mut self, bytes: &[u8], at: i64) -> u16 {
        if bytes.is_empty() {
            return EMPTY;
        }
        if let Some(number) = self.numbers.get(bytes) {
            return *number;
        }
        let Some(text) = text_of(bytes) else {
            return EMPTY;
        };
        let second = at / 1_000_000;
        if second != self.second {
            self.second = second;
            self.this_second = 0;
        }
        if self.this_second >= NEW_TEXTS_A_SECOND || self.is_full() {
            return OTHER;
        }
        self.this_second += 1;
        self.next += 1;
        let number = self.next + EMPTY;
        self.numbers.insert(bytes.into(), number);
        self.fresh.push((number, text.into()));
        number
    }
}

/// The text of bytes that may end within a character.
fn text_of(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            let whole = bytes.get(..error.valid_up_to())?;
            std::str::from_utf8(whole).ok()
        }
        Err(_) => None,
    }
}

impl Queue {
    /// A queue with a lane for each of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let workers = workers.max(1);
        let lanes = (0..workers).map(|_| Lane::default()).collect();
        // As if every code were one that needs memory of its own.
        let capacity = MEMORY / workers / (size_of::<Record>() + MAX_LENGTH);
        Self {
            lanes,
            capacity,
            closed: AtomicBool::new(false),
        }
    }

    /// How many lanes there are.
    #[must_use]
    pub const fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Hands a click over, or counts its loss: a redirect never waits.
    ///
    /// # Errors
    /// [`Dropped`] where the lane is full or the queue was closed.
    pub fn push(
        &self,
        lane: usize,
        slot: Slot,
        code: &str,
        visit: &Visit<'_>,
    ) -> Result<Ticket, Dropped> {
        if self.closed.load(Ordering::Relaxed) {
            telemetry::clicks_dropped(DropReason::Stopping, 1);
            return Err(Dropped);
        }
        let Some(Lane(lane)) = self.lanes.get(lane % self.lanes.len()) else {
            return Err(Dropped);
        };
        let mut filling = lane.lock().unwrap_or_else(PoisonError::into_inner);
        if filling.clicks.len() >= self.capacity {
            drop(filling);
            telemetry::clicks_dropped(DropReason::QueueFull, 1);
            return Err(Dropped);
        }
        let filling = &mut *filling;
        filling.clicks.push(Record {
            at: visit.at,
            visitor: visit.visitor,
            code: InlineCode::new(code),
            agent: filling.texts.number(visit.agent, visit.at),
            referrer: filling.texts.number(visit.referrer, visit.at),
            language: filling.texts.number(visit.language, visit.at),
            country: visit.country,
            slot,
            hit: visit.hit,
            trigger: visit.trigger,
        });
        Ok(Ticket(filling.drains + 1))
    }

    /// Takes what lane `number` holds; `spare` is an empty vector whose memory is used again. With
    /// `renew`, and where its table is full, the lane's numbers begin anew.
    #[must_use]
    pub fn drain(&self, number: usize, spare: Vec<Record>, renew: bool) -> Drained {
        let Some(Lane(lane)) = self.lanes.get(number) else {
            return Drained::default();
        };
        let mut filling = lane.lock().unwrap_or_else(PoisonError::into_inner);
        filling.drains += 1;
        let clicks = std::mem::replace(&mut filling.clicks, spare);
        let fresh = std::mem::take(&mut filling.texts.fresh);
        let reset = renew || filling.texts.is_full();
        if reset {
            filling.texts.numbers.clear();
            filling.texts.next = 0;
        }
        Drained {
            clicks,
            fresh,
            reset,
        }
    }

    /// Refuses every further click.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(agent: &[u8]) -> Visit<'_> {
        Visit {
            at: 1,
            visitor: 2,
            agent,
            referrer: b"",
            language: b"de",
            country: *b"DE",
            hit: Hit::Get,
            trigger: Trigger::Link,
        }
    }

    #[test]
    fn texts_are_named_once_and_clicks_come_out_in_order() {
        let queue = Queue::new(1);
        for code in ["a", "b", "c"] {
            assert_eq!(
                queue.push(0, Slot::of(code), code, &visit(b"Firefox")),
                Ok(Ticket(1))
            );
        }
        let drained = queue.drain(0, Vec::new(), false);
        let codes: Vec<&str> = drained
            .clicks
            .iter()
            .map(|click| click.code.as_str())
            .collect();
        assert_eq!(codes, ["a", "b", "c"]);
        assert_eq!(drained.fresh, [(2, "Firefox".into()), (3, "de".into())]);
        assert!(
            drained
                .clicks
                .iter()
                .all(|click| click.agent == 2 && click.referrer == EMPTY)
        );
        assert_eq!(
            queue.push(0, Slot::of("d"), "d", &visit(b"Firefox")),
            Ok(Ticket(2))
        );
        assert!(queue.drain(0, Vec::new(), false).fresh.is_empty());
    }

    #[test]
    fn a_record_is_less_than_a_line_of_memory() {
        assert!(size_of::<Record>() <= 64, "{}", size_of::<Record>());
    }

    #[test]
    fn a_full_or_closed_queue_drops() {
        let queue = Queue {
            capacity: 1,
            ..Queue::new(1)
        };
        assert!(queue.push(0, Slot::of("a"), "a", &visit(b"x")).is_ok());
        assert_eq!(
            queue.push(0, Slot::of("a"), "a", &visit(b"x")),
            Err(Dropped)
        );
        queue.close();
        drop(queue.drain(0, Vec::new(), false));
        assert_eq!(
            queue.push(0, Slot::of("a"), "a", &visit(b"x")),
            Err(Dropped)
        );
    }

    #[test]
    fn what_is_no_text_counts_as_nothing_and_a_cut_character_is_left_out() {
        let queue = Queue::new(1);
        for agent in [&b"a\xff"[..], "a\u{e4}".as_bytes(), b"a\xc3", b"\xc3"] {
            assert!(queue.push(0, Slot::of("a"), "a", &visit(agent)).is_ok());
        }
        let drained = queue.drain(0, Vec::new(), false);
        let numbers: Vec<u16> = drained.clicks.iter().map(|click| click.agent).collect();
        assert_eq!(numbers, [EMPTY, 3, 4, 5]);
        let texts: Vec<&str> = drained.fresh.iter().map(|(_, text)| &**text).collect();
        assert_eq!(texts, ["de", "a\u{e4}", "a", ""]);
    }
}
