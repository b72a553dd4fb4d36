//! The comparison against published tables, worked examples, its own symmetries, and simulated
//! runs.

use proptest::prelude::*;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::*;

/// Hollander and Wolfe's example 3.1: Hamilton's depression scale before and after a tranquilliser,
/// nine patients. It is also the first example of R's `wilcox.test`.
const BEFORE: [f64; 9] = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
#[expect(clippy::approx_constant, reason = "a measured 3.14")]
const AFTER: [f64; 9] = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];

/// Darwin's maize: differences of height of 15 pairs of crossed and self-fertilised plants, in
/// eighths of an inch (Fisher, *The Design of Experiments*, 1935).
const MAIZE: [f64; 15] = [
    49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0,
];

fn close(actual: f64, expected: f64, tolerance: f64) -> bool {
    (actual - expected).abs() <= tolerance
}

#[test]
fn ranks_agree_with_the_published_critical_values() {
    // Largest w with two-sided P(W ≤ w) ≤ 0.05: table A4 of Hollander and Wolfe, table J of
    // Conover.
    let published = [
        (6, 0),
        (7, 2),
        (8, 3),
        (9, 5),
        (10, 8),
        (11, 10),
        (12, 13),
        (13, 17),
        (14, 21),
        (15, 25),
        (16, 29),
        (17, 34),
        (18, 40),
        (19, 46),
        (20, 52),
        (25, 89),
        (30, 137),
        (50, 434),
    ];
    for (blocks, critical) in published {
        let (rank, level) = interval_rank(blocks, 0.95);
        assert_eq!(rank, critical + 1, "{blocks} blocks");
        assert!(level >= 0.95, "{blocks} blocks: {level}");
    }
}

#[test]
fn levels_are_exact_fractions() {
    assert_eq!(interval_rank(6, 0.95), (1, 1.0 - 2.0 / 64.0));
    assert_eq!(interval_rank(8, 0.95), (4, 1.0 - 2.0 * 5.0 / 256.0));
    assert_eq!(interval_rank(10, 0.95), (9, 1.0 - 2.0 * 25.0 / 1024.0));
    assert_eq!(interval_rank(10, 0.99), (4, 1.0 - 2.0 * 5.0 / 1024.0));
}

#[test]
fn too_few_blocks_give_the_widest_interval_and_its_level() {
    let comparison = compare(&[0.1, 0.3, 0.2, 0.5], 0.95).unwrap();
    assert_eq!(comparison.confidence, 0.875);
    assert!(close(comparison.interval.low.ln(), 0.1, 1e-12));
    assert!(close(comparison.interval.high.ln(), 0.5, 1e-12));
    assert_eq!(comparison.p_value, 0.125);

    let single = compare(&[0.1], 0.95).unwrap();
    assert_eq!(
        (single.confidence, single.p_value, single.blocks),
        (0.0, 1.0, 1)
    );
}

#[test]
fn blocks_needed_is_where_the_level_is_reached() {
    assert_eq!(blocks_needed(0.95), 6);
    assert_eq!(blocks_needed(0.99), 8);
    assert_eq!(blocks_needed(0.5), 2);
    for confidence in [0.5, 0.9, 0.95, 0.99, 0.999] {
        let needed = blocks_needed(confidence);
        assert!(interval_rank(needed, confidence).1 >= confidence);
        assert!(interval_rank(needed - 1, confidence).1 < confidence);
    }
}

#[test]
fn hollander_and_wolfe_example() {
    let differences: Vec<f64> = AFTER
        .iter()
        .zip(BEFORE)
        .map(|(after, before)| after - before)
        .collect();
    let comparison = compare(&differences, 0.95).unwrap();
    // The book: estimate -0.46, interval (-0.786, -0.010) at 96.1%; R: two-sided p = 0.03906.
    assert!(close(comparison.ratio.ln(), -0.46, 1e-9));
    assert!(close(comparison.interval.low.ln(), -0.786, 1e-3));
    assert!(close(comparison.interval.high.ln(), -0.010, 1e-3));
    assert!(close(comparison.confidence, 0.961, 1e-3));
    assert!(close(comparison.p_value, 0.03906, 1e-5));
}

