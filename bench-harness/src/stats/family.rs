//! The comparisons of a suite, judged together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Comparison, compare};
use super::holm::{Adjusted, holm, reachable};
use super::power::smallest_detectable;
use super::sessions::Sessions;
use super::verdict::{Threshold, Verdict, verdict};

/// How the members of a family were adjusted to their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// By Holm's procedure.
    Holm {
        /// Members that had a block.
        family: usize,
    },
    /// By the procedure of Benjamini and Hochberg: of those that are found, one in twenty may be false.
    FalseDiscovery {
        /// Members that had enough sessions.
        family: usize,
    },
    /// Not at all: with so few blocks no member could be found, however large its effect. Each was
    /// judged alone, and one in twenty of those without a difference may be found significant. A
    /// report must say so.
    None {
        /// Members that had a block.
        family: usize,
    },
}

/// A member of a family with its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// The comparison, its interval at the family's level. Its p is not adjusted.
    pub comparison: Comparison,
    /// p adjusted to the family.
    pub adjusted_p: f64,
    /// Whether there is a difference, be it one that matters or not.
    pub significant: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// The smallest effect that so many blocks of such noise would have found, 0.08 for 8%. Absent
    /// where the blocks are too few to find any.
    pub smallest_detectable: Option<f64>,
    /// What sessions of the server show; absent where the interval is over blocks alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Sessions>,
}

/// Judges a family of comparisons, given the block log-ratios and the threshold of each, at a
/// `confidence` such as 0.95 for the family as a whole.
///
/// A member without blocks has no judgement and does not count. Holm's procedure applies if the
/// member with the most blocks could pass its first step; members with fewer blocks then count
/// too, though they may have no chance themselves: to leave them out would be to choose the family
/// by its outcome.
///
/// # Panics
/// If there are not as many thresholds as members.
#[must_use]
pub(crate) fn judge_family(
    log_ratios: &[Vec<f64>],
    thresholds: &[Threshold],
    confidence: f64,
) -> (Vec<Option<Judged>>, Correction) {
    assert_eq!(log_ratios.len(), thresholds.len(), "one threshold a member");
    let (compared, correction) = compare_family(log_ratios, confidence);
    let judged = compared
        .into_iter()
        .zip(log_ratios)
        .zip(thresholds)
        .map(|((compared, log_ratios), threshold)| {
            let (comparison, adjusted) = compared?;
            Some(Judged {
                comparison,
                adjusted_p: adjusted.p_value,
                significant: adjusted.significant,
                verdict: verdict(&comparison, adjusted.significant, *threshold),
                smallest_detectable: smallest_detectable(
                    log_ratios,
                    adjusted.confidence,
                    *threshold,
                ),
                sessions: None,
            })
        })
        .collect();
    (judged, correction)
}

/// Each member's comparison at the level of the family.
pub(super) fn compare_family(
    log_ratios: &[Vec<f64>],
    confidence: f64,
) -> (Vec<Option<(Comparison, Adjusted)>>, Correction) {
    let alone: Vec<Option<Comparison>> = log_ratios
        .iter()
        .map(|log_ratios| compare(log_ratios, confidence))
        .collect();
    let present = || alone.iter().flatten();
    let family = present().count();
    let blocks = present().map(|member| member.blocks).max().unwrap_or(0);
    let p_values: Vec<f64> = present().map(|member| member.p_value).collect();
    let alpha = 1.0 - confidence;
    let (adjusted, correction) = adjust(&p_values, alpha, reachable(blocks, family, alpha));
    let mut adjusted = adjusted.into_iter();
    let compared = log_ratios
        .iter()
        .zip(&alone)
        .map(|(log_ratios, alone)| {
            alone.as_ref()?;
            let adjusted = adjusted.next()?;
            Some((compare(log_ratios, adjusted.confidence)?, adjusted))
        })
        .collect();
    (compared, correction)
}

/// Adjusts the p-values of a family by Holm's procedure, or, where none of them `can_pass` its first
/// step, each alone.
pub(super) fn adjust(p_values: &[f64], alpha: f64, can_pass: bool) -> (Vec<Adjusted>, Correction) {
    let family = p_values.len();
    if can_pass {
        return (holm(p_values, alpha), Correction::Holm { family });
    }
    let alone = p_values.iter().map(|p| Adjusted::alone(*p, alpha));
    (alone.collect(), Correction::None { family })
}

#[cfg(test)]
mod tests {
    use super::super::compare::Interval;
    use super::super::verdict::{FLOOR, UNCALIBRATED};
    use super::*;
    use proptest::prelude::*;

    /// Blocks about `effect` that differ by less than 1%.
    fn blocks_about(effect: f64, blocks: usize) -> Vec<f64> {
        (0..blocks)
            .map(|block| effect + 0.001 * (block as f64 - 0.4 * blocks as f64))
            .collect()
    }

