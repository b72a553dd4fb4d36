//! What a comparison of one's own code found.

use std::fmt;

use crate::commands::report::{figures, judged_alone};
use crate::commands::results::{ArmFigures, Figures};
use crate::format::{Count, Percent, Range, Times};
use crate::judge::control::{CONTROL_BOUND, stays_within_bound};
use crate::report::document::Block;
use crate::report::terminal::{Colour, block};
use crate::samples::Samples;
use crate::stats::{CONFIDENCE_LEVEL, Correction, Interval, Judged, Verdict};

/// What a [`Comparison`](super::Comparison) found. Its `Display` is a table of all arms and what weakens it, within 100
/// columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    name: String,
    blocks: usize,
    arms: Vec<ArmFigures>,
    correction: Correction,
    void_blocks: usize,
    /// The first arm compared with itself.
    identical: Option<Judged>,
}

/// An arm compared with the first.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Against {
    /// Its time as a multiple of the first arm's: below 1 is faster.
    pub ratio: f64,
    /// Where the true ratio lies, with that [`confidence`](Self::confidence).
    pub interval: Interval,
    /// 0.95, higher where several arms are judged together, lower with fewer than six blocks.
    pub confidence: f64,
    /// [`Improved`](Verdict::Improved) is faster, [`Regressed`](Verdict::Regressed) slower: significantly, and by more
    /// than 5%. [`Equivalent`](Verdict::Equivalent) is certainly within ±5%.
    pub verdict: Verdict,
}

impl Compared {
    /// `again` is the name of the first arm where it is one of two identical ones.
    pub(super) fn new(
        name: String,
        blocks: usize,
        (arms, again): (&[&str], &str),
        samples: &Samples,
    ) -> Self {
        // Identical arms ask another question, so they are not corrected together with the others.
        let twice: Vec<&str> = arms.iter().take(1).copied().chain([again]).collect();
        let twice = Figures::new(&twice, samples, None).arms;
        let Figures {
            arms,
            correction,
            void_blocks,
        } = Figures::new(arms, samples, None);
        Self {
            name,
            blocks,
            arms,
            correction,
            void_blocks,
            identical: twice.last().and_then(|again| again.time_against_first),
        }
    }

    /// The median of an arm's times, of one run of its code; none if there is no such arm, or no block counts.
    #[must_use]
    pub fn seconds(&self, arm: &str) -> Option<f64> {
        Some(self.arm(arm)?.wall_seconds?.median)
    }

    /// An arm compared with the first; none of the first itself, if there is no such arm, or no block counts.
    #[must_use]
    pub fn against_first(&self, arm: &str) -> Option<Against> {
        let Judged {
            comparison,
            verdict,
            ..
        } = self.arm(arm)?.time_against_first?;
        Some(Against {
            ratio: comparison.ratio,
            interval: comparison.interval,
            confidence: comparison.confidence,
            verdict,
        })
    }

