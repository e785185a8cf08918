//! The bytes of clicks: postcard in the spool, JSON on the bus.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;
use serde::Deserialize;
use serde::Serialize;

use crate::domain::agent::AgentTable;
use crate::domain::click::Click;
use crate::domain::click::ClickKind;
use crate::domain::click::Hit;
use crate::domain::click::SCHEMA_VERSION;
use crate::domain::click::Trigger;
use crate::domain::click_batch::ClickBatch;
use crate::domain::click_batch::Origin;
use crate::domain::click_batch::PackedClick;
use crate::domain::click_batch::Traits;
use crate::domain::code::MAX_LENGTH;
use crate::domain::time::Timestamp;
use crate::slots::Slot;

/// The version byte in front of a spool row's payload. Fields are only ever appended, as options,
/// and with a new version: the next release must read what this one left behind.
const ROW_VERSION: u8 = 1;

/// A click in the spool; texts are numbers in the file's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spooled<'row> {
    /// The followed code.
    #[serde(borrow)]
    pub code: &'row str,
    /// Microseconds.
    pub at: i64,
    /// Keyed hash.
    pub visitor: u64,
    /// Text number of the agent.
    pub agent: u32,
    /// Text number of the referring host.
    pub referrer: u32,
    /// Text number of the language.
    pub language: u32,
    /// Two capitals, or zeros.
    pub country: [u8; 2],
    /// GET or HEAD.
    pub hit: Hit,
    /// Link or QR code.
    pub trigger: Trigger,
}

/// A row's payload cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a row of the spool cannot be read: {0}")]
pub struct Unreadable(String);

/// Begins a row's payload.
pub fn begin(payload: &mut Vec<u8>) {
    payload.clear();
    payload.push(ROW_VERSION);
}

/// Appends a click to a row's payload: the bytes of postcard's, written at once instead of one by
/// one, since every click passes here.
pub fn append(payload: &mut Vec<u8>, click: &Spooled<'_>) {
    let mut row = Row::default();
    row.varint(click.code.len() as u64);
    row.bytes(click.code.as_bytes());
    row.varint(zigzag(click.at));
    row.varint(click.visitor);
    row.varint(click.agent.into());
    row.varint(click.referrer.into());
    row.varint(click.language.into());
    row.bytes(&click.country);
    row.bytes(&[click.hit as u8, click.trigger as u8]);
    payload.extend_from_slice(row.written());
}

/// The longest click: a code, seven numbers of at most ten bytes, and four bytes.
const LONGEST_CLICK: usize = MAX_LENGTH + 7 * 10 + 4;

/// A click that is being written.
struct Row {
    bytes: [u8; LONGEST_CLICK],
    length: usize,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            bytes: [0; LONGEST_CLICK],
            length: 0,
        }
    }
}

impl Row {
    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut number: u64) {
        while let Some(place) = self.bytes.get_mut(self.length) {
            self.length += 1;
            let bits = (number & 0x7f) as u8;
            number >>= 7;
            *place = if number == 0 { bits } else { bits | 0x80 };
            if number == 0 {
                return;
            }
        }
    }

    fn written(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Small numbers for times before and after zero alike.
const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// What the numbers of a file's texts stand for.
pub trait Texts {
    /// A text by its number.
    fn text(&mut self, number: u32) -> Arc<str>;
    /// A user agent by its number, and the kind of click that its GETs are.
    fn agent(&mut self, number: u32, agents: &mut AgentTable) -> (Arc<str>, ClickKind);
}

/// The numbers that a click's traits have in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Numbers {
    agent: u32,
    referrer: u32,
    language: u32,
    country: [u8; 2],
    hit: Hit,
    trigger: Trigger,
}

/// Reads rows of one file into one batch.
#[derive(Debug)]
pub struct Unpacking<T> {
    texts: T,
    /// Where traits that were met stand in the batch.
    places: HashMap<Numbers, u32, RandomState>,
}

impl<T: Texts> Unpacking<T> {
    /// Begins with the texts of a file.
    #[must_use]
    pub fn new(texts: T) -> Self {
        Self {
            texts,
            places: HashMap::default(),
        }
    }

