//! Stored results, with which later gates compare.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::counts::Count;
use super::results::GatedRevision;
use crate::experiment::{LoadPlan, ScenarioPlan};
use crate::fingerprint::{Build, Fingerprint};
use crate::measure::profiling::WrongData;
use crate::run_record::{RunRecord, Scenario};
use crate::samples::{Outcome, Sample, Samples};
use crate::{atomic_write, schema_version};

const SCHEMA_VERSION: u32 = 1;

/// What a revision measured, raw, with all that must be equal for it to count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    schema_version: u32,
    /// What was measured.
    pub revision: GatedRevision,
    /// Where, and what had to land.
    pub record: RunRecord,
    /// The program that measured, which served the API.
    pub harness: Build,
    /// Every sample, without the engine's own reports.
    pub samples: Vec<Sample>,
    /// The counts.
    pub counts: Vec<Count>,
}

impl Baseline {
    /// A baseline of what was measured of `revision`.
    #[must_use]
    pub(crate) fn new(
        revision: GatedRevision,
        record: RunRecord,
        mut samples: Samples,
        counts: Vec<Count>,
    ) -> Self {
        for sample in &mut samples.samples {
            if let Outcome::Measured(figures) = &mut sample.outcome {
                figures.extra = serde_json::Value::Null;
            }
        }
        Self {
            schema_version: SCHEMA_VERSION,
            revision,
            record,
            harness: Build::this(),
            samples: samples.samples,
            counts,
        }
    }

    /// Reads a stored baseline.
    ///
    /// # Errors
    /// When it cannot be read, or is of another version.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> {
            let text = std::fs::read_to_string(path)?;
            let found = schema_version::read(&text)?;
            ensure!(
                found == SCHEMA_VERSION,
                "it is of version {found}; store it again with --save-baseline"
            );
            Ok(serde_json::from_str(&text)?)
        };
        read().with_context(|| format!("in the baseline {}", path.display()))
    }

    /// Writes it to `path`, over one that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string(self).context("cannot serialise the baseline")?;
        text.push('\n');
        atomic_write::make_folder(path)?;
        atomic_write::write(path, &text)
    }

    /// Refuses results that later gates cannot compare with.
    ///
    /// # Errors
    /// [`WrongData`], when a load left such; when one failed, or a scenario has no figures.
    pub(crate) fn ensure_whole(&self) -> Result<()> {
        for sample in &self.samples {
            match &sample.outcome {
                Outcome::WrongData { reason } => bail!(WrongData(reason.clone())),
                Outcome::Failed { reason } => {
                    bail!(
                        "nothing is stored, because a load of {} failed: {reason}",
                        sample.scenario
                    )
                }
                Outcome::Measured(_) | Outcome::Void { .. } => {}
            }
        }
        for scenario in &self.record.scenarios {
            let name = &scenario.plan.name;
            let is_figure = |one: &Sample| {
                one.scenario == *name && !one.warm_up && matches!(one.outcome, Outcome::Measured(_))
            };
            ensure!(
                self.samples.iter().any(is_figure),
                "nothing is stored, because {name} has no figures: all its loads are void"
            );
        }
        Ok(())
    }

    /// Where the program that measured is not this one, as `field: stored, here`: it serves the API.
    #[must_use]
    pub(crate) fn harness_differs(&self) -> Vec<String> {
        let (stored, here) = (&self.harness, Build::this());
        let fields = [
            ("harness profile", &stored.profile, &here.profile),
            ("harness rustc", &stored.rustc, &here.rustc),
        ];
        let differing = fields.iter().filter(|(_, stored, here)| stored != here);
        differing
            .map(|(field, stored, here)| format!("{field}: {stored}, {here}"))
            .collect()
    }

    /// Where it was measured.
    ///
    /// # Errors
    /// When another version of this program wrote the fingerprint.
    pub(crate) fn fingerprint(&self) -> Result<Fingerprint> {
        serde_json::from_value(self.record.fingerprint.clone())
            .context("another version of this program wrote the baseline's fingerprint")
    }

    /// Where what `plans` would run is not what was stored, as `field: stored, here`.
    #[must_use]
    pub(crate) fn plans_differ(&self, plans: &[ScenarioPlan]) -> Vec<String> {
        let both = plans.iter().filter_map(|here| {
            let stored = self.scenario(&here.name)?;
            Some((&here.name, what(&stored.plan), what(here)))
        });
        both.filter(|(_, was, is)| was != is)
            .map(|(name, was, is)| format!("what {name} runs: {was}, {is}"))
            .collect()
    }

    /// Differences between the data that the scenarios of `record` loaded and the stored ones.
    #[must_use]
    pub(crate) fn data_differs(&self, record: &RunRecord) -> Vec<String> {
        let both = record.scenarios.iter().filter_map(|here| {
            let stored = self.scenario(&here.plan.name)?;
            let (was, is) = (stored.verification.first()?, here.verification.first()?);
            Some((&here.plan.name, was, is))
        });
        both.filter(|(_, was, is)| was != is)
            .map(|(name, was, is)| {
                format!(
                    "what {name} loads: {} rows with checksum {}, {} rows with checksum {}",
                    was.rows, was.checksum, is.rows, is.checksum
                )
            })
            .collect()
    }

    fn scenario(&self, name: &str) -> Option<&Scenario> {
        self.record
            .scenarios
            .iter()
            .find(|one| one.plan.name == name)
    }
}

