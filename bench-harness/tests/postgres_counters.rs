//! What does not vary: instructions of kernels, allocations of loads, and the command that takes all.

use std::path::Path;
use std::process::{Command, Stdio};

use apitap_core::config::WriteMode;
use bench_harness::{
    Allocations, Kernel, KernelLoad, Metric, Tier, heap::HeapProfile, instructions_per_row,
    worker::PageKind, worker::Watch, worker::WorkerJob,
};
use serde_json::Value;
use tempfile::NamedTempFile;
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use testkit::test_database::test_database;
use tokio::io::AsyncWriteExt as _;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apitap-bench");

fn instructions(kernel: Kernel, workload: &str, setting: &str, rows: u64) -> f64 {
    let settings = [setting.to_owned()];
    let load = KernelLoad {
        kernel,
        workload,
        preset: "tuned",
        settings: &settings,
    };
    instructions_per_row(Path::new(PROGRAM), load, rows).unwrap()
}

#[test]
fn instructions_repeat_and_grow_with_the_work_of_a_row() {
    let (by_tape, by_rows) = ("decode.path=tape", "decode.path=rows");
    let tape = instructions(Kernel::Decode, "narrow", by_tape, 1_000);
    let again = instructions(Kernel::Decode, "narrow", by_tape, 1_000);
    assert!((again / tape - 1.0).abs() < 1e-4, "{tape} and {again}");
    let rows = instructions(Kernel::Decode, "narrow", by_rows, 1_000);
    assert!(rows > 1.5 * tape, "{rows} by rows, {tape} by tape");
    // With the start of the program it would be far less of four times as many rows.
    let many = instructions(Kernel::Decode, "narrow", by_tape, 4_000);
    assert!((many / tape - 1.0).abs() < 0.01, "{tape} and {many}");

    let binary = "write.method=copy-binary";
    let narrow = instructions(Kernel::Encode, "narrow", binary, 1_000);
    let wide = instructions(Kernel::Encode, "wide", binary, 1_000);
    assert!(narrow > 0.0 && wide > 3.0 * narrow, "{narrow} and {wide}");
}

#[test]
fn a_kernel_that_fails_says_why() {
    let settings = ["decode.path=none".to_owned()];
    let load = KernelLoad {
        kernel: Kernel::Decode,
        workload: "narrow",
        preset: "tuned",
        settings: &settings,
    };
    let error = instructions_per_row(Path::new(PROGRAM), load, 10).unwrap_err();
    assert!(format!("{error:#}").contains("decode.path"), "{error:#}");
}

/// Runs a load under dhat, which writes to `file`.
async fn heap(database_url: &str, rows: u64, arguments: &[&str], file: &Path) {
    let options = MockApiOptions::new("narrow", rows);
    let api = MockApiProcess::start_with(Path::new(PROGRAM), &options);
    let api = api.await.unwrap();
    let job = WorkerJob {
        watch: Watch::Nothing,
        attach: Vec::new(),
        source_url: api.url().to_owned(),
        workload: "narrow".into(),
        pages: PageKind::PageNumber,
        sql: "SELECT * FROM narrow".into(),
        database_url: database_url.to_owned(),
        table: "landed".into(),
        mode: WriteMode::Replace,
        key: Vec::new(),
        preset: "tuned".into(),
        settings: vec!["source.page_rows=100".into()],
        recorded: None,
    };
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_apitap-bench-heap"))
        .args(arguments)
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let job = serde_json::to_vec(&job).unwrap();
    child.stdin.take().unwrap().write_all(&job).await.unwrap();
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn postgres_loads_allocate_by_row_what_a_profile_of_the_heap_counts() {
    let database = test_database().await.unwrap();
    let file = NamedTempFile::new().unwrap();
    let mut sizes = Vec::new();
    for rows in [2_000, 4_000] {
        heap(database.url(), rows, &["--totals"], file.path()).await;
        let totals = Allocations::read(file.path()).unwrap();
        heap(database.url(), rows, &[], file.path()).await;
        let profile = HeapProfile::read(file.path(), 1).unwrap();
        // A profile is taken of several threads, whose tasks allocate more.
        let ratio = profile.total_blocks as f64 / totals.blocks as f64;
        assert!((0.9..1.1).contains(&ratio), "{totals:?}, {ratio}");
        sizes.push(totals);
    }
    let by_row = sizes[0].per_row(sizes[1], 2_000).unwrap();
    // Rows are decoded into columns: far less than an allocation for each, and more than none.
    assert!((0.001..2.0).contains(&by_row.blocks), "{by_row:?}");
    assert!(by_row.bytes > 50.0, "{by_row:?}");
}

#[tokio::test]
async fn postgres_counters_are_taken_by_a_command_and_do_not_vary() {
    let database = test_database().await.unwrap();
    let output = Command::new(PROGRAM)
        .args(["dev", "counters", "--json", "--runs=2", "--rows=1000"])
        .args([
            "--preset=before",
            "--workload=narrow",
            "--postgres",
            database.url(),
        ])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let counted: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let counters = Metric::GATED
        .into_iter()
        .filter(|one| one.tier() == Tier::Counter);
    let expected: Vec<&str> = counters.map(Metric::name).collect();
    let found: Vec<&str> = counted
        .iter()
        .map(|one| one["metric"].as_str().unwrap())
        .collect();
    assert_eq!(found, expected);
    for one in &counted {
        let values: Vec<f64> = serde_json::from_value(one["values"].clone()).unwrap();
        assert_eq!(values.len(), 2, "{one}");
        if let Some(tolerance) = one["tolerance"].as_f64() {
            let spread = (values[0] - values[1]).abs() / values[0].min(values[1]);
            assert!(spread <= tolerance, "{one}");
        }
    }
    // Five to begin and end a load, and one for each hundred rows.
    assert_eq!(
        counted[1]["values"][0].as_f64(),
        Some(15.0),
        "{}",
        counted[1]
    );
}
