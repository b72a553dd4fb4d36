//! Rank sums against published tables, a worked example, full enumeration, their own symmetries,
//! and simulated runs.

use proptest::prelude::*;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::super::verdict::UNCALIBRATED;
use super::*;

/// Hollander and Wolfe's example 4.1: permeability of ten placentas at term and of five between 12
/// and 26 weeks. It is also the second example of R's `wilcox.test`.
const AT_TERM: [f64; 10] = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
const EARLY: [f64; 5] = [1.15, 0.88, 0.90, 0.74, 1.21];

fn close(actual: f64, expected: f64, tolerance: f64) -> bool {
    (actual - expected).abs() <= tolerance
}

/// Costs whose logarithms are `values`.
fn costs(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.exp()).collect()
}

/// Every way to choose `wanted` of the numbers below `all`, as bits.
fn choices(all: usize, wanted: usize) -> impl Iterator<Item = u32> {
    (0..1_u32 << all).filter(move |bits| bits.count_ones() as usize == wanted)
}

/// Two-sided p by relabelling the samples in every possible way. Without ties.
fn enumerated_p(candidate: &[f64], baseline: &[f64]) -> f64 {
    let pooled = [candidate, baseline].concat();
    let larger = |bits: u32| {
        let is_first = |index: usize| (bits >> index) & 1 == 1;
        let (first, second): (Vec<usize>, Vec<usize>) =
            (0..pooled.len()).partition(|index| is_first(*index));
        let pairs = first
            .iter()
            .flat_map(|one| second.iter().map(|other| (*one, *other)));
        pairs
            .filter(|(one, other)| pooled[*one] > pooled[*other])
            .count()
    };
    let found = larger((1 << candidate.len()) - 1);
    let all: Vec<usize> = choices(pooled.len(), candidate.len()).map(larger).collect();
    let share = |beyond: &dyn Fn(usize) -> bool| {
        all.iter().filter(|count| beyond(**count)).count() as f64 / all.len() as f64
    };
    let tail = share(&|count| count <= found).min(share(&|count| count >= found));
    (2.0 * tail).min(1.0)
}

#[test]
fn ranks_agree_with_the_published_critical_values() {
    // Largest u with two-sided P(U ≤ u) ≤ 0.05, as every table of the Mann–Whitney test has it.
    let published = [
        (4, 4, 0),
        (5, 5, 2),
        (5, 8, 6),
        (6, 6, 5),
        (6, 10, 11),
        (8, 8, 13),
        (8, 10, 17),
        (10, 10, 23),
        (10, 16, 42),
        (16, 16, 75),
        (20, 20, 127),
    ];
    for (first, second, critical) in published {
        let distribution = rank_sum_distribution(first, second);
        let (rank, level) = interval_rank(&distribution, 0.95);
        assert_eq!(rank, critical + 1, "{first} and {second} samples");
        assert!(level >= 0.95, "{first} and {second} samples: {level}");
        assert_eq!(
            interval_rank(&rank_sum_distribution(second, first), 0.95).0,
            rank
        );
    }
}

#[test]
fn two_and_three_samples_by_hand() {
    // Of the 10 ways to choose 2 of 5 ranks, so many leave 0, 1, … 6 pairs the other way round.
    let expected = [1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0].map(|ways| ways / 10.0);
    for (actual, expected) in rank_sum_distribution(2, 3).iter().zip(expected) {
        assert!(close(*actual, expected, 1e-15), "{actual}");
    }
    assert!(close(smallest_p(2, 3), 0.2, 1e-15));
    assert!(close(smallest_p(10, 10), 2.0 / 184_756.0, 1e-18));
    assert_eq!(smallest_p(1, 1), 1.0);
}

#[test]
fn hollander_and_wolfe_example() {
    let comparison = compare_unpaired(&costs(&AT_TERM), &costs(&EARLY), 0.95).unwrap();
    // The book: estimate 0.305, interval (-0.15, 0.76) at 96%; R: two-sided p = 0.2544.
    assert!(close(comparison.ratio.ln(), 0.305, 1e-9));
    assert!(close(comparison.interval.low.ln(), -0.15, 1e-9));
    assert!(close(comparison.interval.high.ln(), 0.76, 1e-9));
    assert!(close(comparison.confidence, 0.96, 5e-4));
    assert!(close(comparison.p_value, 0.2544, 5e-5));
    assert_eq!(comparison.blocks, 5);
}

#[test]
fn too_few_samples_give_the_widest_interval_and_its_level() {
    let comparison = compare_unpaired(&[2.0, 4.0, 3.0], &[1.0, 1.5], 0.95).unwrap();
    assert!(close(comparison.confidence, 0.8, 1e-12));
    assert!(close(comparison.interval.low, 2.0 / 1.5, 1e-12));
    assert!(close(comparison.interval.high, 4.0, 1e-12));
    assert!(close(comparison.p_value, 0.2, 1e-12));

    let single = compare_unpaired(&[3.0], &[2.0], 0.95).unwrap();
    assert_eq!(
        (single.confidence, single.p_value, single.blocks),
        (0.0, 1.0, 1)
    );
}

