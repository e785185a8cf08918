//! Training of the head: softmax regression by L-BFGS over everything at once, and calibration by
//! cross-validation over sites.

use crate::classify::calibration::Calibration;
use crate::classify::calibration::Curve;
use crate::classify::descent::minimise;
use crate::classify::features::Features;
use crate::classify::features::HASHED;
use crate::classify::head;
use crate::classify::head::Head;
use crate::classify::head::Powers;
use crate::classify::head::Weights;
use crate::classify::shares;
use crate::classify::shares::Shares;
use crate::classify::shares::best_named;
use crate::domain::label::Category;

const CLASSES: usize = Category::COUNT;
/// What the logarithm of rarity is divided by: places of some thirty examples then count as one.
const RARITY: f32 = 5.0;
/// Folds of the cross-validation.
pub const FOLDS: usize = 5;

/// One example: a URL with or without its title.
#[derive(Clone, Debug)]
pub struct Example {
    /// What it is about.
    pub category: Category,
    /// All examples of a site stand in one fold.
    pub fold: usize,
    /// Its features as they are trained on.
    pub features: Features,
    /// Its features as the cross-validation asks for them.
    pub asked: Features,
    /// Its embedding, where there is a model.
    pub embedding: Option<Vec<f32>>,
    /// How much it counts.
    pub weight: f32,
}

/// An example as the optimiser sees it.
struct Row {
    class: usize,
    weight: f32,
    dense: Vec<f32>,
    sparse: Vec<(u16, f32)>,
}

/// A head, and what heads that had not seen a site say of it: calibrated, in the order of the
/// examples.
#[derive(Debug)]
pub struct Trained {
    /// Trained on everything.
    pub head: Head,
    /// Each by the head of the other folds.
    pub unseen: Vec<Shares>,
}

/// What a head says of an example that it was not trained on.
struct Said<'a> {
    class: usize,
    titled: bool,
    shares: Shares,
    /// What the rules say.
    beside: Option<&'a Shares>,
}

impl Said<'_> {
    /// The shares with this power, and what is answered then.
    fn with(&self, powers: Powers) -> (Shares, Shares) {
        let mut shares = self.shares.map(|share| share.max(1e-9).ln());
        shares::softmax(&mut shares, powers.of(self.titled));
        let answer = self.beside.map(|rules| shares::mix(rules, &shares));
        (shares, answer.unwrap_or(shares))
    }
}

/// Trains a head; `penalty` keeps weights small. Calibrated by cross-validation, and that of a
/// model together with what the rules say of the same examples: only both are ever an answer.
#[must_use]
pub fn train(
    examples: &[Example],
    penalty: f32,
    fingerprint: &str,
    rules: Option<&Trained>,
) -> Trained {
    let heads: Vec<Head> = (0..FOLDS)
        .map(|fold| {
            let inside: Vec<&Example> = examples.iter().filter(|one| one.fold != fold).collect();
            let weights = fit(&inside, penalty);
            Head::of(&weights, Powers::NONE, Calibration::NONE, String::new())
        })
        .collect();
    let mut said = Vec::with_capacity(examples.len());
    for (at, one) in examples.iter().enumerate() {
        if let Some(head) = heads.get(one.fold) {
            said.push(Said {
                class: one.category.number(),
                titled: one.asked.titled,
                shares: head.shares(&one.asked, one.embedding.as_deref()),
                beside: rules.and_then(|rules| rules.unseen.get(at)),
            });
        }
    }
    let powers = powers(&said);
    let all: Vec<&Example> = examples.iter().collect();
    let weights = fit(&all, penalty);
    Trained {
        head: Head::of(
            &weights,
            powers,
            calibrate(&said, powers),
            fingerprint.to_owned(),
        ),
        unseen: said.iter().map(|one| one.with(powers).0).collect(),
    }
}

