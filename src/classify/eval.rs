//! Figures of a classifier on labelled examples.

use crate::classify::shares::Shares;
use crate::classify::shares::best_named;
use crate::domain::label::Category;

const CLASSES: usize = Category::COUNT;
/// Bins of the calibration error.
const BINS: usize = 10;

/// One judged example.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What it is about.
    pub truth: Category,
    /// The share of every category.
    pub shares: Shares,
    /// What was answered: `other` below the threshold.
    pub answer: Category,
}

/// The figures. Top-1, top-3 and calibration are over the categories with a name; `other` counts in
/// precision, F1 and the confusion matrix.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Figures {
    /// Examples.
    pub examples: usize,
    /// The likeliest category is right.
    pub top1: f64,
    /// One of the likeliest three is right.
    pub top3: f64,
    /// Mean F1 of the categories that occur, by the likeliest category.
    pub macro_f1: f64,
    /// Mean distance between confidence and accuracy, over ten bins.
    pub calibration_error: f64,
    /// The part of the examples that got another answer than `other`.
    pub coverage: f64,
    /// The part of those answers that is right.
    pub precision: f64,
    /// Rows: truth, columns: the likeliest category (`other` where `other` was answered for it).
    pub confusion: Vec<Vec<u32>>,
}

/// The figures of these examples.
#[must_use]
pub fn figures(judged: &[Judged]) -> Figures {
    let named: Vec<&Judged> = judged
        .iter()
        .filter(|one| one.truth != Category::Other)
        .collect();
    let right = |one: &Judged| best_named(&one.shares).0 == one.truth.number();
    let share = |count: usize, all: usize| -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of examples")]
        let share = count as f64 / all.max(1) as f64;
        share
    };
    let mut confusion = vec![vec![0_u32; CLASSES]; CLASSES];
    for one in judged {
        let said = if one.truth == Category::Other {
            one.answer.number()
        } else {
            best_named(&one.shares).0
        };
        if let Some(cell) = confusion
            .get_mut(one.truth.number())
            .and_then(|row| row.get_mut(said))
        {
            *cell += 1;
        }
    }
    let answered: Vec<&Judged> = judged
        .iter()
        .filter(|one| one.answer != Category::Other)
        .collect();
    let hits = answered
        .iter()
        .filter(|one| one.answer == one.truth)
        .count();
    Figures {
        examples: judged.len(),
        top1: share(named.iter().filter(|one| right(one)).count(), named.len()),
        top3: share(
            named.iter().filter(|one| is_in_top3(one)).count(),
            named.len(),
        ),
        macro_f1: macro_f1(&confusion),
        calibration_error: calibration_error(&named),
        coverage: share(
            answered
                .iter()
                .filter(|one| one.truth != Category::Other)
                .count(),
            named.len(),
        ),
        precision: share(hits, answered.len()),
        confusion,
    }
}

fn is_in_top3(one: &Judged) -> bool {
    let mut order: Vec<usize> = (0..CLASSES - 1).collect();
    let of = |at: &usize| one.shares.get(*at).copied().unwrap_or(0.0);
    order.sort_by(|a, b| of(b).total_cmp(&of(a)));
    order.iter().take(3).any(|at| *at == one.truth.number())
}

fn macro_f1(confusion: &[Vec<u32>]) -> f64 {
    let mut scores = Vec::new();
    for (class, row) in confusion.iter().enumerate() {
        let all: u32 = row.iter().sum();
        if all == 0 {
            continue;
        }
        let hits = row.get(class).copied().unwrap_or(0);
        let said: u32 = confusion.iter().filter_map(|row| row.get(class)).sum();
        scores.push(2.0 * f64::from(hits) / f64::from(all + said));
    }
    let count = u32::try_from(scores.len().max(1)).unwrap_or(1);
    scores.iter().sum::<f64>() / f64::from(count)
}

fn calibration_error(named: &[&Judged]) -> f64 {
    let mut bins = [(0.0_f64, 0.0_f64, 0.0_f64); BINS];
    for one in named {
        let (best, share) = best_named(&one.shares);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of ten bins"
        )]
        let bin = ((share * BINS as f32) as usize).min(BINS - 1);
        if let Some((count, confidence, hits)) = bins.get_mut(bin) {
            *count += 1.0;
            *confidence += f64::from(share);
            *hits += f64::from(u8::from(best == one.truth.number()));
        }
    }
    let all: f64 = bins.iter().map(|(count, _, _)| count).sum();
    let gaps = bins
        .iter()
        .map(|(_, confidence, hits)| (confidence - hits).abs());
    gaps.sum::<f64>() / all.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(truth: Category, said: Category, share: f32, answer: Category) -> Judged {
        let mut shares = [(1.0 - share) / 16.0; CLASSES];
        shares[said.number()] = share;
        Judged {
            truth,
            shares,
            answer,
        }
    }

    #[test]
    fn figures_are_what_they_are_called() {
        use Category::Food;
        use Category::Other;
        use Category::Travel;
        let all = [
            judged(Food, Food, 0.9, Food),
            judged(Food, Food, 0.4, Other),
            judged(Travel, Food, 0.9, Food),
            judged(Travel, Travel, 0.9, Travel),
            judged(Other, Food, 0.3, Other),
        ];
        let figures = figures(&all);
        assert_eq!((figures.examples, figures.top1), (5, 0.75));
        assert_eq!(figures.coverage, 0.75);
        assert!((figures.precision - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(figures.confusion[Travel.number()][Food.number()], 1);
        assert_eq!(figures.confusion[Other.number()][Other.number()], 1);
        // The bin of 0.9 holds two hits of three, that of 0.4 one of one.
        let expected = ((2.7_f64 - 2.0) + 0.6) / 4.0;
        assert!(
            (figures.calibration_error - expected).abs() < 1e-6,
            "{figures:?}"
        );
    }
}
