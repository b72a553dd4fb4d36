//! How small an effect a number of blocks can find, and how many blocks an effect needs.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use super::compare::{blocks_needed, interval_rank, walsh_averages};
use super::noise::redraw;
use super::sample::{median, quantile};
use super::verdict::Threshold;

/// Probability with which an effect called detectable is found.
///
/// The convention of Cohen, *Statistical Power Analysis for the Behavioral Sciences*, 2nd ed. 1988.
pub(crate) const POWER: f64 = 0.8;

/// With 500 draws the power reached is within four hundredths of [`POWER`], 19 times in 20; the
/// scale of a dozen blocks is far less certain.
const DRAWS: usize = 500;

/// Any number; fixed, so that the same blocks always give the same effect.
const SEED: u64 = 0x706f_7765_7200_0080;

/// Asymptotic efficiency of the signed-rank test relative to the t test under normal noise, 3/π.
/// Under heavier tails it is higher (Hollander, Wolfe and Chicken, chapter 3).
const RELATIVE_EFFICIENCY: f64 = 3.0 / std::f64::consts::PI;

/// The smallest true relative effect (0.08 for 8%, up or down) that so many blocks of such noise
/// find with probability [`POWER`]: significant at `confidence`, and the estimate beyond
/// `threshold`.
///
/// Nothing is assumed of the noise but symmetry: runs without an effect are drawn from the blocks at
/// hand, with random signs. An effect moves the estimate and the interval of a run by itself, so
/// each run says how large an effect it would have needed, and the answer is a quantile of those.
/// A normal approximation does not do here: at the fewest blocks that reach a level, all must
/// agree in sign, and the effect that it gives is found half of the time. By simulation this one is
/// found 65 to 85% of the time; least where ten or fewer blocks must all agree.
///
/// `None` if there are too few blocks for that confidence, however large the effect, or a log-ratio
/// is not finite. Takes as long as 500 comparisons.
#[must_use]
pub(crate) fn smallest_detectable(
    log_ratios: &[f64],
    confidence: f64,
    threshold: Threshold,
) -> Option<f64> {
    let (rank, level) = interval_rank(log_ratios.len(), confidence);
    if level < confidence {
        return None;
    }
    let noise = noise_of(log_ratios)?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut needed = (0..DRAWS)
        .map(|_| {
            let walsh = walsh_averages(&redraw(&noise, noise.len(), &mut random));
            let estimate = quantile(&walsh, 0.5)?;
            Some((-walsh[rank - 1]).max(threshold.log() - estimate))
        })
        .collect::<Option<Vec<f64>>>()?;
    needed.sort_unstable_by(f64::total_cmp);
    Some(quantile(&needed, POWER)?.exp_m1())
}

/// How far each block lies from the centre of the others.
///
/// That is n/(n-1) times its distance from the centre of all, exactly so for means. The centre of
/// all lies too near to each: resampled as they are, a few residuals show too little noise.
fn noise_of(log_ratios: &[f64]) -> Option<Vec<f64>> {
    let blocks = log_ratios.len() as f64;
    let centre = median(&walsh_averages(log_ratios))?;
    Some(
        log_ratios
            .iter()
            .map(|ratio| (ratio - centre) * blocks / (blocks - 1.0))
            .collect(),
    )
}

/// Blocks that find a true relative `effect` (0.08 for 8%) with probability [`POWER`], significant
/// at `confidence`, when the log-ratios of single blocks scatter by `scale`: see [`scale`].
///
/// Normal noise is assumed; with heavier tails a few more are needed. An effect near the threshold
/// needs more too, for its estimate must lie beyond. Even, as blocks come in mirrored pairs. `None`
/// unless the effect is above 0 and both are finite, or if no machine could count the blocks.
///
/// Source: the sample size of the one-sample t test with the correction of Guenther, "Sample Size
/// Formulas for Normal Theory T Tests", The American Statistician 35 (1981), divided by the
/// efficiency of the signed-rank test. By simulation the effect is found 72 to 92% of the time; least
/// where it gives 6 blocks, which must all agree in sign.
#[must_use]
pub(crate) fn blocks_for(effect: f64, scale: f64, confidence: f64) -> Option<usize> {
    let log_effect = effect.ln_1p();
    if !(log_effect > 0.0 && log_effect.is_finite() && scale.is_finite()) {
        return None;
    }
    let critical = upper_normal_quantile((1.0 - confidence) / 2.0);
    let distance = (critical + upper_normal_quantile(1.0 - POWER)) * scale / log_effect;
    let blocks = distance * distance / RELATIVE_EFFICIENCY + critical * critical / 2.0;
    (blocks.ceil() as usize)
        .max(blocks_needed(confidence))
        .checked_next_multiple_of(2)
}

/// Fewest values that [`scale`] takes.
const SCALE_MIN_VALUES: usize = 4;