#[test]
fn what_cannot_be_compared() {
    assert_eq!(compare_unpaired(&[], &[1.0], 0.95), None);
    assert_eq!(compare_unpaired(&[1.0], &[], 0.95), None);
    assert_eq!(compare_unpaired(&[1.0, 0.0], &[1.0], 0.95), None);
    assert_eq!(compare_unpaired(&[1.0], &[f64::NAN], 0.95), None);
}

#[test]
fn ties_never_speak_for_a_difference() {
    // Rounded, seven of eight are the same; unrounded, each could be larger on either side.
    let comparison = compare_unpaired(&[2.0, 2.0, 2.0, 3.0], &[2.0; 4], 0.95).unwrap();
    assert_eq!((comparison.ratio, comparison.p_value), (1.0, 1.0));
    assert!(comparison.includes_one());
}

fn member(candidate: &[f64], baseline: &[f64]) -> Unpaired {
    Unpaired {
        candidate: candidate.to_vec(),
        baseline: baseline.to_vec(),
        threshold: UNCALIBRATED,
    }
}

/// Costs about `centre` that differ by less than 1%.
fn about(centre: f64, samples: usize) -> Vec<f64> {
    (0..samples)
        .map(|nth| centre * (1.0 + 0.001 * (nth * 3 % 7) as f64))
        .collect()
}

#[test]
fn a_family_of_known_effects() {
    use Verdict::{Equivalent, Improved, Inconclusive, Regressed};
    let noisy: Vec<f64> = (0..10).map(|nth| 1.0 + 0.3 * f64::from(nth % 4)).collect();
    let members = [
        member(&about(1.2, 10), &about(1.0, 10)),
        member(&about(0.5, 10), &about(1.0, 6)),
        member(&about(1.02, 10), &about(1.0, 10)),
        member(&[], &about(1.0, 10)),
        member(&noisy, &about(1.4, 10)),
    ];
    let (judged, correction) = judge_unpaired(&members, 0.95);
    assert_eq!(correction, Correction::Holm { family: 4 });
    let verdicts = judged.iter().map(|one| one.map(|one| one.verdict));
    assert_eq!(
        verdicts.collect::<Vec<_>>(),
        [
            Some(Regressed),
            Some(Improved),
            Some(Equivalent),
            None,
            Some(Inconclusive)
        ]
    );
    // The third differs for certain, though not so that it matters.
    assert!(judged[2].unwrap().significant);
    let smallest = judged[0].unwrap();
    assert!(close(
        smallest.adjusted_p,
        4.0 * smallest.comparison.p_value,
        1e-12
    ));
    assert!(smallest.comparison.confidence >= 1.0 - 0.05 / 4.0);
}

#[test]
fn a_family_beyond_the_reach_of_so_few_samples_is_judged_one_by_one() {
    // The smallest p of 4 and 4 samples is 2/70: enough for one comparison.
    let members = vec![member(&about(1.2, 4), &about(1.0, 4)); 2];
    let (judged, correction) = judge_unpaired(&members[..1], 0.95);
    assert_eq!(correction, Correction::Holm { family: 1 });
    assert_eq!(judged[0].unwrap().verdict, Verdict::Regressed);
    let (judged, correction) = judge_unpaired(&members, 0.95);
    assert_eq!(correction, Correction::None { family: 2 });
    assert_eq!(judged[0].unwrap().verdict, Verdict::Regressed);

    let (judged, correction) = judge_unpaired(&[], 0.95);
    assert!(judged.is_empty());
    assert_eq!(correction, Correction::Holm { family: 0 });
}

