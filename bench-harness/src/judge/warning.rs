//! What a reader must know before trusting the figures of a run, and what to do about it.

use std::collections::HashSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Exclusion, Results, ScenarioResults, measured};
use crate::format::{Count, Percent, Times};
use crate::samples::Samples;
use crate::stats::Correction;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The engine was not built for speed.
    SlowBuild {
        /// Cargo profile that it was built with.
        profile: String,
    },
    /// Arms that are the same differ, so nothing on their preset can be trusted that may be as small.
    IdenticalArmsDiffer {
        /// Scenario by name.
        scenario: String,
        /// How many times less the second one cost.
        gain: f64,
        /// By which factor they may differ.
        at_most: f64,
    },
    /// No arms that are the same were compared, so nothing shows how far a difference can be trusted.
    IdenticalArmsNotMeasured,
    /// What a scenario needs could not be had, so it was passed over.
    Unprepared {
        /// Scenario by name.
        scenario: String,
        /// What was missing.
        reason: String,
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
        /// Samples of blocks that were taken, whatever came of them.
        taken: usize,
        /// Samples of blocks that were planned.
        planned: usize,
    },
    /// The samples file ends in the middle of a line.
    CutSample {
        /// Number of the line.
        line: usize,
    },
    /// So few blocks that no family of comparisons could be corrected for its number.
    Uncorrected {
        /// Comparisons that are judged each by itself.
        comparisons: usize,
        /// Blocks of a scenario.
        blocks: usize,
    },
    /// Outcomes that were others when they were measured once more.
    Unconfirmed {
        /// Scenarios by name.
        scenarios: Vec<String>,
    },
    /// Sessions of the server in which a comparison came out so differently that their intervals do not touch.
    SessionsDisagree {
        /// Scenarios by name.
        scenarios: Vec<String>,
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
    /// Samples were spoiled from outside and left out.
    Voided {
        /// How many samples.
        count: usize,
        /// Comparisons that lack a block for it.
        short: usize,
    },
    /// The host gave processor time to others during samples that were kept.
    Steal {
        /// Samples above the limit.
        count: usize,
        /// Samples kept.
        of: usize,
        /// Largest share stolen.
        largest_share: f64,
    },
    /// Some wall times lie far from the others of their arm.
    Outliers {
        /// How many samples.
        count: usize,
        /// Of how many.
        of: usize,
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
            Self::IdenticalArmsDiffer {
                scenario,
                gain,
                at_most,
            } => write!(
                f,
                "{scenario}: identical arms differ by {}, and may by {}: verdicts on that preset allow for it. \
                 Run again on a quieter machine.",
                Times(*gain),
                Times(*at_most)
            ),
            Self::IdenticalArmsNotMeasured => f.write_str(
                "The A/A control was not measured, so nothing shows how large a difference noise makes. \
                 Run again, or go on with --resume.",
            ),
            Self::Unprepared { scenario, reason } => write!(
                f,
                "{scenario} was not measured: {reason}. Fix that, and go on with --resume."
            ),
            Self::Failures {
                scenario,
                arm,
                count,
                first_reason,
            } => write!(
                f,
                "{scenario}: {} of {arm} failed and are left out; the first: {first_reason}. \
                 Fix the cause before using the figures of this arm.",
                Count::new(*count, "sample")
            ),
            Self::Incomplete { taken, planned } => write!(
                f,
                "The run ended after {taken} of {}. The figures are of the blocks that were taken; \
                 go on with --resume.",
                Count::new(*planned, "sample")
            ),
            Self::CutSample { line } => write!(
                f,
                "The samples file ends within line {line}: the run was interrupted while writing it. \
                 That sample is left out."
            ),
            Self::Uncorrected {
                comparisons,
                blocks,
            } => write!(
                f,
                "{} are too few to correct for {}: some differences below are noise. \
                 Take more --blocks.",
                Count::new(*blocks, "block"),
                Count::new(*comparisons, "comparison")
            ),
            Self::Unconfirmed { scenarios } => write!(
                f,
                "Not confirmed when measured again, so inconclusive: {}.",
                scenarios.join("; ")
            ),
            Self::SessionsDisagree { scenarios } => write!(
                f,
                "The server mattered: sessions with intervals that do not touch in {}. The intervals below hold that.",
                scenarios.join("; ")
            ),
            Self::MockApiNearCeiling {
                scenario,
                arm,
                share,
            } => write!(
                f,
                "{scenario}: {arm} drains {} of what the mock API can serve, so part of its time may be the mock \
                 API's. Read its figures as a lower limit of speed.",
                Percent(*share)
            ),
            Self::Voided { count, short } => write!(
                f,
                "{} spoiled from outside and left out. Comparisons that lack a block for it: {short}.",
                Count::new(*count, "sample")
            ),
            Self::Steal {
                count,
                of,
                largest_share,
            } => write!(
                f,
                "CPU steal on the host in {count} of {}, up to {}. Where times and processor times \
                 disagree, trust the processor times.",
                Count::new(*of, "sample"),
                Percent(*largest_share)
            ),
            Self::Outliers { count, of } => write!(
                f,
                "{count} of {} are far from the others of their arm. They are kept and widen the intervals.",
                Count::new(*of, "wall time")
            ),
        }
    }
}

