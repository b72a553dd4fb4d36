//! The verdict on a comparison, given the difference that matters.
//!
//! [`verdict`] and [`verdict_where`] are the only place where this is decided; reports, gates and exports ask
//! them.

use std::fmt;

use anyhow::ensure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Interval};

/// Threshold of a machine whose noise has not been measured: 5%.
///
/// On the shared two-core machine of the published samples one block's log-ratio has a standard
/// deviation of 4.5%, and at six blocks this threshold leaves one false alarm in some hundreds of
/// comparisons; `simulation.rs` tests it. Criterion's default of 1% is for quieter machines.
pub const UNCALIBRATED: Threshold = Threshold(0.05);

/// The smallest effect of interest of a claim that names no other: 3%.
///
/// It is a choice and not a measurement: whoever changes a pipeline for less gains nothing that they would
/// notice. It must not be the noise: with that as the limit, "equivalent" is out of reach by construction.
pub(crate) const SMALLEST_EFFECT: Threshold = Threshold(0.03);

/// The smallest threshold that is ever learned: 1%, criterion's default.
///
/// The layout of code and environment, which any change moves, alters run times by more than that
/// (Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS 2009):
/// such a difference can be real and still say nothing of the change.
pub(crate) const FLOOR: Threshold = Threshold(0.01);

/// Practical threshold δ: costs within a factor of 1 + δ, up or down, are as good as equal.
///
/// A factor and not a difference, so that swapping the arms changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
pub struct Threshold(f64);

impl Threshold {
    /// The threshold of a relative difference, 0.05 for 5%.
    ///
    /// # Errors
    /// If `share` is not above 0 and at most 1: what is larger was meant in per cent.
    pub fn new(share: f64) -> anyhow::Result<Self> {
        ensure!(
            share > 0.0 && share <= 1.0,
            "a threshold is a share above 0 and at most 1, not {share}"
        );
        Ok(Self(share))
    }

    /// The threshold beyond which log-ratios of more than `size` lie, kept within [`FLOOR`] and 1.
    pub(super) fn of_log(size: f64) -> Self {
        Self(size.exp_m1().clamp(FLOOR.0, 1.0))
    }

    /// δ as a relative difference: 0.05 for 5%.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0
    }

    /// 1 + δ.
    #[must_use]
    pub fn factor(self) -> f64 {
        1.0 + self.0
    }

    /// The ratios that are as good as 1, both ends included: from 1 ÷ (1 + δ) to 1 + δ.
    #[must_use]
    pub fn range(self) -> Interval {
        Interval {
            low: 1.0 / self.factor(),
            high: self.factor(),
        }
    }

    /// The log-ratio of a cost that is δ above another: ln(1 + δ).
    #[must_use]
    pub fn log(self) -> f64 {
        self.0.ln_1p()
    }

    /// The larger one of two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl TryFrom<f64> for Threshold {
    type Error = anyhow::Error;

    fn try_from(share: f64) -> anyhow::Result<Self> {
        Self::new(share)
    }
}

impl From<Threshold> for f64 {
    fn from(threshold: Threshold) -> Self {
        threshold.0
    }
}

/// The verdict on a comparison of two arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The candidate costs less, by more than δ.
    Improved,
    /// The candidate costs more, by more than δ.
    Regressed,
    /// Any difference is smaller than ±δ.
    Equivalent,
    /// The blocks do not decide it.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Improved => "improved",
            Self::Regressed => "regressed",
            Self::Equivalent => "equivalent",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// The verdict on a comparison whose interval has the family's level, and whose adjusted p says
/// `significant`.
///
/// - equivalent: the whole interval is within ±δ, whether the difference is significant or not, and has
///   the confidence that was asked for;
/// - improved, regressed: the difference is significant and the *estimate* lies beyond ±δ. The
///   interval may reach into ±δ: that there is a difference is certain, that it is beyond δ is the
///   best guess. Those who need the latter to be certain, as poop and criterion do, ask
///   [`is_beyond`] as well;
/// - inconclusive: everything else.
///
/// Where more is better, judge the inverse.
#[must_use]
pub(crate) fn verdict(adjusted: &Comparison, significant: bool, threshold: Threshold) -> Verdict {
    let equivalent = adjusted.is_confident() && is_within(adjusted, threshold);
    verdict_where(equivalent, adjusted, significant, threshold)
}

/// The same where another test has shown whether any difference is too small to matter.
pub(super) fn verdict_where(
    equivalent: bool,
    adjusted: &Comparison,
    significant: bool,
    threshold: Threshold,
) -> Verdict {
    let equal = threshold.range();
    if equivalent {
        Verdict::Equivalent
    } else if !significant || equal.contains(adjusted.ratio) {
        Verdict::Inconclusive
    } else if adjusted.ratio < equal.low {
        Verdict::Improved
    } else {
        Verdict::Regressed
    }
}

/// Whether the whole interval lies beyond ±δ on one side.
#[must_use]
pub(crate) fn is_beyond(comparison: &Comparison, threshold: Threshold) -> bool {
    let (interval, equal) = (comparison.interval, threshold.range());
    interval.low > equal.high || interval.high < equal.low
}

