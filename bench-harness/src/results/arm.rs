//! The findings of one arm.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::measured;
use crate::measurement::{Measurements, Sample};
use crate::run_record::{Arm, Scenario};
use crate::stats::{self, Comparison, Summary};

/// What one arm did in one scenario. Figures are medians over blocks where nothing else is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmResults {
    /// Name of the arm.
    pub name: String,
    /// Write method, if it has one.
    pub method: Option<String>,
    /// Rows per batch, if it has them.
    pub batch_rows: Option<u64>,
    /// Wall times; absent if no sample was measured.
    pub wall_seconds: Option<Summary>,
    /// Rows of a sample ÷ its wall time.
    pub rows_per_second: Option<f64>,
    /// Bytes received from the API ÷ wall time; absent for an arm that receives none.
    pub bytes_from_api_per_second: Option<f64>,
    /// Processor time of the worker for a million rows.
    pub client_cpu_seconds_per_million_rows: Option<f64>,
    /// Processor time of the server for a million rows; absent unless every sample knows it.
    pub server_cpu_seconds_per_million_rows: Option<f64>,
    /// Largest resident size over all samples, because a limit must hold for each; absent unless
    /// every sample knows it.
    pub peak_memory_bytes: Option<u64>,
    /// Wall time of the warm-up, which pays for cold caches.
    pub first_run_seconds: Option<f64>,
    /// Wall time ÷ that of the baseline, block by block; absent for the baseline itself.
    pub to_baseline: Option<Comparison>,
    /// Wall time ÷ that of the reference, block by block; absent for the reference itself.
    pub to_reference: Option<Comparison>,
    /// Blocks in which this arm or the baseline has no figure, and which `to_baseline` therefore
    /// lacks.
    pub blocks_dropped: usize,
}

/// Figures of an arm by block.
type Blocks<'a> = BTreeMap<usize, &'a Measurements>;

/// Computes all arms of `scenario`, the fastest first.
pub(super) fn results(
    scenario: &Scenario,
    samples: &[&Sample],
    confidence: f64,
) -> Vec<ArmResults> {
    let baseline = blocks(samples, &scenario.baseline);
    let reference = scenario
        .reference
        .as_deref()
        .map(|name| (name, blocks(samples, name)));
    let mut arms: Vec<ArmResults> = scenario
        .arms
        .iter()
        .map(|arm| {
            let mut results = of_arm(arm, samples);
            let own = blocks(samples, &arm.name);
            if arm.name != scenario.baseline {
                let ratios = log_ratios(&own, &baseline);
                results.blocks_dropped = scenario.blocks.saturating_sub(ratios.len());
                results.to_baseline = stats::compare(&ratios, confidence);
            }
            if let Some((name, reference)) = &reference
                && arm.name != *name
            {
                results.to_reference = stats::compare(&log_ratios(&own, reference), confidence);
            }
            results
        })
        .collect();
    let median = |arm: &ArmResults| arm.wall_seconds.map_or(f64::INFINITY, |wall| wall.median);
    arms.sort_by(|a, b| median(a).total_cmp(&median(b)));
    arms
}

/// The figures that stand for each block of an arm.
///
/// A void sample is taken again under the same block number, so the last one decides. Blocks that
/// end without a figure are missing.
fn blocks<'a>(samples: &[&'a Sample], arm: &str) -> Blocks<'a> {
    let last: BTreeMap<usize, &Sample> = samples
        .iter()
        .filter(|sample| sample.arm == arm && !sample.warm_up)
        .map(|sample| (sample.block, *sample))
        .collect();
    last.into_iter()
        .filter_map(|(block, sample)| Some((block, measured(sample)?)))
        .collect()
}

fn log_ratios(candidate: &Blocks<'_>, baseline: &Blocks<'_>) -> Vec<f64> {
    candidate
        .iter()
        .filter_map(|(block, own)| {
            stats::log_ratio(own.wall_seconds, baseline.get(block)?.wall_seconds)
        })
        .collect()
}

fn of_arm(arm: &Arm, samples: &[&Sample]) -> ArmResults {
    let blocks = blocks(samples, &arm.name);
    let median = |figure: &dyn Fn(&Measurements) -> Option<f64>| {
        let values: Option<Vec<f64>> = blocks.values().map(|sample| figure(sample)).collect();
        stats::sample::median(&values?)
    };
    let per_million_rows =
        |seconds: f64, rows: u64| (rows > 0).then(|| seconds * 1e6 / rows as f64);
    let walls: Vec<f64> = blocks.values().map(|sample| sample.wall_seconds).collect();
    let peaks: Option<Vec<u64>> = blocks
        .values()
        .map(|sample| sample.peak_memory_bytes)
        .collect();
    let warm_up = samples
        .iter()
        .find(|sample| sample.arm == arm.name && sample.warm_up);
    ArmResults {
        name: arm.name.clone(),
        method: arm.method.clone(),
        batch_rows: arm.batch_rows,
        wall_seconds: Summary::of(&walls),
        rows_per_second: median(&|sample| Some(sample.rows as f64 / sample.wall_seconds)),
        bytes_from_api_per_second: median(&|sample| {
            (sample.bytes_from_api > 0).then(|| sample.bytes_from_api as f64 / sample.wall_seconds)
        }),
        client_cpu_seconds_per_million_rows: median(&|s| {
            per_million_rows(s.client_cpu_seconds, s.rows)
        }),
        server_cpu_seconds_per_million_rows: median(&|s| {
            per_million_rows(s.server_cpu_seconds?, s.rows)
        }),
        peak_memory_bytes: peaks.and_then(|peaks| peaks.into_iter().max()),
        first_run_seconds: warm_up
            .and_then(|sample| measured(sample))
            .map(|figures| figures.wall_seconds),
        to_baseline: None,
        to_reference: None,
        blocks_dropped: 0,
    }
}
