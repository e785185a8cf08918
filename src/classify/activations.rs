//! Functions of many numbers at once: what a transformer's layers put between their products.

use pulp::Simd;

/// The activation between the two halves of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// x · Φ(x), exactly.
    Gelu,
    /// The same by a hyperbolic tangent.
    GeluApproximate,
    /// What is below 0 is 0.
    Relu,
}

/// A function of one number.
pub(super) trait Function: Copy {
    /// Its values.
    fn of<S: Simd>(self, simd: S, value: S::f32s) -> S::f32s;
}

/// x · Φ(x).
#[derive(Clone, Copy)]
pub(super) struct Gelu;

impl Function for Gelu {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, value: S::f32s) -> S::f32s {
        let scale = simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2);
        let half = simd.mul_f32s(value, simd.splat_f32s(0.5));
        simd.mul_add_e_f32s(half, erf(simd, simd.mul_f32s(value, scale)), half)
    }
}

/// The same by a hyperbolic tangent.
#[derive(Clone, Copy)]
pub(super) struct GeluTanh;

impl Function for GeluTanh {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, value: S::f32s) -> S::f32s {
        // x / (1 + e^-2y), which is x / 2 * (1 + tanh y).
        let one = simd.splat_f32s(1.0);
        let square = simd.mul_f32s(value, value);
        let inner = simd.mul_add_e_f32s(square, simd.splat_f32s(0.044_715), one);
        let scale = simd.mul_f32s(value, simd.splat_f32s(-2.0 * 0.797_884_6));
        let power = exp(simd, simd.mul_f32s(scale, inner));
        simd.div_f32s(value, simd.add_f32s(one, power))
    }
}

/// What is below 0 is 0.
#[derive(Clone, Copy)]
pub(super) struct Relu;

impl Function for Relu {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, value: S::f32s) -> S::f32s {
        simd.max_f32s(value, simd.splat_f32s(0.0))
    }
}

/// A polynomial, its highest factor first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, value: S::f32s, factors: [f32; N]) -> S::f32s {
    let mut sum = simd.splat_f32s(0.0);
    for factor in factors {
        sum = simd.mul_add_e_f32s(sum, value, simd.splat_f32s(factor));
    }
    sum
}

/// The error function: a quotient of polynomials, right to some units of the last place.
#[inline(always)]
fn erf<S: Simd>(simd: S, value: S::f32s) -> S::f32s {
    let value = simd.min_f32s(value, simd.splat_f32s(4.0));
    let value = simd.max_f32s(value, simd.splat_f32s(-4.0));
    let square = simd.mul_f32s(value, value);
    let over = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    let under = [
        -1.456_607_2e-5,
        -2.133_740_5e-4,
        -1.682_827e-3,
        -7.373_329e-3,
        -1.426_473_9e-2,
    ];
    let over = simd.mul_f32s(value, polynomial(simd, square, over));
    simd.div_f32s(over, polynomial(simd, square, under))
}

/// e to the power of `value`: 2 to the whole part of its power, by the bits of the result, times a
/// polynomial for the rest.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, value: S::f32s) -> S::f32s {
    // Added to a number and taken away again it leaves a whole number, which its last bits are.
    let mark = simd.splat_f32s(12_582_912.0);
    let value = simd.min_f32s(value, simd.splat_f32s(88.0));
    let value = simd.max_f32s(value, simd.splat_f32s(-87.0));
    let powers = simd.mul_f32s(value, simd.splat_f32s(std::f32::consts::LOG2_E));
    let marked = simd.add_f32s(powers, mark);
    let whole = simd.sub_f32s(marked, mark);
    // The logarithm of 2 in two parts: the first has so few digits that the product is exact.
    let rest = simd.mul_add_e_f32s(whole, simd.splat_f32s(-0.693_359_4), value);
    let rest = simd.mul_add_e_f32s(whole, simd.splat_f32s(2.121_944_4e-4), rest);
    let factors = [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let sum = polynomial(simd, rest, factors);
    let bits = simd.transmute_u32s_f32s(marked);
    let bits = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
    let bits = simd.add_u32s(bits, simd.splat_u32s(1.0_f32.to_bits()));
    simd.mul_f32s(sum, simd.transmute_f32s_u32s(bits))
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    /// The error function by its series, in twice the precision.
    fn erf_by_series(value: f64) -> f64 {
        let (mut term, mut sum) = (value, value);
        for n in 1..200 {
            term *= -value * value / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn the_functions_are_those_that_they_are_called() {
        for step in -3_000_i16..=3_000 {
            let value = f32::from(step) * 0.001_7;
            let wide = f64::from(value);
            let phi = 0.5 * (1.0 + erf_by_series(wide * std::f64::consts::FRAC_1_SQRT_2));
            let distance = (f64::from(Gelu.of(Scalar, value)) - wide * phi).abs();
            assert!(distance < 1e-6, "gelu({value}): {distance}");
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
            let distance =
                (f64::from(GeluTanh.of(Scalar, value)) - 0.5 * wide * (1.0 + inner.tanh())).abs();
            assert!(distance < 2e-6, "gelu_tanh({value}): {distance}");
            let value = value * 15.0;
            let power = f64::from(exp(Scalar, value)) / f64::from(value).exp();
            assert!((power - 1.0).abs() < 5e-7, "exp({value}): {power}");
        }
        for (value, wanted) in [(-50.0, 0.0), (50.0, 50.0), (f32::MAX, f32::MAX)] {
            assert!(
                (Gelu.of(Scalar, value) - wanted).abs() <= wanted * 1e-6 + 1e-4,
                "{value}"
            );
        }
        assert!(exp(Scalar, f32::MIN) < 1e-37 && exp(Scalar, 0.0) == 1.0);
    }
}
