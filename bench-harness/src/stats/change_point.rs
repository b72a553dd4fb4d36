//! Where a series of results changes its level: E-divisive.
//!
//! A series is cut where the values before and after differ most in their distribution, and each
//! part again, as long as a permutation test finds that chance seldom cuts so well. Nothing is assumed
//! of the distribution, and the number of changes need not be known.
//!
//! Source: Matteson and James, "A Nonparametric Approach for Multiple Change Point Analysis of
//! Multivariate Data", Journal of the American Statistical Association 109 (2014), sections 2 and 3,
//! with α = 1. MongoDB finds changes of its performance over commits with it: Daly, Brown, Ingo,
//! O'Leary and Bradford, "The Use of Change Point Detection to Identify Software Performance
//! Regressions in a Continuous Integration System", ICPE 2020.
//!
//! The test takes the values of a part to be exchangeable where nothing changed. A machine that is
//! slow for days on end breaks that, and its spells are changes like any other.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;

/// The share of unchanging series in which a change is found, unless a caller asks for another: one
/// in a hundred.
pub(crate) const SIGNIFICANCE: f64 = 0.01;

/// Fewest values before, between and after changes.
///
/// Two parts of five are the smallest that can be distinguished at [`SIGNIFICANCE`]: of the 252 ways to
/// choose five values out of ten only two separate them, so p is at least 0.008; with four, at least
/// 0.029. It also keeps a spell of one or two results from being a change.
pub(crate) const MIN_SEGMENT: usize = 5;

/// How many times the resolution of the permutation test is finer than the significance level:
/// 999 permutations for 0.01.
const RESOLUTION: f64 = 10.0;

/// The orders that are tried must be the same whenever a series is looked at.
const SEED: u64 = 0x00e5_d171_51fe;

/// By which share a permutation may fall short of what was found and still count as equal: rounding
/// makes that much of sums that would be the same.
const EQUAL: f64 = 1e-9;

/// A change of level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ChangePoint {
    /// Index of the first value after it.
    pub index: usize,
    /// p of "no change here", from the permutation test, given the changes found before it.
    pub p_value: f64,
}

/// The changes of level in `values`, in their order, where a series without any has one with
/// probability `significance` at most, such as [`SIGNIFICANCE`]. Values are compared by their
/// logarithms, so that a change is a factor.
///
/// None in fewer than two times [`MIN_SEGMENT`] values, where all are equal, where one is not finite
/// and above zero, and where `significance` is not between 0 and 1.
///
/// The same values give the same changes. Time grows with the square of the number of values, with
/// one more than the number of changes, and with the 10 ÷ `significance` permutations that it takes to
/// believe a change; the test that finds none mostly ends after some tens of them. Optimised, the 999
/// permutations for a change at 0.01 take 20 ms of 100 values, and 0.5 s of 500.
#[must_use]
pub(crate) fn change_points(values: &[f64], significance: f64) -> Vec<ChangePoint> {
    let has_logarithms = values.iter().all(|value| value.is_finite() && *value > 0.0);
    let is_probability = significance > 0.0 && significance < 1.0;
    if !has_logarithms || !is_probability {
        return Vec::new();
    }
    let logarithms: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut segments = vec![Segment::new(0, &logarithms)];
    let mut found = Vec::new();
    while let Some((nth, cut)) = best(&segments) {
        let Some(p_value) = chance(&segments, cut.divergence, significance, &mut random) else {
            break;
        };
        let segment = segments.swap_remove(nth);
        let (before, after) = segment.values.split_at(cut.at);
        let index = segment.start + cut.at;
        segments.push(Segment::new(segment.start, before));
        segments.push(Segment::new(index, after));
        // Which is which must not depend on the order in which they were found.
        segments.sort_unstable_by_key(|segment| segment.start);
        found.push(ChangePoint { index, p_value });
    }
    found.sort_unstable_by_key(|change| change.index);
    found
}

/// A part of the series in which no change was found yet.
struct Segment<'a> {
    start: usize,
    values: &'a [f64],
    best: Option<Cut>,
}

