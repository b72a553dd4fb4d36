//! Two arms compared block by block.
//!
//! Each block of a schedule runs both arms close together in time and yields one log-ratio of
//! candidate to baseline; whatever slows a whole block (a noisy neighbour, a warm cache, drift)
//! cancels in it. The log-ratios are taken to be symmetric about the true one, and nothing else is
//! assumed of their distribution.
//!
//! Sources: Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*, 3rd ed. 2014,
//! section 3.1 (signed ranks), 3.2 (the Hodges–Lehmann estimator) and 3.3 (the interval of Tukey);
//! R's `wilcox.test(conf.int = TRUE)` computes the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sample::median;

/// A range of ratios, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `ratio` is within.
    #[must_use]
    pub fn contains(&self, ratio: f64) -> bool {
        self.low <= ratio && ratio <= self.high
    }

    /// The end that is farther from 1, as a factor in either direction.
    #[must_use]
    pub(crate) fn farthest(&self) -> f64 {
        self.high.max(1.0 / self.low)
    }
}

/// A candidate's cost as a multiple of the baseline's, with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Candidate ÷ baseline, the Hodges–Lehmann estimate. Of times: below 1 is faster.
    pub ratio: f64,
    /// Confidence interval of `ratio`.
    pub interval: Interval,
    /// Confidence that `interval` truly has. It is at least what was asked for, unless the blocks
    /// were too few: then `interval` is the widest that so many blocks give, and this is its level.
    pub confidence: f64,
    /// Confidence that was asked for.
    pub asked_confidence: f64,
    /// Two-sided p of "both arms are the same", exact.
    pub p_value: f64,
    /// Number of blocks that held a sample of both arms.
    pub blocks: usize,
}

impl Comparison {
    /// Whether the interval has the confidence that was asked for. If not, it shows nothing: that of
    /// one block has no width and would lie within anything.
    #[must_use]
    pub fn is_confident(&self) -> bool {
        self.confidence >= self.asked_confidence
    }

    /// Whether the interval includes "no difference".
    #[must_use]
    pub fn includes_one(&self) -> bool {
        self.interval.contains(1.0)
    }

    /// The same comparison if something else has changed the ratio, by up to `factor` in either direction.
    #[must_use]
    pub(crate) fn widened(&self, factor: f64) -> Self {
        Self {
            interval: Interval {
                low: self.interval.low / factor,
                high: self.interval.high * factor,
            },
            ..*self
        }
    }

    /// The same comparison seen from the other arm: of times, how many times faster the candidate
    /// is.
    #[must_use]
    pub fn inverted(&self) -> Self {
        Self {
            ratio: 1.0 / self.ratio,
            interval: Interval {
                low: 1.0 / self.interval.high,
                high: 1.0 / self.interval.low,
            },
            ..*self
        }
    }
}

/// Natural logarithm of `candidate / baseline`; `None` unless both are finite and above zero.
///
/// A difference of logarithms, not the logarithm of a quotient: swapping the arms then negates it
/// to the last bit.
#[must_use]
pub(crate) fn log_ratio(candidate: f64, baseline: f64) -> Option<f64> {
    let valid = |value: f64| value.is_finite() && value > 0.0;
    (valid(candidate) && valid(baseline)).then(|| candidate.ln() - baseline.ln())
}

/// Compares two arms by the log-ratios of their blocks, at a `confidence` such as 0.95.
///
/// `None` if there is no block or a log-ratio is not finite.
///
/// Time and memory grow with the square of the number of blocks; hundreds take milliseconds.
#[must_use]
pub(crate) fn compare(log_ratios: &[f64], confidence: f64) -> Option<Comparison> {
    let location = location(log_ratios, confidence)?;
    Some(Comparison {
        ratio: location.estimate.exp(),
        interval: Interval {
            low: location.interval.low.exp(),
            high: location.interval.high.exp(),
        },
        confidence: location.confidence,
        asked_confidence: confidence,
        p_value: sign_flip_p(log_ratios),
        blocks: log_ratios.len(),
    })
}

/// Where values lie that scatter symmetrically, in their own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// The Hodges–Lehmann estimate.
    pub estimate: f64,
    /// Its interval.
    pub interval: Interval,
    /// Confidence that the interval has: less than was asked for where values were too few.
    pub confidence: f64,
}

/// Locates `values`; `None` if there is none or one is not finite.
#[must_use]
pub(crate) fn location(values: &[f64], confidence: f64) -> Option<Location> {
    let walsh = walsh_averages(values);
    let estimate = median(&walsh)?;
    let (rank, achieved) = interval_rank(values.len(), confidence);
    Some(Location {
        estimate,
        interval: Interval {
            low: walsh[rank - 1],
            high: walsh[walsh.len() - rank],
        },
        confidence: achieved,
    })
}