/// The warnings of a run, the gravest first.
pub(super) fn all(results: &Results, samples: &Samples) -> Vec<Warning> {
    let mut warnings = Vec::new();
    // `profiling` is `release` with debug information: its code is the same.
    if !matches!(results.build_profile.as_str(), "release" | "profiling") {
        warnings.push(Warning::SlowBuild {
            profile: results.build_profile.clone(),
        });
    }
    warnings.extend(identical_differ(results));
    let is_measured = results
        .scenarios
        .iter()
        .any(|one| one.arms.iter().any(|arm| arm.wall_seconds.is_some()));
    if results.control.measured == 0 && is_measured {
        warnings.push(Warning::IdenticalArmsNotMeasured);
    }
    warnings.extend(results.scenarios.iter().filter_map(unprepared));
    warnings.extend(results.scenarios.iter().flat_map(failures));
    warnings.extend(incomplete(results, samples));
    warnings.extend(samples.cut_line.map(|line| Warning::CutSample { line }));
    warnings.extend(uncorrected(results));
    warnings.extend(unconfirmed(results));
    warnings.extend(sessions_disagree(results));
    warnings.extend(results.scenarios.iter().filter_map(mock_api_near_ceiling));
    warnings.extend(voided(results));
    warnings.extend(steal(samples));
    warnings.extend(outliers(results));
    warnings
}

fn identical_differ(results: &Results) -> impl Iterator<Item = Warning> {
    let differing = results.control.differing.iter().cloned();
    differing.map(|one| Warning::IdenticalArmsDiffer {
        scenario: one.scenario,
        gain: one.gain,
        at_most: one.at_most,
    })
}

fn unprepared(scenario: &ScenarioResults) -> Option<Warning> {
    Some(Warning::Unprepared {
        scenario: scenario.plan.name.clone(),
        reason: scenario.unprepared.clone()?,
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
            scenario: scenario.plan.name.clone(),
            arm: arm.name.clone(),
            count: 1 + failed.count(),
            first_reason: first.reason.clone(),
        })
    })
}

fn incomplete(results: &Results, samples: &Samples) -> Option<Warning> {
    // A sample that was taken again counts once.
    let taken: HashSet<(&str, &str, usize)> = samples
        .samples
        .iter()
        .filter(|sample| !sample.warm_up)
        .map(|sample| (sample.scenario.as_str(), sample.arm.as_str(), sample.block))
        .collect();
    let scenarios = results.scenarios.iter();
    let planned = scenarios.map(|one| one.arms.len() * one.plan.blocks).sum();
    let taken = taken.len();
    (taken < planned).then_some(Warning::Incomplete { taken, planned })
}

fn uncorrected(results: &Results) -> Option<Warning> {
    let families = results.families.iter();
    let comparisons = families
        .filter_map(|family| match family.correction {
            Correction::None { family } if family > 1 => Some(family),
            _ => None,
        })
        .sum();
    let findings = results.experiments.iter().flat_map(|one| &one.findings);
    let judged = findings.filter_map(|finding| finding.leading());
    let blocks = judged.map(|judged| judged.comparison.blocks).max()?;
    (comparisons > 0).then_some(Warning::Uncorrected {
        comparisons,
        blocks,
    })
}

fn unconfirmed(results: &Results) -> Option<Warning> {
    let findings = results.experiments.iter().flat_map(|one| &one.findings);
    let scenarios: Vec<String> = findings
        .filter(|finding| finding.is_unconfirmed())
        .map(|finding| finding.scenario.clone())
        .collect();
    (!scenarios.is_empty()).then_some(Warning::Unconfirmed { scenarios })
}

fn sessions_disagree(results: &Results) -> Option<Warning> {
    let findings = results.experiments.iter().flat_map(|one| &one.findings);
    let mut scenarios: Vec<String> = findings
        .filter(|finding| {
            let sessions = finding.leading().and_then(|judged| judged.sessions);
            sessions.is_some_and(|sessions| sessions.disjoint)
        })
        .map(|finding| finding.scenario.clone())
        .collect();
    scenarios.dedup();
    (!scenarios.is_empty()).then_some(Warning::SessionsDisagree { scenarios })
}

fn mock_api_near_ceiling(scenario: &ScenarioResults) -> Option<Warning> {
    let mock_api = scenario.mock_api.as_ref()?;
    let share = 1.0 / mock_api.times_fastest;
    (share > MOCK_API_SHARE_LIMIT).then(|| Warning::MockApiNearCeiling {
        scenario: scenario.plan.name.clone(),
        arm: mock_api.fastest_arm.clone(),
        share,
    })
}

fn voided(results: &Results) -> Option<Warning> {
    let excluded = results.scenarios.iter().flat_map(|one| &one.excluded);
    let count = excluded
        .filter(|sample| sample.cause == Exclusion::Void)
        .count();
    let findings = results.experiments.iter().flat_map(|one| &one.findings);
    let short = findings.filter(|one| one.blocks_dropped > 0).count();
    (count > 0).then_some(Warning::Voided { count, short })
}

fn steal(samples: &Samples) -> Option<Warning> {
    let shares: Vec<f64> = samples
        .samples
        .iter()
        .filter(|sample| !sample.warm_up)
        .filter_map(|sample| measured(sample).map(|figures| figures.steal_share))
        .collect();
    let count = shares
        .iter()
        .filter(|share| **share > STEAL_NOTICE_SHARE)
        .count();
    (count > 0).then(|| Warning::Steal {
        count,
        of: shares.len(),
        largest_share: shares.iter().copied().fold(0.0, f64::max),
    })
}

fn outliers(results: &Results) -> Option<Warning> {
    let arms = results.scenarios.iter().flat_map(|one| &one.arms);
    let (count, of) = arms
        .filter_map(|arm| arm.wall_seconds)
        .fold((0, 0), |(count, of), wall| {
            (count + wall.outliers, of + wall.count)
        });
    (count > 0).then_some(Warning::Outliers { count, of })
}