impl<'a> Segment<'a> {
    fn new(start: usize, values: &'a [f64]) -> Self {
        Self {
            start,
            values,
            best: best_cut(values),
        }
    }
}

/// Where a segment may be cut.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    /// Values before it.
    at: usize,
    /// By how much both sides differ, scaled by their sizes.
    divergence: f64,
}

/// The segment whose best cut separates most, and that cut.
fn best(segments: &[Segment<'_>]) -> Option<(usize, Cut)> {
    let cuts = segments.iter().enumerate();
    cuts.filter_map(|(nth, segment)| Some((nth, segment.best?)))
        .max_by(|(_, a), (_, b)| a.divergence.total_cmp(&b.divergence))
}

/// p of a best cut that separates by `divergence`, if chance gives one in no more than
/// `significance` of the orders that the values of each segment might have had.
fn chance(
    segments: &[Segment<'_>],
    divergence: f64,
    significance: f64,
    random: &mut Xoshiro256PlusPlus,
) -> Option<f64> {
    let permutations = (RESOLUTION / significance).ceil() - 1.0;
    let mut shuffled: Vec<Vec<f64>> = segments
        .iter()
        .map(|segment| segment.values.to_vec())
        .collect();
    // The order that was measured is one of the possible ones.
    let (mut tried, mut as_good) = (1.0, 1.0);
    while tried <= permutations {
        tried += 1.0;
        let mut largest = 0.0_f64;
        for values in &mut shuffled {
            values.shuffle(random);
            largest = largest.max(best_cut(values).map_or(0.0, |cut| cut.divergence));
        }
        if largest >= divergence * (1.0 - EQUAL) {
            as_good += 1.0;
            if as_good > significance * (permutations + 1.0) {
                return None;
            }
        }
    }
    Some(as_good / tried)
}

/// The τ that maximises the scaled divergence between the values up to τ and those from there to any
/// κ: equations 5 to 7 of the source. Looking at every κ keeps a later change from hiding an earlier
/// one.
///
/// Sums of distances grow by one value at a time, so that this takes n² steps and n numbers.
fn best_cut(values: &[f64]) -> Option<Cut> {
    let distance = |a: usize, b: usize| (values[a] - values[b]).abs();
    // From each value to all before it, and to those of them that are left of the cut.
    let to_earlier: Vec<f64> = (0..values.len())
        .map(|own| (0..own).map(|other| distance(own, other)).sum())
        .collect();
    let mut to_left = vec![0.0; values.len()];
    let mut within_left = 0.0;
    let mut best: Option<Cut> = None;
    for at in 1..values.len() {
        within_left += to_earlier[at - 1];
        let mut sums = Sums {
            within_left,
            between: 0.0,
            within_right: 0.0,
        };
        for (end, to_left) in to_left.iter_mut().enumerate().skip(at) {
            *to_left += distance(at - 1, end);
            sums.between += *to_left;
            sums.within_right += to_earlier[end] - *to_left;
            let right = end + 1 - at;
            if at < MIN_SEGMENT || right < MIN_SEGMENT {
                continue;
            }
            let divergence = sums.divergence(at, right);
            if best.is_none_or(|best| divergence > best.divergence) {
                best = Some(Cut { at, divergence });
            }
        }
    }
    best
}

/// Distances between pairs of values, added up.
#[derive(Debug, Clone, Copy)]
struct Sums {
    within_left: f64,
    between: f64,
    within_right: f64,
}

impl Sums {
    /// Q of the source for so many values on either side: twice the mean distance between the sides,
    /// less those within each, times nm ÷ (n + m).
    fn divergence(self, left: usize, right: usize) -> f64 {
        let (n, m) = (left as f64, right as f64);
        let pairs = |count: f64| count * (count - 1.0) / 2.0;
        let energy = 2.0 * self.between / (n * m)
            - self.within_left / pairs(n)
            - self.within_right / pairs(m);
        n * m / (n + m) * energy
    }
}

#[cfg(test)]
mod tests;
