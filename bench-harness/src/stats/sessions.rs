//! Two arms compared over several starts of the server.
//!
//! Blocks of one session share the state of its server: where memory, files and caches happen to lie. On the
//! published machine, sessions differed by 1.6% beyond what their blocks explain, so an interval over blocks
//! alone says nothing about the next session. Here a session counts once, by the Hodges–Lehmann estimate of
//! its blocks, and the interval is that of Student's t over sessions: it holds the variance between sessions
//! and, as each estimate carries it, that of blocks within them.
//!
//! Source: Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013, section 9, whose
//! interval is that of t over the means of the highest level. Estimates in place of means keep one disturbed
//! block from moving its session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Interval, location};
use super::student::{quantile, two_sided_p};
use super::verdict::Threshold;

/// Blocks of a session: one mirrored pair.
///
/// Kalibera and Jones (section 8): the number that wastes no time is the root of the cost of a session in
/// blocks times the ratio of the variances. A new server and the warm-ups cost two to four blocks; blocks vary
/// by 4.5% and sessions by 1.6%, a ratio of 8 of variances. That is four to six. Two are taken all the same:
/// sixteen blocks are then eight sessions, and with only four the quantile of t is 3.2 where it is 2.4.
pub(crate) const BLOCKS_PER_SESSION: usize = 2;

/// Fewest sessions over which an interval is taken. With less, the quantile of t is 4.3 and more.
pub(crate) const LEAST_SESSIONS: usize = 4;

/// What sessions show beside their comparison.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// How many have a block.
    pub count: usize,
    /// Standard deviation of the log-ratios of sessions.
    pub deviation: f64,
    /// Whether two of them disagree: their own intervals, all at once at 95%, do not touch.
    pub disjoint: bool,
}

impl Sessions {
    /// `None` with fewer than [`LEAST_SESSIONS`].
    pub(super) fn new(sessions: &[Vec<f64>]) -> Option<Self> {
        let estimates = estimates(sessions)?;
        Some(Self {
            count: estimates.len(),
            deviation: deviation(&estimates),
            disjoint: are_disjoint(sessions, &estimates),
        })
    }
}

/// Compares two arms by the log-ratios of the blocks of each session, at a `confidence` such as 0.95.
///
/// `None` with fewer than [`LEAST_SESSIONS`], or if a log-ratio is not finite.
#[must_use]
pub(crate) fn compare_sessions(sessions: &[Vec<f64>], confidence: f64) -> Option<Comparison> {
    let estimates = estimates(sessions)?;
    let (mean, error) = (mean(&estimates), standard_error(&estimates));
    let freedom = estimates.len() - 1;
    let half = quantile(confidence, freedom) * error;
    Some(Comparison {
        ratio: mean.exp(),
        interval: Interval {
            low: (mean - half).exp(),
            high: (mean + half).exp(),
        },
        confidence,
        asked_confidence: confidence,
        p_value: two_sided_p(mean / error, freedom),
        blocks: sessions.iter().map(Vec::len).sum(),
    })
}

/// p of "the arms differ by `smallest` or more", the larger one of two one-sided tests.
///
/// Source: Schuirmann, "A Comparison of the Two One-Sided Tests Procedure and the Power Approach", Journal of
/// Pharmacokinetics and Biopharmaceutics 15 (1987).
#[must_use]
pub(super) fn equivalence_p(sessions: &[Vec<f64>], smallest: Threshold) -> Option<f64> {
    let estimates = estimates(sessions)?;
    let (mean, error) = (mean(&estimates), standard_error(&estimates));
    let room = smallest.log() - mean.abs();
    let p = two_sided_p(room / error, estimates.len() - 1) / 2.0;
    Some(if room > 0.0 { p } else { 1.0 - p })
}

/// The smallest true relative effect that so many such sessions find four times in five, significant at
/// `confidence` and with an estimate beyond `threshold`.
pub(super) fn smallest_detectable(
    sessions: &[Vec<f64>],
    confidence: f64,
    threshold: Threshold,
) -> Option<f64> {
    let estimates = estimates(sessions)?;
    let (error, freedom) = (standard_error(&estimates), estimates.len() - 1);
    // One side of an interval of 60% leaves a fifth out.
    let power = quantile(0.6, freedom);
    let critical = quantile(confidence, freedom) * error;
    Some((critical.max(threshold.log()) + power * error).exp_m1())
}

/// How many more sessions would let `decides` be true, if estimate and deviation stay: the first number at
/// which it is. `None` if that is more than ten times what there is; then the estimate lies where no number
/// would help.
#[must_use]
pub(crate) fn sessions_to_decide(
    comparison: &Comparison,
    sessions: Sessions,
    decides: impl Fn(&Comparison) -> bool,
) -> Option<usize> {
    const MOST: usize = 10;
    let count = sessions.count;
    let half = |count: usize| {
        let error = sessions.deviation / (count as f64).sqrt();
        quantile(comparison.asked_confidence, count - 1) * error
    };
    let would_decide = |count: &usize| {
        let half = half(*count).exp();
        let interval = Interval {
            low: comparison.ratio / half,
            high: comparison.ratio * half,
        };
        decides(&Comparison {
            interval,
            ..*comparison
        })
    };
    let needed = (count + 1..=MOST * count).find(would_decide)?;
    Some(needed - count)
}

