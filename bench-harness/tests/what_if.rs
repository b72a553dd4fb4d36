//! `apitap-bench what-if`, on a published run and on what it cannot predict.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::compare::{stderr, stdout};

/// A run with all experiments of its day, grids too.
const PUBLISHED: &str = "../reports/published/2026-11-23-full";

/// A copy of the published run, to write into.
fn published(parent: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(PUBLISHED);
    for file in ["run.json", "samples.ndjson.gz"] {
        fs::copy(from.join(file), parent.join(file)).unwrap();
    }
    parent.to_owned()
}

fn what_if(run: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .arg("what-if")
        .arg(run)
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn a_published_run_is_predicted_as_well_as_the_methodology_says() {
    let folder = tempfile::tempdir().unwrap();
    let run = published(folder.path());
    let output = what_if(&run, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("the goal is 90%"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    let figures = fs::read(run.join("what-if.json")).unwrap();
    let figures: Value = serde_json::from_slice(&figures).unwrap();
    let predictions = figures["predictions"].as_array().unwrap();
    let known = predictions
        .iter()
        .filter(|one| one["basis"].get("unknown_costs").is_none());
    let within: Vec<bool> = known
        .map(|one| {
            let (interval, measured) = (&one["interval"], one["measured"].as_f64().unwrap());
            let (low, high) = (interval["low"].as_f64(), interval["high"].as_f64());
            (low.unwrap()..=high.unwrap()).contains(&measured)
        })
        .collect();
    assert!(within.len() > 150, "{}", within.len());
    let share = within.iter().filter(|within| **within).count() as f64 / within.len() as f64;
    assert!(share >= 0.9, "{share}");
    for file in ["what-if-light.svg", "what-if-dark.svg", "what-if.md"] {
        assert!(!fs::read(run.join(file)).unwrap().is_empty(), "{file}");
    }
}

#[test]
fn one_change_is_predicted_and_said_not_to_be_measured() {
    let folder = tempfile::tempdir().unwrap();
    let run = published(folder.path());
    let change = ["--experiment", "page-size", "--api-latency", "20ms"];
    let output = what_if(&run, &change);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("not measured"), "{text}");
    assert!(text.contains("page-size on before"), "{text}");
    assert!(!run.join("what-if.json").exists());

    let nothing = what_if(&run, &["--experiment", "page-size"]);
    assert_eq!(nothing.status.code(), Some(2));
    let wrong = what_if(&run, &["--experiment", "page-size", "--rows", "many"]);
    assert_eq!(wrong.status.code(), Some(2));
    let absent = what_if(&run, &["--experiment", "psql-ceiling", "--rows", "10x"]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(stderr(&absent).contains("psql-ceiling"));
}