    fn verdicts(judged: &[Option<Judged>]) -> Vec<Option<Verdict>> {
        judged
            .iter()
            .map(|judged| judged.map(|judged| judged.verdict))
            .collect()
    }

    #[test]
    fn a_suite_of_known_effects() {
        use Verdict::{Equivalent, Improved, Inconclusive, Regressed};
        let noisy = vec![0.3, -0.4, 0.1, -0.2, 0.35, -0.1, 0.25, -0.3, 0.02, -0.15];
        let members = [
            blocks_about(-0.7, 10),
            blocks_about(0.1, 10),
            blocks_about(0.03, 10),
            vec![],
            noisy,
        ];
        let (judged, correction) = judge_family(&members, &[UNCALIBRATED; 5], 0.95);
        assert_eq!(correction, Correction::Holm { family: 4 });
        assert_eq!(
            verdicts(&judged),
            [
                Some(Improved),
                Some(Regressed),
                Some(Equivalent),
                None,
                Some(Inconclusive)
            ]
        );
        // The third differs for certain; with a threshold of 1% that matters.
        assert!(judged[2].unwrap().significant);
        let (judged, _) = judge_family(&members, &[FLOOR; 5], 0.95);
        assert_eq!(judged[2].unwrap().verdict, Regressed);
    }

    #[test]
    fn levels_and_p_values_are_adjusted() {
        let members = [blocks_about(-0.7, 10), vec![0.01, -0.01, 0.02, -0.02]];
        let (judged, _) = judge_family(&members, &[UNCALIBRATED; 2], 0.95);
        let first = judged[0].unwrap();
        assert_eq!(first.comparison.p_value, 2.0 / 1024.0);
        assert_eq!(first.adjusted_p, 4.0 / 1024.0);
        assert_eq!(first.comparison.asked_confidence, 0.975);
        assert!((0.975..0.99).contains(&first.comparison.confidence));
        let few = judged[1].unwrap();
        assert_eq!(
            (few.comparison.confidence, few.smallest_detectable),
            (0.875, None)
        );
        assert_eq!(few.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn too_few_blocks_for_the_family_are_judged_one_by_one() {
        let members = vec![blocks_about(-0.7, 6); 24];
        let (judged, correction) = judge_family(&members, &[UNCALIBRATED; 24], 0.95);
        assert_eq!(correction, Correction::None { family: 24 });
        let first = judged[0].unwrap();
        assert_eq!(first.adjusted_p, first.comparison.p_value);
        assert_eq!(first.verdict, Verdict::Improved);

        // One member with enough blocks brings the correction back.
        let mut members = members;
        members[0] = blocks_about(-0.7, 10);
        let (judged, correction) = judge_family(&members, &[UNCALIBRATED; 24], 0.95);
        assert_eq!(correction, Correction::Holm { family: 24 });
        assert_eq!(judged[0].unwrap().verdict, Verdict::Improved);
        assert_eq!(judged[1].unwrap().verdict, Verdict::Inconclusive);
    }

    #[test]
    fn an_empty_family_has_no_judgements() {
        let (judged, _) = judge_family(&[], &[], 0.95);
        assert!(judged.is_empty());
        let (judged, correction) = judge_family(&[vec![], vec![f64::NAN]], &[FLOOR; 2], 0.95);
        assert_eq!(judged, [None, None]);
        assert_eq!(correction, Correction::Holm { family: 0 });
    }

    #[test]
    fn judgements_come_back_as_they_were_written() {
        let judged = Judged {
            comparison: Comparison {
                ratio: 0.5,
                interval: Interval {
                    low: 0.45,
                    high: 0.55,
                },
                confidence: 0.998,
                asked_confidence: 0.995,
                p_value: 0.001_953_125,
                blocks: 10,
            },
            adjusted_p: 0.046_875,
            significant: true,
            verdict: Verdict::Improved,
            smallest_detectable: Some(0.08),
            sessions: None,
        };
        let open = Judged {
            verdict: Verdict::Inconclusive,
            smallest_detectable: None,
            ..judged
        };
        let written = (
            [Some(judged), Some(open), None],
            Correction::Holm { family: 2 },
        );
        let json = serde_json::to_string(&written).unwrap();
        let read: ([Option<Judged>; 3], Correction) = serde_json::from_str(&json).unwrap();
        assert_eq!(read, written);
        assert!(
            json.ends_with(r#","smallest_detectable":null},null],{"holm":{"family":2}}]"#),
            "{json}"
        );
    }

    proptest! {
        #[test]
        fn an_interval_without_one_is_significant(
            members in prop::collection::vec(prop::collection::vec(-0.5..1.0f64, 10), 1..20),
        ) {
            let (compared, _) = compare_family(&members, 0.95);
            for (comparison, adjusted) in compared.into_iter().flatten() {
                prop_assert!(adjusted.significant || comparison.includes_one());
            }
        }
    }
}
