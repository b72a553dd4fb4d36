//! Two arms that did not run block by block: the same arm in two runs.
//!
//! Nothing pairs their samples, so nothing cancels either; whatever the machine did differently
//! between the runs is in the difference. The costs of one are taken to be those of the other times
//! a factor, and nothing else is assumed of their distribution.
//!
//! Sources: Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*, 3rd ed. 2014,
//! section 4.1 (rank sums), 4.2 (the Hodges–Lehmann estimator) and 4.3 (the interval of Moses); R's
//! `wilcox.test(conf.int = TRUE)` computes the same where there are no ties.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Interval, log_ratio};
use super::family::{Correction, adjust};

use super::sample::median;
use super::verdict::{Threshold, Verdict, verdict};

/// Costs of a candidate and of its baseline, taken independently of each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unpaired {
    /// Those of the candidate.
    pub candidate: Vec<f64>,
    /// Those of the baseline.
    pub baseline: Vec<f64>,
    /// Below what difference nobody needs to care.
    pub threshold: Threshold,
}

/// Independent samples compared, with the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnpairedJudged {
    /// The comparison, its interval at the family's level. Its p is not adjusted; its blocks are
    /// the samples of the side that has fewer.
    pub comparison: Comparison,
    /// p adjusted to the family.
    pub adjusted_p: f64,
    /// Whether there is a difference, be it one that matters or not.
    pub significant: bool,
    /// The verdict.
    pub verdict: Verdict,
}

/// Compares two independent samples of a positive cost, at a `confidence` such as 0.95.
///
/// The ratio is the median of all quotients of a candidate's and a baseline's cost. With so few
/// samples that none reaches `confidence`, the interval is the widest and has its own level.
///
/// Ties count as if they were broken towards "no difference". Costs are continuous and tie by
/// rounding only, so p is then at least that of the unrounded costs, and p ≤ 1 - confidence exactly
/// where the interval of the same level excludes 1, ties or not.
///
/// `None` if a side has no sample, or a cost is not finite and above zero. Time grows with the
/// square of the number of pairs: sixteen samples a side take a fraction of a millisecond, a hundred
/// well under a second.
#[must_use]
pub(crate) fn compare_unpaired(
    candidate: &[f64],
    baseline: &[f64],
    confidence: f64,
) -> Option<Comparison> {
    let differences = log_ratios(candidate, baseline)?;
    let estimate = median(&differences)?;
    let distribution = rank_sum_distribution(candidate.len(), baseline.len());
    let (rank, achieved) = interval_rank(&distribution, confidence);
    Some(Comparison {
        ratio: estimate.exp(),
        interval: Interval {
            low: differences[rank - 1].exp(),
            high: differences[differences.len() - rank].exp(),
        },
        confidence: achieved,
        asked_confidence: confidence,
        p_value: rank_sum_p(&differences, &distribution),
        blocks: candidate.len().min(baseline.len()),
    })
}

/// Judges a family of such comparisons, at a `confidence` such as 0.95 for the family as a whole.
///
/// As [`judge_family`](super::judge_family) does with blocks: a member that cannot be compared has
/// no judgement and does not count, and Holm's procedure applies if any member could pass its first
/// step.
#[must_use]
pub(crate) fn judge_unpaired(
    members: &[Unpaired],
    confidence: f64,
) -> (Vec<Option<UnpairedJudged>>, Correction) {
    let compare = |member: &Unpaired, confidence: f64| {
        compare_unpaired(&member.candidate, &member.baseline, confidence)
    };
    let alone: Vec<Option<Comparison>> = members
        .iter()
        .map(|member| compare(member, confidence))
        .collect();
    let p_values: Vec<f64> = alone.iter().flatten().map(|one| one.p_value).collect();
    let alpha = 1.0 - confidence;
    let smallest = members
        .iter()
        .zip(&alone)
        .filter(|(_, alone)| alone.is_some())
        .map(|(member, _)| smallest_p(member.candidate.len(), member.baseline.len()))
        .fold(1.0, f64::min);
    let can_pass = smallest * p_values.len() as f64 <= alpha;
    let (adjusted, correction) = adjust(&p_values, alpha, can_pass);
    let mut adjusted = adjusted.into_iter();
    let judged = members
        .iter()
        .zip(&alone)
        .map(|(member, alone)| {
            alone.as_ref()?;
            let adjusted = adjusted.next()?;
            let comparison = compare(member, adjusted.confidence)?;
            Some(UnpairedJudged {
                comparison,
                adjusted_p: adjusted.p_value,
                significant: adjusted.significant,
                verdict: verdict(&comparison, adjusted.significant, member.threshold),
            })
        })
        .collect();
    (judged, correction)
}

