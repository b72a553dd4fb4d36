use proptest::prelude::*;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::*;

/// Factors as a shared machine gives them: a few per cent of noise, and one result in twenty far out.
fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            // The sum of twelve uniform numbers is normal to within what matters here.
            let normal: f64 = (0..12).map(|_| random.random_range(-0.5..0.5)).sum();
            let far_out = random.random_range(0..20) == 0;
            let slow: f64 = if far_out { 0.3 } else { 0.0 };
            (0.02 * normal + slow).exp()
        })
        .collect()
}

/// Noise around levels, each for so many results.
fn series(seed: u64, levels: &[(f64, usize)]) -> Vec<f64> {
    let levels = levels
        .iter()
        .flat_map(|(level, count)| std::iter::repeat_n(*level, *count));
    let levels: Vec<f64> = levels.collect();
    let noise = noise(seed, levels.len());
    levels.iter().zip(noise).map(|(a, b)| a * b).collect()
}

fn indices(values: &[f64]) -> Vec<usize> {
    let changes = change_points(values, SIGNIFICANCE);
    changes.iter().map(|change| change.index).collect()
}

/// Q by its definition, from all pairs.
fn by_definition(left: &[f64], right: &[f64]) -> f64 {
    let mean = |pairs: Vec<f64>| pairs.iter().sum::<f64>() / pairs.len() as f64;
    let within = |side: &[f64]| {
        let pairs = side
            .iter()
            .enumerate()
            .flat_map(|(nth, a)| side[nth + 1..].iter().map(move |b| (a - b).abs()));
        mean(pairs.collect())
    };
    let between = left
        .iter()
        .flat_map(|a| right.iter().map(move |b| (a - b).abs()));
    let (n, m) = (left.len() as f64, right.len() as f64);
    n * m / (n + m) * (2.0 * mean(between.collect()) - within(left) - within(right))
}

fn best_by_definition(values: &[f64]) -> Option<Cut> {
    let mut best: Option<Cut> = None;
    for at in MIN_SEGMENT..values.len() {
        for end in at + MIN_SEGMENT..=values.len() {
            let divergence = by_definition(&values[..at], &values[at..end]);
            if best.is_none_or(|best| divergence > best.divergence) {
                best = Some(Cut { at, divergence });
            }
        }
    }
    best
}

#[test]
fn the_divergence_of_two_levels_is_as_worked_out_by_hand() {
    // Five at 0 and five at 1: 2 × 1 - 0 - 0, times 25 ÷ 10.
    let values = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let cut = best_cut(&values).unwrap();
    assert_eq!(cut.at, 5);
    assert!((cut.divergence - 5.0).abs() < 1e-12, "{cut:?}");
}

#[test]
fn a_shift_is_found_where_it_is() {
    for (at, factor) in [(10, 1.2), (20, 0.85), (32, 1.3)] {
        let mut exact = 0;
        for seed in 0..20 {
            let found = indices(&series(seed, &[(1.0, at), (factor, 40 - at)]));
            exact += usize::from(found.iter().any(|index| index.abs_diff(at) <= 1));
        }
        assert!(exact >= 18, "{factor} after {at}: {exact} of 20");
    }
}

#[test]
fn the_shortest_series_that_can_tell_does() {
    // The level after stays for as long as a segment must be, in a series twice as long and longer.
    let mut found = 0;
    for seed in 0..50 {
        let values = series(seed, &[(1.0, 12), (1.25, MIN_SEGMENT)]);
        found += usize::from(indices(&values) == [12]);
    }
    assert!(found >= 35, "{found} of 50");
}

#[test]
fn two_shifts_are_both_found() {
    for (second, name) in [(1.44, "up twice"), (1.0, "up and back")] {
        let mut both = 0;
        for seed in 0..20 {
            let values = series(seed, &[(1.0, 12), (1.2, 12), (second, 12)]);
            let found = indices(&values);
            both += usize::from(
                found.len() == 2 && found[0].abs_diff(12) <= 1 && found[1].abs_diff(24) <= 1,
            );
        }
        assert!(both >= 17, "{name}: {both} of 20");
    }
}