#[test]
fn darwins_maize() {
    // R: wilcox.test(maize) gives V = 96, p = 0.04126.
    assert!(close(sign_flip_p(&MAIZE), 0.04126, 1e-5));
}

#[test]
fn five_times_faster_in_every_block() {
    let ratios: Vec<f64> = (0..6).map(|_| log_ratio(0.4, 2.0).unwrap()).collect();
    let comparison = compare(&ratios, 0.95).unwrap();
    assert!(close(comparison.ratio, 0.2, 1e-12));
    assert!(close(comparison.inverted().ratio, 5.0, 1e-12));
    assert_eq!(comparison.p_value, 2.0 / 64.0);
    assert!(!comparison.includes_one());
}

#[test]
fn one_stalled_block_of_twelve_does_not_decide() {
    let mut ratios = [-0.1; 12];
    ratios[4] = 2.5;
    let comparison = compare(&ratios, 0.95).unwrap();
    assert!(comparison.interval.high < 1.0);
    assert!(comparison.p_value < 0.05);
}

#[test]
fn what_has_no_ratio_has_no_comparison() {
    assert_eq!(compare(&[], 0.95), None);
    assert_eq!(compare(&[0.1, f64::NAN], 0.95), None);
    assert_eq!(log_ratio(1.0, 0.0), None);
    assert_eq!(log_ratio(f64::INFINITY, 1.0), None);
}

#[test]
fn identical_arms_differ_by_nothing() {
    let comparison = compare(&[0.0; 8], 0.95).unwrap();
    assert_eq!((comparison.ratio, comparison.p_value), (1.0, 1.0));
    assert!(comparison.includes_one());
}

/// The p by its definition: the share of all sign patterns whose statistic is at least as far from
/// the middle.
fn enumerated_p(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| *value != 0.0)
        .collect();
    sizes.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = doubled_midranks(&sizes);
    let middle = ranks.iter().sum::<usize>() as f64 / 2.0;
    let distance = |pattern: u32| {
        let sum: usize = ranks
            .iter()
            .enumerate()
            .filter(|(bit, _)| pattern >> bit & 1 == 1)
            .map(|(_, r)| r)
            .sum();
        (sum as f64 - middle).abs()
    };
    let observed = sizes
        .iter()
        .enumerate()
        .fold(0, |bits, (bit, v)| bits | (u32::from(*v > 0.0) << bit));
    let patterns = 1_u32 << ranks.len();
    let extreme = (0..patterns)
        .filter(|pattern| distance(*pattern) >= distance(observed))
        .count();
    extreme as f64 / f64::from(patterns)
}

