//! The raw data of a run, for programs that read the page.
//!
//! Not the whole `results.json`, which is larger than the page: every wall time is here, to five
//! digits, and of every comparison the ratio, its interval, p and the verdicts. Definitions, plans
//! and further quantities are in `results.json` beside the page. Lists without names are explained
//! by the lists of names before them.

use anyhow::{Context, Result};
use serde::Serialize;

use super::values::rounded;
use crate::experiment::Scale;
use crate::measurement::{Metric, Timestamp};
use crate::results::{ArmResults, Finding, Results, ScenarioResults};
use crate::stats::{ClaimVerdict, Verdict};

const ARM_COLUMNS: [&str; 3] = ["name", "rows", "wall_seconds_by_block"];

/// Candidate ÷ baseline.
const COMPARISON_COLUMNS: [&str; 9] = [
    "scenario",
    "candidate",
    "metric",
    "ratio",
    "low",
    "high",
    "adjusted_p",
    "verdict",
    "claim",
];

#[derive(Serialize)]
struct Data<'a> {
    schema_version: u32,
    started_at: Timestamp,
    seed: u64,
    command: &'a [String],
    build_profile: &'a str,
    scale: Scale,
    confidence_level: f64,
    fingerprint: &'a serde_json::Value,
    arm_columns: [&'a str; 3],
    scenarios: Vec<Scenario<'a>>,
    comparison_columns: [&'a str; 9],
    comparisons: Vec<Comparison<'a>>,
}

#[derive(Serialize)]
struct Scenario<'a> {
    name: &'a str,
    /// The first is the baseline.
    arms: Vec<Arm<'a>>,
}

/// See [`ARM_COLUMNS`]; a block without a figure is null.
#[derive(Serialize)]
struct Arm<'a>(&'a str, u64, Vec<Option<f64>>);

/// See [`COMPARISON_COLUMNS`]. The scenario is named by its place among the scenarios, from 0.
#[derive(Serialize)]
struct Comparison<'a>(
    Option<usize>,
    &'a str,
    Option<Metric>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Verdict,
    ClaimVerdict,
);

/// Renders the data as compact JSON.
pub(super) fn render(results: &Results) -> Result<String> {
    let findings = results.experiments.iter().flat_map(|one| &one.findings);
    let data = Data {
        schema_version: results.schema_version,
        started_at: results.started_at,
        seed: results.seed,
        command: &results.command,
        build_profile: &results.build_profile,
        scale: results.scale,
        confidence_level: results.confidence_level,
        fingerprint: &results.fingerprint,
        arm_columns: ARM_COLUMNS,
        scenarios: results.scenarios.iter().map(scenario).collect(),
        comparison_columns: COMPARISON_COLUMNS,
        comparisons: findings.map(|one| comparison(results, one)).collect(),
    };
    serde_json::to_string(&data).context("cannot serialise the data of the report")
}

fn scenario(scenario: &ScenarioResults) -> Scenario<'_> {
    let arms = scenario.arms.iter();
    Scenario {
        name: &scenario.plan.name,
        arms: arms.map(|one| arm(one, scenario.plan.blocks)).collect(),
    }
}

fn arm(arm: &ArmResults, blocks: usize) -> Arm<'_> {
    let mut wall_seconds = vec![None; blocks];
    for sample in &arm.wall_seconds_by_block {
        if let Some(place) = wall_seconds.get_mut(sample.block) {
            *place = Some(rounded(sample.value));
        }
    }
    Arm(&arm.name, arm.rows, wall_seconds)
}

fn comparison<'a>(results: &Results, finding: &'a Finding) -> Comparison<'a> {
    let mut scenarios = results.scenarios.iter();
    let judged = finding.leading();
    let compared = judged.map(|judged| judged.comparison);
    Comparison(
        scenarios.position(|scenario| scenario.plan.name == finding.scenario),
        &finding.candidate,
        finding.measures.first().map(|measure| measure.metric),
        compared.map(|one| rounded(one.ratio)),
        compared.map(|one| rounded(one.interval.low)),
        compared.map(|one| rounded(one.interval.high)),
        judged.map(|judged| rounded(judged.adjusted_p)),
        finding.verdict,
        finding.claim,
    )
}
