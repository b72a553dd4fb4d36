//! A line of the history: one metric of one arm of one run.

use anyhow::{Context, Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::short_digest;
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan};
use crate::fingerprint::{Build, Fingerprint};
use crate::judge::blocks;
use crate::metric::Metric;
use crate::run_record::{RunRecord, Scenario};
use crate::samples::{Measurements, Sample, Samples, Timestamp};
use crate::stats::Summary;

/// Version of the layout of a line; raised when a field changes its meaning or goes.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// One metric of one arm of one run. It has the unit and direction of its figures, so that a history
/// can hold metrics that the program that reads it does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// When its run began.
    pub started_at: Timestamp,
    /// Commit that was measured, its whole hash.
    pub commit: String,
    /// Whether the tree held more than that commit; absent where that is not known.
    pub git_dirty: Option<bool>,
    /// Where it was measured.
    #[serde(rename = "place")]
    pub machine: Machine,
    /// Scenario by name.
    pub scenario: String,
    /// Arm by name.
    pub arm: String,
    /// Rows that the arm reads.
    pub rows: u64,
    /// Digest of what was loaded and how: results of another load do not compare.
    pub load: String,
    /// The metric by name.
    pub metric: String,
    /// Unit of its values.
    pub unit: String,
    /// Whether more of it is better.
    pub more_is_better: bool,
    /// Median over the blocks that have a figure; finite and above zero.
    pub value: f64,
    /// Lower quartile.
    pub lower_quartile: f64,
    /// Upper quartile.
    pub upper_quartile: f64,
    /// Blocks that have a figure.
    pub samples: usize,
}

/// What is kept of an arm: what a gate judges, and what experiments compare besides. Times of whole
/// loads are left out: their rates say the same.
fn kept() -> impl Iterator<Item = Metric> {
    let besides = [Metric::FirstRowSeconds, Metric::PeakMemoryBytes];
    Metric::GATED.into_iter().chain(besides)
}

impl Entry {
    /// All entries of a run, in the order of its record: one for each metric that every measured
    /// block of an arm has.
    ///
    /// Left out are confirmations, because only scenarios with certain results have one; arms that
    /// were slowed down to test a gate; and metrics that are zero, such as the bytes from an API that
    /// an arm does not use, because they have no relative change.
    ///
    /// # Errors
    /// When the run does not say where it was made, or holds no measured sample.
    pub fn all(record: &RunRecord, samples: &Samples) -> Result<Vec<Self>> {
        let fingerprint: Fingerprint = serde_json::from_value(record.fingerprint.clone()).context(
            "another version of this program wrote the run's fingerprint: measure again",
        )?;
        let run = Run {
            started_at: record.started_at,
            machine: Machine::new(&fingerprint)?,
            build: fingerprint.build.clone(),
        };
        let mut entries = Vec::new();
        let scenarios = record.scenarios.iter();
        for scenario in scenarios.filter(|scenario| scenario.plan.confirms.is_none()) {
            let of_scenario: Vec<&Sample> = samples
                .samples
                .iter()
                .filter(|sample| sample.scenario == scenario.plan.name)
                .collect();
            let arms = scenario.plan.arms.iter().enumerate();
            for (nth, arm) in arms.filter(|(_, arm)| !is_slowed(arm)) {
                let blocks = blocks(&of_scenario, &arm.name);
                let figures: Vec<&Measurements> = blocks.into_values().collect();
                entries.extend(run.entries(scenario, nth, arm, &figures)?);
            }
        }
        ensure!(
            !entries.is_empty(),
            "the run has no measured sample: finish it with `apitap-bench run --resume`"
        );
        Ok(entries)
    }

    /// What no two lines of a history have in common.
    pub(super) fn identity(&self) -> (Timestamp, &str, &str, &str, &str) {
        (
            self.started_at,
            &self.commit,
            &self.scenario,
            &self.arm,
            &self.metric,
        )
    }
}

fn is_slowed(arm: &ArmPlan) -> bool {
    let mut revisions = arm.revision.iter();
    revisions.any(|revision| !revision.environment.is_empty())
}