proptest! {
    #[test]
    fn p_is_the_share_of_sign_patterns(values in prop::collection::vec(-4i8..=4, 1..11)) {
        // Small whole numbers: ties and zeros in nearly every case.
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        prop_assert!(close(sign_flip_p(&values), enumerated_p(&values), 1e-12));
    }

    #[test]
    fn p_and_interval_agree(values in prop::collection::vec(-1.0..1.0f64, 6..24)) {
        let comparison = compare(&values, 0.95).unwrap();
        prop_assert_eq!(comparison.p_value <= 0.05, !comparison.includes_one());
    }

    #[test]
    fn the_estimate_lies_in_its_interval(values in prop::collection::vec(-1.0..1.0f64, 1..30)) {
        let comparison = compare(&values, 0.95).unwrap();
        prop_assert!(comparison.interval.contains(comparison.ratio));
    }

    #[test]
    fn the_unit_does_not_matter(
        pairs in prop::collection::vec((0.01..10.0f64, 0.01..10.0f64), 2..20),
        scale in 0.001..1000.0f64,
    ) {
        let plain: Vec<f64> = pairs.iter().filter_map(|(c, b)| log_ratio(*c, *b)).collect();
        let scaled: Vec<f64> = pairs.iter().filter_map(|(c, b)| log_ratio(c * scale, b * scale)).collect();
        let (plain, scaled) = (compare(&plain, 0.95).unwrap(), compare(&scaled, 0.95).unwrap());
        prop_assert!(close(plain.ratio.ln(), scaled.ratio.ln(), 1e-9));
        prop_assert!(close(plain.interval.low.ln(), scaled.interval.low.ln(), 1e-9));
        prop_assert!(close(plain.interval.high.ln(), scaled.interval.high.ln(), 1e-9));
    }

    #[test]
    fn a_slower_candidate_shifts_everything(values in prop::collection::vec(-1.0..1.0f64, 2..20), by in -2.0..2.0f64) {
        let moved: Vec<f64> = values.iter().map(|value| value + by).collect();
        let (still, moved) = (compare(&values, 0.95).unwrap(), compare(&moved, 0.95).unwrap());
        prop_assert!(close(still.ratio.ln() + by, moved.ratio.ln(), 1e-9));
        prop_assert!(close(still.interval.low.ln() + by, moved.interval.low.ln(), 1e-9));
    }

    #[test]
    fn swapping_the_arms_inverts(pairs in prop::collection::vec((0.01..10.0f64, 0.01..10.0f64), 1..20)) {
        let forward: Vec<f64> = pairs.iter().filter_map(|(c, b)| log_ratio(*c, *b)).collect();
        let backward: Vec<f64> = pairs.iter().filter_map(|(c, b)| log_ratio(*b, *c)).collect();
        let (forward, backward) = (compare(&forward, 0.95).unwrap().inverted(), compare(&backward, 0.95).unwrap());
        prop_assert!(close(forward.ratio.ln(), backward.ratio.ln(), 1e-9));
        prop_assert!(close(forward.interval.low.ln(), backward.interval.low.ln(), 1e-9));
        prop_assert!(close(forward.interval.high.ln(), backward.interval.high.ln(), 1e-9));
        prop_assert_eq!(forward.p_value, backward.p_value);
    }

    #[test]
    fn arms_that_trade_places_do_not_differ(values in prop::collection::vec(0.0..1.0f64, 1..12)) {
        let mirrored: Vec<f64> = values.iter().flat_map(|value| [*value, -value]).collect();
        let comparison = compare(&mirrored, 0.95).unwrap();
        prop_assert!(comparison.includes_one());
        prop_assert_eq!(comparison.p_value, 1.0);
    }
}

/// Share of `runs` simulated comparisons whose interval holds the true log-ratio.
fn coverage(blocks: usize, runs: usize, noise: impl Fn(f64) -> f64) -> f64 {
    const TRUE_LOG_RATIO: f64 = -0.1;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20_260_101);
    let held = (0..runs)
        .filter(|_| {
            let ratios: Vec<f64> = (0..blocks)
                .map(|_| TRUE_LOG_RATIO + 0.03 * noise(random.random_range(-1.0..1.0)))
                .collect();
            compare(&ratios, 0.95)
                .unwrap()
                .interval
                .contains(TRUE_LOG_RATIO.exp())
        })
        .count();
    held as f64 / runs as f64
}

#[test]
fn intervals_cover_as_often_as_they_say() {
    const RUNS: usize = 4_000;
    // Uniform noise, and Cauchy's by its inverse distribution function: tails so heavy that it has
    // no mean.
    let uniform = |u: f64| u;
    let cauchy = |u: f64| (std::f64::consts::FRAC_PI_2 * u).tan();
    for blocks in [6, 10, 16] {
        let (_, level) = interval_rank(blocks, 0.95);
        // Four standard errors of a share of RUNS: the seed is fixed, so this cannot flake, only be
        // wrong.
        let tolerance = 4.0 * (level * (1.0 - level) / RUNS as f64).sqrt();
        assert!(
            close(coverage(blocks, RUNS, uniform), level, tolerance),
            "uniform, {blocks} blocks"
        );
        assert!(
            close(coverage(blocks, RUNS, cauchy), level, tolerance),
            "Cauchy, {blocks} blocks"
        );
    }
}
