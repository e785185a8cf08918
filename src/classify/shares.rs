//! What a head says: a share for each category.

use crate::domain::label::Category;

/// How much a model's head counts against the rules' head where both speak.
const MODEL_SHARE: f32 = 0.7;

/// What keeps logarithms and quotients finite.
pub const NEXT_TO_NOTHING: f32 = 1e-6;

/// A share for each category; together 1.
pub type Shares = [f32; Category::COUNT];

/// The likeliest category that has a name of its own, and its share.
#[must_use]
pub fn best_named(shares: &Shares) -> (usize, f32) {
    let named = shares.iter().copied().enumerate().take(Category::COUNT - 1);
    named.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

/// Makes the share at `at` so large; the others share what it gives or takes, in their order.
pub fn set(shares: &mut Shares, at: usize, share: f32) {
    let before = shares.get(at).copied().unwrap_or(0.0);
    let rest = (1.0 - before).max(NEXT_TO_NOTHING);
    for (place, value) in shares.iter_mut().enumerate() {
        *value = if place == at {
            share
        } else {
            *value * (1.0 - share) / rest
        };
    }
}

/// The weighted geometric mean of two opinions.
#[must_use]
pub fn mix(rules: &Shares, model: &Shares) -> Shares {
    let mut mixed: Shares = [0.0; Category::COUNT];
    for ((mixed, rules), model) in mixed.iter_mut().zip(rules).zip(model) {
        *mixed = MODEL_SHARE * model.max(NEXT_TO_NOTHING).ln()
            + (1.0 - MODEL_SHARE) * rules.max(NEXT_TO_NOTHING).ln();
    }
    softmax(&mut mixed, 1.0);
    mixed
}

/// Sums → shares, raised to a power and made 1 together again.
pub fn softmax(sums: &mut [f32], power: f32) {
    let most = sums.iter().copied().fold(f32::MIN, f32::max);
    let mut all = 0.0;
    for sum in sums.iter_mut() {
        *sum = ((*sum - most) * power).exp();
        all += *sum;
    }
    for sum in sums {
        *sum /= all;
    }
}
