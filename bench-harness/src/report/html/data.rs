//! The raw data of a run, for programs that read the page.
//!
//! Not the whole `results.json`, which is several times as large as the page: every wall time is
//! here, to three digits, as many as the machine repeats. Everything else is in `results.json` beside the page, or follows from
//! these. `arm_columns` explains the lists.

use std::io::Write as _;

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::values::rounded;
use crate::experiment::Scale;
use crate::judge::{ArmResults, Results, ScenarioResults};
use crate::samples::Timestamp;

const ARM_COLUMNS: [&str; 3] = ["name", "rows", "wall_seconds_by_block"];

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

/// Renders the data as compact JSON, compressed by gzip, in base64: a third of the bytes.
pub(super) fn render(results: &Results) -> Result<String> {
    compressed(&json(results)?)
}

/// JSON as a page holds it.
pub(in crate::report) fn compressed(json: &str) -> Result<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(json.as_bytes())?;
    Ok(BASE64_STANDARD.encode(encoder.finish()?))
}

/// The data as compact JSON.
pub(super) fn json(results: &Results) -> Result<String> {
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
            *place = Some(rounded(sample.value, 3));
        }
    }
    Arm(&arm.name, arm.rows, wall_seconds)
}
