//! What a run found: everything that a report shows, computed from `run.json` and `samples.ndjson`.
//!
//! [`Results::of`] is pure. The same two files give the same results, however often a report is
//! rendered.

mod arm;
mod warning;

use serde::{Deserialize, Serialize};

pub use arm::ArmResults;
pub use warning::Warning;

use crate::measurement::{Measurements, Outcome, Sample, Samples, Timestamp};
use crate::run_record::{MockApiCeiling, RunRecord, SCHEMA_VERSION, Scenario, Verification};

/// The findings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Version of this layout, [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When the run began.
    pub started_at: Timestamp,
    /// Seed of the order of samples.
    pub seed: u64,
    /// The command as it was typed, program first.
    pub command: Vec<String>,
    /// Cargo profile that the engine was built with.
    pub build_profile: String,
    /// Confidence asked of every interval. One that could not have it says so itself.
    pub confidence_level: f64,
    /// Findings by scenario, in the order of the run record.
    pub scenarios: Vec<ScenarioResults>,
    /// Goals of the project, as the caller judged them.
    pub targets: Vec<Target>,
    /// What a reader must know before trusting the figures.
    pub warnings: Vec<Warning>,
    /// Machine, server and versions.
    pub fingerprint: serde_json::Value,
}

/// The findings of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioResults {
    /// Name of the scenario.
    pub name: String,
    /// Workload that was loaded.
    pub workload: String,
    /// Name of the arm that every ratio is against.
    pub baseline: String,
    /// Name of the arm that is the ceiling.
    pub reference: Option<String>,
    /// Blocks planned.
    pub blocks: usize,
    /// What every sample had to load to count.
    pub verification: Verification,
    /// The arms, the fastest first; those without a sample last.
    pub arms: Vec<ArmResults>,
    /// How far the mock API was from being the bottleneck.
    pub mock_api: Option<MockApiHeadroom>,
    /// Samples that gave no figure, in the order in which they were taken.
    pub excluded: Vec<Excluded>,
}

impl ScenarioResults {
    /// The baseline arm.
    #[must_use]
    pub fn baseline_arm(&self) -> Option<&ArmResults> {
        self.arms.iter().find(|arm| arm.name == self.baseline)
    }

    /// The fastest arm that is neither baseline nor reference: the one that a report leads with.
    #[must_use]
    pub fn fastest_candidate(&self) -> Option<&ArmResults> {
        self.arms.iter().find(|arm| {
            arm.wall_seconds.is_some() && !self.is_baseline(arm) && !self.is_reference(arm)
        })
    }

    /// Whether `arm` is the baseline.
    #[must_use]
    pub fn is_baseline(&self, arm: &ArmResults) -> bool {
        arm.name == self.baseline
    }

    /// Whether `arm` is the reference.
    #[must_use]
    pub fn is_reference(&self, arm: &ArmResults) -> bool {
        self.reference.as_deref() == Some(arm.name.as_str())
    }
}

/// The mock API's own speed beside that of the fastest arm that it fed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MockApiHeadroom {
    /// What it serves without a pipeline behind it.
    pub ceiling: MockApiCeiling,
    /// Arm that drained it fastest.
    pub fastest_arm: String,
    /// Ceiling ÷ what that arm drained, both in body bytes per second.
    pub times_fastest: f64,
}

/// A sample that gave no figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Arm that ran.
    pub arm: String,
    /// Block of the schedule; absent for a warm-up.
    pub block: Option<usize>,
    /// Why it gave none.
    pub cause: Exclusion,
    /// The reason that the runner gave.
    pub reason: String,
}

/// Why a sample gave no figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// It did not finish.
    Failed,
    /// It loaded wrong data.
    WrongData,
    /// Something outside of it spoiled the figures.
    Void,
}

/// A goal of the project beside what was measured. The caller judges; reports only print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What is to be reached.
    pub name: String,
    /// The goal, with its unit.
    pub goal: String,
    /// What was measured, with its unit.
    pub measured: String,
    /// Whether that reaches the goal.
    pub status: TargetStatus,
}

/// Whether a goal was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetStatus {
    /// Reached.
    Met,
    /// Measured, and not reached.
    Missed,
    /// This run did not measure it.
    NotMeasured,
}

impl Results {
    /// Computes the findings of `run` from `samples`. `targets` are taken over as they are.
    ///
    /// Samples of a scenario or an arm that the record does not name are left out.
    #[must_use]
    pub fn of(run: &RunRecord, samples: &Samples, targets: Vec<Target>) -> Self {
        let scenarios: Vec<ScenarioResults> = run
            .scenarios
            .iter()
            .map(|scenario| scenario_results(scenario, &samples.samples, run.confidence_level))
            .collect();
        let warnings = warning::of(run, samples, &scenarios);
        Self {
            schema_version: SCHEMA_VERSION,
            started_at: run.started_at,
            seed: run.seed,
            command: run.command.clone(),
            build_profile: run.build_profile.clone(),
            confidence_level: run.confidence_level,
            scenarios,
            targets,
            warnings,
            fingerprint: run.fingerprint.clone(),
        }
    }
}

fn scenario_results(scenario: &Scenario, samples: &[Sample], confidence: f64) -> ScenarioResults {
    let samples: Vec<&Sample> = samples
        .iter()
        .filter(|sample| sample.scenario == scenario.name)
        .collect();
    let arms = arm::results(scenario, &samples, confidence);
    ScenarioResults {
        name: scenario.name.clone(),
        workload: scenario.workload.clone(),
        baseline: scenario.baseline.clone(),
        reference: scenario.reference.clone(),
        blocks: scenario.blocks,
        verification: scenario.verification.clone(),
        mock_api: scenario
            .mock_api_ceiling
            .and_then(|ceiling| headroom(ceiling, &arms)),
        arms,
        excluded: samples.into_iter().filter_map(excluded).collect(),
    }
}

fn headroom(ceiling: MockApiCeiling, arms: &[ArmResults]) -> Option<MockApiHeadroom> {
    // Bytes, not rows: SQL may drop or make rows between the API and the table. An arm that
    // receives nothing from the API, such as `psql \copy`, says nothing about it.
    let (drained, arm) = arms
        .iter()
        .filter_map(|arm| Some((arm.bytes_from_api_per_second?, arm)))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(MockApiHeadroom {
        ceiling,
        fastest_arm: arm.name.clone(),
        times_fastest: ceiling.bytes_per_second / drained,
    })
}

fn excluded(sample: &Sample) -> Option<Excluded> {
    let (cause, reason) = match &sample.outcome {
        Outcome::Measured(_) => return None,
        Outcome::Failed { reason } => (Exclusion::Failed, reason),
        Outcome::WrongData { reason } => (Exclusion::WrongData, reason),
        Outcome::Void { reason } => (Exclusion::Void, reason),
    };
    Some(Excluded {
        arm: sample.arm.clone(),
        block: (!sample.warm_up).then_some(sample.block),
        cause,
        reason: reason.clone(),
    })
}

/// The figures of a sample that has some.
fn measured(sample: &Sample) -> Option<&Measurements> {
    match &sample.outcome {
        Outcome::Measured(measurements) => Some(measurements),
        Outcome::Failed { .. } | Outcome::WrongData { .. } | Outcome::Void { .. } => None,
    }
}

#[cfg(test)]
mod tests;