    /// Appends a row's clicks to the batch, which must be the same for every row.
    ///
    /// # Errors
    /// [`Unreadable`] where the bytes are damaged or of a newer version; the clicks in front of the
    /// damage were appended.
    pub fn row(
        &mut self,
        payload: &[u8],
        origin: Origin,
        agents: &mut AgentTable,
        batch: &mut ClickBatch,
    ) -> Result<(), Unreadable> {
        let Some((&ROW_VERSION, mut rest)) = payload.split_first() else {
            return Err(Unreadable("its version byte is unknown".to_owned()));
        };
        batch.begin(origin);
        while !rest.is_empty() {
            let (click, after): (Spooled<'_>, &[u8]) =
                postcard::take_from_bytes(rest).map_err(|error| Unreadable(error.to_string()))?;
            rest = after;
            let numbers = Numbers {
                agent: click.agent,
                referrer: click.referrer,
                language: click.language,
                country: click.country,
                hit: click.hit,
                trigger: click.trigger,
            };
            let known = self.places.get(&numbers).copied();
            let packed = PackedClick {
                code: batch.place_of_code(click.code),
                traits: known.unwrap_or_else(|| self.meet(numbers, agents, batch)),
                at: Timestamp::from_micros(click.at),
                visitor: click.visitor,
            };
            batch.add(packed);
        }
        Ok(())
    }

    fn meet(&mut self, numbers: Numbers, agents: &mut AgentTable, batch: &mut ClickBatch) -> u32 {
        let (agent, kind) = self.texts.agent(numbers.agent, agents);
        let some = |text: Arc<str>| (!text.is_empty()).then_some(text);
        let traits = Traits {
            kind: if numbers.hit == Hit::Head {
                ClickKind::Head
            } else {
                kind
            },
            trigger: numbers.trigger,
            country: country(&numbers.country).map(|code| agents.intern(code)),
            referrer: some(self.texts.text(numbers.referrer)),
            agent,
            language: some(self.texts.text(numbers.language)),
        };
        let place = batch.place_of_traits(&traits);
        self.places.insert(numbers, place);
        place
    }
}

/// Two capitals; anything else is no country.
fn country(bytes: &[u8; 2]) -> Option<&str> {
    let capitals = bytes.iter().all(u8::is_ascii_uppercase);
    std::str::from_utf8(bytes).ok().filter(|_| capitals)
}

/// The JSON of a click: a record of the Kafka topic.
#[must_use]
pub fn to_json(click: &Click) -> Vec<u8> {
    serde_json::to_vec(click).expect("texts and numbers always serialise")
}

/// Reads a record of the Kafka topic that stands in `partition`.
///
/// # Errors
/// [`Unreadable`] where it is no click of a known version, or stands in the wrong partition.
pub fn from_json(bytes: &[u8], partition: Slot) -> Result<Click, Unreadable> {
    let click: Click =
        serde_json::from_slice(bytes).map_err(|error| Unreadable(error.to_string()))?;
    if click.v > SCHEMA_VERSION {
        return Err(Unreadable(format!(
            "its version {} is newer than this program",
            click.v
        )));
    }
    if click.seq == 0 || Slot::of(&click.code) != partition || click.slot != partition.number() {
        return Err(Unreadable("its slot or number cannot be right".to_owned()));
    }
    Ok(click)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Texts for Known {
        fn text(&mut self, number: u32) -> Arc<str> {
            match number {
                1 => "".into(),
                3 => "de".into(),
                _ => "curl/8".into(),
            }
        }

        fn agent(&mut self, number: u32, agents: &mut AgentTable) -> (Arc<str>, ClickKind) {
            let agent = self.text(number);
            let kind = agents.kind(Hit::Get, &agent);
            (agent, kind)
        }
    }

    #[test]
    fn a_click_is_written_as_postcard_writes_it() {
        let longest = "x".repeat(MAX_LENGTH);
        let numbers = [0, 1, 127, 128, 16_384, u64::MAX];
        let times = [0, 1, -1, 64, i64::MAX, i64::MIN];
        for code in ["a", "abc-DEF", longest.as_str()] {
            for (visitor, at) in numbers.into_iter().zip(times) {
                let text = u32::try_from(visitor).unwrap_or(u32::MAX);
                let click = Spooled {
                    code,
                    at,
                    visitor,
                    agent: text,
                    referrer: text / 2,
                    language: text,
                    country: *b"\0Z",
                    hit: Hit::Head,
                    trigger: Trigger::Qr,
                };
                let mut payload = vec![7];
                append(&mut payload, &click);
                let expected = postcard::to_extend(&click, vec![7]).unwrap();
                assert_eq!(payload, expected, "{click:?}");
            }
        }
    }

    #[test]
    fn a_row_survives_its_bytes_and_damage_is_told() {
        let click = |code| Spooled {
            code,
            at: 5,
            visitor: 9,
            agent: 2,
            referrer: 1,
            language: 3,
            country: *b"DE",
            hit: Hit::Get,
            trigger: Trigger::Qr,
        };
        let mut payload = Vec::new();
        begin(&mut payload);
        append(&mut payload, &click("a"));
        append(&mut payload, &click("a"));
        let slot = Slot::of("a");
        let origin = Origin {
            producer: uuid::Uuid::from_u128(1),
            slot: slot.number(),
            first_seq: 7,
        };
        let mut batch = ClickBatch::default();
        let agents = &mut AgentTable::new();
        Unpacking::new(Known)
            .row(&payload, origin, agents, &mut batch)
            .unwrap();
        let clicks: Vec<Click> = batch.clicks().collect();
        assert_eq!(
            clicks.iter().map(|click| click.seq).collect::<Vec<_>>(),
            [7, 8]
        );
        let first = &clicks[0];
        assert_eq!(
            (first.referrer.as_deref(), first.language.as_deref()),
            (None, Some("de"))
        );
        assert_eq!(
            (first.country.as_deref(), first.kind.word()),
            (Some("DE"), "bot")
        );
        let json = to_json(first);
        assert_eq!(from_json(&json, slot).unwrap(), *first);
        assert!(from_json(&json, Slot::of("b")).is_err());
        for cut in [0, 1, payload.len() - 1] {
            let damaged = payload.get(..cut).unwrap();
            let mut unpacking = Unpacking::new(Known);
            let read = unpacking.row(damaged, origin, agents, &mut ClickBatch::default());
            assert_eq!(read.is_ok(), cut == 1, "{cut}");
        }
    }
}
