//! The threshold that a machine's own noise asks for.
//!
//! Two arms that run the same program show how large a difference arises from nothing. What matters
//! is that difference as it is reported, so the estimate at the number of blocks of the run, not
//! the scatter of single blocks: more blocks buy a smaller threshold.
//!
//! The rule follows two harnesses that learn theirs from the past: rustls ci-bench takes the third
//! quartile plus three interquartile ranges of past changes, of at least ten; ClickHouse takes 1.5
//! times the 99th percentile of past differences. Here p95 instead of p99: of ten or sixteen
//! ratios, p99 would be the most extreme of all that can be drawn.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::compare::walsh_averages;
use super::sample::quantile;
use super::verdict::{Threshold, UNCALIBRATED};

/// Fewest log-ratios to learn from, as rustls ci-bench asks.
pub(crate) const LEAST_RATIOS: usize = 10;

/// Times that the percentile counts, as with ClickHouse: the ratios at hand are a sample too.
const MARGIN: f64 = 1.5;

const PERCENTILE: f64 = 0.95;

/// Of 2,000 draws p95 moves by about 2% of itself from seed to seed.
const DRAWS: usize = 2_000;

/// Any number; fixed, so that the same ratios always give the same threshold.
const SEED: u64 = 0x4141_6e6f_6973_6521;

/// The threshold learned from the block log-ratios of two arms that ran the same program: 1.5 × p95
/// of the size of their Hodges–Lehmann estimate at so many `blocks`, within 1% and 100%.
///
/// p95 is that of comparisons drawn from the ratios with replacement, each with a random sign, as
/// neither arm is the first. `None` if there are fewer than [`LEAST_RATIOS`], one is not finite, or
/// `blocks` is 0.
#[must_use]
pub(crate) fn learned_threshold(aa_log_ratios: &[f64], blocks: usize) -> Option<Threshold> {
    if aa_log_ratios.len() < LEAST_RATIOS || !aa_log_ratios.iter().all(|ratio| ratio.is_finite()) {
        return None;
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut sizes = (0..DRAWS)
        .map(|_| {
            let drawn = redraw(aa_log_ratios, blocks, &mut random);
            quantile(&walsh_averages(&drawn), 0.5).map(f64::abs)
        })
        .collect::<Option<Vec<f64>>>()?;
    sizes.sort_unstable_by(f64::total_cmp);
    Some(Threshold::of_log(MARGIN * quantile(&sizes, PERCENTILE)?))
}

/// The δ that applies: the `learned` one, else [`UNCALIBRATED`], and never less than the scenario's
/// `own`.
#[must_use]
pub(crate) fn threshold(learned: Option<Threshold>, own: Option<Threshold>) -> Threshold {
    let noise = learned.unwrap_or(UNCALIBRATED);
    own.map_or(noise, |own| noise.max(own))
}

/// So many `blocks` of noise like that of `values`: drawn with replacement, with random signs.
///
/// # Panics
/// If `values` is empty and `blocks` is not 0.
pub(super) fn redraw(values: &[f64], blocks: usize, random: &mut Xoshiro256PlusPlus) -> Vec<f64> {
    (0..blocks)
        .map(|_| {
            let value = values[random.random_range(0..values.len())];
            if random.random() { value } else { -value }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::verdict::FLOOR;
    use super::*;

    #[test]
    fn coin_tosses_of_two_per_cent_by_hand() {
        // Ratios of ±2% and a single block: the estimate is 2% in size, always.
        let ratios = [0.02; 10];
        let learned = learned_threshold(&ratios, 1).unwrap();
        assert!((learned.log() - 0.03).abs() < 1e-12);
        // Four blocks: the median of ten Walsh averages is ±2% where three or four signs agree, else
        // (6 of 16) 0. So p95 is 2% still.
        assert_eq!(learned_threshold(&ratios, 4).unwrap(), learned);
        // Thirty: 22 or more of one sign are needed for that, which happens in 2% of draws.
        assert_eq!(learned_threshold(&ratios, 30).unwrap(), FLOOR);
    }

    #[test]
    fn more_blocks_buy_a_smaller_threshold() {
        let ratios: Vec<f64> = (-80..=80).map(|step| 0.001 * f64::from(step)).collect();
        let learned: Vec<f64> = [6, 10, 16, 30]
            .map(|blocks| learned_threshold(&ratios, blocks).unwrap().share())
            .to_vec();
        assert!(
            learned.is_sorted_by(|more, less| more > less),
            "{learned:?}"
        );
        // Uniform noise has a standard deviation of 4.6%, so the estimate of 16 blocks about 1.2%:
        // 1.5 × 1.96 of that is 3.4%.
        assert!((0.030..0.045).contains(&learned[2]), "{learned:?}");
    }

    #[test]
    fn the_same_ratios_give_the_same_threshold() {
        let ratios: Vec<f64> = (0..12).map(|step| 0.003 * f64::from(step)).collect();
        assert_eq!(
            learned_threshold(&ratios, 10),
            learned_threshold(&ratios, 10)
        );
    }

    #[test]
    fn one_stalled_ratio_of_sixteen_does_not_decide() {
        let mut ratios: Vec<f64> = (-8..8).map(|step| 0.004 * f64::from(step)).collect();
        let calm = learned_threshold(&ratios, 16).unwrap();
        ratios[0] = 2.5;
        let stalled = learned_threshold(&ratios, 16).unwrap();
        assert!(stalled.share() < 1.5 * calm.share(), "{calm:?} {stalled:?}");
    }

    #[test]
    fn learned_thresholds_have_bounds() {
        assert_eq!(learned_threshold(&[0.0; 10], 6), Some(FLOOR));
        assert_eq!(learned_threshold(&[3.0; 10], 1).unwrap().share(), 1.0);
    }

    #[test]
    fn too_little_to_learn_from() {
        assert_eq!(learned_threshold(&[0.01; 9], 6), None);
        assert_eq!(learned_threshold(&[0.01; 10], 0), None);
        let mut ratios = [0.01; 10];
        ratios[3] = f64::NAN;
        assert_eq!(learned_threshold(&ratios, 6), None);
    }

    #[test]
    fn the_largest_threshold_applies() {
        let share = |share| Threshold::new(share).unwrap();
        assert_eq!(threshold(None, None), UNCALIBRATED);
        assert_eq!(threshold(Some(share(0.02)), None), share(0.02));
        assert_eq!(threshold(Some(share(0.02)), Some(share(0.1))), share(0.1));
        assert_eq!(threshold(Some(share(0.02)), Some(FLOOR)), share(0.02));
        assert_eq!(threshold(None, Some(FLOOR)), UNCALIBRATED);
    }
}