/// Whether the whole interval is within ±δ.
pub(crate) fn is_within(comparison: &Comparison, threshold: Threshold) -> bool {
    let (interval, equal) = (comparison.interval, threshold.range());
    equal.contains(interval.low) && equal.contains(interval.high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn comparison(low: f64, ratio: f64, high: f64) -> Comparison {
        Comparison {
            ratio,
            interval: Interval { low, high },
            confidence: 0.96,
            asked_confidence: 0.95,
            p_value: 0.01,
            blocks: 10,
        }
    }

    #[test]
    fn verdicts_at_five_per_cent() {
        use Verdict::{Equivalent, Improved, Inconclusive, Regressed};
        // Interval and estimate, significant, verdict, whole interval beyond.
        let table = [
            ((0.80, 0.85, 0.90), true, Improved, true),
            ((0.90, 0.94, 0.98), true, Improved, false),
            ((1.10, 1.20, 1.30), true, Regressed, true),
            ((1.01, 1.06, 1.12), true, Regressed, false),
            ((0.97, 0.99, 1.02), false, Equivalent, false),
            // Different for certain, and not so that it matters.
            ((0.96, 0.97, 0.98), true, Equivalent, false),
            ((1.01, 1.02, 1.03), true, Equivalent, false),
            // Different for certain, whether it matters is open.
            ((0.93, 0.96, 0.99), true, Inconclusive, false),
            ((0.80, 0.94, 1.10), false, Inconclusive, false),
            // The later steps of Holm's procedure find what the intervals of its first do not.
            ((0.80, 0.90, 1.01), true, Improved, false),
            ((0.80, 0.85, 0.90), false, Inconclusive, true),
        ];
        for ((low, ratio, high), significant, expected, beyond) in table {
            let comparison = comparison(low, ratio, high);
            assert_eq!(
                verdict(&comparison, significant, UNCALIBRATED),
                expected,
                "{comparison:?}"
            );
            assert_eq!(
                is_beyond(&comparison, UNCALIBRATED),
                beyond,
                "{comparison:?}"
            );
        }
    }

    #[test]
    fn a_difference_of_exactly_the_threshold_does_not_matter() {
        for edge in [1.05, 1.0 / 1.05] {
            let at_the_edge = comparison(edge, edge, edge);
            assert!(!is_beyond(&at_the_edge, UNCALIBRATED));
            let wide = comparison(edge * 0.99, edge, edge * 1.01);
            assert_eq!(verdict(&wide, true, UNCALIBRATED), Verdict::Inconclusive);
        }
    }

    #[test]
    fn too_few_blocks_show_no_equivalence() {
        let single = crate::stats::compare::compare(&[0.001], 0.95).unwrap();
        assert_eq!(verdict(&single, false, UNCALIBRATED), Verdict::Inconclusive);
        let five = crate::stats::compare::compare(&[0.001; 5], 0.95).unwrap();
        assert_eq!(verdict(&five, false, UNCALIBRATED), Verdict::Inconclusive);
        let six = crate::stats::compare::compare(&[0.001; 6], 0.95).unwrap();
        assert_eq!(verdict(&six, false, UNCALIBRATED), Verdict::Equivalent);
    }

    #[test]
    fn a_threshold_is_a_share() {
        for wrong in [0.0, -0.05, 5.0, f64::NAN, f64::INFINITY] {
            assert!(Threshold::new(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            serde_json::from_str::<Threshold>("5")
                .unwrap_err()
                .to_string(),
            "a threshold is a share above 0 and at most 1, not 5"
        );
        let parsed: Threshold = serde_json::from_str("0.05").unwrap();
        assert_eq!(parsed, UNCALIBRATED);
        assert_eq!(serde_json::to_string(&parsed).unwrap(), "0.05");
        assert_eq!(FLOOR.max(UNCALIBRATED), UNCALIBRATED.max(FLOOR));
        let schema = serde_json::to_value(schemars::schema_for!(Threshold)).unwrap();
        assert_eq!(schema["type"], "number");
    }

    #[test]
    fn verdicts_are_written_as_they_are_printed() {
        for verdict in [
            Verdict::Improved,
            Verdict::Regressed,
            Verdict::Equivalent,
            Verdict::Inconclusive,
        ] {
            let json = serde_json::to_string(&verdict).unwrap();
            assert_eq!(json, format!("\"{verdict}\""));
            assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
        }
    }

    proptest! {
        #[test]
        fn swapping_the_arms_swaps_the_verdict(
            logs in prop::array::uniform3(-0.3..0.3f64),
            significant: bool,
            share in 0.01..0.3f64,
        ) {
            let mut logs = logs;
            logs.sort_unstable_by(f64::total_cmp);
            let [low, ratio, high] = logs.map(f64::exp);
            let forward = comparison(low, ratio, high);
            let threshold = Threshold::new(share).unwrap();
            let expected = match verdict(&forward, significant, threshold) {
                Verdict::Improved => Verdict::Regressed,
                Verdict::Regressed => Verdict::Improved,
                same => same,
            };
            prop_assert_eq!(verdict(&forward.inverted(), significant, threshold), expected);
        }
    }
}