/// The powers that make the right answers likeliest.
fn powers(said: &[Said<'_>]) -> Powers {
    let best = |titled: bool| {
        let loss = |power: f32| -> f32 {
            let powers = Powers {
                bare: power,
                titled: power,
            };
            let asked = said.iter().filter(|one| one.titled == titled);
            let right = asked.map(|one| one.with(powers).1.get(one.class).copied().unwrap_or(0.0));
            right.map(|share| -share.max(1e-9).ln()).sum()
        };
        let steps = (8_u8..=120).map(|step| f32::from(step) * 0.05);
        let best = steps.min_by(|a, b| loss(*a).total_cmp(&loss(*b)));
        best.unwrap_or(1.0)
    };
    Powers {
        bare: best(false),
        titled: best(true),
    }
}

/// How sure the likeliest named category may be, and from which share on 95 of 100 are right.
fn calibrate(said: &[Said<'_>], powers: Powers) -> Calibration {
    let answers: Vec<(&Said<'_>, f32, bool)> = said
        .iter()
        .map(|one| {
            let (best, share) = best_named(&one.with(powers).1);
            (one, share, best == one.class)
        })
        .collect();
    let curve = |titled: bool| {
        // As calibration is measured: of what is about something.
        let asked = answers
            .iter()
            .filter(|(one, _, _)| one.titled == titled && one.class != Category::Other.number());
        let asked: Vec<(f32, bool)> = asked.map(|(_, share, right)| (*share, *right)).collect();
        Curve::fit(&asked).cautious()
    };
    let mut calibration = Calibration {
        bare: curve(false),
        titled: curve(true),
        threshold: 0.0,
    };
    let mut sure: Vec<(f32, bool)> = answers
        .iter()
        .map(|(one, share, right)| (calibration.sureness(*share, one.titled), *right))
        .collect();
    sure.sort_by(|a, b| b.0.total_cmp(&a.0));
    calibration.threshold = threshold(&sure);
    calibration
}

/// The lowest share from which on 95 of 100 answers are right, of answers with the surest first.
fn threshold(answers: &[(f32, bool)]) -> f32 {
    let (mut right, mut found) = (0_u32, 0.9);
    for (count, (share, is_right)) in (1_u32..).zip(answers) {
        right += u32::from(*is_right);
        if right * 100 >= count * 95 && count > 20 {
            found = *share;
        }
    }
    found
}

fn fit(examples: &[&Example], penalty: f32) -> Weights {
    let embedding = examples
        .iter()
        .find_map(|one| one.embedding.as_ref().map(Vec::len))
        .unwrap_or(0);
    let mean = mean(examples, embedding);
    let rows: Vec<Row> = examples
        .iter()
        .map(|one| {
            let vector = one.embedding.as_deref();
            let (dense, scale) = head::inputs(&one.features, vector, &mean);
            let sparse = one.features.sparse.iter();
            Row {
                class: one.category.number(),
                weight: one.weight,
                dense,
                sparse: sparse
                    .map(|(place, value)| (*place, value * scale))
                    .collect(),
            }
        })
        .collect();
    let (mut rows, used) = compact(rows);
    let rarity = weigh_by_rarity(&mut rows, used.len());
    let first = head::first_hashed(embedding);
    let mut weights = vec![0.0_f32; (first + used.len()) * CLASSES];
    minimise(&mut weights, |at, gradient| {
        loss(&rows, at, penalty, first, gradient)
    });
    let mut all = vec![0.0_f32; (first + HASHED) * CLASSES];
    let known = first * CLASSES;
    for (to, from) in all.iter_mut().zip(weights.iter().take(known)) {
        *to = *from;
    }
    let hashed = weights.get(known..).unwrap_or(&[]).chunks_exact(CLASSES);
    for ((place, row), rarity) in used.iter().zip(hashed).zip(rarity) {
        let start = (first + usize::from(*place)) * CLASSES;
        let to = all.get_mut(start..start + CLASSES).unwrap_or(&mut []);
        for (to, weight) in to.iter_mut().zip(row) {
            *to = weight * rarity;
        }
    }
    Weights {
        rows: all,
        embedding,
        mean,
    }
}

/// The rows with their hashed places renumbered from 0, and the places that occur at all: most
/// of them never do, and their weights stay 0.
fn compact(mut rows: Vec<Row>) -> (Vec<Row>, Vec<u16>) {
    let mut used: Vec<u16> = rows
        .iter()
        .flat_map(|row| row.sparse.iter().map(|(place, _)| *place))
        .collect();
    used.sort_unstable();
    used.dedup();
    for (place, _) in rows.iter_mut().flat_map(|row| &mut row.sparse) {
        let found = used.binary_search(place).unwrap_or(0);
        *place = u16::try_from(found).unwrap_or(0);
    }
    (rows, used)
}

/// Makes the penalty lighter for what is rare: hashed values are multiplied by the square of the
/// logarithm of how rare their place is. The weights found are to be multiplied by the same.
fn weigh_by_rarity(rows: &mut [Row], places: usize) -> Vec<f32> {
    let mut rarity = vec![0.0_f32; places];
    for (place, _) in rows.iter().flat_map(|row| &row.sparse) {
        if let Some(count) = rarity.get_mut(usize::from(*place)) {
            *count += 1.0;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand examples")]
    let all = rows.len() as f32;
    for value in &mut rarity {
        *value = ((all / value.max(1.0)).ln_1p() / RARITY).powi(2);
    }
    for (place, value) in rows.iter_mut().flat_map(|row| &mut row.sparse) {
        *value *= rarity.get(usize::from(*place)).copied().unwrap_or(1.0);
    }
    rarity
}

fn mean(examples: &[&Example], length: usize) -> Vec<f32> {
    let mut mean = vec![0.0_f32; length];
    for vector in examples.iter().filter_map(|one| one.embedding.as_ref()) {
        for (sum, value) in mean.iter_mut().zip(vector) {
            *sum += value;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand examples")]
    let count = examples.len().max(1) as f32;
    mean.iter().map(|sum| sum / count).collect()
}

/// Mean cross-entropy and its gradient, with the penalty for large weights.
fn loss(rows: &[Row], at: &[f32], penalty: f32, first: usize, gradient: &mut [f32]) -> f32 {
    gradient.fill(0.0);
    let total: f32 = rows.iter().map(|row| row.weight).sum();
    let mut loss = 0.0;
    for row in rows {
        let mut sums = [0.0_f32; CLASSES];
        let dense = row.dense.iter().copied().enumerate();
        let sparse = row.sparse.iter();
        let sparse = sparse.map(|(place, value)| (first + usize::from(*place), *value));
        for (place, value) in dense.clone().chain(sparse.clone()) {
            let start = place * CLASSES;
            let weights = at.get(start..start + CLASSES).unwrap_or(&[]);
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        shares::softmax(&mut sums, 1.0);
        let share = row.weight / total;
        if let Some(right) = sums.get_mut(row.class) {
            loss -= share * right.max(1e-9).ln();
            *right -= 1.0;
        }
        for (place, value) in dense.chain(sparse) {
            let start = place * CLASSES;
            let slope = gradient.get_mut(start..start + CLASSES).unwrap_or(&mut []);
            for (slope, error) in slope.iter_mut().zip(&sums) {
                *slope += share * value * error;
            }
        }
    }
    for (slope, weight) in gradient.iter_mut().zip(at) {
        *slope += penalty * weight;
        loss += penalty / 2.0 * weight * weight;
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::features::HEARD;

    #[test]
    fn what_can_be_told_apart_is_learned() {
        let example = |class: Category, place: u16, fold: usize| {
            let features = Features {
                sparse: vec![(place, 0.8), (7, 0.6)],
                heard: vec![0.0; HEARD],
                titled: false,
            };
            Example {
                category: class,
                fold,
                asked: features.clone(),
                features,
                embedding: None,
                weight: 1.0,
            }
        };
        let mut examples = Vec::new();
        for fold in 0..FOLDS {
            examples.push(example(Category::Food, 100, fold));
            examples.push(example(Category::Travel, 200, fold));
        }
        let head = train(&examples, 1e-4, "", None).head;
        for one in &examples {
            let shares = head.shares(&one.features, None);
            assert_eq!(best_named(&shares).0, one.category.number());
            assert!(best_named(&shares).1 > 0.8, "{shares:?}");
        }
    }

    #[test]
    fn titles_have_a_power_of_their_own_and_so_has_what_stands_beside_the_rules() {
        // Seven of ten right, at shares of a half: too timid with a title, right without.
        let mut low = [0.5 / 16.0; CLASSES];
        low[Category::Food.number()] = 0.5;
        let one = |class: Category, titled: bool, beside| Said {
            class: class.number(),
            titled,
            shares: low,
            beside,
        };
        let some = |right: usize, titled: bool, beside| {
            let truth = move |at: usize| {
                if at < right {
                    Category::Food
                } else {
                    Category::Travel
                }
            };
            (0..10).map(move |at| one(truth(at), titled, beside))
        };
        let both: Vec<Said<'_>> = some(5, false, None).chain(some(7, true, None)).collect();
        let found = powers(&both);
        assert!(found.titled > found.bare + 0.1, "{found:?}");
        let timid = [1.0 / 17.0; CLASSES];
        let beside: Vec<Said<'_>> = some(5, false, Some(&timid)).collect();
        assert!(powers(&beside).bare > found.bare + 0.3);
    }
}
