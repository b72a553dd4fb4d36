//! The noise of a machine: how much identical arms differ on it, for each load.
//!
//! `apitap-bench dev calibrate` measures it, and a run on the same machine takes its practical
//! thresholds from it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::experiment::{ArmPlan, IDENTICAL, LoadPlan, ScenarioPlan, configured};
use crate::fingerprint::Fingerprint;
use crate::judge::identical_log_ratios;
use crate::metric::Metric;
use crate::run_record::{LearnedThreshold, RunRecord};
use crate::samples::{Samples, Timestamp};
use crate::stats::learned_threshold;
use crate::{atomic_write, schema_version};

/// Where the noise of this machine is kept, beside the runs.
pub(crate) const FILE: &str = "reports/calibration.json";

const SCHEMA_VERSION: u32 = 2;

/// Default number of blocks of identical arms, independent of the blocks of later runs.
pub(crate) const BLOCKS: usize = 16;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calibration {
    schema_version: u32,
    /// When the last of it was measured.
    pub measured_at: Timestamp,
    /// Where: its thresholds are not used on another machine.
    pub fingerprint: Fingerprint,
    /// By what identical arms loaded.
    pub baselines: Vec<BaselineNoise>,
}

/// The noise of one baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BaselineNoise {
    /// What was loaded, twice. It is used for every scenario whose baseline loads the same.
    pub plan: ScenarioPlan,
    /// For each metric.
    pub noise: Vec<MetricNoise>,
}

/// The noise of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricNoise {
    /// The metric.
    pub metric: Metric,
    /// Log-ratios of identical arms, one for each block.
    pub log_ratios: Vec<f64>,
}

