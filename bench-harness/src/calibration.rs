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
use crate::whole_file;

/// Where the noise of this machine is kept, beside the runs.
pub const FILE: &str = "reports/calibration.json";

const SCHEMA_VERSION: u32 = 2;

/// Blocks of identical arms that noise is measured by unless a caller names another number, whatever
/// that of the runs that follow.
pub const BLOCKS: usize = 16;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    schema_version: u32,
    /// When the last of it was measured.
    pub measured_at: Timestamp,
    /// Where: thresholds count for no other place.
    pub fingerprint: Fingerprint,
    /// By what identical arms loaded.
    pub baselines: Vec<BaselineNoise>,
}

/// The noise of one baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineNoise {
    /// What was loaded, twice. It stands for every scenario whose baseline does the same.
    pub plan: ScenarioPlan,
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

    /// What the identical arms of a run show.
    ///
    /// # Errors
    /// When the run's fingerprint is of another program.
    pub fn of(record: &RunRecord, samples: &Samples) -> Result<Self> {
        let mut measured = identical_log_ratios(record, samples);
        let scenarios = record.scenarios.iter();
        let baselines = scenarios.filter_map(|scenario| {
            let noise = measured.remove(&scenario.plan.name)?;
            let noise = noise
                .into_iter()
                .map(|(metric, log_ratios)| MetricNoise { metric, log_ratios });
            Some(BaselineNoise {
                plan: scenario.plan.clone(),
                noise: noise.collect(),
            })
        });
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            measured_at: record.started_at,
            baselines: baselines.collect(),
            fingerprint: serde_json::from_value(record.fingerprint.clone())
                .context("the run's fingerprint is not one of this program")?,
        })
    }

    /// Takes over what `earlier` knows of other baselines.
    pub fn keep(&mut self, earlier: Self) {
        let others = earlier
            .baselines
            .into_iter()
            .filter(|known| self.noise(&known.plan).is_none());
        let others: Vec<BaselineNoise> = others.collect();
        self.baselines.extend(others);
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
        whole_file::write(path, &text)
    }

    /// The noise of the baseline of `plan`, whichever scenario it was measured for.
    #[must_use]
    pub fn noise(&self, plan: &ScenarioPlan) -> Option<&[MetricNoise]> {
        let mut baselines = self.baselines.iter();
        let known = baselines.find(|known| is_alike(&known.plan, plan))?;
        Some(&known.noise)
    }

    /// The thresholds of a scenario at its number of blocks; none where its noise is not known.
    #[must_use]
    pub fn thresholds(&self, plan: &ScenarioPlan) -> Vec<LearnedThreshold> {
        let noise = self.noise(plan).unwrap_or_default();
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
pub fn identical(plans: &[ScenarioPlan], control: &Definition, blocks: usize) -> Vec<ScenarioPlan> {
    let mut identical: Vec<ScenarioPlan> = Vec::new();
    for plan in plans {
        debug_assert_eq!(control.id, IDENTICAL);
        let plan = ScenarioPlan {
            experiment: control.id.clone(),
            blocks,
            ..of_baseline(plan)
        };
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

/// Whether the baselines of both do the same, whatever they are called.
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
