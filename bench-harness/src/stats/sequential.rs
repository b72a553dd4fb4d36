//! When a gate has measured enough, and what it says then: a group-sequential design with two margins.
//!
//! A gate looks at its blocks at planned numbers of them, and ends at the first look that decides. Each look
//! may be wrong with a share of the whole error, and the shares add up to it, so all looks together are
//! wrong at most as often as one is allowed to be, however they depend on one another. The share spent by
//! the time of a look grows with its blocks as `(blocks ÷ most blocks)^1.25`: little at first, when the blocks
//! are of one or two starts of the server, and most at the end.
//!
//! Sources: Lan and DeMets, "Discrete Sequential Boundaries for Clinical Trials", Biometrika 70 (1983), for
//! spending an error over looks; Kim and DeMets, "Design and Analysis of Group Sequential Tests Based on the
//! Type I Error Spending Rate Function", Biometrika 74 (1987), for this family of functions; Jennison and
//! Turnbull, *Group Sequential Methods*, 2000, chapter 9, for intervals that hold at every look.

use super::CONFIDENCE_LEVEL;
use super::compare::{Comparison, Interval, compare, location};
use super::verdict::{Threshold, Verdict};

/// Blocks between two starts of the server.
///
/// What a start does to a ratio is the same in all blocks that follow it, so more blocks of one start do not
/// average it out.
pub(crate) const SESSION_BLOCKS: usize = 12;

/// Most blocks at which a gate looks.
pub(crate) const MOST_BLOCKS: usize = 320;

/// Blocks at which a gate looks.
const BLOCKS: [usize; 6] = [SESSION_BLOCKS, 24, 48, 96, 160, MOST_BLOCKS];

/// The error of calling a cost slower that is not.
pub(crate) const FALSE_ALARM: f64 = 0.01;

/// The error of calling a cost good enough that is worse by the margin.
const MISS: f64 = 0.05;

/// The exponent of the function that spends an error. `simulation` tests the choice.
const SPENDING: f64 = 1.25;

/// The numbers of blocks at which a gate looks, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looks(Vec<usize>);

impl Looks {
    /// The first look, and the planned ones up to `last`.
    #[must_use]
    pub(crate) fn new(first: usize, last: usize) -> Self {
        let planned = BLOCKS
            .into_iter()
            .filter(|blocks| (first + 1..=last).contains(blocks));
        Self(std::iter::once(first).chain(planned).collect())
    }

    /// Blocks of the first look.
    #[must_use]
    pub(crate) fn first(&self) -> usize {
        self.0[0]
    }

    /// The first look with more than `blocks`.
    #[must_use]
    pub(crate) fn after(&self, blocks: usize) -> Option<usize> {
        self.0.iter().copied().find(|look| *look > blocks)
    }

    /// Whether so many blocks are looked at.
    #[must_use]
    pub(crate) fn contains(&self, blocks: usize) -> bool {
        self.0.contains(&blocks)
    }

    /// The comparisons at all looks up to `blocks`, whose intervals hold together, and together with those of
    /// all of the `family`. None is of one start of the server alone.
    pub(crate) fn comparisons(
        &self,
        blocks: usize,
        family: usize,
        log_ratios: impl Fn(usize) -> Vec<f64>,
    ) -> Vec<Comparison> {
        let alpha = (1.0 - CONFIDENCE_LEVEL) / family as f64;
        let looks = self.shares().take_while(|(look, _)| *look <= blocks);
        let looks = looks.filter(|(look, _)| *look > SESSION_BLOCKS);
        let compared =
            looks.filter_map(|(look, share)| compare(&log_ratios(look), 1.0 - alpha * share));
        compared.collect()
    }

    /// Every look with its share of an error.
    fn shares(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let most = self.0.last().copied().unwrap_or(1) as f64;
        let mut spent = 0.0;
        self.0.iter().map(move |look| {
            let by_now = (*look as f64 / most).powf(SPENDING);
            let share = by_now - spent;
            spent = by_now;
            (*look, share)
        })
    }
}

/// How one cost is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Design<'a> {
    /// When it is looked at.
    pub looks: &'a Looks,
    /// It is not slower while the estimate is within this.
    pub limit: Threshold,
    /// It is good enough once this is ruled out; larger than the limit.
    pub margin: Threshold,
    /// Costs that are judged together: [`FALSE_ALARM`] is the error of calling any of them slower.
    pub family: usize,
}

/// A cost at the look that decided it, else at the last one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decision {
    /// The comparison, its interval at the level of the family.
    pub comparison: Comparison,
    /// p of "no difference", adjusted to the family.
    pub adjusted_p: f64,
    /// - regressed: "not slower" is rejected, the estimate is beyond the limit, and the blocks are of more
    ///   than one start of the server;
    /// - equivalent: "slower by the margin" is rejected;
    /// - improved: that as well, and the interval excludes 1, and the estimate is beyond the limit;
    /// - inconclusive: none of these yet.
    pub verdict: Verdict,
}

impl Design<'_> {
    /// Judges a cost of which `blocks` were measured; `log_ratios` yields those of the first so many blocks,
    /// or fewer where some are void.
    ///
    /// `None` before the first look, and where it has no log-ratio.
    #[must_use]
    pub(crate) fn judge(
        &self,
        blocks: usize,
        log_ratios: impl Fn(usize) -> Vec<f64>,
    ) -> Option<Decision> {
        let mut last = None;
        for (look, share) in self.looks.shares().take_while(|(look, _)| *look <= blocks) {
            last = self.at(look, share, &log_ratios(look));
            if last.is_some_and(|one| one.verdict != Verdict::Inconclusive) {
                break;
            }
        }
        last
    }

    fn at(&self, look: usize, share: f64, log_ratios: &[f64]) -> Option<Decision> {
        let family = self.family as f64;
        let comparison = compare(log_ratios, 1.0 - (1.0 - CONFIDENCE_LEVEL) / family)?;
        let estimate = comparison.ratio.ln();
        let slower = one_sided(log_ratios, FALSE_ALARM * share / family)?.low > 0.0;
        let good_enough = one_sided(log_ratios, MISS * share)?.high < self.margin.log();
        let is_faster = comparison.interval.high < 1.0 && comparison.is_confident();
        let verdict = if slower && estimate > self.limit.log() && look > SESSION_BLOCKS {
            Verdict::Regressed
        } else if good_enough && is_faster && estimate < -self.limit.log() {
            Verdict::Improved
        } else if good_enough {
            Verdict::Equivalent
        } else {
            Verdict::Inconclusive
        };
        Some(Decision {
            comparison,
            adjusted_p: (comparison.p_value * family).min(1.0),
            verdict,
        })
    }
}

/// Bounds of the location, each of which misses it with at most that `error`; none where the blocks are too few
/// for that.
fn one_sided(log_ratios: &[f64], error: f64) -> Option<Interval> {
    let asked = 1.0 - 2.0 * error;
    let location = location(log_ratios, asked)?;
    Some(if location.confidence >= asked {
        location.interval
    } else {
        Interval {
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
        }
    })
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
