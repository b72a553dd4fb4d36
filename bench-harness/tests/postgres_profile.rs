//! Where time and memory go, of real runs.

use std::path::Path;
use std::process::Stdio;

use apitap_core::RunReport;
use apitap_core::config::WriteMode;
use bench_harness::{heap::HeapProfile, worker::PageKind, worker::Watch, worker::WorkerJob};
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use testkit::test_database::test_database;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use url::Url;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

async fn api(workload: &str, rows: u64) -> MockApiProcess {
    let program = Path::new(env!("CARGO_BIN_EXE_apitap-bench"));
    let options = MockApiOptions::new(workload, rows);
    MockApiProcess::start_with(program, &options).await.unwrap()
}

#[tokio::test]
async fn the_heap_of_a_run_is_known_by_stage() {
    let database = test_database().await.unwrap();
    let api = api("orders", 300).await;
    let job = WorkerJob {
        watch: Watch::Nothing,
        attach: Vec::new(),
        source_url: api.url().to_owned(),
        workload: "orders".into(),
        pages: PageKind::PageNumber,
        sql: "SELECT id, status, price FROM orders WHERE paid".into(),
        database_url: database.url().to_owned(),
        table: "landed".into(),
        mode: WriteMode::Replace,
        key: Vec::new(),
        preset: "tuned".into(),
        settings: Vec::new(),
        recorded: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heap.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_apitap-bench-heap"))
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let job = serde_json::to_vec(&job).unwrap();
    child.stdin.take().unwrap().write_all(&job).await.unwrap();
    let ended = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{stderr}");
    let report: RunReport = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report.rows_read, 300);

    let heap = HeapProfile::read(&file, 5).unwrap();
    let bytes: u64 = heap.stages.iter().map(|stage| stage.bytes).sum();
    assert_eq!(bytes, heap.total_bytes);
    for stage in ["fetch", "decode", "infer", "sql", "encode", "send"] {
        let found = heap
            .stages
            .iter()
            .find(|one| one.stage.as_deref() == Some(stage));
        let found = found.unwrap_or_else(|| panic!("no {stage}: {heap:#?}"));
        assert!(found.bytes > 0 && !found.sites.is_empty(), "{found:#?}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_ends_the_heap_run_before_it_begins() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apitap-bench-heap"));
    let ended = command
        .arg("/no-such-folder/heap.json")
        .stdin(Stdio::null());
    let ended = ended.output().await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(
        stderr.contains("cannot write /no-such-folder/heap.json"),
        "{stderr}"
    );
}

#[tokio::test]
async fn the_script_draws_a_pipeline_of_fixtures() {
    let database = test_database().await.unwrap();
    let url = Url::parse(database.url()).unwrap();
    let (orders, events) = (api("orders", 200_000).await, api("events", 4_000).await);
    let port_of = |api: &MockApiProcess| Url::parse(api.url()).unwrap().port().unwrap().to_string();

    let folder = tempfile::tempdir().unwrap();
    let pipelines = std::fs::read_to_string(format!("{REPOSITORY}/fixtures/pipelines.yaml"));
    let port = url.port().unwrap_or(5432);
    let database_name = url.path().trim_start_matches('/');
    let pipelines = pipelines
        .unwrap()
        .replace("port: 5432", &format!("port: {port}"))
        .replace("database: postgres", &format!("database: {database_name}"))
        .replace(
            "host: 127.0.0.1",
            &format!("host: {}", url.host_str().unwrap()),
        );
    let file = folder.path().join("pipelines.yaml");
    std::fs::write(&file, pipelines).unwrap();

    let mut script = Command::new(format!("{REPOSITORY}/scripts/profile-linux"));
    // Built anew they would lack what tests that run at the same time need, such as stages that can be slowed.
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_apitap-bench")).parent();
    let output = script
        .args(["-m", "fixtures/sql", "-y"])
        .arg(&file)
        .env("APITAP_PROGRAMS", programs.unwrap())
        .env("APITAP_PROFILE_DIR", folder.path())
        .env("ORDERS_PORT", port_of(&orders))
        .env("EVENTS_PORT", port_of(&events))
        .env("APITAP_PG_USER", url.username())
        .env("APITAP_PG_PASSWORD", url.password().unwrap_or_default())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for stage in ["decode", "encode"] {
        let share = format!("\n{stage:<10} ");
        assert!(stderr.contains(&share), "{stderr}");
    }
    for name in ["flamegraph.svg", "icicles.svg", "stacks.folded"] {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(text.contains("apitap_core::stage::decode"), "{name}");
    }
    assert!(folder.path().join("profile.pb.gz").exists());
}
