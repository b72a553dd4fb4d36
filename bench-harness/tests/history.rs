//! `apitap-bench history`, on folders as runs leave them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bench_harness::{Direction, History, Revision, Timestamp};
use chrono::DateTime;
use serde_json::Value;

use crate::compare::{record, stderr, stdout, written};

/// Runs before the commit that is slower, and from it on.
const BEFORE: i64 = 8;
const AFTER: i64 = 6;

fn history(file: &Path, action: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .args(["history", action, "--file"])
        .arg(file)
        .args(more)
        .output()
        .unwrap()
}

fn start(day: i64) -> Timestamp {
    let seconds = 1_767_225_600 + day * 86_400;
    DateTime::from_timestamp(seconds, 0).unwrap().into()
}

/// The run of a day, of a commit of its own.
fn run(parent: &Path, day: i64, factor: fn(&str, &str) -> f64) -> PathBuf {
    let mut record = record();
    record.started_at = start(day);
    record.fingerprint["build"]["git_commit"] = format!("{day:040x}").into();
    written(parent, &record, factor)
}

fn slow_atomic(scenario: &str, arm: &str) -> f64 {
    if scenario == "counter on tuned" && arm == "atomic" {
        1.3
    } else {
        1.0
    }
}

/// A folder with a history in it, of runs of which the later ones have a slower arm.
fn kept() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("kept/history.ndjson");
    for day in 0..BEFORE + AFTER {
        let factor = if day < BEFORE {
            |_: &str, _: &str| 1.0
        } else {
            slow_atomic
        };
        let run = run(parent.path(), day, factor);
        let output = history(&file, "add", &[run.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    (parent, file)
}

fn shown(file: &Path, more: &[&str]) -> History {
    let arguments: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
    let output = history(file, "show", &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_commit_that_made_an_arm_slower_is_found_and_a_page_shows_it() {
    let (_parent, file) = kept();
    let history_of = shown(&file, &[]);
    let changed: Vec<_> = history_of
        .series
        .iter()
        .take_while(|series| !series.changes.is_empty())
        .collect();
    assert_eq!(changed.len(), 2, "{changed:?}");
    for series in &changed {
        assert_eq!(
            (series.scenario.as_str(), series.arm.as_str()),
            ("counter on tuned", "atomic")
        );
        let change = &series.changes[0];
        assert_eq!(change.commit, format!("{BEFORE:040x}"));
        assert_eq!(change.started_at, start(BEFORE));
        assert_eq!(change.direction, Direction::Worse);
    }
    assert!(
        history_of.series[2..]
            .iter()
            .all(|one| one.changes.is_empty())
    );

    let page = std::fs::read_to_string(file.with_extension("html")).unwrap();
    assert!(page.contains("class=\"change down\""));

    let elsewhere = file.with_file_name("elsewhere.html");
    let arguments = ["tuned", "rows_per", "--html", elsewhere.to_str().unwrap()];
    let output = history(&file, "show", &arguments);
    let text = stdout(&output);
    assert!(text.contains("worse: -23"), "{text}");
    assert!(text.ends_with("elsewhere.html\n"), "{text}");
    assert!(elsewhere.exists());
    assert_eq!(shown(&file, &["tuned", "rows_per"]).series.len(), 2);
}

#[test]
fn a_report_says_how_its_quantities_changed() {
    let (parent, file) = kept();
    let run = run(parent.path(), BEFORE + AFTER, slow_atomic);
    let told = |file: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apitap-bench"));
        let output = command.arg("report").arg(&run).arg("--history").arg(file);
        let output = output.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        std::fs::read_to_string(run.join("report.html")).unwrap()
    };
    let page = told(&file);
    assert!(page.contains(&format!("{} runs, this one last", BEFORE + AFTER + 1)));
    assert!(page.contains("class=\"change down\""));

    // Of another machine.
    let elsewhere = file.with_file_name("elsewhere.ndjson");
    let mut record = record();
    record.started_at = start(0);
    record.fingerprint["machine"]["cores"] = 64.into();
    let stranger = written(parent.path(), &record, |_, _| 1.0);
    history(&elsewhere, "add", &[stranger.to_str().unwrap()]);
    let page = told(&elsewhere);
    assert!(page.contains("No run of this history before this one compares"));
    assert!(!page.contains("id=\"history-"));
}

#[test]
fn a_run_is_added_once() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("history.ndjson");
    let run = run(parent.path(), 0, |_, _| 1.0);
    let run = run.to_str().unwrap();
    let first = history(&file, "add", &[run]);
    assert!(stdout(&first).contains("added to"), "{}", stdout(&first));
    let kept = std::fs::read(&file).unwrap();
    let again = history(&file, "add", &[run, run]);
    assert_eq!(again.status.code(), Some(0));
    let text = stdout(&again);
    assert_eq!(text.matches("already: nothing added").count(), 2, "{text}");
    assert_eq!(std::fs::read(&file).unwrap(), kept);
}

#[test]
fn the_arms_of_a_gate_have_the_commits_of_their_revisions() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("history.ndjson");
    let mut record = record();
    for scenario in &mut record.scenarios {
        scenario.plan.arms.truncate(2);
        for (arm, (name, commit)) in scenario
            .plan
            .arms
            .iter_mut()
            .zip([("base", "b1"), ("head", "a2")])
        {
            name.clone_into(&mut arm.name);
            arm.revision = Some(Revision {
                commit: commit.to_owned(),
                environment: Vec::new(),
            });
        }
    }
    let folder = written(parent.path(), &record, |_, _| 1.0);
    let output = history(&file, "add", &[folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = std::fs::read_to_string(&file).unwrap();
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let expected = if entry["arm"] == "head" { "a2" } else { "b1" };
        assert_eq!(entry["commit"], expected, "{line}");
    }
}

#[test]
fn what_cannot_be_shown_says_what_to_do() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("history.ndjson");
    let none = history(&file, "show", &[]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("history add RUN_DIR"));

    let run = run(parent.path(), 0, |_, _| 1.0);
    history(&file, "add", &[run.to_str().unwrap()]);
    let nothing = history(&file, "show", &["nowhere"]);
    assert_eq!(nothing.status.code(), Some(2), "{}", stderr(&nothing));
    let level = history(&file, "show", &["--significance", "2"]);
    assert_eq!(level.status.code(), Some(2));

    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen('{', "[", 1)).unwrap();
    let broken = history(&file, "show", &[]);
    assert!(stderr(&broken).contains("line 1 is not an entry"));
}
