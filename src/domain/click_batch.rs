//! The clicks of one rollup, packed: what many of them share stands in the batch once.
//!
//! # Why
//!
//! A flush under load holds half a million clicks. As [`Click`]s they would weigh 140 bytes each,
//! and every step of the rollup would hash their texts again; packed they are 32 bytes of numbers.

use std::borrow::Borrow;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use uuid::Uuid;

use crate::domain::click::Click;
use crate::domain::click::ClickKind;
use crate::domain::click::SCHEMA_VERSION;
use crate::domain::click::Trigger;
use crate::domain::time::Timestamp;

/// What is counted of a click besides its link and its time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Traits {
    /// Human, bot, preview or head.
    pub kind: ClickKind,
    /// Link or QR code.
    pub trigger: Trigger,
    /// ISO 3166 alpha-2 in capitals.
    pub country: Option<Arc<str>>,
    /// The referring host.
    pub referrer: Option<Arc<str>>,
    /// The user agent.
    pub agent: Arc<str>,
    /// The first language's primary tag.
    pub language: Option<Arc<str>>,
}

/// A click as numbers in its batch's tables.
#[derive(Clone, Copy, Debug)]
pub struct PackedClick {
    /// The place of its code in [`ClickBatch::codes`].
    pub code: u32,
    /// The place of its traits in [`ClickBatch::traits`].
    pub traits: u32,
    /// When it was followed.
    pub at: Timestamp,
    /// Keyed hash of address and agent.
    pub visitor: u64,
}

/// Where a run of clicks comes from: they are numbered one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The process incarnation that answered.
    pub producer: Uuid,
    /// The slot, as its producer says.
    pub slot: u8,
    /// The number of the run's first click.
    pub first_seq: u64,
}

/// Clicks in order per producer and slot.
#[derive(Debug, Default)]
pub struct ClickBatch {
    clicks: Vec<PackedClick>,
    /// Each with the place of its first click.
    runs: Vec<(Origin, usize)>,
    codes: Table<str>,
    traits: Table<Traits>,
}

/// Values by their place, each once.
#[derive(Debug)]
struct Table<T: ?Sized> {
    values: Vec<Arc<T>>,
    places: HashTable<u32>,
    hashes: RandomState,
}

impl<T: ?Sized> Default for Table<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            places: HashTable::new(),
            hashes: RandomState::default(),
        }
    }
}

impl<T: ?Sized + std::hash::Hash + Eq> Table<T> {
    fn place(&mut self, value: &T, shared: impl FnOnce() -> Arc<T>) -> u32 {
        let Self {
            values,
            places,
            hashes,
        } = self;
        let at = |place: u32| values.get(place as usize);
        let found = places.entry(
            hashes.hash_one(value),
            |place| at(*place).is_some_and(|known| **known == *value),
            |place| at(*place).map_or(0, |known| hashes.hash_one(&**known)),
        );
        match found {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(vacant) => {
                let place = u32::try_from(values.len()).expect("a batch is far below 2^32 clicks");
                vacant.insert(place);
                values.push(shared());
                place
            }
        }
    }
}

impl ClickBatch {
    /// Begins a run: what [`add`](Self::add) brings next is numbered from `origin.first_seq`.
    pub fn begin(&mut self, origin: Origin) {
        self.runs.push((origin, self.clicks.len()));
    }

    /// Appends a click to the run that was begun last.
    pub fn add(&mut self, click: PackedClick) {
        self.clicks.push(click);
    }

    /// The place of a code.
    pub fn place_of_code(&mut self, code: &str) -> u32 {
        self.codes.place(code, || code.into())
    }

    /// The place of traits.
    pub fn place_of_traits(&mut self, traits: &Traits) -> u32 {
        self.traits.place(traits, || Arc::new(traits.clone()))
    }

    /// Appends a click of any origin.
    pub fn push(&mut self, click: &Click) {
        let next = self.next_of_run();
        let origin = Origin {
            producer: click.producer_id,
            slot: click.slot,
            first_seq: click.seq,
        };
        if next != Some(origin) {
            self.begin(origin);
        }
        let packed = PackedClick {
            code: self.place_of_code(&click.code),
            traits: self.place_of_traits(&Traits {
                kind: click.kind,
                trigger: click.trigger,
                country: click.country.clone(),
                referrer: click.referrer.clone(),
                agent: Arc::clone(&click.agent),
                language: click.language.clone(),
            }),
            at: click.at,
            visitor: click.visitor,
        };
        self.add(packed);
    }

    /// The origin that a click would have if it continued the last run.
    fn next_of_run(&self) -> Option<Origin> {
        let (origin, from) = self.runs.last()?;
        let length = u64::try_from(self.clicks.len() - from).ok()?;
        let first_seq = origin.first_seq.checked_add(length)?;
        Some(Origin {
            first_seq,
            ..*origin
        })
    }

