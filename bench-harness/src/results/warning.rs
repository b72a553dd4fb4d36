//! What a reader must know before trusting the figures of a run, and what to do about it.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Exclusion, ScenarioResults, measured};
use crate::measurement::Samples;
use crate::report::units::{Count, Percent};
use crate::run_record::RunRecord;
use crate::stats::blocks_needed;

/// Steal above which a sample that was kept is pointed out.
///
/// One per cent, the smallest difference that the suite ever calls practical: steal beyond it can
/// be the difference.
const STEAL_NOTICE_SHARE: f64 = 0.01;

/// Share of the mock API's ceiling above which an arm may have waited for it.
///
/// Beyond about 70% utilisation the queue in front of a single server is longer than two requests
/// (ρ/(1-ρ) of M/M/1), and the arm's time holds the mock API's.
const MOCK_API_SHARE_LIMIT: f64 = 0.7;

/// Something that weakens a run. `Display` says what happened and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The engine was not built for speed.
    SlowBuild {
        /// Cargo profile that it was built with.
        profile: String,
    },
    /// Samples did not finish, or loaded wrong data.
    Failures {
        /// Scenario by name.
        scenario: String,
        /// Arm by name.
        arm: String,
        /// How many samples.
        count: usize,
        /// Reason of the first.
        first_reason: String,
    },
    /// The run ended before its last sample, by an interrupt or an error.
    Incomplete {
        /// Scenario by name.
        scenario: String,
        /// Samples of blocks that were taken, whatever came of them.
        taken: usize,
        /// Samples of blocks that were planned.
        planned: usize,
    },
    /// Samples were spoiled from outside and left out.
    Voided {
        /// Scenario by name.
        scenario: String,
        /// How many samples.
        count: usize,
    },
    /// No ratio could be computed for want of a baseline.
    NoBaseline {
        /// Scenario by name.
        scenario: String,
        /// Baseline arm by name.
        arm: String,
    },
    /// Intervals have less confidence than was asked.
    TooFewBlocks {
        /// Scenario by name.
        scenario: String,
        /// Blocks of the arm that has fewest.
        blocks: usize,
        /// Level of its interval.
        confidence: f64,
        /// Blocks that the level asked for needs.
        needed: usize,
    },
    /// The host gave processor time to others during samples that were kept.
    Steal {
        /// Scenario by name.
        scenario: String,
        /// Samples above the limit.
        count: usize,
        /// Samples kept.
        of: usize,
        /// Largest share stolen.
        largest_share: f64,
    },
    /// Some wall times lie far from the others.
    Outliers {
        /// Scenario by name.
        scenario: String,
        /// Arms that have some, with how many.
        arms: Vec<(String, usize)>,
    },
    /// The mock API may have been the bottleneck.
    MockApiNearCeiling {
        /// Scenario by name.
        scenario: String,
        /// Fastest arm that it fed.
        arm: String,
        /// Share of the ceiling that the arm drained.
        share: f64,
    },
    /// The samples file ends in the middle of a line.
    CutSample {
        /// Number of the line.
        line: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SlowBuild { profile } => write!(
                f,
                "The engine was built with the {profile} profile: its figures say nothing about what users get. \
                 Build with `cargo build --release` and run again."
            ),
            Self::Failures {
                scenario,
                arm,
                count,
                first_reason,
            } => write!(
                f,
                "{scenario}: {} of {arm} failed and count for nothing; the first: {first_reason}. \
                 Mend the cause before using the figures of this arm.",
                Count::of(*count, "sample")
            ),
            Self::Incomplete {
                scenario,
                taken,
                planned,
            } => write!(
                f,
                "{scenario}: the run was interrupted after {taken} of {}. \
                 The figures are of the blocks that were taken; run again for all of them.",
                Count::of(*planned, "sample")
            ),
            Self::Voided { scenario, count } => write!(
                f,
                "{scenario}: {} spoiled from outside and left out. Where blocks are missing for it, \
                 run again on a quieter machine.",
                Count::of(*count, "sample")
            ),
            Self::NoBaseline { scenario, arm } => write!(
                f,
                "{scenario}: the baseline {arm} has no measured sample, so there are no ratios. \
                 See why it failed and run again."
            ),
            Self::TooFewBlocks {
                scenario,
                blocks,
                confidence,
                needed,
            } => write!(
                f,
                "{scenario}: {} give an interval of {} confidence only. Run at least {needed} blocks.",
                Count::of(*blocks, "block"),
                Percent(*confidence)
            ),
            Self::Steal {
                scenario,
                count,
                of,
                largest_share,
            } => write!(
                f,
                "{scenario}: the host took processor time away in {count} of {}, up to {}. \
                 Judge by processor time, or run again on a quieter machine.",
                Count::of(*of, "sample"),
                Percent(*largest_share)
            ),
            Self::Outliers { scenario, arms } => {
                let arms: Vec<String> = arms
                    .iter()
                    .map(|(arm, count)| format!("{arm} ({count})"))
                    .collect();
                write!(
                    f,
                    "{scenario}: wall times far from the others: {}. They are kept and widen the intervals; \
                     where these are too wide, close other programs and run again.",
                    arms.join(", ")
                )
            }
            Self::MockApiNearCeiling {
                scenario,
                arm,
                share,
            } => write!(
                f,
                "{scenario}: {arm} drains {} of what the mock API can serve, so part of its time may be the mock \
                 API's. Give the mock API more processors, or read its figures as a lower limit of speed.",
                Percent(*share)
            ),
            Self::CutSample { line } => write!(
                f,
                "The samples file ends within line {line}: the run was interrupted while writing it. \
                 That sample is left out; run again for a complete set."
            ),
        }
    }
}