/// What all entries of a run have in common.
struct Run {
    started_at: Timestamp,
    machine: Machine,
    build: Build,
}

impl Run {
    fn entries(
        &self,
        scenario: &Scenario,
        nth: usize,
        arm: &ArmPlan,
        figures: &[&Measurements],
    ) -> Result<Vec<Entry>> {
        let (commit, git_dirty) = match &arm.revision {
            Some(revision) => (&revision.commit, Some(false)),
            None => (&self.build.git_commit, self.build.git_dirty),
        };
        let load = load(scenario, nth, arm)?;
        let summarised = kept().filter_map(|metric| {
            let values = figures.iter().map(|one| metric.value(one, arm.rows));
            let summary = Summary::new(&values.collect::<Option<Vec<f64>>>()?)?;
            (summary.median > 0.0).then_some((metric, summary))
        });
        let entries = summarised.map(|(metric, summary)| Entry {
            schema_version: SCHEMA_VERSION,
            started_at: self.started_at,
            commit: commit.clone(),
            git_dirty,
            machine: self.machine.clone(),
            scenario: scenario.plan.name.clone(),
            arm: arm.name.clone(),
            rows: arm.rows,
            load: load.clone(),
            metric: metric.name().to_owned(),
            unit: metric.unit().to_owned(),
            more_is_better: metric.more_is_better(),
            value: summary.median,
            lower_quartile: summary.lower_quartile,
            upper_quartile: summary.upper_quartile,
            samples: summary.count,
        });
        Ok(entries.collect())
    }
}

/// Digest of what must be equal for results of one scenario and arm to compare, as in `compare`:
/// workload, query, round trips, rows, configuration, and the rows that must land.
///
/// Listed field by field: the rest of a plan, such as which program runs, may change within a series.
fn load(scenario: &Scenario, nth: usize, arm: &ArmPlan) -> Result<String> {
    let ScenarioPlan {
        workload,
        sql,
        key,
        existing,
        table,
        postgres_round_trip_ms,
        api_round_trip_ms,
        ..
    } = &scenario.plan;
    let (preset, knobs, attach, mode) = match &arm.load {
        LoadPlan::Engine {
            preset,
            knobs,
            attach,
            mode,
        } => (
            preset.as_str(),
            knobs.as_slice(),
            attach.as_slice(),
            mode.as_ref(),
        ),
        LoadPlan::PsqlCopy => ("psql \\copy", &[][..], &[][..], None),
        LoadPlan::PsqlStaged(mode) => ("psql \\copy", &[][..], &[][..], Some(mode)),
    };
    let load = (
        (workload, sql, postgres_round_trip_ms, api_round_trip_ms),
        (arm.rows, preset, knobs, attach),
        scenario.verification.get(nth),
    );
    // What loads could not have when the first histories were written is no part of their digests.
    let is_first = mode.is_none() && arm.sql.is_none() && existing.is_none() && key.is_empty();
    let more = (mode, &arm.sql, key, existing);
    match table {
        None if is_first => short_digest(&load),
        None => short_digest(&(load, more)),
        Some(table) => short_digest(&(load, more, table)),
    }
}

#[cfg(test)]
mod tests {
    use apitap_core::config::WriteMode;

    use super::*;
    use crate::experiment::TableForm;
    use crate::judge::history::example;
    use crate::samples::Outcome;

    fn entries(record: &RunRecord, samples: &Samples) -> Vec<Entry> {
        Entry::all(record, samples).unwrap()
    }

