//! Downhill to the weights that fit best: L-BFGS.

const ITERATIONS: usize = 80;
const MEMORY: usize = 8;

/// The sum of the products.
#[must_use]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Moves `at` to where `measure` is least, with a backtracking line search; `measure` tells the value
/// at a place and writes the slopes there.
pub(super) fn minimise(at: &mut [f32], mut measure: impl FnMut(&[f32], &mut [f32]) -> f32) {
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
}