/// Fewest blocks whose interval reaches `confidence`: 6 for 0.95.
///
/// The widest interval of n blocks misses with probability 2^(1-n).
#[must_use]
pub(crate) fn blocks_needed(confidence: f64) -> usize {
    (1.0 - (1.0 - confidence).log2()).ceil().max(1.0) as usize
}

/// All averages of two values, each value with itself included, sorted. Their median is the
/// Hodges–Lehmann estimate.
pub(super) fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let mut averages = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
    for (index, first) in values.iter().enumerate() {
        averages.extend(
            values[index..]
                .iter()
                .map(|second| f64::midpoint(*first, *second)),
        );
    }
    averages.sort_unstable_by(f64::total_cmp);
    averages
}

/// The rank r, from 1, for which the r-th smallest and the r-th largest Walsh average enclose the
/// true value with at least `confidence`, and the level that they do have.
///
/// The level is 1 - 2 P(W ≤ r-1), W being the signed-rank statistic of `blocks` blocks; the r taken
/// is the largest (so the interval is the shortest) that keeps it, else 1.
pub(super) fn interval_rank(blocks: usize, confidence: f64) -> (usize, f64) {
    let ranks: Vec<usize> = (1..=blocks).collect();
    let mut missed = 0.0;
    let mut chosen = None;
    for (below, probability) in signed_rank_distribution(&ranks).into_iter().enumerate() {
        missed += 2.0 * probability;
        if chosen.is_some() && 1.0 - missed < confidence {
            break;
        }
        chosen = Some((below + 1, 1.0 - missed));
    }
    // The distribution is never empty: the sum 0 is always possible. One block gives a level of 0.
    chosen.map_or((1, 0.0), |(rank, level)| (rank, level.max(0.0)))
}

/// Two-sided p of the permutation test that flips the signs of the log-ratios, on the signed-rank
/// statistic.
///
/// Under "no difference" each sign is a fair coin, so this is exact for every number of blocks and
/// with ties (equal sizes share their mean rank) and zeros (left out, as Wilcoxon did): the
/// distribution is that of the ranks at hand. Ranks rather than the sum of the log-ratios, because
/// one sample that a shared host stalled tenfold would decide the sum, and because without ties p ≤
/// 1 - confidence exactly where the interval of the same level excludes 1.
fn sign_flip_p(log_ratios: &[f64]) -> f64 {
    let mut values: Vec<f64> = log_ratios
        .iter()
        .copied()
        .filter(|value| *value != 0.0)
        .collect();
    values.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let doubled_ranks = doubled_midranks(&values);
    let positive: usize = values
        .iter()
        .zip(&doubled_ranks)
        .filter(|(value, _)| **value > 0.0)
        .map(|(_, rank)| rank)
        .sum();
    let total: usize = doubled_ranks.iter().sum();
    let smaller = positive.min(total - positive);
    let distribution = signed_rank_distribution(&doubled_ranks);
    let tail: f64 = distribution[..=smaller].iter().sum();
    (2.0 * tail).min(1.0)
}

/// Twice the rank of every value by size, equal sizes sharing the mean of their ranks; doubled to
/// stay whole.
fn doubled_midranks(sorted_by_size: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted_by_size.len());
    for ties in sorted_by_size.chunk_by(|a, b| a.abs() == b.abs()) {
        let before = ranks.len();
        // Ranks before+1 ..= before+len: twice their mean is the sum of the first and the last.
        ranks.extend(std::iter::repeat_n(2 * before + 1 + ties.len(), ties.len()));
    }
    ranks
}

/// P(W = w) for w from 0 to the sum of `ranks`, where each rank counts or not by the toss of a fair
/// coin.
///
/// Adds one rank after the other: P_k(w) = (P_{k-1}(w) + P_{k-1}(w - rank)) / 2. Exact up to
/// rounding; the halves are powers of two, so up to about 50 ranks nothing is rounded at all.
fn signed_rank_distribution(ranks: &[usize]) -> Vec<f64> {
    let mut probabilities = vec![0.0; ranks.iter().sum::<usize>() + 1];
    probabilities[0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        reached += rank;
        for sum in (0..=reached).rev() {
            let with = if sum >= *rank {
                probabilities[sum - rank]
            } else {
                0.0
            };
            probabilities[sum] = 0.5 * (probabilities[sum] + with);
        }
    }
    probabilities
}

#[cfg(test)]
mod tests;
