//! `apitap-bench compare`, on folders as runs leave them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bench_harness::{
    ArmPlan, Build, Experiment, ExperimentFiles, Fingerprint, Machine, Measurements, Outcome,
    RunComparison, RunFolder, RunRecord, SCHEMA_VERSION, Sample, Scale, Scenario, Timestamp,
    Verdict, Verification,
};

/// The experiment whose scenarios the runs hold: `counter on before` and `counter on tuned`.
const EXPERIMENT: &str = "counter";

fn fingerprint() -> Fingerprint {
    Fingerprint {
        machine: Machine {
            cpu_model: "Some CPU".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            kernel: "6.1".to_owned(),
            os: "Some OS 12".to_owned(),
        },
        build: Build {
            rustc: "rustc 1.95.0".to_owned(),
            profile: "release".to_owned(),
            git_commit: "0123456789abcdef".to_owned(),
            git_dirty: Some(false),
            harness_version: "0.1.0".to_owned(),
        },
        server: None,
    }
}

pub(crate) fn record() -> RunRecord {
    let experiments = Experiment::all(&ExperimentFiles::find(None)).unwrap();
    let experiment = experiments
        .iter()
        .find(|one| one.id() == EXPERIMENT)
        .unwrap();
    let scenarios = experiment
        .scenarios(Scale::Default)
        .into_iter()
        .map(|plan| {
            let verified = |arm: &ArmPlan| Verification {
                rows: arm.rows,
                checksum: "42".to_owned(),
            };
            Scenario {
                verification: plan.arms.iter().map(verified).collect(),
                ..Scenario::planned(plan)
            }
        });
    RunRecord {
        schema_version: SCHEMA_VERSION,
        started_at: Timestamp::now(),
        seed: 7,
        command: vec!["apitap-bench".to_owned(), "run".to_owned()],
        build_profile: "release".to_owned(),
        scale: Scale::Default,
        confidence_level: 0.95,
        blocks_per_session: None,
        looks: None,
        confirms: false,
        calibrated_at: None,
        experiments: vec![experiment.definition.clone()],
        scenarios: scenarios.collect(),
        fingerprint: serde_json::to_value(fingerprint()).unwrap(),
    }
}

/// Writes a run of `record` into `parent`; its arms take a second and some noise, times `factor` of
/// scenario and arm.
pub(crate) fn written(parent: &Path, record: &RunRecord, factor: fn(&str, &str) -> f64) -> PathBuf {
    let now = chrono::Utc::now();
    let folder = RunFolder::create(parent, now, "0123456789abcdef").unwrap();
    folder.write_record(record).unwrap();
    let mut journal = folder.journal().unwrap();
    for plan in record.scenarios.iter().map(|scenario| &scenario.plan) {
        for block in 0..plan.blocks {
            for (position, arm) in plan.arms.iter().enumerate() {
                let noise = 1.0 + 0.004 * ((block * 7 + position * 3) % 5) as f64;
                let sample = Sample {
                    scenario: plan.name.clone(),
                    arm: arm.name.clone(),
                    block,
                    position,
                    warm_up: false,
                    started_at: Timestamp::now(),
                    outcome: measured(arm.rows, noise * factor(&plan.name, &arm.name)),
                };
                journal.append(&sample).unwrap();
            }
        }
    }
    folder.path().to_owned()
}

fn measured(rows: u64, wall_seconds: f64) -> Outcome {
    Outcome::Measured(Measurements {
        wall_seconds,
        process_wall_seconds: wall_seconds,
        rows,
        first_row_seconds: None,
        client_cpu_seconds: 0.5 * wall_seconds,
        server_cpu_seconds: None,
        peak_memory_bytes: None,
        steal_share: 0.0,
        involuntary_switches: 0,
        bytes_from_api: 1,
        bytes_to_server: 1,
        statements: 1,
        round_trips: None,
        extra: serde_json::Value::Null,
    })
}

fn alike(_scenario: &str, _arm: &str) -> f64 {
    1.0
}

