//! The trained head: one softmax over what the features say, and its calibration.
//!
//! Weights of hashed features are stored as bytes, rows that say next to nothing not at all.

use crate::classify::calibration::Calibration;
use crate::classify::calibration::Curve;
use crate::classify::features::Features;
use crate::classify::features::HASHED;
use crate::classify::features::HEARD;
use crate::classify::shares;
use crate::classify::shares::Shares;
use crate::domain::label::Category;

const MAGIC: &[u8; 6] = b"USHD06";
const CLASSES: usize = Category::COUNT;
/// How much the hashed features count beside an embedding, and alone: what several thousand sites
/// say is worth more than what a thousand said.
const SPARSE_BESIDE: f32 = 1.4;
const SPARSE_ALONE: f32 = 2.0;
/// How much the lexicon counts.
const HEARD_SCALE: f32 = 0.3;

/// What makes shares of sums about as sure as they may be, so that two heads can be mixed: a title
/// says so much that one power would make answers with one too timid, or those without too bold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Powers {
    /// For a URL alone.
    pub bare: f32,
    /// For one with a title.
    pub titled: f32,
}

impl Powers {
    /// What leaves shares as they are.
    pub const NONE: Self = Self {
        bare: 1.0,
        titled: 1.0,
    };

    /// That for a URL with or without a title.
    #[must_use]
    pub const fn of(self, titled: bool) -> f32 {
        if titled { self.titled } else { self.bare }
    }
}

/// Weights and calibration.
#[derive(Clone)]
pub struct Head {
    /// Numbers of an embedding; 0: the rules alone.
    pub embedding: usize,
    /// The mean embedding of the training set.
    pub mean: Vec<f32>,
    /// Rows of [`CLASSES`] weights: embedding, lexicon, bias.
    pub dense: Vec<f32>,
    /// Hashed place → row in `sparse`; `u16::MAX`: no row.
    rows: Vec<u16>,
    sparse: Vec<[i8; CLASSES]>,
    scale: f32,
    /// The powers that the shares are raised to.
    pub powers: Powers,
    /// What makes the shares of an answer as sure as they are said: of this head's alone, or of a
    /// model's mixed with those of the rules.
    pub calibration: Calibration,
    /// The SHA-256 of the model's weights that it was trained with, in hex; empty for the rules.
    pub fingerprint: String,
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head")
            .field("embedding", &self.embedding)
            .field("powers", &self.powers)
            .field("calibration", &self.calibration)
            .finish_non_exhaustive()
    }
}

/// What training finds.
#[derive(Debug)]
pub struct Weights {
    /// Rows of [`CLASSES`]: embedding, lexicon, bias, then the hashed features.
    pub rows: Vec<f32>,
    /// Numbers of an embedding.
    pub embedding: usize,
    /// The mean embedding.
    pub mean: Vec<f32>,
}

/// The bytes are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no classifier head of this version")]
pub struct NoHead;

/// Where the hashed features begin among the rows.
#[must_use]
pub const fn first_hashed(embedding: usize) -> usize {
    embedding + HEARD + 1
}

/// The numbers of a URL in the order of the rows: dense ones first, then hashed ones by place.
#[must_use]
pub fn inputs(features: &Features, embedding: Option<&[f32]>, mean: &[f32]) -> (Vec<f32>, f32) {
    let mut dense = Vec::with_capacity(first_hashed(mean.len()));
    if let Some(embedding) = embedding {
        dense.extend(embedding.iter().zip(mean).map(|(value, mean)| value - mean));
        let length = dense.iter().map(|value| value * value).sum::<f32>().sqrt();
        for value in &mut dense {
            *value /= length.max(1e-6);
        }
    }
    dense.extend(features.heard.iter().map(|score| score * HEARD_SCALE));
    dense.push(1.0);
    let sparse = if embedding.is_some() {
        SPARSE_BESIDE
    } else {
        SPARSE_ALONE
    };
    (dense, sparse)
}

