//! How sure an answer says it is.
//!
//! A head is too sure at the top and not sure enough below, whatever power its shares are raised
//! to. So the likeliest share goes through a curve of three numbers in the end (beta calibration,
//! Kull, Silva Filho and Flach 2017), found by asking heads about sites that they have not seen.

use crate::classify::descent;
use crate::classify::shares;
use crate::classify::shares::NEXT_TO_NOTHING;
use crate::classify::shares::Shares;
use crate::classify::shares::best_named;
use crate::domain::label::Category;

const NAMED: usize = Category::COUNT - 1;
/// How much slower a cautious curve nears 1, and how much less sure it is everywhere: sites and
/// titles of the cross-validation were chosen, some even written, by who wrote the lexicon. On
/// pages that others chose, answers were a few of a hundred times less often right than curves
/// without this said.
const SLOWER: f32 = 0.85;
const LESS_SURE: f32 = 0.2;

/// What makes of shares how often answers like this one are right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// For a URL alone.
    pub bare: Curve,
    /// For one with a title.
    pub titled: Curve,
    /// The calibrated share below which the answer is `other`.
    pub threshold: f32,
}

/// The logit of the calibrated share `p` is `rise·ln p − fall·ln(1−p) + shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    /// How fast it climbs from 0.
    pub rise: f32,
    /// How fast it nears 1.
    pub fall: f32,
    /// How much surer all are.
    pub shift: f32,
}

impl Calibration {
    /// What leaves shares as they are.
    pub const NONE: Self = Self {
        bare: Curve::STRAIGHT,
        titled: Curve::STRAIGHT,
        threshold: 0.0,
    };

    /// The best named category and how sure that is: the share moves along the curve, the others
    /// share what it gives or takes, and their order stays.
    pub fn apply(&self, shares: &mut Shares, titled: bool) {
        let (best, share) = best_named(shares);
        let sure = self.sureness(share, titled);
        let rest = (1.0 - share).max(NEXT_TO_NOTHING);
        let others = shares.iter().take(NAMED).enumerate();
        let second = others
            .filter(|(at, _)| *at != best)
            .fold(0.0_f32, |most, (_, share)| most.max(*share));
        // No less than what the second one has then.
        let sure = sure.max(second / (rest + second));
        shares::set(shares, best, sure);
    }

    /// How sure an answer with this share is.
    #[must_use]
    pub fn sureness(&self, share: f32, titled: bool) -> f32 {
        let curve = if titled { self.titled } else { self.bare };
        curve.of(share)
    }
}

impl Curve {
    /// What leaves a share as it is.
    pub const STRAIGHT: Self = Self {
        rise: 1.0,
        fall: 1.0,
        shift: 0.0,
    };

    fn of(&self, share: f32) -> f32 {
        let [up, down] = logarithms(share);
        let logit = self.rise * up + self.fall * down + self.shift;
        1.0 / (1.0 + (-logit).exp())
    }

    /// The same, less sure.
    #[must_use]
    pub const fn cautious(self) -> Self {
        Self {
            rise: self.rise,
            fall: self.fall * SLOWER,
            shift: self.shift - LESS_SURE,
        }
    }

    /// The curve that makes what came of these answers likeliest: their share, and whether they
    /// were right. It never falls: where the best one would, its slope is 0.
    #[must_use]
    pub fn fit(answers: &[(f32, bool)]) -> Self {
        let mut at = [1.0, 1.0, 0.0];
        #[expect(clippy::cast_precision_loss, reason = "a few thousand answers")]
        let part = 1.0 / answers.len().max(1) as f32;
        descent::minimise(&mut at, |at, gradient| {
            gradient.fill(0.0);
            let mut loss = 0.0;
            for (share, right) in answers {
                let [up, down] = logarithms(*share);
                let inputs = [up, down, 1.0];
                let logit = descent::dot(at, &inputs);
                let sure = 1.0 / (1.0 + (-logit).exp());
                let came = f32::from(u8::from(*right));
                let hit = if *right { sure } else { 1.0 - sure };
                loss -= part * hit.max(NEXT_TO_NOTHING).ln();
                for (slope, input) in gradient.iter_mut().zip(inputs) {
                    *slope += part * (sure - came) * input;
                }
            }
            loss
        });
        let [rise, fall, shift] = at;
        Self {
            rise: rise.max(0.0),
            fall: fall.max(0.0),
            shift,
        }
    }
}

fn logarithms(share: f32) -> [f32; 2] {
    let share = share.clamp(NEXT_TO_NOTHING, 1.0 - NEXT_TO_NOTHING);
    [share.ln(), -(1.0 - share).ln()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(titled: Curve) -> Calibration {
        Calibration {
            titled,
            ..Calibration::NONE
        }
    }

    #[test]
    fn a_curve_says_how_often_answers_were_right() {
        // Nine of ten right at 0.99, half of them at 0.3.
        let answers: Vec<(f32, bool)> = (0..100)
            .flat_map(|at| [(0.99, at % 10 != 0), (0.3, at % 2 == 0)])
            .collect();
        let curve = Curve::fit(&answers);
        assert!((curve.of(0.99) - 0.9).abs() < 0.01, "{curve:?}");
        assert!((curve.of(0.3) - 0.5).abs() < 0.01, "{curve:?}");
        let all = calibration(curve);
        assert!((all.sureness(0.99, true) - 0.9).abs() < 0.01);
        assert!((all.sureness(0.99, false) - 0.99).abs() < 0.001);
        for share in [0.05, 0.3, 0.99] {
            assert!(
                curve.cautious().of(share) < curve.of(share) - 0.005,
                "{share}"
            );
        }
    }

    #[test]
    fn what_is_given_away_is_shared_and_the_order_stays() {
        let low = Curve {
            shift: -4.0,
            ..Curve::STRAIGHT
        };
        let mut shares: Shares = [0.0; Category::COUNT];
        (shares[2], shares[5], shares[NAMED]) = (0.5, 0.4, 0.1);
        let mut timid = shares;
        calibration(low).apply(&mut timid, true);
        assert!((timid.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{timid:?}");
        assert!(timid[2] >= timid[5] && timid[5] > timid[NAMED], "{timid:?}");
        assert_eq!(best_named(&timid).0, 2);

        let mut surer = shares;
        let high = Curve {
            shift: 2.0,
            ..Curve::STRAIGHT
        };
        calibration(high).apply(&mut surer, true);
        assert!(surer[2] > 0.8 && (surer[5] / surer[NAMED] - 4.0).abs() < 1e-3);
        for certain in [0.0, 1.0] {
            let mut shares: Shares = [0.0; Category::COUNT];
            shares[3] = certain;
            calibration(high).apply(&mut shares, false);
            assert!(
                shares.iter().all(|share| (0.0..=1.0).contains(share)),
                "{shares:?}"
            );
        }
    }
}
