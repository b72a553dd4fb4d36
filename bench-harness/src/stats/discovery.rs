//! All claims of a run judged at once, each over the sessions of the server.
//!
//! A run asks dozens of questions, and most have a difference for an answer. Holm's procedure, which keeps *any*
//! false finding out, doubles the intervals then; here the share of false ones among what is found is kept at
//! 5%, once for the whole run.
//!
//! Sources: Benjamini and Hochberg, "Controlling the False Discovery Rate", Journal of the Royal Statistical
//! Society B 57 (1995), which R's `p.adjust(method = "BH")` computes; Benjamini and Yekutieli, "False Discovery
//! Rate-Adjusted Multiple Confidence Intervals for Selected Parameters", Journal of the American Statistical
//! Association 100 (2005), for the level of the intervals.

use super::family::{Correction, Judged};
use super::sessions::{Sessions, compare_sessions, equivalence_p, smallest_detectable};
use super::verdict::{Threshold, verdict_where};

/// The differences that matter to a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// The smallest effect of interest: whoever shows less has shown that there is no difference.
    pub smallest: Threshold,
    /// What a found difference must exceed, too: the noise of identical arms.
    pub noise: Threshold,
}

impl Limits {
    /// What an estimate must exceed to be a difference that matters.
    #[must_use]
    pub(crate) fn difference(self) -> Threshold {
        self.smallest.max(self.noise)
    }
}

/// Judges comparisons by the log-ratios of the blocks of each session, at a `confidence` such as 0.95.
///
/// A member with too few sessions has no judgement and does not count. Differences are corrected together, and
/// so are equivalences.
///
/// # Panics
/// If there are not as many limits as members.
#[must_use]
pub(crate) fn judge_sessions(
    members: &[Vec<Vec<f64>>],
    limits: &[Limits],
    confidence: f64,
) -> (Vec<Option<Judged>>, Correction) {
    assert_eq!(members.len(), limits.len(), "limits for each member");
    let alpha = 1.0 - confidence;
    let tests: Vec<Option<(f64, f64)>> = members
        .iter()
        .zip(limits)
        .map(|(sessions, limits)| {
            let different = compare_sessions(sessions, confidence)?.p_value;
            Some((different, equivalence_p(sessions, limits.smallest)?))
        })
        .collect();
    let (different, equivalent): (Vec<f64>, Vec<f64>) = tests.iter().flatten().copied().unzip();
    let (different, equivalent) = (adjust(&different), adjust(&equivalent));
    let family = different.len();
    let found = different.iter().filter(|p| **p <= alpha).count().max(1);
    let level = 1.0 - alpha * found as f64 / family.max(1) as f64;
    let mut adjusted = different.into_iter().zip(equivalent);
    let judge = |((sessions, limits), test): ((&Vec<Vec<f64>>, &Limits), &Option<_>)| {
        test.as_ref()?;
        let (adjusted_p, equivalent) = adjusted.next()?;
        let comparison = compare_sessions(sessions, level)?;
        let (significant, threshold) = (adjusted_p <= alpha, limits.difference());
        Some(Judged {
            comparison,
            adjusted_p,
            significant,
            verdict: verdict_where(equivalent <= alpha, &comparison, significant, threshold),
            smallest_detectable: smallest_detectable(sessions, level, threshold),
            sessions: Sessions::new(sessions),
        })
    };
    let judged = members.iter().zip(limits).zip(&tests).map(judge).collect();
    (judged, Correction::FalseDiscovery { family })
}

/// The p at which each would just be found; in the order given.
fn adjust(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest: f64 = 1.0;
    for (from_the_largest, index) in order.into_iter().enumerate() {
        let rank = p_values.len() - from_the_largest;
        smallest = smallest.min(p_values[index] * p_values.len() as f64 / rank as f64);
        adjusted[index] = smallest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::super::verdict::{SMALLEST_EFFECT, UNCALIBRATED, Verdict};
    use super::*;

    const LIMITS: Limits = Limits {
        smallest: SMALLEST_EFFECT,
        noise: UNCALIBRATED,
    };

    /// Eight sessions about `effect` that differ by up to `apart`.
    fn about(effect: f64, apart: f64) -> Vec<Vec<f64>> {
        let place = |session: i32| f64::from(session) / 3.5 - 1.0;
        let session = |session| vec![effect + apart * place(session); 2];
        (0..8).map(session).collect()
    }

    #[test]
    fn fifteen_p_values_of_a_clinical_trial() {
        // Benjamini and Hochberg, section 3.2: the first four are found. R: p.adjust(p, "BH").
        let p_values = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0000,
        ];
        let adjusted = adjust(&p_values);
        assert_eq!(adjusted.iter().filter(|p| **p <= 0.05).count(), 4);
        for (actual, expected) in adjusted.iter().zip([0.0015, 0.003, 0.0095, 0.035_625]) {
            assert!((actual - expected).abs() < 1e-12, "{actual}");
        }
        assert_eq!(adjusted[14], 1.0);
        assert_eq!(adjust(&[]), Vec::<f64>::new());
    }

    #[test]
    fn one_run_has_every_verdict() {
        let members = [
            about(-0.5, 0.02),
            about(0.2, 0.02),
            about(0.002, 0.02),
            about(0.02, 0.2),
            // A difference for certain, and not one that matters.
            about(0.015, 0.002),
            // One that matters, below what identical arms show.
            about(0.04, 0.002),
            // Too few sessions.
            about(0.1, 0.01)[..3].to_vec(),
        ];
        let (judged, correction) = judge_sessions(&members, &[LIMITS; 7], 0.95);
        use Verdict::{Equivalent, Improved, Inconclusive, Regressed};
        let verdicts: Vec<Option<Verdict>> = judged
            .iter()
            .map(|one| one.map(|one| one.verdict))
            .collect();
        assert_eq!(
            verdicts,
            [
                Some(Improved),
                Some(Regressed),
                Some(Equivalent),
                Some(Inconclusive),
                Some(Equivalent),
                Some(Inconclusive),
                None,
            ]
        );
        assert_eq!(correction, Correction::FalseDiscovery { family: 6 });
        // Four of six are found.
        let level = 1.0 - 0.05 * 4.0 / 6.0;
        assert!((judged[0].unwrap().comparison.confidence - level).abs() < 1e-12);
    }

    #[test]
    fn nothing_to_judge_is_no_family() {
        let (judged, correction) = judge_sessions(&[], &[], 0.95);
        assert!(judged.is_empty());
        assert_eq!(correction, Correction::FalseDiscovery { family: 0 });
    }
}