/// Robust scale of log-ratios, comparable with a standard deviation: Qn, about the lower quartile of
/// the distances between any two.
///
/// It needs no centre, half of the values may be outliers, and its efficiency is 82% where that of
/// the median absolute deviation is 37%. `None` with fewer than four values, or one that is not
/// finite.
///
/// Source: Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", Journal of the
/// American Statistical Association 88 (1993), with their factors for small samples; those for more
/// than nine values are used for fewer too, where they are off by less than a tenth.
#[must_use]
pub(crate) fn scale(log_ratios: &[f64]) -> Option<f64> {
    let count = log_ratios.len();
    if count < SCALE_MIN_VALUES || !log_ratios.iter().all(|ratio| ratio.is_finite()) {
        return None;
    }
    let mut distances: Vec<f64> = log_ratios
        .iter()
        .enumerate()
        .flat_map(|(index, first)| {
            log_ratios[index + 1..]
                .iter()
                .map(move |second| (first - second).abs())
        })
        .collect();
    distances.sort_unstable_by(f64::total_cmp);
    let half = count / 2 + 1;
    let rank = half * (half - 1) / 2;
    let small_sample =
        count as f64 / (count as f64 + if count.is_multiple_of(2) { 3.8 } else { 1.4 });
    Some(2.2219 * small_sample * distances[rank - 1])
}

/// The normal deviate that is exceeded with a probability of at most one half.
///
/// Source: Abramowitz and Stegun, *Handbook of Mathematical Functions*, 26.2.23; off by less than
/// 4.5e-4.
pub(super) fn upper_normal_quantile(probability: f64) -> f64 {
    let t = (-2.0 * probability.ln()).sqrt();
    let numerator = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let denominator = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - numerator / denominator
}

#[cfg(test)]
mod tests {
    use super::super::verdict::{FLOOR, UNCALIBRATED};
    use super::*;

    fn close(actual: f64, expected: f64, tolerance: f64) -> bool {
        (actual - expected).abs() <= tolerance
    }

    #[test]
    fn normal_quantiles_are_those_of_the_tables() {
        for (probability, deviate) in [
            (0.5, 0.0),
            (0.2, 0.841_621),
            (0.025, 1.959_964),
            (0.005, 2.575_829),
            (0.001, 3.090_232),
        ] {
            assert!(close(upper_normal_quantile(probability), deviate, 4.5e-4));
        }
    }

    #[test]
    fn blocks_that_always_agree_find_what_is_beyond_the_threshold() {
        // A count of bytes: the same in every block.
        let effect = smallest_detectable(&[-0.2; 6], 0.95, UNCALIBRATED).unwrap();
        assert!(close(effect, 0.05, 1e-12));
        let effect = smallest_detectable(&[0.0; 6], 0.95, FLOOR).unwrap();
        assert!(close(effect, 0.01, 1e-12));
    }

    #[test]
    fn six_coin_tosses_by_hand() {
        // Six blocks at ±c about the effect, so at 6c/5 about the centre of the others. All must
        // agree in sign, and in 98% of draws one of them is against it: the effect must outweigh
        // it, and no more, whatever the effect is.
        for effect in [0.0, 0.7] {
            let blocks = [0.05, -0.05, 0.05, -0.05, 0.05, -0.05].map(|noise| noise + effect);
            let found = smallest_detectable(&blocks, 0.95, FLOOR).unwrap();
            assert!(close(found, 0.06_f64.exp_m1(), 1e-9), "{found}");
        }
    }

    #[test]
    fn too_few_blocks_find_nothing() {
        assert_eq!(smallest_detectable(&[0.1; 5], 0.95, UNCALIBRATED), None);
        assert_eq!(smallest_detectable(&[0.1; 9], 0.998, UNCALIBRATED), None);
        assert_eq!(smallest_detectable(&[], 0.95, UNCALIBRATED), None);
        let nonsense = [0.1, 0.2, f64::NAN, 0.1, 0.1, 0.1];
        assert_eq!(smallest_detectable(&nonsense, 0.95, UNCALIBRATED), None);
    }

    #[test]
    fn scale_by_hand() {
        // Distances 1 1 1 2 2 3: h = 3, so the third smallest, 1; 4 / 7.8 for four values.
        let found = scale(&[1.0, 4.0, 2.0, 3.0]).unwrap();
        assert!(close(found, 2.2219 * 4.0 / 7.8, 1e-12));
        // One value far out of ten changes little.
        let mut values: Vec<f64> = (0..10).map(f64::from).collect();
        let calm = scale(&values).unwrap();
        values[9] = 1e6;
        assert!(scale(&values).unwrap() < 1.5 * calm);
        assert_eq!(scale(&[1.0, 2.0, 3.0]), None);
        assert_eq!(scale(&[0.5; 8]), Some(0.0));
    }

    #[test]
    fn planned_blocks() {
        // ((1.96 + 0.84) × 0.04 / ln 1.05)² / 0.955 + 1.96² / 2 = 5.5 + 1.9.
        assert_eq!(blocks_for(0.05, 0.04, 0.95), Some(8));
        assert_eq!(blocks_for(0.02, 0.04, 0.95), Some(36));
        // Never fewer than the level needs.
        assert_eq!(blocks_for(1.0, 0.0, 0.95), Some(6));
        assert_eq!(blocks_for(1.0, 0.001, 1.0 - 0.05 / 24.0), Some(10));
        assert_eq!(blocks_for(0.0, 0.04, 0.95), None);
        assert_eq!(blocks_for(-0.1, 0.04, 0.95), None);
        assert_eq!(blocks_for(0.1, f64::NAN, 0.95), None);
        assert_eq!(blocks_for(1e-300, 1.0, 0.95), None);
    }
}
