//! Two stored runs side by side.
//!
//! Runs of different machines, plans or data are refused with the reason, and never get a number. The rest
//! is compared arm by arm, B ÷ A, and finding by finding, the gain in A beside the gain in B.
//! [`compare_runs`] is pure; `report::compare` shows it.

mod arms;
mod difference;
mod gains;
mod refusal;

#[cfg(test)]
mod tests;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use arms::{ArmComparison, MetricComparison};
pub(crate) use difference::RefusedScenario;
pub(crate) use gains::{Gain, GainComparison};
pub(crate) use refusal::Refusal;

use crate::judge::{Family, blocks};
use crate::run_record::{RunRecord, Scenario};
use crate::samples::{Measurements, Sample, Samples, Timestamp};

/// Two runs compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunComparison {
    /// The one that ratios are against.
    pub a: RunHead,
    /// The other one.
    pub b: RunHead,
    /// Confidence asked of every family of intervals.
    pub confidence_level: f64,
    /// Scenarios of both runs that do not compare, in the order of A.
    pub refused: Vec<RefusedScenario>,
    /// Scenarios that B does not have, by name.
    pub only_in_a: Vec<String>,
    /// Scenarios that A does not have, by name.
    pub only_in_b: Vec<String>,
    /// What was judged together: all arms, one family for each metric.
    pub families: Vec<Family>,
    /// Every arm of the scenarios that compare, in the order of A.
    pub arms: Vec<ArmComparison>,
    /// Every finding of these scenarios about the same metric in both runs, in the order of A.
    pub gains: Vec<GainComparison>,
}

/// When a run was, and of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunHead {
    /// When it began.
    pub started_at: Timestamp,
    /// Commit that was built.
    pub git_commit: String,
    /// Whether the tree held more than that commit; absent where that is not known.
    pub git_dirty: Option<bool>,
}

/// One of the two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// The one that ratios are against.
    A,
    /// The other one.
    B,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// Compares two runs, each by its record and its samples.
///
/// Confirmations are left out: only scenarios with certain results have one, so they would be a chosen
/// part of the arms.
///
/// # Errors
/// [`Refusal`] if the machines or builds do not compare, or no scenario does.
pub(crate) fn compare_runs(
    a: (&RunRecord, &Samples),
    b: (&RunRecord, &Samples),
) -> Result<RunComparison, Refusal> {
    let (a, b) = (Side::new(a), Side::new(b));
    let shared = a
        .scenarios()
        .filter_map(|scenario| Some((scenario, b.scenario(&scenario.plan.name)?)));
    let mut compared = Vec::new();
    let mut refused = Vec::new();
    for (of_a, of_b) in shared {
        match difference::refused((&a, of_a), (&b, of_b)) {
            Some(scenario) => refused.push(scenario),
            None => compared.push((of_a, of_b)),
        }
    }
    let mut reasons = refusal::place(a.record, b.record);
    if compared.is_empty() {
        reasons.extend(refusal::nothing_compares(&refused));
    }
    if !reasons.is_empty() {
        return Err(Refusal { reasons });
    }
    let confidence_level = a.record.confidence_level.max(b.record.confidence_level);
    let (arms, families) = arms::all(&a, &b, &compared, confidence_level);
    Ok(RunComparison {
        a: RunHead::new(a.record),
        b: RunHead::new(b.record),
        confidence_level,
        only_in_a: a.scenarios_missing_in(&b),
        only_in_b: b.scenarios_missing_in(&a),
        gains: gains::all(&a, &b, &compared),
        refused,
        families,
        arms,
    })
}

impl RunHead {
    fn new(record: &RunRecord) -> Self {
        let build = &record.fingerprint["build"];
        Self {
            started_at: record.started_at,
            git_commit: build["git_commit"].as_str().unwrap_or("unknown").to_owned(),
            git_dirty: build["git_dirty"].as_bool(),
        }
    }
}

/// A run on its way into the comparison.
struct Side<'a> {
    record: &'a RunRecord,
    samples: &'a Samples,
}

impl<'a> Side<'a> {
    fn new((record, samples): (&'a RunRecord, &'a Samples)) -> Self {
        Self { record, samples }
    }

    fn scenarios(&self) -> impl Iterator<Item = &'a Scenario> + use<'a> {
        let scenarios = self.record.scenarios.iter();
        scenarios.filter(|scenario| scenario.plan.confirms.is_none())
    }

    fn scenario(&self, name: &str) -> Option<&'a Scenario> {
        self.scenarios().find(|scenario| scenario.plan.name == name)
    }

    fn scenarios_missing_in(&self, other: &Side<'_>) -> Vec<String> {
        let names = self.scenarios().map(|scenario| &scenario.plan.name);
        names
            .filter(|name| other.scenario(name).is_none())
            .cloned()
            .collect()
    }

    /// The figures of an arm, one for each block that has some.
    fn figures(&self, scenario: &str, arm: &str) -> Vec<&'a Measurements> {
        let samples = self.samples.samples.iter();
        let of_scenario: Vec<&Sample> = samples
            .filter(|sample| sample.scenario == scenario)
            .collect();
        blocks(&of_scenario, arm).into_values().collect()
    }
}