    #[test]
    fn an_arm_has_an_entry_for_each_metric_that_it_has() {
        let (record, samples) = example::run(1, "a1", |_, block| 1.0 + block as f64);
        let entries = entries(&record, &samples);
        let of_arm: Vec<&Entry> = entries.iter().filter(|entry| entry.arm == "COPY").collect();
        let names: Vec<&str> = of_arm.iter().map(|entry| entry.metric.as_str()).collect();
        assert_eq!(
            names,
            [
                "statements",
                "bytes_to_server",
                "bytes_from_api",
                "client_cpu_seconds_per_million_rows",
                "rows_per_second",
                "peak_memory_bytes"
            ]
        );
        // Wall times of 1, 2, 3 and 4 seconds for 1,000 rows, half of it CPU time.
        let cpu = of_arm[3];
        assert_eq!((cpu.value, cpu.samples), (1_250.0, 4));
        assert_eq!((cpu.lower_quartile, cpu.upper_quartile), (875.0, 1_625.0));
        assert!(!cpu.more_is_better && of_arm[4].more_is_better);
        assert_eq!((cpu.commit.as_str(), cpu.git_dirty), ("a1", Some(false)));
        insta::assert_json_snapshot!(of_arm[0]);
    }

    #[test]
    fn warm_ups_and_samples_that_gave_no_figure_do_not_count() {
        let (record, mut samples) = example::run(1, "a1", |_, _| 1.0);
        let before = entries(&record, &samples);
        let mut warm_up = samples.samples[0].clone();
        warm_up.warm_up = true;
        if let Outcome::Measured(figures) = &mut warm_up.outcome {
            figures.wall_seconds = 100.0;
        }
        samples.samples.push(warm_up);
        assert_eq!(entries(&record, &samples), before);
        let voided = samples
            .samples
            .iter_mut()
            .filter(|sample| sample.arm == "COPY" && sample.block > 0);
        for sample in voided {
            sample.outcome = Outcome::Void {
                reason: "steal".to_owned(),
            };
        }
        let after = entries(&record, &samples);
        assert_eq!(after.len(), before.len());
        // A block with a void sample counts for no arm.
        for entry in after {
            assert_eq!(entry.samples, 1, "{}", entry.arm);
        }
    }

    #[test]
    fn another_load_has_another_digest_and_more_blocks_have_not() {
        let (record, _) = example::run(1, "a1", |_, _| 1.0);
        let digest = |record: &RunRecord| {
            let scenario = &record.scenarios[0];
            load(scenario, 1, &scenario.plan.arms[1]).unwrap()
        };
        let changed = |change: fn(&mut Scenario)| {
            let mut record = record.clone();
            change(&mut record.scenarios[0]);
            digest(&record)
        };
        assert_eq!(changed(|one| one.plan.blocks += 1), digest(&record));
        let changes: [fn(&mut Scenario); 12] = [
            |one| one.plan.workload.push('x'),
            |one| one.plan.sql = Some("SELECT 1".to_owned()),
            |one| one.plan.postgres_round_trip_ms = Some(5.0),
            |one| one.plan.arms[1].rows += 1,
            |one| one.plan.arms[1].load = LoadPlan::PsqlCopy,
            |one| one.plan.arms[1].load = LoadPlan::PsqlStaged(WriteMode::Append),
            |one| one.plan.arms[1].load = LoadPlan::PsqlStaged(WriteMode::Merge),
            |one| one.plan.arms[1].sql = Some("SELECT 1".to_owned()),
            |one| one.plan.key.push("id".to_owned()),
            |one| one.plan.existing = Some(0.5),
            |one| one.plan.table = Some(TableForm::Unlogged),
            |one| one.verification[1].checksum.push('x'),
        ];
        let mut digests = vec![digest(&record)];
        for (nth, change) in changes.into_iter().enumerate() {
            let digest = changed(change);
            assert!(!digests.contains(&digest), "{nth}");
            digests.push(digest);
        }
    }

    #[test]
    fn a_run_without_figures_or_place_is_refused() {
        let (mut record, samples) = example::run(1, "a1", |_, _| 1.0);
        let refused = |record: &RunRecord, samples: &Samples| {
            let error = Entry::all(record, samples).unwrap_err();
            error.to_string()
        };
        let empty = Samples::default();
        assert!(refused(&record, &empty).contains("no measured sample"));
        record.fingerprint = serde_json::json!({});
        assert!(refused(&record, &samples).contains("fingerprint"));
    }
}