impl Calibration {
    /// The calibration in `path`, if there is one and it was made on this machine and server.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn fitting(path: &Path, here: &Fingerprint) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let read = || -> Result<Self> {
            let text = fs::read_to_string(path)?;
            let found = schema_version::read(&text)?;
            ensure!(
                found == SCHEMA_VERSION,
                "it has version {found}: measure again with `apitap-bench dev calibrate`"
            );
            Ok(serde_json::from_str(&text)?)
        };
        let calibration =
            read().with_context(|| format!("in the calibration {}", path.display()))?;
        let differing = calibration.fingerprint.incomparable_with(here);
        if differing.is_empty() {
            return Ok(Some(calibration));
        }
        eprintln!(
            "the calibration {} is of another machine and is not used ({})",
            path.display(),
            differing.join("; ")
        );
        Ok(None)
    }

    /// What the identical arms of a run show.
    ///
    /// # Errors
    /// When another version of this program wrote the run's fingerprint.
    pub(crate) fn new(record: &RunRecord, samples: &Samples) -> Result<Self> {
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
                .context("another version of this program wrote the run's fingerprint")?,
        })
    }

    /// Takes over what `earlier` knows of other baselines.
    pub(crate) fn keep(&mut self, earlier: Self) {
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
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("cannot serialise")?;
        text.push('\n');
        atomic_write::make_folder(path)?;
        atomic_write::write(path, &text)
    }

    /// The noise of the baseline of `plan`, whichever scenario it was measured for.
    #[must_use]
    pub(crate) fn noise(&self, plan: &ScenarioPlan) -> Option<&[MetricNoise]> {
        let mut baselines = self.baselines.iter();
        let known = baselines.find(|known| is_alike(&known.plan, plan))?;
        Some(&known.noise)
    }

    /// The thresholds of a scenario at its number of blocks; none where its noise is not known.
    #[must_use]
    pub(crate) fn thresholds(&self, plan: &ScenarioPlan) -> Vec<LearnedThreshold> {
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
pub(crate) fn identical(plans: &[ScenarioPlan], blocks: usize) -> Vec<ScenarioPlan> {
    let mut identical: Vec<ScenarioPlan> = Vec::new();
    for plan in plans {
        let plan = ScenarioPlan {
            experiment: IDENTICAL.to_owned(),
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
    let does_as = match (&one.baseline().load, &other.baseline().load) {
        (
            LoadPlan::Engine {
                preset,
                knobs,
                mode,
                ..
            },
            LoadPlan::Engine {
                preset: other_preset,
                knobs: other_knobs,
                mode: other_mode,
                ..
            },
        ) => {
            let config = configured(preset, knobs).ok();
            mode == other_mode && config == configured(other_preset, other_knobs).ok()
        }
        (load, other) => load == other,
    };
    does_as
        && one.workload == other.workload
        && one.query(one.baseline()) == other.query(other.baseline())
        && (&one.key, one.existing, one.table) == (&other.key, other.existing, other.table)
        && one.baseline().rows == other.baseline().rows
        && one.postgres_round_trip_ms == other.postgres_round_trip_ms
        && one.api_round_trip_ms == other.api_round_trip_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;
    use crate::samples::Outcome;

    /// What identical arms of the example show if the one that runs first takes `factor` of its time.
    fn calibration(factor: f64) -> Calibration {
        let mut record = example::run_record();
        record
            .scenarios
            .retain(|one| one.plan.experiment == IDENTICAL);
        record.fingerprint = serde_json::to_value(Fingerprint::take(None)).unwrap();
        let mut samples = example::samples();
        for sample in &mut samples.samples {
            if let (Outcome::Measured(figures), 0) = (&mut sample.outcome, sample.position) {
                figures.wall_seconds *= factor;
            }
        }
        Calibration::new(&record, &samples).unwrap()
    }

    #[test]
    fn a_baseline_stands_for_every_scenario_that_starts_from_it() {
        let plans: Vec<ScenarioPlan> = example::run_record()
            .scenarios
            .into_iter()
            .map(|one| one.plan)
            .collect();
        let identical = identical(&plans, BLOCKS);
        assert!(identical.len() < plans.len());
        for plan in &identical {
            assert_eq!((plan.blocks, plan.arms.len()), (BLOCKS, 2));
        }
        // Of these the baseline is `before` as it is.
        let noise = calibration(1.0);
        for name in [
            "a-a on before",
            "counter on before",
            "copy-vs-insert on before",
        ] {
            let plan = plans.iter().find(|plan| plan.name == name).unwrap();
            assert!(noise.noise(plan).is_some(), "{name}");
            assert!(!noise.thresholds(plan).is_empty(), "{name}");
        }
        // `tuned` with a mutex is not `tuned`.
        let mutex = plans.iter().find(|plan| plan.name == "counter on tuned");
        assert!(noise.noise(mutex.unwrap()).is_none());
        let mut fewer = plans[0].clone();
        fewer.arms[0].rows -= 1;
        assert!(noise.noise(&fewer).is_none());
    }

    #[test]
    fn a_new_calibration_keeps_what_is_known_of_other_baselines() {
        let (mut new, old) = (calibration(1.5), calibration(1.0));
        let dropped = new.baselines.remove(0);
        let measured = new.baselines.clone();
        new.keep(old.clone());
        assert_eq!(new.baselines[..measured.len()], measured[..]);
        assert_eq!(new.baselines.len(), old.baselines.len());
        assert_eq!(new.noise(&dropped.plan), old.noise(&dropped.plan));
    }

    #[test]
    fn a_calibration_counts_in_its_own_place_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/calibration.json");
        let here = Fingerprint::take(None);
        assert_eq!(Calibration::fitting(&path, &here).unwrap(), None);
        let known = calibration(1.0);
        known.write(&path).unwrap();
        // JSON may round the last digit of a figure.
        let read = Calibration::fitting(&path, &here).unwrap().unwrap();
        let plans = |of: &Calibration| -> Vec<ScenarioPlan> {
            let baselines = of.baselines.iter();
            baselines.map(|known| known.plan.clone()).collect()
        };
        assert_eq!(plans(&read), plans(&known));
        let mut elsewhere = here;
        elsewhere.machine.cores += 1;
        assert_eq!(Calibration::fitting(&path, &elsewhere).unwrap(), None);
        fs::write(&path, r#"{"schema_version": 1, "scenarios": []}"#).unwrap();
        let error = format!("{:#}", Calibration::fitting(&path, &elsewhere).unwrap_err());
        assert!(error.contains("it has version 1: measure again"), "{error}");
    }
}