    /// Whether the first arm, which ran twice in each block, is within ±5% of itself by the whole interval. If not,
    /// the machine is too busy, or the blocks are too few, to rely on verdicts.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let identical = self.identical.as_ref();
        identical.is_some_and(|judged| stays_within_bound(&judged.comparison))
    }

    fn arm(&self, name: &str) -> Option<&ArmFigures> {
        self.arms.iter().find(|arm| arm.name == name)
    }

    /// What identical arms showed, and what weakens the verdicts.
    fn remarks(&self) -> Vec<Block> {
        let mut remarks = Vec::new();
        if let (Some(judged), Some(first)) = (&self.identical, self.arms.first()) {
            let comparison = &judged.comparison;
            remarks.push(Block::Paragraph(format!(
                "Identical arms, {} twice: {} ({}).",
                first.name,
                Times(comparison.ratio),
                Range::new(comparison, CONFIDENCE_LEVEL)
            )));
        }
        let mut warnings = Vec::new();
        if !self.is_quiet() {
            warnings.push(format!(
                "Identical arms may differ by more than {} here, so verdicts are indicative: take more blocks, on a \
                 machine that does nothing else.",
                Percent(CONTROL_BOUND.share())
            ));
        }
        if self.void_blocks > 0 {
            warnings.push(format!(
                "{} left out, in which the host took the processors away.",
                Count::new(self.void_blocks, "block")
            ));
        }
        warnings.extend(judged_alone(self.correction));
        remarks.extend(warnings.into_iter().map(Block::Warning));
        remarks
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (arms, blocks) = (
            Count::new(self.arms.len(), "arm"),
            Count::new(self.blocks, "block"),
        );
        let table = Block::Table(figures(&self.arms, CONFIDENCE_LEVEL));
        writeln!(f, "{}: {arms} in {blocks}\n", self.name)?;
        for line in block(&table, Colour::Never) {
            writeln!(f, "{line}")?;
        }
        for remark in self.remarks() {
            let lines = block(&remark, Colour::Never).join("\n");
            write!(f, "\n{lines}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::schedule::Schedule;
    use crate::samples::{Measurements, Outcome, Sample, Timestamp};

    const ARMS: [&str; 3] = ["list", "set", "tree"];
    const AGAIN: &str = "list again";

    /// A comparison in which `AGAIN` takes so many times what it should.
    fn compared(blocks: usize, again: f64) -> Compared {
        let names = [&ARMS[..], &[AGAIN]].concat();
        let schedule = Schedule::new(1, names.len(), blocks);
        let samples = schedule.slots().iter().map(|slot| {
            let truth = [0.012, 0.0009, 0.0121, 0.012 * again][slot.arm];
            let noise = 1.0 + 0.004 * (((slot.block * 7 + slot.position * 3) % 5) as f64 - 2.0);
            Sample {
                scenario: "new keys".to_owned(),
                arm: names[slot.arm].to_owned(),
                block: slot.block,
                position: slot.position,
                warm_up: false,
                started_at: Timestamp::now(),
                outcome: match (slot.arm, slot.block) {
                    (2, 3) => Outcome::Void {
                        reason: "12.0% CPU steal on the host (the limit is 5%)".to_owned(),
                    },
                    _ => Outcome::Measured(Measurements {
                        wall_seconds: truth * noise,
                        rows: 4_000,
                        client_cpu_seconds: truth * noise,
                        ..Measurements::default()
                    }),
                },
            }
        });
        let samples = Samples {
            samples: samples.collect(),
            cut_line: None,
        };
        Compared::new("new keys".to_owned(), blocks, (&ARMS, AGAIN), &samples)
    }

    #[test]
    fn a_constructed_comparison_on_a_terminal() {
        insta::assert_snapshot!(compared(12, 1.0).to_string());
    }

    #[test]
    fn arms_are_found_by_name_and_compared_with_the_first() {
        let compared = compared(12, 1.0);
        let verdict = |arm| compared.against_first(arm).map(|against| against.verdict);
        assert_eq!(
            ["set", "tree", "list", AGAIN, "other"].map(verdict),
            [
                Some(Verdict::Improved),
                Some(Verdict::Equivalent),
                None,
                None,
                None
            ]
        );
        let against = compared.against_first("set").unwrap();
        assert!(against.interval.contains(against.ratio) && against.confidence >= 0.95);
        assert!((0.011..0.013).contains(&compared.seconds("list").unwrap()));
        assert!(compared.is_quiet());
    }

    #[test]
    fn identical_arms_that_differ_and_few_blocks_are_said() {
        let noisy = compared(12, 1.2);
        assert!(!noisy.is_quiet());
        assert!(noisy.to_string().contains("verdicts are indicative"));
        let few = compared(3, 1.0);
        assert!(!few.is_quiet());
        for part in ["too few blocks", "indicative", "judged alone"] {
            assert!(few.to_string().contains(part), "{part}: {few}");
        }
    }
}
