//! What one arm did in one scenario.

use std::collections::{BTreeMap, BTreeSet};

use apitap_core::RunReport;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::measured;
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan, configured};
use crate::metric::Metric;
use crate::samples::{Measurements, Outcome, Sample};
use crate::stats::{self, Summary};

/// The figures of one arm. They are medians over blocks where nothing else is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmResults {
    /// Name of the arm.
    pub name: String,
    /// Rows that it reads.
    pub rows: u64,
    /// Wall times; absent if no sample was measured.
    pub wall_seconds: Option<Summary>,
    /// Wall times by block, in their order.
    pub wall_seconds_by_block: Vec<BlockSample>,
    /// Rows that landed ÷ wall time.
    pub rows_per_second: Option<f64>,
    /// Bytes received from the API ÷ wall time; absent for an arm that receives none.
    pub bytes_from_api_per_second: Option<f64>,
    /// Processor time of the worker for a million rows read.
    pub client_cpu_seconds_per_million_rows: Option<f64>,
    /// Processor time of the server for a million rows read; absent unless every sample knows it.
    pub server_cpu_seconds_per_million_rows: Option<f64>,
    /// From the start to the first rows that leave for the server; absent unless every sample knows
    /// it.
    pub first_row_seconds: Option<f64>,
    /// Largest resident size over all samples, because a limit must hold for each; absent unless
    /// every sample knows it.
    pub peak_memory_bytes: Option<u64>,
    /// Statements that were executed.
    pub statements: Option<f64>,
    /// Wall time of the warm-up, which pays for cold caches.
    pub first_run_seconds: Option<f64>,
}

/// A figure of one block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockSample {
    /// The block, from 0.
    pub block: usize,
    /// The figure.
    pub value: f64,
}

/// The figures of each block of an arm.
pub(crate) type Blocks<'a> = BTreeMap<usize, &'a Measurements>;

/// The arms of `plan`, in its order.
pub(super) fn all(plan: &ScenarioPlan, samples: &[&Sample]) -> Vec<ArmResults> {
    plan.arms
        .iter()
        .map(|arm| one(&arm.name, arm.rows, samples))
        .collect()
}

/// The figures of each block of an arm.
///
/// A void sample is taken again under the same block number, so the last one decides. A block in which
/// an arm stays void counts for no arm: what disturbed that sample may have reached the others too. Of the other
/// blocks, those without a figure of this arm are missing.
pub(crate) fn blocks<'a>(samples: &[&'a Sample], arm: &str) -> Blocks<'a> {
    let of_blocks = samples.iter().filter(|sample| !sample.warm_up);
    let last: BTreeMap<(usize, &str), &Sample> = of_blocks
        .map(|sample| ((sample.block, sample.arm.as_str()), *sample))
        .collect();
    let is_void = |sample: &&Sample| matches!(sample.outcome, Outcome::Void { .. });
    let void: BTreeSet<usize> = last
        .iter()
        .filter(|(_, sample)| is_void(sample))
        .map(|((block, _), _)| *block)
        .collect();
    last.into_iter()
        .filter(|((block, of), _)| *of == arm && !void.contains(block))
        .filter_map(|((block, _), sample)| Some((block, measured(sample)?)))
        .collect()
}

/// One log-ratio of candidate to baseline for each block that has both.
pub(crate) fn log_ratios(
    candidate: &Blocks<'_>,
    baseline: &Blocks<'_>,
    metric: Metric,
) -> Vec<f64> {
    by_session(candidate, baseline, metric, usize::MAX).concat()
}

/// The same, by the session of the server that a block belongs to.
pub(crate) fn by_session(
    candidate: &Blocks<'_>,
    baseline: &Blocks<'_>,
    metric: Metric,
    blocks_per_session: usize,
) -> Vec<Vec<f64>> {
    let mut sessions: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (block, own) in candidate {
        let baseline = baseline.get(block).and_then(|other| metric.cost(other));
        let costs = metric.cost(own).zip(baseline);
        if let Some(ratio) = costs.and_then(|(own, baseline)| stats::log_ratio(own, baseline)) {
            sessions
                .entry(block / blocks_per_session)
                .or_default()
                .push(ratio);
        }
    }
    sessions.into_values().collect()
}

/// The engine's report of a sample, with the configuration, which the plan has and the sample leaves out; `None` where
/// the arm is not the engine, or the sample has no such report.
pub(super) fn run_report(arm: &ArmPlan, sample: &Measurements) -> Option<RunReport> {
    let LoadPlan::Engine { preset, knobs, .. } = &arm.load else {
        return None;
    };
    let mut extra = sample.extra.clone();
    let config = serde_json::to_value(configured(preset, knobs).ok()?).ok()?;
    extra.as_object_mut()?.insert("config".to_owned(), config);
    RunReport::deserialize(extra).ok()
}

fn one(name: &str, rows: u64, samples: &[&Sample]) -> ArmResults {
    let blocks = blocks(samples, name);
    let median = |figure: &dyn Fn(&Measurements) -> Option<f64>| {
        let values: Option<Vec<f64>> = blocks.values().map(|sample| figure(sample)).collect();
        stats::sample::median(&values?)
    };
    let per_million_rows = |seconds: f64| (rows > 0).then(|| seconds * 1e6 / rows as f64);
    let walls: Vec<f64> = blocks.values().map(|sample| sample.wall_seconds).collect();
    let peaks: Option<Vec<u64>> = blocks
        .values()
        .map(|sample| sample.peak_memory_bytes)
        .collect();
    let warm_up = samples
        .iter()
        .find(|sample| sample.arm == name && sample.warm_up);
    ArmResults {
        name: name.to_owned(),
        rows,
        wall_seconds: Summary::new(&walls),
        wall_seconds_by_block: blocks
            .iter()
            .map(|(block, sample)| BlockSample {
                block: *block,
                value: sample.wall_seconds,
            })
            .collect(),
        rows_per_second: median(&|sample| Some(sample.rows as f64 / sample.wall_seconds)),
        bytes_from_api_per_second: median(&|sample| {
            (sample.bytes_from_api > 0).then(|| sample.bytes_from_api as f64 / sample.wall_seconds)
        }),
        client_cpu_seconds_per_million_rows: median(&|s| per_million_rows(s.client_cpu_seconds)),
        server_cpu_seconds_per_million_rows: median(&|s| per_million_rows(s.server_cpu_seconds?)),
        first_row_seconds: median(&|sample| sample.first_row_seconds),
        peak_memory_bytes: peaks.and_then(|peaks| peaks.into_iter().max()),
        statements: median(&|sample| Some(sample.statements as f64)),
        first_run_seconds: warm_up
            .and_then(|sample| measured(sample))
            .map(|figures| figures.wall_seconds),
    }
}