/// The log-ratio of each session that has a block.
fn estimates(sessions: &[Vec<f64>]) -> Option<Vec<f64>> {
    let estimates: Vec<f64> = sessions
        .iter()
        .filter(|blocks| !blocks.is_empty())
        .map(|blocks| Some(location(blocks, 0.5)?.estimate))
        .collect::<Option<_>>()?;
    (estimates.len() >= LEAST_SESSIONS).then_some(estimates)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// Of the mean of `values`; never 0, for counts that are the same in every session leave no doubt and a
/// division.
fn standard_error(values: &[f64]) -> f64 {
    (deviation(values) / (values.len() as f64).sqrt()).max(f64::MIN_POSITIVE)
}

/// Whether the intervals of the lowest and the highest session do not touch, each at a level at which all of
/// them hold with 95% (Bonferroni). Their width is that of the pooled variance of blocks within sessions.
fn are_disjoint(sessions: &[Vec<f64>], estimates: &[f64]) -> bool {
    let present = || sessions.iter().filter(|blocks| !blocks.is_empty());
    let blocks: usize = present().map(Vec::len).sum();
    let Some(freedom @ 1..) = blocks.checked_sub(estimates.len()) else {
        return false;
    };
    let squares: f64 = present()
        .flat_map(|blocks| {
            let mean = mean(blocks);
            blocks.iter().map(move |block| (block - mean).powi(2))
        })
        .sum();
    let within = (squares / freedom as f64).sqrt();
    let level = 1.0 - 0.05 / estimates.len() as f64;
    let half = |blocks: &Vec<f64>| quantile(level, freedom) * within / (blocks.len() as f64).sqrt();
    let ends = || estimates.iter().zip(present());
    let highest_low = ends().map(|(at, blocks)| at - half(blocks));
    let lowest_high = ends().map(|(at, blocks)| at + half(blocks));
    highest_low.fold(f64::MIN, f64::max) > lowest_high.fold(f64::MAX, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-6, "{actual}, not {expected}");
    }

    fn pairs(centres: &[f64], apart: f64) -> Vec<Vec<f64>> {
        let pair = |centre: &f64| vec![centre - apart, centre + apart];
        centres.iter().map(pair).collect()
    }

    #[test]
    fn the_interval_of_four_sessions_by_hand() {
        // R: t.test(c(0.01, 0.02, 0.03, 0.06)) has a mean of 0.03, p = 0.0690 and an interval from -0.00437
        // to 0.06437.
        let compared = compare_sessions(&pairs(&[0.01, 0.02, 0.03, 0.06], 0.001), 0.95).unwrap();
        close(compared.ratio.ln(), 0.03);
        assert!((compared.interval.low.ln() + 0.004_374).abs() < 1e-5);
        assert!((compared.interval.high.ln() - 0.064_374).abs() < 1e-5);
        assert!(
            (compared.p_value - 0.069).abs() < 5e-4,
            "{}",
            compared.p_value
        );
        assert_eq!(compared.blocks, 8);
    }

    #[test]
    fn more_blocks_of_the_same_sessions_do_not_narrow_the_interval() {
        let few = pairs(&[0.01, 0.02, 0.03, 0.06], 0.001);
        let many: Vec<Vec<f64>> = few.iter().map(|blocks| blocks.repeat(10)).collect();
        let interval = |sessions: &[Vec<f64>]| compare_sessions(sessions, 0.95).unwrap().interval;
        close(interval(&few).low, interval(&many).low);
        close(interval(&few).high, interval(&many).high);
    }

    #[test]
    fn three_sessions_and_empty_ones_are_too_few() {
        let mut sessions = pairs(&[0.01, 0.02, 0.03], 0.001);
        sessions.push(Vec::new());
        assert_eq!(compare_sessions(&sessions, 0.95), None);
        assert_eq!(Sessions::new(&sessions), None);
    }

    #[test]
    fn counts_that_never_vary_leave_no_doubt() {
        let same = compare_sessions(&pairs(&[0.0; 5], 0.0), 0.95).unwrap();
        assert_eq!((same.ratio, same.p_value), (1.0, 1.0));
        let twice = compare_sessions(&pairs(&[2_f64.ln(); 5], 0.0), 0.95).unwrap();
        assert!(twice.p_value < 1e-12 && twice.interval.low > 1.99);
    }

    #[test]
    fn sessions_that_disagree_are_disjoint() {
        let of = |centres: &[f64], apart| Sessions::new(&pairs(centres, apart)).unwrap();
        assert!(of(&[0.0, 0.1, 0.0, 0.1], 0.001).disjoint);
        assert!(!of(&[0.0, 0.1, 0.0, 0.1], 0.1).disjoint);
    }

    #[test]
    fn equivalence_needs_room_on_both_sides() {
        let three = Threshold::new(0.03).unwrap();
        let p = |centres: &[f64]| equivalence_p(&pairs(centres, 0.0), three).unwrap();
        assert!(p(&[0.001, -0.001, 0.002, -0.002]) < 0.001);
        assert!(p(&[0.05, 0.051, 0.049, 0.05]) > 0.999);
        // The same on either side.
        close(
            p(&[0.02, 0.01, 0.03, 0.02]),
            p(&[-0.02, -0.01, -0.03, -0.02]),
        );
    }

    #[test]
    fn more_sessions_decide_what_lies_away_from_a_bound() {
        let sessions = pairs(&[0.01, 0.07, 0.03, 0.06], 0.001);
        let compared = compare_sessions(&sessions, 0.95).unwrap();
        let found = Sessions::new(&sessions).unwrap();
        let above_one = |one: &Comparison| one.interval.low > 1.0;
        assert!(!above_one(&compared));
        assert_eq!(sessions_to_decide(&compared, found, above_one), Some(1));
        let beyond = |one: &Comparison| one.interval.low > compared.ratio;
        assert_eq!(sessions_to_decide(&compared, found, beyond), None);
    }
}