    /// Producer and number of the last click.
    #[must_use]
    pub fn last(&self) -> Option<(Uuid, u64)> {
        let (origin, from) = self.runs.last()?;
        let before = u64::try_from(self.clicks.len() - from)
            .ok()?
            .checked_sub(1)?;
        Some((origin.producer, origin.first_seq.checked_add(before)?))
    }

    /// How many clicks there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.clicks.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.clicks.is_empty()
    }

    /// The time of the oldest click.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        self.clicks.iter().map(|click| click.at).min()
    }

    /// Every code, once.
    #[must_use]
    pub fn codes(&self) -> &[Arc<str>] {
        &self.codes.values
    }

    /// All traits, each once.
    #[must_use]
    pub fn traits(&self) -> &[Arc<Traits>] {
        &self.traits.values
    }

    /// The runs in order.
    pub fn runs(&self) -> impl Iterator<Item = (Origin, &[PackedClick])> {
        let ends = self.runs.iter().skip(1).map(|(_, from)| *from);
        let ends = ends.chain(std::iter::once(self.clicks.len()));
        self.runs.iter().zip(ends).map(|((origin, from), to)| {
            let clicks = self.clicks.get(*from..to).unwrap_or_default();
            (*origin, clicks)
        })
    }

    /// A click of this batch in its public form; `place` counts from 0 within its run.
    #[must_use]
    pub fn unpacked(&self, origin: Origin, place: usize, click: PackedClick) -> Option<Click> {
        let traits = self.traits().get(click.traits as usize)?;
        Some(Click {
            v: SCHEMA_VERSION,
            producer_id: origin.producer,
            slot: origin.slot,
            seq: origin.first_seq.checked_add(u64::try_from(place).ok()?)?,
            code: Arc::clone(self.codes().get(click.code as usize)?),
            at: click.at,
            kind: traits.kind,
            trigger: traits.trigger,
            country: traits.country.clone(),
            referrer: traits.referrer.clone(),
            agent: Arc::clone(&traits.agent),
            language: traits.language.clone(),
            visitor: click.visitor,
        })
    }

    /// All clicks in their public form.
    pub fn clicks(&self) -> impl Iterator<Item = Click> {
        self.runs().flat_map(move |(origin, clicks)| {
            let places = clicks.iter().enumerate();
            places.filter_map(move |(place, click)| self.unpacked(origin, place, *click))
        })
    }
}

impl<C: Borrow<Click>> FromIterator<C> for ClickBatch {
    fn from_iter<I: IntoIterator<Item = C>>(clicks: I) -> Self {
        let mut batch = Self::default();
        for click in clicks {
            batch.push(click.borrow());
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click(producer: u128, seq: u64, code: &str, referrer: Option<&str>) -> Click {
        Click {
            v: SCHEMA_VERSION,
            producer_id: Uuid::from_u128(producer),
            slot: 3,
            seq,
            code: code.into(),
            at: Timestamp::from_micros(9 + i64::try_from(seq % 7).unwrap()),
            kind: ClickKind::Human,
            trigger: Trigger::Qr,
            country: Some("DE".into()),
            referrer: referrer.map(Into::into),
            agent: "an agent".into(),
            language: None,
            visitor: seq.wrapping_mul(31),
        }
    }

    #[test]
    fn clicks_come_out_as_they_went_in() {
        let clicks = [
            click(1, 1, "a", None),
            click(1, 2, "b", Some("x")),
            click(1, 4, "a", Some("x")),
            click(2, 5, "a", None),
            click(2, u64::MAX, "c", None),
            click(2, u64::MAX, "c", None),
            click(1, 5, "a", None),
        ];
        let batch: ClickBatch = clicks.iter().collect();
        assert_eq!(batch.clicks().collect::<Vec<_>>(), clicks);
        let runs: Vec<usize> = batch.runs().map(|(_, clicks)| clicks.len()).collect();
        assert_eq!(runs, [2, 1, 1, 1, 1, 1]);
        assert_eq!((batch.codes().len(), batch.traits().len()), (3, 2));
        assert_eq!(batch.last(), Some((Uuid::from_u128(1), 5)));
        assert_eq!(batch.oldest(), Some(Timestamp::from_micros(10)));
    }

    #[test]
    fn an_empty_batch_has_nothing_to_tell() {
        let batch = ClickBatch::default();
        assert!(batch.is_empty());
        assert_eq!((batch.last(), batch.oldest()), (None, None));
        assert_eq!(batch.runs().count(), 0);
    }
}
