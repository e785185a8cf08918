//! Code → slot → shard: 64 slots, placed by weighted rendezvous hashing over shard ids.
//!
//! # Why
//!
//! The default map is computed once and then is data (`store/cluster`): a shard more or less moves
//! only its own share, and nothing moves because a configuration file changed.

use serde::Deserialize;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

/// How many slots there are, for ever and in every shape.
pub const SLOTS: u8 = 64;

/// One of the 64 slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// The slot of a code: `xxh3_64(bytes, seed 0) mod 64`.
    #[must_use]
    pub fn of(code: &str) -> Self {
        Self::of_hash(hash(code.as_bytes()))
    }

    /// The slot of a code whose [`hash`] is known.
    #[must_use]
    pub const fn of_hash(hash: u64) -> Self {
        Self(hash.to_le_bytes()[0] % SLOTS)
    }

    /// The slot of that number, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < SLOTS {
            Some(Self(number))
        } else {
            None
        }
    }

    /// All slots in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..SLOTS).map(Self)
    }

    /// Its number, 0 to 63.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its number as an index.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The hash of a code's bytes that gives the slot and the near cache's key.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// A shard as the map names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapShard {
    /// Its identity, not its address.
    pub id: String,
    /// Its share, relative to the others.
    pub weight: f64,
}

/// Which shard owns which slot: a hint for routing, the truth lies on the owners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotMap {
    /// Grows with every change.
    pub epoch: i64,
    /// The shards that may own slots.
    pub shards: Vec<MapShard>,
    /// For each slot the index of its owner in `shards`.
    pub owners: Vec<u8>,
}

impl SlotMap {
    /// The default map: weighted rendezvous of the slots over the shards' ids.
    #[must_use]
    pub fn rendezvous(shards: Vec<MapShard>) -> Self {
        let owners = Slot::all()
            .map(|slot| {
                let best = shards
                    .iter()
                    .enumerate()
                    .max_by(|(_, left), (_, right)| {
                        score(slot, left).total_cmp(&score(slot, right))
                    })
                    .map_or(0, |(index, _)| index);
                u8::try_from(best).unwrap_or(0)
            })
            .collect();
        Self {
            epoch: 1,
            shards,
            owners,
        }
    }

    /// The id of the shard that owns `slot`.
    #[must_use]
    pub fn owner(&self, slot: Slot) -> Option<&str> {
        let index = self.owners.get(slot.index())?;
        self.shards
            .get(usize::from(*index))
            .map(|shard| shard.id.as_str())
    }

    /// The slots of one shard, in order.
    #[must_use]
    pub fn slots_of(&self, shard_id: &str) -> Vec<Slot> {
        Slot::all()
            .filter(|slot| self.owner(*slot) == Some(shard_id))
            .collect()
    }
}

/// The weighted rendezvous score: `-weight / ln(u)`, `u` uniform in (0, 1) from the hash.
fn score(slot: Slot, shard: &MapShard) -> f64 {
    let bits = xxh3_64(format!("{}/{}", shard.id, slot.number()).as_bytes());
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into the mantissa")]
    let uniform = ((bits >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0;
    -shard.weight / uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Committed vectors: a change of these loses every link.
    const VECTORS: [(&str, u64, u8); 6] = [
        ("a", 0xe6c6_32b6_1e96_4e1f, 31),
        ("abc", 0x78af_5f94_892f_3950, 16),
        ("Z9-_", 0xc187_0997_ce15_93d5, 21),
        ("0000000", 0xa8ac_8fe9_f61b_19c9, 9),
        ("my-custom-code", 0xff2b_901f_056e_6f8b, 11),
        (
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            0x269c_b9f6_acf8_1244,
            4,
        ),
    ];

    #[test]
    fn the_hash_of_a_code_never_changes() {
        for (code, bits, slot) in VECTORS {
            assert_eq!(hash(code.as_bytes()), bits, "{code}");
            assert_eq!(Slot::of(code).number(), slot, "{code}");
        }
    }

    fn shards(weights: &[f64]) -> Vec<MapShard> {
        let shard = |(index, weight): (usize, &f64)| MapShard {
            id: format!("shard-{index}"),
            weight: *weight,
        };
        weights.iter().enumerate().map(shard).collect()
    }

    #[test]
    fn a_new_shard_takes_only_its_own_share() {
        let three = SlotMap::rendezvous(shards(&[1.0, 1.0, 1.0]));
        let four = SlotMap::rendezvous(shards(&[1.0, 1.0, 1.0, 1.0]));
        for slot in Slot::all() {
            let after = four.owner(slot).unwrap();
            assert!(
                after == "shard-3" || Some(after) == three.owner(slot),
                "{slot:?} moved"
            );
        }
        assert!((4..=32).contains(&four.slots_of("shard-3").len()));
    }

    #[test]
    fn a_heavier_shard_gets_more_slots() {
        let map = SlotMap::rendezvous(shards(&[1.0, 6.0]));
        assert!(map.slots_of("shard-1").len() > 2 * map.slots_of("shard-0").len());
        assert_eq!(
            map.slots_of("shard-0").len() + map.slots_of("shard-1").len(),
            64
        );
    }
}
