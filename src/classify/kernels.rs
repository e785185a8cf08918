//! What a transformer computes between its matrix products: attention, norms, activations.
//!
//! # Why
//!
//! With the activation that came with the library, a third of the time went into an error function
//! of one number at a time. These work on as many numbers at once as the machine's instructions
//! do: `pulp` compiles each for several sets of them and chooses when it runs.

use std::iter::zip;

use pulp::Arch;
use pulp::Simd;
use pulp::WithSimd;

use crate::classify::activations::Activation;
use crate::classify::activations::Function;
use crate::classify::activations::Gelu;
use crate::classify::activations::GeluTanh;
use crate::classify::activations::Relu;
use crate::classify::activations::exp;

/// Rows are padded to as many numbers as the widest instructions take.
const WIDEST: usize = 16;

/// How rows are normed: mean 0 and deviation 1, then scaled and moved.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    /// Factors.
    pub(super) scale: Vec<f32>,
    /// What is added.
    pub(super) shift: Vec<f32>,
    /// Added to the variance.
    pub(super) epsilon: f32,
}

/// The shape of an attention over texts that stand one behind the other, without padding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads<'a> {
    /// Tokens of each text.
    pub(super) lengths: &'a [usize],
    /// Heads.
    pub(super) count: usize,
    /// Numbers of a token; the heads share them.
    pub(super) width: usize,
}

/// Adds the bias to each row, then the activation.
pub(super) fn activate(rows: &mut [f32], bias: &[f32], activation: Activation) {
    let rows = rows.chunks_exact_mut(bias.len().max(1));
    let arch = Arch::new();
    for row in rows {
        match activation {
            Activation::Gelu => arch.dispatch(Row(row, bias, Gelu)),
            Activation::GeluApproximate => arch.dispatch(Row(row, bias, GeluTanh)),
            Activation::Relu => arch.dispatch(Row(row, bias, Relu)),
        }
    }
}

/// Adds the bias and what stood there before to each row, then norms it.
pub(super) fn add_and_norm(rows: &mut [f32], bias: &[f32], before: &[f32], norm: &Norm) {
    let width = norm.scale.len().max(1);
    let arch = Arch::new();
    for (row, before) in zip(rows.chunks_exact_mut(width), before.chunks_exact(width)) {
        arch.dispatch(Add(row, bias));
        arch.dispatch(Add(row, before));
        arch.dispatch(Normed(row, norm));
    }
}

/// Norms each row.
pub(super) fn norm_rows(rows: &mut [f32], norm: &Norm) {
    for row in rows.chunks_exact_mut(norm.scale.len().max(1)) {
        Arch::new().dispatch(Normed(row, norm));
    }
}

/// Attention: of rows of queries, keys and values without their bias, what each token takes from
/// the others of its text.
pub(super) fn attend(asked: &[f32], bias: &[f32], heads: &Heads<'_>) -> Vec<f32> {
    let (width, per_head) = (heads.width, heads.width / heads.count.max(1));
    let mut taken = vec![0.0_f32; asked.len() / 3];
    let longest = heads.lengths.iter().copied().max().unwrap_or(0);
    let mut room = Room::new(longest, per_head);
    let (mut asked, mut rest) = (asked, taken.as_mut_slice());
    for length in heads.lengths {
        let (text, behind) = asked.split_at(asked.len().min(length * width * 3));
        let (out, out_behind) = rest.split_at_mut(rest.len().min(length * width));
        (asked, rest) = (behind, out_behind);
        for head in 0..heads.count {
            let at = head * per_head;
            room.read(text, bias, width, at);
            let out = out.chunks_exact_mut(width.max(1));
            let out = out.map(|row| row.get_mut(at..at + per_head).unwrap_or(&mut []));
            Arch::new().dispatch(Answer(&mut room, out));
        }
    }
    taken
}

