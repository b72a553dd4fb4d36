//! Several comparisons judged at once.
//!
//! Of twenty comparisons between identical programs, each judged at 95%, one is expected to differ.
//! Holm's procedure keeps the chance that *any* of a family does below 5%, whatever the comparisons
//! have to do with one another, and finds at least as much as Bonferroni's.
//!
//! Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
//! Statistics 6 (1979); R's `p.adjust(method = "holm")` computes the same.

/// One member of a family after Holm's procedure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Adjusted {
    /// Adjusted p: at most the family's alpha where there is a difference.
    pub p_value: f64,
    /// Confidence of the member's interval: 1 - alpha ÷ size of the family, so that with 1 - alpha
    /// all intervals of the family hold at once.
    ///
    /// Whatever else than "no difference" is read from an interval, such as a claim's verdict, needs
    /// that: at the wider levels of the procedure's later steps intervals hold one by one only. An
    /// interval of this confidence that excludes "no difference" is of a significant member; the
    /// other way round the procedure finds a little more than the intervals show.
    pub confidence: f64,
    /// Whether there is a difference, at the family's alpha.
    pub significant: bool,
}

impl Adjusted {
    /// A comparison that is judged as if it were the only one.
    #[must_use]
    pub(crate) fn alone(p_value: f64, alpha: f64) -> Self {
        Self {
            p_value,
            confidence: 1.0 - alpha,
            significant: p_value <= alpha,
        }
    }
}

/// Adjusts a family of `p_values` to a common `alpha` such as 0.05; in the order given.
#[must_use]
pub(crate) fn holm(p_values: &[f64], alpha: f64) -> Vec<Adjusted> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut ranked = Vec::with_capacity(order.len());
    let mut largest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        let left = p_values.len() - rank;
        // It never falls: after the first member that is not found, none is.
        largest = largest.max(left as f64 * p_values[index]).min(1.0);
        let adjusted = Adjusted {
            p_value: largest,
            confidence: 1.0 - alpha / p_values.len() as f64,
            significant: largest <= alpha,
        };
        ranked.push((index, adjusted));
    }
    ranked.sort_unstable_by_key(|(index, _)| *index);
    ranked.into_iter().map(|(_, adjusted)| adjusted).collect()
}

/// Whether any member of a family can be found: the smallest two-sided p of so many `blocks`,
/// 2^(1-blocks), must pass the first step of the procedure.
///
/// At an alpha of 0.05, 6 blocks are enough for one comparison, 10 for 25, 16 for 1,638.
#[must_use]
pub(crate) fn reachable(blocks: usize, family_size: usize, alpha: f64) -> bool {
    (1.0 - blocks as f64).exp2() * family_size as f64 <= alpha
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(actual: &[f64], expected: &[f64]) -> bool {
        actual.len() == expected.len()
            && actual
                .iter()
                .zip(expected)
                .all(|(actual, expected)| (actual - expected).abs() < 1e-12)
    }

    fn each<T>(adjusted: &[Adjusted], field: impl Fn(&Adjusted) -> T) -> Vec<T> {
        adjusted.iter().map(field).collect()
    }

    #[test]
    fn four_p_values_by_hand() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") is 0.03 0.06 0.06 0.02.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005], 0.05);
        assert!(close(
            &each(&adjusted, |a| a.p_value),
            &[0.03, 0.06, 0.06, 0.02]
        ));
        assert_eq!(
            each(&adjusted, |a| a.significant),
            [true, false, false, true]
        );
        assert!(close(
            &each(&adjusted, |a| a.confidence),
            &[1.0 - 0.05 / 4.0; 4]
        ));
    }

    #[test]
    fn fifteen_p_values_of_a_clinical_trial() {
        // Benjamini and Hochberg, "Controlling the False Discovery Rate", Journal of the Royal
        // Statistical Society B 57 (1995), section 3.2: the first three are found.
        let p_values = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0000,
        ];
        let adjusted = holm(&p_values, 0.05);
        let found = each(&adjusted, |a| a.significant);
        assert_eq!(found.iter().filter(|found| **found).count(), 3);
        assert!(close(
            &each(&adjusted[..5], |a| a.p_value),
            &[0.0015, 0.0056, 0.0247, 0.114, 0.2211]
        ));
        assert_eq!(adjusted[14].p_value, 1.0);
    }

    #[test]
    fn a_larger_p_is_not_found_where_a_smaller_one_was_not() {
        // At the level of its own rank the last one would pass.
        let adjusted = holm(&[0.04, 0.03, 0.02], 0.05);
        assert_eq!(each(&adjusted, |a| a.significant), [false; 3]);
        assert!(close(&each(&adjusted, |a| a.p_value), &[0.06; 3]));
        assert!(close(
            &each(&adjusted, |a| a.confidence),
            &[1.0 - 0.05 / 3.0; 3]
        ));
    }

    #[test]
    fn equal_p_values_share_their_fate() {
        let adjusted = holm(&[0.02, 0.02], 0.05);
        assert_eq!(each(&adjusted, |a| a.p_value), [0.04; 2]);
        assert_eq!(each(&adjusted, |a| a.significant), [true; 2]);
    }

    #[test]
    fn a_family_of_one_or_none_is_not_adjusted() {
        assert_eq!(holm(&[], 0.05), []);
        assert_eq!(holm(&[0.04], 0.05), [Adjusted::alone(0.04, 0.05)]);
    }

    #[test]
    fn blocks_that_reach_a_family() {
        // 2^-5 = 0.031, 2^-9 = 0.00195 and 2^-15 = 0.0000305.
        for (blocks, largest) in [(5, 0), (6, 1), (8, 6), (10, 25), (16, 1_638)] {
            assert!(largest == 0 || reachable(blocks, largest, 0.05), "{blocks}");
            assert!(!reachable(blocks, largest + 1, 0.05), "{blocks}");
        }
        assert!(!reachable(0, 1, 0.05));
    }

    proptest! {
        #[test]
        fn adjusting_keeps_the_order_and_lies_between_bonferroni_and_nothing(
            p_values in prop::collection::vec(0.0..=1.0f64, 1..30),
        ) {
            let adjusted = holm(&p_values, 0.05);
            let family = p_values.len() as f64;
            for (one, p) in adjusted.iter().zip(&p_values) {
                prop_assert!(*p <= one.p_value && one.p_value <= (family * p).min(1.0));
                prop_assert_eq!(one.significant, one.p_value <= 0.05);
                prop_assert_eq!(one.confidence, 1.0 - 0.05 / family);
                // The interval of that confidence excludes "no difference" where p < 1 - confidence.
                prop_assert!(one.significant || *p > 1.0 - one.confidence - 1e-12);
                for (other, q) in adjusted.iter().zip(&p_values) {
                    prop_assert!(p > q || one.p_value <= other.p_value);
                }
            }
        }
    }
}
