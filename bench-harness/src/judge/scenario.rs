//! What was measured in one scenario.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arm::{self, ArmResults};
use crate::experiment::ScenarioPlan;
use crate::run_record::{MockApiCeiling, RoundTrip, Scenario, Verification};
use crate::samples::{Outcome, Sample};

/// The figures of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioResults {
    /// What was run.
    pub plan: ScenarioPlan,
    /// What every sample of an arm had to load to count.
    pub verification: Vec<Verification>,
    /// The arms, in the order of the plan.
    pub arms: Vec<ArmResults>,
    /// Why nothing could be measured; absent if it could.
    pub unprepared: Option<String>,
    /// How far the mock API was from being the bottleneck.
    pub mock_api: Option<MockApiHeadroom>,
    /// To PostgreSQL through the relay.
    pub postgres_round_trip: Option<RoundTrip>,
    /// To the API through the relay.
    pub api_round_trip: Option<RoundTrip>,
    /// Samples that gave no figure, in the order in which they were taken.
    pub excluded: Vec<Excluded>,
}

/// The mock API's own speed beside that of the fastest arm that it fed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MockApiHeadroom {
    /// What it serves without a pipeline behind it.
    pub ceiling: MockApiCeiling,
    /// Arm that drained it fastest.
    pub fastest_arm: String,
    /// Ceiling ÷ what that arm drained, both in body bytes per second.
    pub times_fastest: f64,
}

/// A sample that gave no figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// It did not finish.
    Failed,
    /// It loaded wrong data.
    WrongData,
    /// Something outside of it spoiled the figures.
    Void,
}

impl ScenarioResults {
    pub(super) fn new(scenario: &Scenario, samples: &[&Sample]) -> Self {
        let arms = arm::all(&scenario.plan, samples);
        Self {
            plan: scenario.plan.clone(),
            verification: scenario.verification.clone(),
            unprepared: scenario.unprepared.clone(),
            mock_api: scenario
                .mock_api_ceiling
                .and_then(|ceiling| headroom(ceiling, &arms)),
            arms,
            postgres_round_trip: scenario.postgres_round_trip,
            api_round_trip: scenario.api_round_trip,
            excluded: samples.iter().copied().filter_map(excluded).collect(),
        }
    }

    /// The arm of that name.
    #[must_use]
    pub fn arm(&self, name: &str) -> Option<&ArmResults> {
        self.arms.iter().find(|arm| arm.name == name)
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
