//! One arm's samples of one metric: order statistics, and which samples are outliers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far beyond the quartiles, in interquartile ranges, a sample counts as an outlier.
///
/// Tukey's outer fence (Exploratory Data Analysis, 1977, ch. 2: "far out"). The inner fence of 1.5
/// marks 1 in 150 samples of a normal distribution, which in a run of some hundred samples is noise
/// about noise; the outer one marks 1 in 400,000.
const OUTER_FENCE_IQR: f64 = 3.0;

/// Fewest samples for which outliers are looked for.
///
/// With five, the upper quartile is the second largest sample and does not move when the largest
/// does. With four, the largest one widens the very range that it is compared with and is never
/// found.
const OUTLIER_MIN_SAMPLES: usize = 5;

/// Order statistics of a set of samples, in the unit of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Number of samples.
    pub count: usize,
    /// Smallest sample.
    pub min: f64,
    /// Lower quartile.
    pub lower_quartile: f64,
    /// Median: the figure that reports lead with.
    pub median: f64,
    /// Upper quartile.
    pub upper_quartile: f64,
    /// Largest sample.
    pub max: f64,
    /// Samples beyond the outer fences. They are reported and never dropped.
    pub outliers: usize,
}

impl Summary {
    /// Summarises `values`; `None` if there are none or one of them is not a finite number.
    #[must_use]
    pub fn new(values: &[f64]) -> Option<Self> {
        let sorted = sorted_finite(values)?;
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let lower_quartile = quantile(&sorted, 0.25)?;
        let upper_quartile = quantile(&sorted, 0.75)?;
        let fence = OUTER_FENCE_IQR * (upper_quartile - lower_quartile);
        let outliers = if sorted.len() < OUTLIER_MIN_SAMPLES {
            0
        } else {
            sorted
                .iter()
                .filter(|value| {
                    **value < lower_quartile - fence || **value > upper_quartile + fence
                })
                .count()
        };
        Some(Self {
            count: sorted.len(),
            min,
            lower_quartile,
            median: quantile(&sorted, 0.5)?,
            upper_quartile,
            max,
            outliers,
        })
    }
}

/// Median of `values`; `None` if there are none or one of them is not a finite number.
#[must_use]
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(&sorted_finite(values)?, 0.5)
}

fn sorted_finite(values: &[f64]) -> Option<Vec<f64>> {
    if values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Some(sorted)
}

/// Quantile by linear interpolation between order statistics: type 7 of Hyndman and Fan, "Sample
/// Quantiles in Statistical Packages", The American Statistician 50 (1996), the default of R and
/// NumPy.
pub(super) fn quantile(sorted: &[f64], probability: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = probability * last as f64;
    let below = rank.floor() as usize;
    let above = (below + 1).min(last);
    let weight = rank - below as f64;
    // The midpoint of two equal numbers must be that number: a weighted sum may miss it by a
    // rounding error.
    Some(sorted[below] + weight * (sorted[above] - sorted[below]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quartiles_are_those_of_r() {
        // R: quantile(c(1, 2, 3, 4, 10)) and quantile(c(7, 15, 36, 39, 40, 41)).
        let odd = Summary::new(&[10.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(
            (odd.lower_quartile, odd.median, odd.upper_quartile),
            (2.0, 3.0, 4.0)
        );
        let even = Summary::new(&[7.0, 15.0, 36.0, 39.0, 40.0, 41.0]).unwrap();
        assert_eq!(
            (even.lower_quartile, even.median, even.upper_quartile),
            (20.25, 37.5, 39.75)
        );
    }

    #[test]
    fn one_sample_is_its_own_quartiles() {
        let summary = Summary::new(&[2.5]).unwrap();
        assert_eq!(
            (
                summary.min,
                summary.lower_quartile,
                summary.median,
                summary.max
            ),
            (2.5, 2.5, 2.5, 2.5)
        );
    }

    #[test]
    fn nothing_and_nonsense_have_no_summary() {
        assert_eq!(Summary::new(&[]), None);
        assert_eq!(Summary::new(&[1.0, f64::NAN]), None);
        assert_eq!(median(&[f64::INFINITY]), None);
    }

    #[test]
    fn one_stalled_sample_is_an_outlier_and_stays_in() {
        let summary = Summary::new(&[2.1, 2.2, 2.15, 2.18, 28.0]).unwrap();
        assert_eq!(summary.outliers, 1);
        assert_eq!((summary.count, summary.max), (5, 28.0));
        assert_eq!(Summary::new(&[2.1, 2.2, 2.15, 28.0]).unwrap().outliers, 0);
    }

    proptest! {
        #[test]
        fn order_statistics_are_ordered(values in prop::collection::vec(-1e6..1e6f64, 1..40)) {
            let s = Summary::new(&values).unwrap();
            prop_assert!(s.min <= s.lower_quartile && s.lower_quartile <= s.median);
            prop_assert!(s.median <= s.upper_quartile && s.upper_quartile <= s.max);
        }
    }
}