/// Log-ratios of every candidate to every baseline, sorted. Their median is the Hodges–Lehmann
/// estimate.
fn log_ratios(candidate: &[f64], baseline: &[f64]) -> Option<Vec<f64>> {
    let mut ratios = candidate
        .iter()
        .flat_map(|own| baseline.iter().map(|other| log_ratio(*own, *other)))
        .collect::<Option<Vec<f64>>>()?;
    ratios.sort_unstable_by(f64::total_cmp);
    Some(ratios)
}

/// The rank r, from 1, for which the r-th smallest and the r-th largest difference enclose the true
/// one with at least `confidence`, and the level that they do have: 1 - 2 P(U ≤ r-1). The r taken is
/// the largest that keeps it, else 1.
fn interval_rank(distribution: &[f64], confidence: f64) -> (usize, f64) {
    let mut missed = 2.0 * distribution[0];
    let (mut rank, mut level) = (1, 1.0 - missed);
    for probability in &distribution[1..] {
        missed += 2.0 * probability;
        if 1.0 - missed < confidence {
            break;
        }
        (rank, level) = (rank + 1, 1.0 - missed);
    }
    (rank, level.max(0.0))
}

/// Two-sided p of the rank sum test on sorted differences, ties broken towards "no difference".
fn rank_sum_p(differences: &[f64], distribution: &[f64]) -> f64 {
    let not_above = differences.iter().filter(|value| **value <= 0.0).count();
    let not_below = differences.iter().filter(|value| **value >= 0.0).count();
    let tail: f64 = distribution[..=not_above.min(not_below)].iter().sum();
    (2.0 * tail).min(1.0)
}

/// The smallest two-sided p that so many samples can have: 2 ÷ (number of ways to choose one side
/// among all).
fn smallest_p(first: usize, second: usize) -> f64 {
    let chance: f64 = (1..=first)
        .map(|nth| nth as f64 / (second + nth) as f64)
        .product();
    (2.0 * chance).min(1.0)
}

/// P(U = u) for u from 0 to `first` × `second`, where U counts the pairs in which the value of the
/// first sample is the larger one, and both samples have the same distribution.
///
/// The largest of all m + n values is one of the first sample with probability m ÷ (m + n), and
/// then exceeds all n of the second. Without it the same question remains about one value less:
/// P(m, n, u) = (m P(m-1, n, u-n) + n P(m, n-1, u)) ÷ (m + n). It is the recurrence of Mann and
/// Whitney (1947); probabilities instead of their counts, which overflow.
fn rank_sum_distribution(first: usize, second: usize) -> Vec<f64> {
    // By the values of the first sample; of the second there are as many as the loop has come to.
    let mut by_first = vec![vec![1.0]; first + 1];
    for n in 1..=second {
        for m in 1..=first {
            let share = m as f64 / (m + n) as f64;
            let mut probabilities = vec![0.0; m * n + 1];
            for (u, probability) in by_first[m].iter().enumerate() {
                probabilities[u] += (1.0 - share) * probability;
            }
            for (u, probability) in by_first[m - 1].iter().enumerate() {
                probabilities[u + n] += share * probability;
            }
            by_first[m] = probabilities;
        }
    }
    by_first.swap_remove(first)
}

#[cfg(test)]
mod tests;
