//! Processor time by stage, in two ways that know nothing of each other: by the threads' own
//! clocks around the work of a stage, and by the frames below which samples were taken.

use std::collections::BTreeMap;

use apitap_core::RunReport;
use apitap_core::stage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::marker::stage_of;
use super::per_thousand;
use super::sampler::Sampled;
use super::stacks::Stacks;

/// Most by which both ways may differ, as a share of all processor time: what reading the clocks
/// costs within one way and not in the other, and samples that fall on the edge of a stage.
const LEAST_TOLERANCE: f64 = 0.03;

/// Standard errors of a sampled share within which the clocks must lie. Seven stages are held
/// against it: with 3 one profile in fifty would be flagged by chance.
const STANDARD_ERRORS: f64 = 3.0;

/// The stages of an arm, over all its sampled loads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attribution {
    /// Samples in all loads.
    pub samples: u64,
    /// The stages, in the order of the pipeline.
    pub stages: Vec<StageCpu>,
    /// What no stage is charged with: the HTTP client's connections, the runtime, planning of tasks.
    pub other: StageCpu,
}

/// Processor time of one stage, in µs per 1,000 rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageCpu {
    /// Name of the stage, or `other`.
    pub stage: String,
    /// By the threads' clocks.
    pub clocked: f64,
    /// By samples below the stage's frame.
    pub sampled: f64,
    /// Most by which both may differ.
    pub tolerance: f64,
}

impl StageCpu {
    /// Whether both ways say the same.
    #[must_use]
    pub fn agrees(&self) -> bool {
        (self.clocked - self.sampled).abs() <= self.tolerance
    }
}

impl Attribution {
    /// The attribution of sampled loads, each with its engine's report; `None` where there is no
    /// sample, or no clock was read (`observe=off`).
    #[must_use]
    pub fn new(loads: &[(&RunReport, &Sampled)]) -> Option<Self> {
        let samples: u64 = loads.iter().map(|(_, one)| one.stacks.total()).sum();
        let rows: u64 = loads.iter().map(|(report, _)| report.rows_read).sum();
        let keeps_account = |report: &RunReport| !report.activities.is_empty();
        if samples == 0 || rows == 0 || !loads.iter().all(|(report, _)| keeps_account(report)) {
            return None;
        }
        let per_thousand = |seconds| per_thousand(seconds, rows);
        let cpu: f64 = loads.iter().map(|(_, one)| one.cpu_seconds).sum();
        let seen = by_stage(loads.iter().map(|(_, one)| &one.stacks));
        let one = |name: &str, stage: Option<&'static str>, clocked: f64| {
            let share = seen.get(&stage).copied().unwrap_or_default() as f64 / samples as f64;
            let error = (share * (1.0 - share) / samples as f64).sqrt();
            StageCpu {
                stage: name.to_owned(),
                clocked: per_thousand(clocked),
                sampled: per_thousand(cpu * share),
                tolerance: per_thousand(cpu * LEAST_TOLERANCE.max(STANDARD_ERRORS * error)),
            }
        };
        let known: f64 = loads
            .iter()
            .flat_map(|(report, _)| stage::ALL.iter().map(|(name, _)| clocked(report, name)))
            .sum();
        Some(Self {
            samples,
            stages: stage::ALL
                .iter()
                .map(|(name, _)| {
                    let clocked = loads.iter().map(|(report, _)| clocked(report, name));
                    one(name, Some(name), clocked.sum())
                })
                .collect(),
            other: one("other", None, (cpu - known).max(0.0)),
        })
    }

    /// The stages of which the two ways say different things.
    #[must_use]
    pub fn disagreeing(&self) -> Vec<&StageCpu> {
        let all = self.stages.iter().chain([&self.other]);
        all.filter(|one| !one.agrees()).collect()
    }
}

/// Sightings by stage; those below no marker under `None`.
#[must_use]
pub(crate) fn by_stage<'a>(
    stacks: impl IntoIterator<Item = &'a Stacks>,
) -> BTreeMap<Option<&'static str>, u64> {
    let mut counts = BTreeMap::new();
    for (stack, count) in stacks.into_iter().flat_map(Stacks::iter) {
        *counts.entry(stage_of(stack)).or_default() += count;
    }
    counts
}

fn clocked(report: &RunReport, stage: &str) -> f64 {
    let stages = &report.stages;
    match stage {
        "fetch" => stages.fetch,
        "scan" => stages.source,
        "decode" => stages.decode,
        "infer" => stages.infer,
        "sql" => stages.transform,
        "encode" => stages.encode,
        "send" => stages.send,
        // A test holds all names against this.
        _ => return f64::NAN,
    }
    .cpu_seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::example::report;

    #[test]
    fn every_stage_has_a_clock() {
        let report = report(&[], &[]);
        for (name, _) in stage::ALL {
            assert_eq!(clocked(&report, name), 0.0, "{name}");
        }
    }
}