impl Head {
    /// A head of these weights, rounded to what it stores.
    #[must_use]
    pub fn of(
        weights: &Weights,
        powers: Powers,
        calibration: Calibration,
        fingerprint: String,
    ) -> Self {
        let first = first_hashed(weights.embedding) * CLASSES;
        let (dense, hashed) = weights.rows.split_at(first.min(weights.rows.len()));
        let largest = hashed
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let scale = (largest / 127.0).max(1e-9);
        let mut head = Self {
            embedding: weights.embedding,
            mean: weights.mean.clone(),
            dense: dense.to_vec(),
            rows: vec![u16::MAX; HASHED],
            sparse: Vec::new(),
            scale,
            powers,
            calibration,
            fingerprint,
        };
        for (place, row) in hashed.chunks_exact(CLASSES).enumerate() {
            if row.iter().all(|value| value.abs() < 1.5 * scale) {
                continue;
            }
            let mut bytes = [0_i8; CLASSES];
            for (byte, value) in bytes.iter_mut().zip(row) {
                #[expect(clippy::cast_possible_truncation, reason = "rounded into -127..=127")]
                let rounded = (value / scale).round() as i8;
                *byte = rounded;
            }
            head.add_row(place, bytes);
        }
        head
    }

    fn add_row(&mut self, place: usize, row: [i8; CLASSES]) {
        let number = u16::try_from(self.sparse.len()).unwrap_or(u16::MAX);
        if number != u16::MAX
            && let Some(slot) = self.rows.get_mut(place)
        {
            *slot = number;
            self.sparse.push(row);
        }
    }

    /// The shares of every category, not calibrated.
    #[must_use]
    pub fn shares(&self, features: &Features, embedding: Option<&[f32]>) -> Shares {
        let (dense, sparse) = inputs(features, embedding, &self.mean);
        let mut sums: Shares = [0.0; CLASSES];
        for (value, row) in dense.iter().zip(self.dense.chunks_exact(CLASSES)) {
            if *value != 0.0 {
                for (sum, weight) in sums.iter_mut().zip(row) {
                    *sum += value * weight;
                }
            }
        }
        for (place, value) in &features.sparse {
            let number = self.rows.get(usize::from(*place)).copied();
            let number = usize::from(number.unwrap_or(u16::MAX));
            let Some(row) = self.sparse.get(number) else {
                continue;
            };
            let value = value * sparse * self.scale;
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += value * f32::from(*weight);
            }
        }
        shares::softmax(&mut sums, self.powers.of(features.titled));
        sums
    }

    /// The head as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let count = |length: usize| u32::try_from(length).unwrap_or(0).to_le_bytes();
        out.extend(count(self.embedding));
        out.extend(count(HEARD));
        out.extend(count(self.sparse.len()));
        out.extend(count(self.fingerprint.len()));
        out.extend(self.fingerprint.as_bytes());
        let Powers { bare, titled } = self.powers;
        let threshold = self.calibration.threshold;
        let curves = [self.calibration.bare, self.calibration.titled];
        let curves = curves.map(|curve| [curve.rise, curve.fall, curve.shift]);
        for value in [self.scale, bare, titled, threshold]
            .iter()
            .chain(curves.as_flattened())
            .chain(&self.mean)
            .chain(&self.dense)
        {
            out.extend(value.to_le_bytes());
        }
        for (place, number) in self.rows.iter().enumerate() {
            if *number == u16::MAX {
                continue;
            }
            out.extend(u16::try_from(place).unwrap_or(0).to_le_bytes());
            let row = self.sparse.get(usize::from(*number));
            out.extend(
                row.into_iter()
                    .flatten()
                    .map(|weight| weight.cast_unsigned()),
            );
        }
        out
    }

    /// The head that these bytes hold.
    ///
    /// # Errors
    /// [`NoHead`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoHead> {
        let mut rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or(NoHead)?;
        let embedding = take_count(&mut rest)?;
        if take_count(&mut rest)? != HEARD || embedding > 4_096 {
            return Err(NoHead);
        }
        let rows = take_count(&mut rest)?;
        let letters = take_count(&mut rest)?;
        let fingerprint = take(&mut rest, letters)?;
        let fingerprint = String::from_utf8(fingerprint.to_vec()).map_err(|_error| NoHead)?;
        let mut settings = take_floats(&mut rest, 10)?.into_iter();
        let mut setting = || settings.next().ok_or(NoHead);
        let scale = setting()?;
        let powers = Powers {
            bare: setting()?,
            titled: setting()?,
        };
        let threshold = setting()?;
        let mut curve = || -> Result<Curve, NoHead> {
            Ok(Curve {
                rise: setting()?,
                fall: setting()?,
                shift: setting()?,
            })
        };
        let mut head = Self {
            embedding,
            scale,
            powers,
            calibration: Calibration {
                bare: curve()?,
                titled: curve()?,
                threshold,
            },
            mean: take_floats(&mut rest, embedding)?,
            dense: take_floats(&mut rest, first_hashed(embedding) * CLASSES)?,
            rows: vec![u16::MAX; HASHED],
            sparse: Vec::with_capacity(rows.min(HASHED)),
            fingerprint,
        };
        for _ in 0..rows {
            let place = take(&mut rest, 2)?;
            let place: [u8; 2] = place.try_into().map_err(|_error| NoHead)?;
            let row: [u8; CLASSES] = take(&mut rest, CLASSES)?
                .try_into()
                .map_err(|_error| NoHead)?;
            let place = usize::from(u16::from_le_bytes(place));
            head.add_row(place, row.map(u8::cast_signed));
        }
        if rest.is_empty() {
            Ok(head)
        } else {
            Err(NoHead)
        }
    }
}