/// The numbers of one head over one text, in the order in which they are needed.
struct Room {
    per_head: usize,
    /// Tokens of the text, and that rounded up.
    tokens: usize,
    padded: usize,
    queries: Vec<f32>,
    /// A row for each number of a key, a column for each token.
    keys: Vec<f32>,
    /// A row for each token, its length rounded up.
    values: Vec<f32>,
    scores: Vec<f32>,
    /// What one token takes.
    taken: Vec<f32>,
}

impl Room {
    fn new(longest: usize, per_head: usize) -> Self {
        let padded = longest.next_multiple_of(WIDEST);
        let wide = per_head.next_multiple_of(WIDEST);
        Self {
            per_head,
            tokens: 0,
            padded: 0,
            queries: vec![0.0; longest * per_head],
            keys: vec![0.0; per_head * padded],
            values: vec![0.0; longest * wide],
            scores: vec![0.0; padded],
            taken: vec![0.0; wide],
        }
    }

    fn read(&mut self, text: &[f32], bias: &[f32], width: usize, at: usize) {
        let per_head = self.per_head;
        self.tokens = text.len() / (width * 3).max(1);
        self.padded = self.tokens.next_multiple_of(WIDEST);
        #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
        let scale = 1.0 / (per_head as f32).sqrt();
        let (of_query, of_key, of_value) = parts(bias, width, at, per_head);
        let queries = self.queries.chunks_exact_mut(per_head.max(1));
        let values = self.values.chunks_exact_mut(self.taken.len().max(1));
        let tokens = text.chunks_exact((width * 3).max(1));
        for (number, ((token, queries), values)) in zip(zip(tokens, queries), values).enumerate() {
            let (query, key, value) = parts(token, width, at, per_head);
            for (to, (from, bias)) in zip(queries, zip(query, of_query)) {
                *to = (from + bias) * scale;
            }
            for (to, (from, bias)) in zip(values, zip(value, of_value)) {
                *to = from + bias;
            }
            let rows = self.keys.chunks_exact_mut(self.padded);
            for (row, (from, bias)) in zip(rows, zip(key, of_key)) {
                if let Some(to) = row.get_mut(number) {
                    *to = from + bias;
                }
            }
        }
    }
}

/// A head's parts of a row of queries, keys and values.
fn parts(row: &[f32], width: usize, at: usize, count: usize) -> (&[f32], &[f32], &[f32]) {
    let part = |from: usize| row.get(from + at..from + at + count).unwrap_or(&[]);
    (part(0), part(width), part(2 * width))
}

/// What each token of a text takes from the others, for one head.
struct Answer<'a, Out>(&'a mut Room, Out);

impl<'a, Out: Iterator<Item = &'a mut [f32]>> WithSimd for Answer<'_, Out> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(room, out) = self;
        let queries = room.queries.chunks_exact(room.per_head.max(1));
        for (query, out) in zip(queries, out) {
            let scores = room.scores.get_mut(..room.padded).unwrap_or(&mut []);
            weigh(simd, query, &room.keys, scores);
            let scores = room.scores.get_mut(..room.tokens).unwrap_or(&mut []);
            let all = soften(simd, scores);
            weigh(simd, scores, &room.values, &mut room.taken);
            for (out, taken) in zip(out, &room.taken) {
                *out = taken * all;
            }
        }
    }
}

/// The sum of rows that are as wide as `out`, each times its weight.
#[inline(always)]
fn weigh<S: Simd>(simd: S, weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let width = out.len().max(1);
    let (out, _) = S::as_mut_simd_f32s(out);
    for (column, out) in out.iter_mut().enumerate() {
        let mut sum = simd.splat_f32s(0.0);
        for (weight, row) in zip(weights, rows.chunks_exact(width)) {
            if let Some(values) = S::as_simd_f32s(row).0.get(column) {
                sum = simd.mul_add_e_f32s(simd.splat_f32s(*weight), *values, sum);
            }
        }
        *out = sum;
    }
}