#[test]
fn noise_alone_has_a_change_no_more_often_than_was_asked_for() {
    const SERIES: u64 = 1_000;
    for (count, significance) in [(12, 0.01), (24, 0.01), (24, 0.05)] {
        let alarms = (0..SERIES)
            .filter(|seed| !change_points(&noise(1_000 + seed, count), significance).is_empty())
            .count();
        let expected = significance * SERIES as f64;
        // Three standard deviations of the count beyond what is expected.
        let most = expected + 3.0 * (expected * (1.0 - significance)).sqrt();
        eprintln!("{count} values at {significance}: {alarms} of {SERIES}");
        assert!(alarms as f64 <= most, "{count}, {significance}: {alarms}");
    }
}

#[test]
fn the_test_is_no_stricter_than_it_says() {
    // Were p too large, hardly any noise would be found to change even at one in five.
    let alarms = (0..400)
        .filter(|seed| !change_points(&noise(9_000 + seed, 20), 0.2).is_empty())
        .count();
    assert!((50..=110).contains(&alarms), "{alarms} of 400");
}

#[test]
fn short_series_have_none() {
    for count in 0..2 * MIN_SEGMENT {
        let values: Vec<f64> = (0..count)
            .map(|nth| if 2 * nth < count { 1.0 } else { 9.0 })
            .collect();
        assert!(indices(&values).is_empty(), "{count}");
    }
}

#[test]
fn equal_values_have_none_and_a_step_of_a_counter_has_one() {
    assert!(indices(&[3.0; 40]).is_empty());
    let mut steps = vec![3.0; 12];
    steps.extend([4.0; 8]);
    assert_eq!(indices(&steps), [12]);
    let alternating: Vec<f64> = (0..40).map(|nth| f64::from(3 + nth % 2)).collect();
    assert!(indices(&alternating).is_empty());
}

#[test]
fn a_spell_shorter_than_a_segment_is_no_change() {
    let mut values = noise(5, 30);
    for value in &mut values[14..16] {
        *value *= 3.0;
    }
    assert!(indices(&values).is_empty());
}

#[test]
fn what_has_no_logarithm_has_no_change() {
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut values = series(1, &[(1.0, 10), (2.0, 10)]);
        assert_eq!(indices(&values), [10]);
        values[3] = wrong;
        assert!(indices(&values).is_empty(), "{wrong}");
    }
    for significance in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(change_points(&series(1, &[(1.0, 10), (2.0, 10)]), significance).is_empty());
    }
}

#[test]
fn p_is_within_the_level_and_as_small_as_the_permutations_allow() {
    let values = series(3, &[(1.0, 20), (1.5, 20)]);
    for (significance, smallest) in [(0.05, 1.0 / 200.0), (0.01, 1.0 / 1_000.0)] {
        let found = change_points(&values, significance);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!((found[0].p_value - smallest).abs() < 1e-12, "{found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_best_cut_is_that_of_the_definition(
        values in prop::collection::vec(prop_oneof![-3.0..3.0f64, Just(0.5)], 0..32)
    ) {
        match (best_cut(&values), best_by_definition(&values)) {
            (Some(fast), Some(slow)) => {
                prop_assert!((fast.divergence - slow.divergence).abs() < 1e-9, "{fast:?} {slow:?}");
                // Where two cuts are equally good, rounding chooses.
                let at_fast = (fast.at + MIN_SEGMENT..=values.len())
                    .map(|end| by_definition(&values[..fast.at], &values[fast.at..end]))
                    .fold(f64::NEG_INFINITY, f64::max);
                prop_assert!((at_fast - slow.divergence).abs() < 1e-9, "{fast:?} {slow:?}");
            }
            (fast, slow) => prop_assert_eq!(fast.is_some(), slow.is_some()),
        }
    }

    #[test]
    fn another_unit_has_the_same_changes(seed in 0u64..1_000, exponent in -12i32..12, factor in 1.0..4.0f64) {
        let values = series(seed, &[(1.0, 12), (factor, 12)]);
        let scaled: Vec<f64> = values.iter().map(|value| value * 10_f64.powi(exponent)).collect();
        prop_assert_eq!(
            change_points(&values, SIGNIFICANCE),
            change_points(&scaled, SIGNIFICANCE)
        );
    }

    #[test]
    fn changes_are_in_order_and_far_enough_apart(
        values in prop::collection::vec(0.1..10.0f64, 0..40),
        significance in 0.01..0.6f64
    ) {
        let mut ends = vec![0];
        ends.extend(change_points(&values, significance).iter().map(|change| change.index));
        ends.push(values.len());
        if ends.len() > 2 {
            for two in ends.windows(2) {
                prop_assert!(two[1] >= two[0] + MIN_SEGMENT, "{ends:?}");
            }
        }
    }
}
