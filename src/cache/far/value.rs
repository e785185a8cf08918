//! This file holds the form of a far cache's values: what Redis stores for one code.
//!
//! A value is the row's version in 16 lower-case hex digits, which the scripts compare, and behind
//! them one byte for the layout and the entry in postcard. A marker is the version alone.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::domain::route::Route;

/// The layout of the payload; another one is a miss. Raise it with every change of [`FarEntry`] or
/// of [`Route`].
const LAYOUT: u8 = 3;

/// The length of the version in front.
const DIGITS: usize = 16;

/// What a value holds for a code. All times are microseconds by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarEntry {
    /// When the database said so.
    pub fetched_at: i64,
    /// From here on the database is asked again before the entry is believed.
    pub soft_until: i64,
    /// From here on it is worth nothing.
    pub hard_until: i64,
    /// What the read of the database took, for early refreshes.
    pub load_micros: u32,
    /// Where the code leads; `None`: nobody made it (version 0).
    pub route: Option<Route>,
}

/// What stands under a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FarFound {
    /// Nothing, or nothing that can be read.
    Miss,
    /// An entry, which may be past its times: the caller decides.
    Entry {
        /// What it says.
        entry: FarEntry,
        /// The version of the row it was read from.
        version: i64,
        /// The value as it stands there.
        raw: Bytes,
    },
    /// The row has changed to this version or a later one; older values are refused.
    Marker {
        /// The version the feed has seen.
        version: i64,
    },
}

/// Nobody of this layout wrote these bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable;

/// The version as it stands in front of a value; one below 0 counts as 0.
pub(super) fn digits(version: i64) -> String {
    format!("{:016x}", version.max(0))
}

/// The bytes behind the version.
pub(super) fn payload(entry: &FarEntry) -> Vec<u8> {
    // A growing vector takes everything an entry can hold; an empty payload would be a marker.
    postcard::to_extend(entry, vec![LAYOUT]).unwrap_or_else(|_| vec![0])
}

/// What a value says.
pub(super) fn decode(raw: Bytes) -> Result<FarFound, Undecodable> {
    let (front, rest) = raw.split_at_checked(DIGITS).ok_or(Undecodable)?;
    let version = version_of(front)?;
    let Some((layout, body)) = rest.split_first() else {
        return Ok(FarFound::Marker { version });
    };
    if *layout != LAYOUT {
        return Err(Undecodable);
    }
    match postcard::take_from_bytes::<FarEntry>(body) {
        Ok((entry, [])) => Ok(FarFound::Entry {
            entry,
            version,
            raw,
        }),
        Ok(_) | Err(_) => Err(Undecodable),
    }
}

fn version_of(digits: &[u8]) -> Result<i64, Undecodable> {
    let mut version = 0_u64;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(Undecodable),
        };
        version = (version << 4) | u64::from(value);
    }
    i64::try_from(version).map_err(|_error| Undecodable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::label::Hold;
    use crate::domain::query::QueryForward;
    use crate::domain::route::LinkState;
    use crate::domain::route::RedirectStatus;
    use crate::domain::route::Times;

    fn value(version: i64, entry: &FarEntry) -> Bytes {
        let mut bytes = digits(version).into_bytes();
        bytes.extend(payload(entry));
        bytes.into()
    }

    fn entry() -> FarEntry {
        FarEntry {
            fetched_at: 1_764_000_000_000_000,
            soft_until: 1_764_000_300_000_000,
            hard_until: 1_764_086_400_000_000,
            load_micros: 850,
            route: Some(Route {
                version: 7,
                state: LinkState::Active,
                target: "https://example.com/a?b".into(),
                status: RedirectStatus::Temporary,
                times: Some(Box::new(Times {
                    valid_from: None,
                    expires_at: Some(-1),
                    expired_url: Some("https://example.com/gone".into()),
                })),
                query_forward: QueryForward::Off,
                hide_referrer: true,
                indexable: false,
                hold: Hold::Quarantined,
            }),
        }
    }

    #[test]
    fn an_entry_survives_its_own_bytes() {
        let unknown = FarEntry {
            route: None,
            ..entry()
        };
        for (version, entry) in [(7, entry()), (0, unknown), (i64::MAX, entry())] {
            let raw = value(version, &entry);
            let expected = FarFound::Entry {
                entry,
                version,
                raw: raw.clone(),
            };
            assert_eq!(decode(raw), Ok(expected));
        }
    }

    #[test]
    fn the_layout_has_not_changed() {
        let hex: String = value(7, &entry())
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(
            hex,
            "303030303030303030303030303030370380809296a896a206808c9fb4aa96a2068080cdf3ab9b\
             a206d206010e001768747470733a2f2f6578616d706c652e636f6d2f613f62b30201000101011868\
             747470733a2f2f6578616d706c652e636f6d2f676f6e6502010001"
        );
    }

    #[test]
    fn a_version_alone_is_a_marker() {
        let marker = decode(Bytes::from_static(b"000000000000002a"));
        assert_eq!(marker, Ok(FarFound::Marker { version: 42 }));
        assert_eq!(digits(-5), digits(0));
    }

    #[test]
    fn what_nobody_wrote_is_undecodable() {
        let good = value(7, &entry());
        let mut long = good.to_vec();
        long.push(0);
        let mut other = good.to_vec();
        other[DIGITS] = LAYOUT + 1;
        let upper = b"000000000000002A".to_vec();
        let huge = b"8000000000000000".to_vec();
        for bad in [Vec::new(), b"7".to_vec(), upper, huge, long, other] {
            assert_eq!(decode(bad.into()), Err(Undecodable));
        }
        for cut in DIGITS + 1..good.len() {
            assert_eq!(decode(good.slice(..cut)), Err(Undecodable), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(front in "[0-9a-f]{16}", rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = rest.clone();
            drop(decode(bytes.into()));
            bytes = front.into_bytes();
            bytes.push(LAYOUT);
            bytes.extend(rest);
            drop(decode(bytes.into()));
        }
    }
}