fn take<'bytes>(rest: &mut &'bytes [u8], length: usize) -> Result<&'bytes [u8], NoHead> {
    let (front, behind) = rest.split_at_checked(length).ok_or(NoHead)?;
    *rest = behind;
    Ok(front)
}

fn take_count(rest: &mut &[u8]) -> Result<usize, NoHead> {
    let bytes = take(rest, 4)?.try_into().map_err(|_error| NoHead)?;
    Ok(u32::from_le_bytes(bytes) as usize)
}

fn take_floats(rest: &mut &[u8], count: usize) -> Result<Vec<f32>, NoHead> {
    let bytes = take(rest, count * 4)?;
    Ok(bytes
        .chunks_exact(4)
        .filter_map(|four| Some(f32::from_le_bytes(four.try_into().ok()?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_its_bytes_and_damage_is_told() {
        let rows = (0..(first_hashed(3) + HASHED) * CLASSES).map(|at| {
            let place = at / CLASSES;
            if place.is_multiple_of(97) {
                (at % 13) as f32 - 6.0
            } else {
                0.0
            }
        });
        let weights = Weights {
            rows: rows.collect(),
            embedding: 3,
            mean: vec![0.5, 0.0, -1.0],
        };
        let powers = Powers {
            bare: 2.0,
            titled: 3.0,
        };
        let curve = |shift| Curve {
            shift,
            ..Curve::STRAIGHT
        };
        let calibration = Calibration {
            bare: curve(0.5),
            titled: curve(-0.5),
            threshold: 0.4,
        };
        let head = Head::of(&weights, powers, calibration, "abc".to_owned());
        let bytes = head.to_bytes();
        let again = Head::from_bytes(&bytes).unwrap();
        let features = Features {
            sparse: vec![(97, 0.6), (1_000, 0.8)],
            heard: vec![0.25; HEARD],
            titled: false,
        };
        let shares = head.shares(&features, Some(&[1.0, 2.0, 3.0]));
        assert_eq!(again.shares(&features, Some(&[1.0, 2.0, 3.0])), shares);
        assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let titled = Features {
            titled: true,
            ..features
        };
        let surer = again.shares(&titled, Some(&[1.0, 2.0, 3.0]));
        assert!(surer.into_iter().fold(0.0, f32::max) > shares.into_iter().fold(0.0, f32::max));
        assert_eq!(again.fingerprint, "abc");
        assert_eq!(again.calibration, calibration);
        for cut in (0..bytes.len()).step_by(1_001) {
            assert_eq!(Head::from_bytes(&bytes[..cut]).err(), Some(NoHead), "{cut}");
        }
    }
}