/// What a scenario runs, in words that differ where it does.
fn what(plan: &ScenarioPlan) -> String {
    let arm = plan.baseline();
    let load = match &arm.load {
        LoadPlan::Engine { preset, knobs, .. } => format!("{preset} {}", knobs.join(" ")),
        LoadPlan::PsqlCopy | LoadPlan::PsqlStaged(_) => "psql".to_owned(),
    };
    let sql = plan.sql.as_deref().unwrap_or("all columns");
    let (rows, workload) = (arm.rows, &plan.workload);
    format!("{rows} rows of {workload} on {}, {sql}", load.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    fn baseline() -> Baseline {
        let revision = GatedRevision {
            named: "HEAD".to_owned(),
            commit: "c".repeat(40),
        };
        Baseline::new(
            revision,
            example::run_record(),
            example::samples(),
            Vec::new(),
        )
    }

    #[test]
    fn it_comes_back_as_it_was_stored_without_the_engines_reports() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("here.json");
        let stored = baseline();
        stored.write(&path).unwrap();
        let read = Baseline::read(&path).unwrap();
        // JSON may round the last digit of a time.
        assert_eq!(read.record, stored.record);
        assert_eq!(read.revision, stored.revision);
        assert_eq!(read.samples.len(), stored.samples.len());
        let has_report = |one: &Sample| match &one.outcome {
            Outcome::Measured(figures) => !figures.extra.is_null(),
            _ => false,
        };
        assert!(!read.samples.iter().any(has_report));

        let text = std::fs::read_to_string(&path).unwrap();
        let later = text.replacen("\"schema_version\":1", "\"schema_version\":9", 1);
        std::fs::write(&path, later).unwrap();
        let error = format!("{:#}", Baseline::read(&path).unwrap_err());
        assert!(
            error.contains("version 9") && error.contains("--save-baseline"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_whole_is_not_stored() {
        let whole = |keep: &dyn Fn(&Outcome) -> bool| {
            let mut baseline = baseline();
            baseline.samples.retain(|one| keep(&one.outcome));
            baseline.ensure_whole()
        };
        // The example has a bit of everything.
        assert!(whole(&|_| true).is_err());
        let wrong = whole(&|outcome| !matches!(outcome, Outcome::Failed { .. })).unwrap_err();
        assert!(wrong.is::<WrongData>(), "{wrong}");
        let void = whole(&Outcome::is_void).unwrap_err().to_string();
        assert!(void.contains("has no figures"), "{void}");
    }

    #[test]
    fn another_harness_is_found() {
        let mut stored = baseline();
        assert!(stored.harness_differs().is_empty());
        stored.harness.profile = "another".to_owned();
        assert!(stored.harness_differs()[0].starts_with("harness profile: another, "));
    }

    #[test]
    fn a_different_plan_or_other_data_is_found() {
        let stored = baseline();
        let mut here = example::run_record();
        let plans = |record: &RunRecord| -> Vec<ScenarioPlan> {
            record
                .scenarios
                .iter()
                .map(|one| one.plan.clone())
                .collect()
        };
        assert!(stored.plans_differ(&plans(&here)).is_empty());
        assert!(stored.data_differs(&here).is_empty());

        let scenario = &mut here.scenarios[0];
        let name = scenario.plan.name.clone();
        scenario.plan.arms[0].rows += 1;
        scenario.verification[0].checksum = "7".to_owned();
        let runs = stored.plans_differ(&plans(&here)).join("; ");
        assert!(runs.starts_with(&format!("what {name} runs: ")), "{runs}");
        let loads = stored.data_differs(&here).join("; ");
        assert!(loads.contains("with checksum 7"), "{loads}");
    }
}
