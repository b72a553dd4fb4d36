//! The noise of a machine: how much arms that are the same differ on it, by scenario.
//!
//! `apitap-bench calibrate` measures it, and a run on the same machine takes its practical
//! thresholds from it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::environment::fingerprint::Fingerprint;
use crate::experiment::{ArmPlan, Definition, IDENTICAL, LoadPlan, ScenarioPlan, configured};
use crate::measurement::{Metric, Samples, Timestamp};
use crate::results::identical_log_ratios;
use crate::run_record::{LearnedThreshold, RunRecord};
use crate::stats::learned_threshold;

/// Where the noise of this machine is kept, beside the runs.
pub const FILE: &str = "reports/calibration.json";

const SCHEMA_VERSION: u32 = 1;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    schema_version: u32,
    /// When it was measured.
    pub measured_at: Timestamp,
    /// Where: thresholds count for no other place.
    pub fingerprint: Fingerprint,
    /// By scenario.
    pub scenarios: Vec<ScenarioNoise>,
}

/// The noise of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioNoise {
    /// Scenario by name.
    pub scenario: String,
    /// Rows of a sample: another number has another noise.
    pub rows: u64,
    /// By quantity.
    pub noise: Vec<MetricNoise>,
}

/// The noise of one quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricNoise {
    /// The quantity.
    pub metric: Metric,
    /// Log-ratios of identical arms, one for each block.
    pub log_ratios: Vec<f64>,
}

impl Calibration {
    /// The calibration in `path`, if there is one and it was made on this machine and server.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn fitting(path: &Path, here: &Fingerprint) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let read = || -> Result<Self> {
            let calibration: Self = serde_json::from_str(&fs::read_to_string(path)?)?;
            ensure!(
                calibration.schema_version == SCHEMA_VERSION,
                "it is of version {}; measure anew with `apitap-bench calibrate`",
                calibration.schema_version
            );
            Ok(calibration)
        };
        let calibration =
            read().with_context(|| format!("in the calibration {}", path.display()))?;
        let differing = calibration.fingerprint.incomparable_with(here);
        if differing.is_empty() {
            return Ok(Some(calibration));
        }
        eprintln!(
            "the calibration {} is of another place and does not count ({})",
            path.display(),
            differing.join("; ")
        );
        Ok(None)
    }

    /// What identical arms of `samples` show, under the names of `plans`.
    ///
    /// # Errors
    /// When the run has no samples for one of them, or its fingerprint is of another program.
    pub fn of(record: &RunRecord, samples: &Samples, plans: &[ScenarioPlan]) -> Result<Self> {
        let measured = identical_log_ratios(record, samples);
        let mut scenarios = Vec::with_capacity(plans.len());
        for plan in plans {
            let baseline = of_baseline(plan);
            let found = record
                .scenarios
                .iter()
                .find(|one| is_alike(&of_baseline(&one.plan), &baseline))
                .and_then(|one| measured.get(&one.plan.name));
            let noise = found.with_context(|| format!("{} was not measured", plan.name))?;
            scenarios.push(ScenarioNoise {
                scenario: plan.name.clone(),
                rows: plan.baseline().rows,
                noise: noise
                    .iter()
                    .map(|(metric, log_ratios)| MetricNoise {
                        metric: *metric,
                        log_ratios: log_ratios.clone(),
                    })
                    .collect(),
            });
        }
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            measured_at: record.started_at,
            fingerprint: serde_json::from_value(record.fingerprint.clone())
                .context("the run's fingerprint is not one of this program")?,
            scenarios,
        })
    }

    /// Writes it to `path`, over one that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("cannot serialise")?;
        text.push('\n');
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The thresholds of a scenario at its number of blocks; none where its noise is not known.
    #[must_use]
    pub fn thresholds(&self, plan: &ScenarioPlan) -> Vec<LearnedThreshold> {
        let known = self
            .scenarios
            .iter()
            .find(|one| one.scenario == plan.name && one.rows == plan.baseline().rows);
        let noise = known.map_or(&[][..], |known| &known.noise);
        noise
            .iter()
            .filter_map(|one| {
                Some(LearnedThreshold {
                    metric: one.metric,
                    threshold: learned_threshold(&one.log_ratios, plan.blocks)?,
                })
            })
            .collect()
    }
}

/// One scenario of identical arms for every distinct baseline of `plans`.
#[must_use]
pub fn identical(plans: &[ScenarioPlan], control: &Definition) -> Vec<ScenarioPlan> {
    let mut identical: Vec<ScenarioPlan> = Vec::new();
    for plan in plans {
        let plan = ScenarioPlan {
            experiment: control.id.clone(),
            ..of_baseline(plan)
        };
        debug_assert_eq!(control.id, IDENTICAL);
        if !identical.iter().any(|known| is_alike(known, &plan)) {
            identical.push(plan);
        }
    }
    identical
}

/// `plan` with its baseline twice and nothing else.
fn of_baseline(plan: &ScenarioPlan) -> ScenarioPlan {
    let twin = |name: &str| ArmPlan {
        name: name.to_owned(),
        ..plan.baseline().clone()
    };
    ScenarioPlan {
        arms: vec![twin("a"), twin("the same as a")],
        ..plan.clone()
    }
}

/// Whether both do the same, whatever they are called.
fn is_alike(one: &ScenarioPlan, other: &ScenarioPlan) -> bool {
    let engine = |plan: &ScenarioPlan| match &plan.baseline().load {
        LoadPlan::Engine { preset, knobs } => configured(preset, knobs).ok(),
        LoadPlan::PsqlCopy => None,
    };
    one.workload == other.workload
        && one.sql == other.sql
        && one.baseline().rows == other.baseline().rows
        && one.postgres_round_trip_ms == other.postgres_round_trip_ms
        && one.api_round_trip_ms == other.api_round_trip_ms
        && engine(one) == engine(other)
}
