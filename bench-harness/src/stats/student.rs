//! Student's t distribution with a whole number of degrees of freedom.
//!
//! Source: Abramowitz and Stegun, *Handbook of Mathematical Functions*, 1964, 26.7.3 and 26.7.4: finite sums
//! in the cosine of θ = arctan(t ÷ √ν).

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// Probability of a |t| as large as this or larger.
///
/// # Panics
/// With 0 degrees of freedom.
pub(super) fn two_sided_p(t: f64, freedom: usize) -> f64 {
    assert!(freedom > 0, "t needs a degree of freedom");
    let angle = (t.abs() / (freedom as f64).sqrt()).atan();
    (1.0 - within(angle, freedom)).clamp(0.0, 1.0)
}

/// The t within which, up or down, this share of the distribution lies.
///
/// # Panics
/// With 0 degrees of freedom, or unless the share is above 0 and below 1.
pub(super) fn quantile(share: f64, freedom: usize) -> f64 {
    assert!(freedom > 0 && share > 0.0 && share < 1.0);
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    // Half of a half, and so on: the angle to its last bit.
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        if within(middle, freedom) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    (freedom as f64).sqrt() * low.tan()
}

/// A(t|ν), the share within ±t, by the angle θ of t.
fn within(angle: f64, freedom: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let is_odd = freedom % 2 == 1;
    // Of the even case the sum is 1 + 1/2 cos² + …, of the odd one cos + 2/3 cos³ + ….
    let first = if is_odd { cosine } else { 1.0 };
    let terms = if is_odd {
        (freedom - 1) / 2
    } else {
        freedom / 2
    };
    let (mut term, mut sum) = (first, 0.0);
    for nth in 1..=terms {
        sum += term;
        let even = 2.0 * nth as f64;
        let factor = if is_odd {
            even / (even + 1.0)
        } else {
            (even - 1.0) / even
        };
        term *= factor * cosine * cosine;
    }
    if is_odd {
        FRAC_2_PI * (angle + sine * sum)
    } else {
        sine * sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_published_tables() {
        // Two-sided 95% and 99%.
        for (freedom, at_95, at_99) in [
            (1, 12.706, 63.657),
            (2, 4.303, 9.925),
            (3, 3.182, 5.841),
            (7, 2.365, 3.499),
            (10, 2.228, 3.169),
            (30, 2.042, 2.750),
        ] {
            assert!((quantile(0.95, freedom) - at_95).abs() < 6e-4, "{freedom}");
            assert!((quantile(0.99, freedom) - at_99).abs() < 6e-4, "{freedom}");
        }
    }

    #[test]
    fn p_is_the_other_side_of_the_quantile() {
        for freedom in [1, 2, 3, 4, 7, 40] {
            for share in [0.1, 0.5, 0.95, 0.999] {
                let p = two_sided_p(quantile(share, freedom), freedom);
                assert!((p - (1.0 - share)).abs() < 1e-9, "{freedom} {share} {p}");
            }
        }
        assert_eq!(two_sided_p(0.0, 3), 1.0);
        assert_eq!(two_sided_p(-2.0, 5), two_sided_p(2.0, 5));
        assert!(two_sided_p(f64::INFINITY, 3) < 1e-15);
    }
}