proptest! {
    #[test]
    fn p_is_that_of_every_relabelling(
        values in prop::collection::vec(-1.0..1.0f64, 2..10),
        cut in 1..9usize,
    ) {
        let (first, second) = values.split_at(cut.min(values.len() - 1));
        let comparison = compare_unpaired(&costs(first), &costs(second), 0.95).unwrap();
        prop_assert!(close(comparison.p_value, enumerated_p(first, second), 1e-12));
    }

    #[test]
    fn the_distribution_is_that_of_every_relabelling(first in 1..6usize, second in 1..6usize) {
        let mut ways = vec![0.0; first * second + 1];
        let total = choices(first + second, first).count() as f64;
        for bits in choices(first + second, first) {
            let ranks = (0..first + second).filter(|rank| (bits >> rank) & 1 == 1);
            // A rank's place among those of its own sample does not count.
            let larger: usize = ranks.enumerate().map(|(own, rank)| rank - own).sum();
            ways[larger] += 1.0 / total;
        }
        for (actual, expected) in rank_sum_distribution(first, second).iter().zip(ways) {
            prop_assert!(close(*actual, expected, 1e-12));
        }
    }

    #[test]
    fn ties_raise_p_above_that_of_every_way_to_break_them(
        values in prop::collection::vec(0..4i32, 2..9),
        breaks in prop::collection::vec(-0.4..0.4f64, 9),
        cut in 1..8usize,
    ) {
        let cut = cut.min(values.len() - 1);
        let rounded: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let broken: Vec<f64> = rounded.iter().zip(&breaks).map(|(value, by)| value + by).collect();
        let p = |values: &[f64]| {
            compare_unpaired(&costs(&values[..cut]), &costs(&values[cut..]), 0.95).unwrap().p_value
        };
        prop_assert!(p(&rounded) >= p(&broken) - 1e-12);
    }

    #[test]
    fn p_and_interval_agree_even_with_ties(
        values in prop::collection::vec(1..12u32, 3..24),
        cut in 1..23usize,
    ) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let (first, second) = values.split_at(cut.min(values.len() - 1));
        let comparison = compare_unpaired(first, second, 0.95).unwrap();
        let found = comparison.p_value <= 1.0 - comparison.confidence + 1e-12;
        prop_assert_eq!(found, !comparison.includes_one());
    }

    #[test]
    fn a_larger_candidate_shifts_everything(
        first in prop::collection::vec(0.1..10.0f64, 1..12),
        second in prop::collection::vec(0.1..10.0f64, 1..12),
        by in 0.1..10.0f64,
    ) {
        let moved: Vec<f64> = first.iter().map(|value| value * by).collect();
        let still = compare_unpaired(&first, &second, 0.95).unwrap();
        let moved = compare_unpaired(&moved, &second, 0.95).unwrap();
        prop_assert!(close(still.ratio.ln() + by.ln(), moved.ratio.ln(), 1e-9));
        prop_assert!(close(still.interval.low.ln() + by.ln(), moved.interval.low.ln(), 1e-9));
        prop_assert!(close(still.interval.high.ln() + by.ln(), moved.interval.high.ln(), 1e-9));
    }

    #[test]
    fn swapping_the_sides_inverts(
        first in prop::collection::vec(0.1..10.0f64, 1..12),
        second in prop::collection::vec(0.1..10.0f64, 1..12),
    ) {
        let forward = compare_unpaired(&first, &second, 0.95).unwrap().inverted();
        let backward = compare_unpaired(&second, &first, 0.95).unwrap();
        prop_assert!(close(forward.ratio.ln(), backward.ratio.ln(), 1e-9));
        prop_assert!(close(forward.interval.low.ln(), backward.interval.low.ln(), 1e-9));
        prop_assert!(close(forward.interval.high.ln(), backward.interval.high.ln(), 1e-9));
        prop_assert!(close(forward.p_value, backward.p_value, 1e-12));
    }

    #[test]
    fn a_sample_does_not_differ_from_itself(values in prop::collection::vec(0.1..10.0f64, 1..20)) {
        let comparison = compare_unpaired(&values, &values, 0.95).unwrap();
        prop_assert_eq!((comparison.ratio, comparison.p_value), (1.0, 1.0));
        prop_assert!(comparison.includes_one());
    }
}

#[test]
fn intervals_cover_as_often_as_they_say() {
    const RUNS: usize = 2_000;
    const TRUE_LOG_RATIO: f64 = 0.1;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20_260_101);
    // Cauchy's noise by its inverse distribution function: tails so heavy that it has no mean.
    let mut sample = |centre: f64, samples: usize| -> Vec<f64> {
        (0..samples)
            .map(|_| {
                let place: f64 = random.random_range(-0.999..0.999);
                (centre + 0.01 * (std::f64::consts::FRAC_PI_2 * place).tan()).exp()
            })
            .collect()
    };
    for (first, second) in [(6, 6), (10, 6), (10, 10)] {
        let level = interval_rank(&rank_sum_distribution(first, second), 0.95).1;
        let held = (0..RUNS)
            .filter(|_| {
                let candidate = sample(TRUE_LOG_RATIO, first);
                let baseline = sample(0.0, second);
                let comparison = compare_unpaired(&candidate, &baseline, 0.95).unwrap();
                comparison.interval.contains(TRUE_LOG_RATIO.exp())
            })
            .count();
        // Four standard errors of a share of RUNS; the seed is fixed.
        let tolerance = 4.0 * (level * (1.0 - level) / RUNS as f64).sqrt();
        let covered = held as f64 / RUNS as f64;
        assert!(
            close(covered, level, tolerance),
            "{first}, {second}: {covered}"
        );
    }
}