/// The warnings of a run, the gravest first.
pub(super) fn of(
    run: &RunRecord,
    samples: &Samples,
    scenarios: &[ScenarioResults],
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    // `profiling` is `release` with debug information: its code is the same.
    if !matches!(run.build_profile.as_str(), "release" | "profiling") {
        warnings.push(Warning::SlowBuild {
            profile: run.build_profile.clone(),
        });
    }
    warnings.extend(samples.cut_line.map(|line| Warning::CutSample { line }));
    for scenario in scenarios {
        warnings.extend(incomplete(scenario, samples));
        warnings.extend(failures(scenario));
        warnings.extend(no_baseline(scenario));
        warnings.extend(too_few_blocks(scenario, run.confidence_level));
        warnings.extend(mock_api_near_ceiling(scenario));
        warnings.extend(voided(scenario));
        warnings.extend(steal(scenario, samples));
        warnings.extend(outliers(scenario));
    }
    warnings
}

fn incomplete(scenario: &ScenarioResults, samples: &Samples) -> Option<Warning> {
    // A sample that was taken again counts once.
    let taken: HashSet<(&str, usize)> = samples
        .samples
        .iter()
        .filter(|sample| sample.scenario == scenario.name && !sample.warm_up)
        .map(|sample| (sample.arm.as_str(), sample.block))
        .collect();
    let planned = scenario.arms.len() * scenario.blocks;
    (taken.len() < planned).then(|| Warning::Incomplete {
        scenario: scenario.name.clone(),
        taken: taken.len(),
        planned,
    })
}

fn failures(scenario: &ScenarioResults) -> impl Iterator<Item = Warning> {
    scenario.arms.iter().filter_map(|arm| {
        let mut failed = scenario
            .excluded
            .iter()
            .filter(|sample| sample.cause != Exclusion::Void && sample.arm == arm.name);
        let first = failed.next()?;
        Some(Warning::Failures {
            scenario: scenario.name.clone(),
            arm: arm.name.clone(),
            count: 1 + failed.count(),
            first_reason: first.reason.clone(),
        })
    })
}

fn no_baseline(scenario: &ScenarioResults) -> Option<Warning> {
    let measured = scenario
        .baseline_arm()
        .is_some_and(|arm| arm.wall_seconds.is_some());
    (!measured).then(|| Warning::NoBaseline {
        scenario: scenario.name.clone(),
        arm: scenario.baseline.clone(),
    })
}

fn too_few_blocks(scenario: &ScenarioResults, wanted: f64) -> Option<Warning> {
    let fewest = scenario
        .arms
        .iter()
        .filter_map(|arm| arm.to_baseline)
        .min_by_key(|ratio| ratio.blocks)?;
    (fewest.confidence < wanted).then(|| Warning::TooFewBlocks {
        scenario: scenario.name.clone(),
        blocks: fewest.blocks,
        confidence: fewest.confidence,
        needed: blocks_needed(wanted),
    })
}

fn mock_api_near_ceiling(scenario: &ScenarioResults) -> Option<Warning> {
    let mock_api = scenario.mock_api.as_ref()?;
    let share = 1.0 / mock_api.times_fastest;
    (share > MOCK_API_SHARE_LIMIT).then(|| Warning::MockApiNearCeiling {
        scenario: scenario.name.clone(),
        arm: mock_api.fastest_arm.clone(),
        share,
    })
}

fn voided(scenario: &ScenarioResults) -> Option<Warning> {
    let count = scenario
        .excluded
        .iter()
        .filter(|sample| sample.cause == Exclusion::Void)
        .count();
    (count > 0).then(|| Warning::Voided {
        scenario: scenario.name.clone(),
        count,
    })
}

fn steal(scenario: &ScenarioResults, samples: &Samples) -> Option<Warning> {
    let shares: Vec<f64> = samples
        .samples
        .iter()
        .filter(|sample| sample.scenario == scenario.name && !sample.warm_up)
        .filter_map(|sample| measured(sample).map(|figures| figures.steal_share))
        .collect();
    let count = shares
        .iter()
        .filter(|share| **share > STEAL_NOTICE_SHARE)
        .count();
    (count > 0).then(|| Warning::Steal {
        scenario: scenario.name.clone(),
        count,
        of: shares.len(),
        largest_share: shares.iter().copied().fold(0.0, f64::max),
    })
}

fn outliers(scenario: &ScenarioResults) -> Option<Warning> {
    let arms: Vec<(String, usize)> = scenario
        .arms
        .iter()
        .filter_map(|arm| Some((arm.name.clone(), arm.wall_seconds?.outliers)))
        .filter(|(_, count)| *count > 0)
        .collect();
    (!arms.is_empty()).then(|| Warning::Outliers {
        scenario: scenario.name.clone(),
        arms,
    })
}