/// Makes scores powers of e; answers what makes their sum 1.
#[inline(always)]
fn soften<S: Simd>(simd: S, scores: &mut [f32]) -> f32 {
    let most = scores.iter().copied().fold(f32::MIN, f32::max);
    let (many, rest) = S::as_mut_simd_f32s(scores);
    let mut sums = simd.splat_f32s(0.0);
    for score in many {
        *score = exp(simd, simd.sub_f32s(*score, simd.splat_f32s(most)));
        sums = simd.add_f32s(sums, *score);
    }
    let mut all = simd.reduce_sum_f32s(sums);
    for score in rest {
        *score = exp(pulp::Scalar, *score - most);
        all += *score;
    }
    1.0 / all
}

/// Adds to a row.
struct Add<'a>(&'a mut [f32], &'a [f32]);

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (many, rest) = S::as_mut_simd_f32s(self.0);
        let (more, rest_more) = S::as_simd_f32s(self.1);
        for (value, more) in zip(many, more) {
            *value = simd.add_f32s(*value, *more);
        }
        for (value, more) in zip(rest, rest_more) {
            *value += more;
        }
    }
}

/// Norms a row.
struct Normed<'a>(&'a mut [f32], &'a Norm);

impl WithSimd for Normed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let part = 1.0 / self.0.len() as f32;
        let (many, rest) = S::as_mut_simd_f32s(self.0);
        let mut sums = simd.splat_f32s(0.0);
        for value in &*many {
            sums = simd.add_f32s(sums, *value);
        }
        let mean = (simd.reduce_sum_f32s(sums) + rest.iter().sum::<f32>()) * part;
        let mut squares = simd.splat_f32s(0.0);
        for value in &mut *many {
            *value = simd.sub_f32s(*value, simd.splat_f32s(mean));
            squares = simd.mul_add_e_f32s(*value, *value, squares);
        }
        let mut square = simd.reduce_sum_f32s(squares);
        for value in &mut *rest {
            *value -= mean;
            square += *value * *value;
        }
        let factor = 1.0 / (square * part + self.1.epsilon).sqrt();
        let (scales, rest_scales) = S::as_simd_f32s(&self.1.scale);
        let (shifts, rest_shifts) = S::as_simd_f32s(&self.1.shift);
        for (value, (scale, shift)) in zip(many, zip(scales, shifts)) {
            let scale = simd.mul_f32s(*scale, simd.splat_f32s(factor));
            *value = simd.mul_add_e_f32s(*value, scale, *shift);
        }
        for (value, (scale, shift)) in zip(rest, zip(rest_scales, rest_shifts)) {
            *value = *value * factor * scale + shift;
        }
    }
}

/// A function of each number of a row, the bias added.
struct Row<'a, F>(&'a mut [f32], &'a [f32], F);

impl<F: Function> WithSimd for Row<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (many, rest) = S::as_mut_simd_f32s(self.0);
        let (bias, rest_bias) = S::as_simd_f32s(self.1);
        for (value, bias) in zip(many, bias) {
            *value = self.2.of(simd, simd.add_f32s(*value, *bias));
        }
        for (value, bias) in zip(rest, rest_bias) {
            *value = self.2.of(pulp::Scalar, *value + bias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normed_row_has_the_mean_and_the_deviation_that_were_asked_for() {
        for width in [3_u8, 16, 40] {
            let mut row: Vec<f32> = (0..width).map(|at| f32::from(at) * 1.5 + 100.0).collect();
            let before = row.clone();
            let norm = Norm {
                scale: vec![2.0; usize::from(width)],
                shift: vec![0.5; usize::from(width)],
                epsilon: 1e-12,
            };
            let bias = vec![-7.0; usize::from(width)];
            add_and_norm(&mut row, &bias, &before, &norm);
            let mean = row.iter().sum::<f32>() / f32::from(width);
            let spread: f32 = row.iter().map(|value| (value - mean).powi(2)).sum();
            let deviation = (spread / f32::from(width)).sqrt();
            assert!((mean - 0.5).abs() < 1e-4, "{width}: {mean}");
            assert!((deviation - 2.0).abs() < 1e-3, "{width}: {deviation}");
        }
    }
}
