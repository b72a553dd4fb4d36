//! `apitap-bench run writers`, small, on a real server.

use std::path::{Path, PathBuf};
use std::process::Output;

use bench_harness::environment::test_database::{TestDatabase, test_database};
use bench_harness::measurement::{Outcome, SAMPLES_FILE, Samples};
use bench_harness::results::Results;
use tokio::process::Command;

const METHODS: [&str; 6] = [
    "insert",
    "prepared",
    "unnest",
    "copy-csv",
    "copy-text",
    "copy-binary",
];

async fn apitap_bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

async fn run(database: &TestDatabase, out: &Path, more: &[&str]) -> Output {
    let mut arguments = vec!["run", "writers", "--blocks=2", "--rows=500"];
    arguments.extend(["--postgres", database.url(), "--out", out.to_str().unwrap()]);
    arguments.extend(more);
    apitap_bench(&arguments).await
}

fn only_folder(out: &Path) -> PathBuf {
    let mut folders = std::fs::read_dir(out).unwrap();
    let folder = folders.next().unwrap().unwrap().path();
    assert!(folders.next().is_none());
    folder
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn every_method_is_measured_verified_and_reported() {
    let database = test_database().await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let narrowed = ["--scenario=writers", "--arm=@ 100", "--seed=7"];
    let output = run(&database, out.path(), &narrowed).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let folder = only_folder(out.path());
    let samples = Samples::read(&folder.join(SAMPLES_FILE)).unwrap().samples;
    for method in METHODS {
        let measured = samples.iter().filter(|sample| {
            let rows = match &sample.outcome {
                Outcome::Measured(figures) => figures.rows,
                _ => 0,
            };
            !sample.warm_up && rows == 500 && sample.arm == format!("{method} @ 100")
        });
        assert_eq!(measured.count(), 2, "{method}");
    }
    let text = std::fs::read_to_string(folder.join("results.json")).unwrap();
    let results: Results = serde_json::from_str(&text).unwrap();
    let scenario = &results.scenarios[0];
    assert_eq!(scenario.arms.len(), 7);
    for arm in &scenario.arms {
        assert!(arm.wall_seconds.is_some(), "{}", arm.name);
        assert!(
            arm.name == scenario.baseline || arm.to_baseline.is_some(),
            "{}",
            arm.name
        );
    }
    assert!(scenario.mock_api.is_some());

    let record = std::fs::read_to_string(folder.join("run.json")).unwrap();
    let password = url::Url::parse(database.url()).unwrap();
    assert!(!record.contains(password.password().unwrap_or("no password at all")));

    let page = folder.join("report.md");
    let first = std::fs::read_to_string(&page).unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.ends_with(&format!("Report: {}\n", page.display())),
        "{stdout}"
    );
    std::fs::remove_file(&page).unwrap();
    let again = apitap_bench(&["report", folder.to_str().unwrap()]).await;
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert_eq!(std::fs::read_to_string(&page).unwrap(), first);
}

#[tokio::test]
async fn wrong_data_is_named_and_no_figure() {
    let database = test_database().await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let narrowed = ["--scenario=ceiling", "--expect-seed=1"];
    let output = run(&database, out.path(), &narrowed).await;
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(
        stderr.contains("ceiling, tuned, warm-up: the table holds 500 rows as it must"),
        "{stderr}"
    );

    let samples = Samples::read(&only_folder(out.path()).join(SAMPLES_FILE)).unwrap();
    let is_wrong = |outcome: &Outcome| matches!(outcome, Outcome::WrongData { .. });
    assert!(
        samples
            .samples
            .iter()
            .all(|sample| is_wrong(&sample.outcome))
    );
}

#[tokio::test]
async fn an_unreachable_postgres_is_an_error_without_its_password() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let url = "postgres://u:secret@127.0.0.1:1/d";
    let output = apitap_bench(&["run", "--quick", "--postgres", url, "--out", folder]).await;
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("error: cannot connect to postgres://u:***@127.0.0.1:1/d"),
        "{stderr}"
    );

    let output = apitap_bench(&["run", "--postgres", "mysql://u:secret@h"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(!self::stderr(&output).contains("secret"));
}
