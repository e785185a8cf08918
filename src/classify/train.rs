//! Training of the head: softmax regression by L-BFGS over everything at once, and calibration by
//! cross-validation over sites.

use crate::classify::features::Features;
use crate::classify::features::HASHED;
use crate::classify::head;
use crate::classify::head::Head;
use crate::classify::head::Powers;
use crate::classify::head::Shares;
use crate::classify::head::Weights;
use crate::domain::label::Category;

const CLASSES: usize = Category::COUNT;
const ITERATIONS: usize = 80;
const MEMORY: usize = 8;
/// How much of its sureness a head keeps: the sites of the cross-validation were chosen, and the
/// lexicon written, by the same people. On pages that others chose, answers calibrated without
/// this were right 3 to 5 times of 100 less often than they said.
const CAUTION: f32 = 0.85;
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
        let power = if self.titled {
            powers.titled
        } else {
            powers.bare
        };
        let mut shares = self.shares.map(|share| share.max(1e-9).ln());
        head::softmax(&mut shares, power);
        let answer = self.beside.map(|rules| head::mix(rules, &shares));
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
            Head::of(&fit(&inside, penalty), Powers::NONE, 0.0, String::new())
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
    let powers = calibrate(&said);
    let threshold = threshold(&said, powers);
    let all: Vec<&Example> = examples.iter().collect();
    let weights = fit(&all, penalty);
    // Both heads are as cautious, and so is what they say together.
    let cautious = Powers {
        bare: powers.bare * CAUTION,
        titled: powers.titled * CAUTION,
    };
    Trained {
        head: Head::of(&weights, cautious, threshold, fingerprint.to_owned()),
        unseen: said.iter().map(|one| one.with(powers).0).collect(),
    }
}

/// The powers that make the right answers likeliest.
fn calibrate(said: &[Said<'_>]) -> Powers {
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

/// The lowest share, as it is said in the end, from which on 95 of 100 answers are right.
fn threshold(said: &[Said<'_>], powers: Powers) -> f32 {
    let mut answers: Vec<(f32, bool)> = said
        .iter()
        .map(|one| {
            let mut shares = one.with(powers).1.map(|share| share.max(1e-9).ln());
            head::softmax(&mut shares, CAUTION);
            let (best, share) = best_named(&shares);
            (share, best == one.class)
        })
        .collect();
    answers.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut right, mut found) = (0_u32, 0.9);
    for (count, (share, is_right)) in (1_u32..).zip(&answers) {
        right += u32::from(*is_right);
        if right * 100 >= count * 95 && count > 20 {
            found = *share;
        }
    }
    found
}

/// The likeliest category that has a name of its own, and its share.
#[must_use]
pub fn best_named(shares: &Shares) -> (usize, f32) {
    let named = shares.iter().copied().enumerate().take(CLASSES - 1);
    named.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
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
        head::softmax(&mut sums, 1.0);
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

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// L-BFGS with a backtracking line search.
fn minimise(at: &mut [f32], mut measure: impl FnMut(&[f32], &mut [f32]) -> f32) {
    let mut gradient = vec![0.0_f32; at.len()];
    let mut value = measure(at, &mut gradient);
    let mut history: Vec<(Vec<f32>, Vec<f32>, f32)> = Vec::new();
    for _ in 0..ITERATIONS {
        let direction = direction(&gradient, &history);
        let slope = dot(&gradient, &direction);
        if slope > -1e-9 {
            return;
        }
        let mut step = if history.is_empty() {
            1.0 / dot(&gradient, &gradient).sqrt()
        } else {
            1.0
        };
        let (mut next, mut next_gradient) = (vec![0.0_f32; at.len()], vec![0.0_f32; at.len()]);
        let next_value = loop {
            for ((to, from), way) in next.iter_mut().zip(&*at).zip(&direction) {
                *to = from + step * way;
            }
            let found = measure(&next, &mut next_gradient);
            if found <= value + 1e-4 * step * slope || step < 1e-6 {
                break found;
            }
            step *= 0.5;
        };
        let moved: Vec<f32> = next.iter().zip(&*at).map(|(to, from)| to - from).collect();
        let turned: Vec<f32> = next_gradient
            .iter()
            .zip(&gradient)
            .map(|(b, a)| b - a)
            .collect();
        let curve = dot(&moved, &turned);
        if curve > 1e-10 {
            if history.len() == MEMORY {
                history.remove(0);
            }
            history.push((moved, turned, 1.0 / curve));
        }
        at.copy_from_slice(&next);
        gradient = next_gradient;
        if (value - next_value).abs() < 1e-7 {
            return;
        }
        value = next_value;
    }
}

/// Downhill, bent by what the last steps told of the curvature.
fn direction(gradient: &[f32], history: &[(Vec<f32>, Vec<f32>, f32)]) -> Vec<f32> {
    let mut way: Vec<f32> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(history.len());
    for (moved, turned, inverse) in history.iter().rev() {
        let share = inverse * dot(moved, &way);
        for (value, turn) in way.iter_mut().zip(turned) {
            *value -= share * turn;
        }
        shares.push(share);
    }
    if let Some((_, turned, inverse)) = history.last() {
        let scale = 1.0 / (inverse * dot(turned, turned));
        for value in &mut way {
            *value *= scale;
        }
    }
    for ((moved, turned, inverse), share) in history.iter().zip(shares.into_iter().rev()) {
        let back = inverse * dot(turned, &way);
        for (value, step) in way.iter_mut().zip(moved) {
            *value += (share - back) * step;
        }
    }
    way
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
    fn the_minimum_of_a_bowl_is_found() {
        let mut at = vec![5.0, -3.0];
        minimise(&mut at, |at, gradient| {
            gradient[0] = 20.0 * (at[0] - 1.0);
            gradient[1] = 2.0 * (at[1] + 2.0);
            10.0 * (at[0] - 1.0).powi(2) + (at[1] + 2.0).powi(2)
        });
        assert!(
            (at[0] - 1.0).abs() < 1e-2 && (at[1] + 2.0).abs() < 1e-2,
            "{at:?}"
        );
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
        let powers = calibrate(&both);
        assert!(powers.titled > powers.bare + 0.1, "{powers:?}");
        let timid = [1.0 / 17.0; CLASSES];
        let beside: Vec<Said<'_>> = some(5, false, Some(&timid)).collect();
        assert!(calibrate(&beside).bare > powers.bare + 0.3);
    }
}