fn compare(a: &Path, b: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .arg("compare")
        .args([a, b])
        .args(more)
        .output()
        .unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The comparison as JSON, which must have worked.
fn compared(a: &Path, b: &Path) -> RunComparison {
    let output = compare(a, b, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_run_beside_itself_shows_no_difference() {
    let parent = tempfile::tempdir().unwrap();
    let run = written(parent.path(), &record(), alike);
    let across = compared(&run, &run);
    assert!(across.arms.len() >= 4);
    for judged in across
        .arms
        .iter()
        .map(|arm| arm.measures[0].judged.unwrap())
    {
        assert_eq!(judged.comparison.ratio, 1.0);
        assert_eq!(judged.verdict, Verdict::Equivalent);
    }
}

#[test]
fn an_arm_that_became_slower_has_regressed_and_the_command_succeeds() {
    let parent = tempfile::tempdir().unwrap();
    let a = written(parent.path(), &record(), alike);
    let b = written(parent.path(), &record(), |scenario, arm| {
        let is_slower = scenario == "counter on before" && arm == "atomic";
        if is_slower { 1.2 } else { 1.0 }
    });
    let across = compared(&a, &b);
    let regressed: Vec<(&str, &str)> = across
        .arms
        .iter()
        .filter(|arm| arm.measures[0].judged.unwrap().verdict == Verdict::Regressed)
        .map(|arm| (arm.scenario.as_str(), arm.arm.as_str()))
        .collect();
    assert_eq!(regressed, [("counter on before", "atomic")]);

    let output = compare(&a, &b, &[]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(
        text.contains("1.20× (1.") && text.contains("regressed"),
        "{text}"
    );
    assert!(text.contains("believe a small difference"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn another_machine_is_refused_by_the_name_of_the_field() {
    let parent = tempfile::tempdir().unwrap();
    let a = written(parent.path(), &record(), alike);
    let mut elsewhere = fingerprint();
    elsewhere.machine.cpu_model = "Another CPU".to_owned();
    elsewhere.build.profile = "dev".to_owned();
    let record = RunRecord {
        fingerprint: serde_json::to_value(elsewhere).unwrap(),
        ..record()
    };
    let b = written(parent.path(), &record, alike);
    let output = compare(&a, &b, &[]);
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(5), "")
    );
    let error = stderr(&output);
    assert!(
        error.contains("\n  cpu model: Some CPU, Another CPU\n"),
        "{error}"
    );
    assert!(
        error.contains("\n  build profile: release, dev\n"),
        "{error}"
    );
    assert!(
        error.contains("measure both commits on one machine"),
        "{error}"
    );

    let output = compare(&a, &b, &["--json"]);
    assert_eq!(output.status.code(), Some(5));
    let refusal: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(refusal["reasons"].as_array().unwrap().len(), 2, "{refusal}");
}

#[test]
fn a_scenario_of_other_rows_is_refused_alone() {
    let parent = tempfile::tempdir().unwrap();
    let a = written(parent.path(), &record(), alike);
    let mut record = record();
    let other = &mut record.scenarios[0];
    let name = other.plan.name.clone();
    other.verification[0].rows += 1;
    let b = written(parent.path(), &record, alike);
    let across = compared(&a, &b);
    let refused: Vec<&str> = across.refused.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(refused, [name.as_str()]);
    assert!(across.arms.iter().all(|arm| arm.scenario != name));
    assert!(!across.arms.is_empty());
    let text = stdout(&compare(&a, &b, &[]));
    assert!(text.contains(&format!("Not compared: {name}: ")), "{text}");
}

#[test]
fn runs_of_other_scenarios_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (record(), record());
    first.scenarios.truncate(1);
    second.scenarios.remove(0);
    let a = written(parent.path(), &first, alike);
    let b = written(parent.path(), &second, alike);
    let output = compare(&a, &b, &[]);
    assert_eq!(output.status.code(), Some(5));
    let error = stderr(&output);
    assert!(error.contains("they have no scenario in common"), "{error}");
}

#[test]
fn a_folder_that_is_no_run_is_an_error() {
    let parent = tempfile::tempdir().unwrap();
    let run = written(parent.path(), &record(), alike);
    let output = compare(&run, parent.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains("cannot read the run record"), "{error}");
}
