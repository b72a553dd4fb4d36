//! The `apitap` command as a user runs it.

use serde_json::{Value, json};

use crate::project::{Project, USERS};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_loaded_once_and_merged_again() {
    let project = Project::new(USERS).await;
    for _ in 0..2 {
        let (code, stdout, stderr) = project.apitap(&[]);
        assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
        assert!(stderr.contains("users: 5 rows into \"users\""), "{stderr}");
        let rows = project.fixture.rows("users").await;
        assert_eq!(rows.as_array().unwrap().len(), 5);
        assert_eq!(rows[0], json!({"id": 1, "userName": "u1"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_not_touched_by_a_dry_run() {
    let project = Project::new(USERS).await;
    let (code, stdout, stderr) = project.apitap(&["--dry-run"]);
    assert_eq!(code, 0, "{stderr}");
    for part in [
        "source users\n    id bigint\n    userName text",
        "ApiScan: source=users",
        "would be created, mode merge",
    ] {
        assert!(stdout.contains(part), "{stdout}");
    }
    assert!(!project.fixture.exists("users").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_rows_are_reported_as_json() {
    let project = Project::new(USERS).await;
    let (code, stdout, stderr) = project.apitap(&[
        "--report",
        "-",
        "--preset",
        "before",
        "--set",
        "write.method=copy-csv",
    ]);
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report[0]["rows_written"], 5);
    assert_eq!(report[0]["config"]["write"]["method"], "copy-csv");
    assert_eq!(report[0]["config"]["counter"], "mutex");
    assert!(report[0]["http_latency"]["p99_ms"].as_f64().unwrap() > 0.0);
    assert!(report[0]["process"]["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(report[0]["channels"]["rows"]["rows"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_failures_and_wrong_files_have_codes_of_their_own() {
    let project =
        Project::new("{{ sink(name=\"pg\") }} SELECT nothing FROM {{ use_source(\"users\") }}")
            .await;
    let (code, stdout, stderr) = project.apitap(&[]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(
        stderr.contains("module users") && stderr.contains("nothing") && stderr.contains("help:"),
        "{stderr}"
    );
    let (code, _, stderr) = project.apitap(&["--set", "write.speed=high"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("unknown knob `write.speed`"), "{stderr}");
    let (code, _, stderr) = project.apitap(&["other"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("the modules are users"), "{stderr}");
    std::fs::write(
        project.path().join("sql/users.sql"),
        "{{ sink(name=\"pg\") }} SELECT * FROM {{ use_source(\"nobody\") }}",
    )
    .unwrap();
    let (code, _, stderr) = project.apitap(&[]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("nobody") && stderr.contains("users"),
        "{stderr}"
    );
    std::fs::write(project.path().join("pipelines.yaml"), "sources: [}").unwrap();
    let (code, _, stderr) = project.apitap(&[]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("pipelines.yaml") && stderr.contains("line 1"),
        "{stderr}"
    );
}
