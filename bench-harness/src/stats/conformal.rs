//! How far predictions may be off, learned from how far others were: conformal prediction.
//!
//! A prediction whose error is exchangeable with n errors that were seen lies within the ⌈(n + 1) × coverage⌉-th
//! smallest of these with at least the probability `coverage`, whatever made the prediction and however errors are
//! distributed (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005; Lei, G'Sell, Rinaldo,
//! Tibshirani and Wasserman, *Distribution-Free Predictive Inference for Regression*, JASA 113, 2018).
//!
//! Errors of one experiment resemble each other; only experiments are exchangeable. So each is a group, of the same
//! weight however many errors it has (Dunn, Wasserman and Ramdas, *Distribution-Free Prediction Sets for Two-Layer
//! Hierarchical Models*, JASA 118, 2023: pooling of the groups' distributions). That is a promise about an error of a
//! group drawn at random. Who counts errors counts large groups more often. So the errors are weighed alike too, and
//! the larger bound is taken.

/// The size of error that an error of another group does not exceed with probability `coverage`; infinite where there
/// are too few groups to say. Groups without errors do not count.
pub(crate) fn bound(groups: &[Vec<f64>], coverage: f64) -> f64 {
    by_group(groups, coverage).max(by_error(groups, coverage))
}

fn by_group(groups: &[Vec<f64>], coverage: f64) -> f64 {
    let groups: Vec<&Vec<f64>> = groups.iter().filter(|group| !group.is_empty()).collect();
    // The group that is predicted is one of them.
    let of_group = 1.0 / (groups.len() + 1) as f64;
    let errors = groups.iter().flat_map(|group| {
        let weight = of_group / group.len() as f64;
        group.iter().map(move |error| (*error, weight))
    });
    quantile(errors.collect(), coverage)
}

fn by_error(groups: &[Vec<f64>], coverage: f64) -> f64 {
    let errors = groups.concat();
    let weight = 1.0 / (errors.len() + 1) as f64;
    let errors = errors.into_iter().map(|error| (error, weight));
    quantile(errors.collect(), coverage)
}

/// The smallest value up to which values weigh as much as `coverage`.
fn quantile(mut weighted: Vec<(f64, f64)>, coverage: f64) -> f64 {
    weighted.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut share = 0.0;
    let reached = weighted.into_iter().find(|(_, weight)| {
        share += weight;
        share >= coverage - ROUNDING
    });
    reached.map_or(f64::INFINITY, |(value, _)| value)
}

/// What sums of weights may lack of a coverage that they reach.
const ROUNDING: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt as _, SeedableRng as _};

    #[test]
    fn single_errors_have_the_rank_that_theory_gives() {
        let errors: Vec<Vec<f64>> = (1..=19).map(|error| vec![f64::from(error)]).collect();
        // ⌈20 × 0.9⌉ = 18.
        assert_eq!(bound(&errors, 0.9), 18.0);
        assert_eq!(bound(&errors[..9], 0.9), 9.0);
        assert_eq!(bound(&errors[..8], 0.9), f64::INFINITY);
        assert_eq!(bound(&[], 0.9), f64::INFINITY);
        assert_eq!(bound(&[vec![], vec![1.0]], 0.4), 1.0);
    }

    #[test]
    fn groups_weigh_the_same_and_so_do_errors() {
        let mut groups: Vec<Vec<f64>> = (0..9).map(|_| vec![1.0]).collect();
        groups.push(vec![50.0; 1_000]);
        assert_eq!(by_group(&groups, 0.8), 1.0);
        assert_eq!(by_group(&groups, 0.9), 50.0);
        assert_eq!(bound(&groups, 0.8), 50.0);
    }

    #[test]
    fn the_share_of_errors_within_is_as_asked() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(19);
        // Groups whose errors are alike within, and of very different sizes between.
        let mut group = || {
            let size: f64 = random.random_range(0.01..1.0);
            let count = random.random_range(1..8);
            (0..count)
                .map(|_| size.powi(3) * random.random_range(0.5..1.5))
                .collect::<Vec<f64>>()
        };
        let (trials, mut within) = (4_000, 0);
        for _ in 0..trials {
            let known: Vec<Vec<f64>> = (0..20).map(|_| group()).collect();
            let next = group();
            within += i32::from(next[0] <= bound(&known, 0.9));
        }
        let share = f64::from(within) / f64::from(trials);
        assert!((0.89..0.98).contains(&share), "{share}");
    }
}
