//! Unique visitors of one link and day: a mergeable sketch behind a version byte.

use cardinality_estimator::CardinalityEstimator;

/// The form of the bytes after the version byte: postcard of the estimator.
const VERSION: u8 = 1;

type Sketch = CardinalityEstimator<u64>;

/// The sketch `old` with `hashes` added. Bytes that cannot be read begin anew.
#[must_use]
pub fn merge(old: Option<&[u8]>, hashes: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut sketch = old.and_then(read).unwrap_or_default();
    for hash in hashes {
        sketch.insert_hash(hash);
    }
    let mut bytes = vec![VERSION];
    bytes.extend(postcard::to_stdvec(&sketch).expect("numbers and vectors always serialise"));
    bytes
}

/// About how many visitors a sketch holds; 0 for bytes that cannot be read.
#[must_use]
pub fn estimate(bytes: &[u8]) -> u64 {
    read(bytes).map_or(0, |sketch| sketch.estimate() as u64)
}

fn read(bytes: &[u8]) -> Option<Sketch> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads small numbers over 64 bits, as a visitor hash does.
    fn spread(n: u64) -> u64 {
        mix(n.wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    fn mix(mut bits: u64) -> u64 {
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    #[test]
    fn visitors_are_counted_once_across_merges() {
        let first = merge(None, (0..100).map(spread));
        assert_eq!(estimate(&merge(None, [7, 7, 7].map(spread))), 1);
        let both = merge(Some(&first), (50..150).map(spread));
        let count = estimate(&both);
        assert!((140..=160).contains(&count), "{count}");
        let many = merge(Some(&both), (0..20_000).map(spread));
        let count = estimate(&many);
        assert!((19_000..=21_000).contains(&count), "{count}");
        assert_eq!(estimate(b""), 0);
    }
}
