//! The `apitap` command as a user runs it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use wiremock::MockServer;

use crate::fixture::{Fixture, api, target};

struct Project {
    folder: tempfile::TempDir,
    _server: MockServer,
    fixture: Fixture,
}

impl Project {
    async fn new(sql: &str) -> Self {
        let rows = (1..=5)
            .map(|id| json!({"id": id, "userName": format!("u{id}")}))
            .collect();
        let server = api(rows).await;
        let fixture = Fixture::new().await;
        let target = target(fixture.database.url());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sql")).unwrap();
        std::fs::write(folder.path().join("sql/users.sql"), sql).unwrap();
        let yaml = format!(
            "sources:\n- name: users\n  url: {}\n  table_destination_name: users\n  primary_key_in_dest: id\n  \
             pagination: {{kind: page_number, page_param: page, per_page_param: per_page}}\n  \
             retry: {{max_attempts: 1, max_delay_secs: 1, min_delay_secs: 1}}\n\
             targets:\n- type: postgres\n  name: pg\n  host: {}\n  port: {}\n  database: {}\n  \
             auth: {{username: {}, password_env: APITAP_TEST_PASSWORD}}\n",
            server.uri(),
            target.host,
            target.port,
            target.database,
            target.username
        );
        std::fs::write(folder.path().join("pipelines.yaml"), yaml).unwrap();
        Self {
            folder,
            _server: server,
            fixture,
        }
    }

    /// Exit code, standard output, standard error.
    fn apitap(&self, arguments: &[&str]) -> (i32, String, String) {
        let password = target(self.fixture.database.url()).password;
        let output = Command::new(env!("CARGO_BIN_EXE_apitap"))
            .args(["-m", "sql", "-y", "pipelines.yaml"])
            .args(arguments)
            .current_dir(self.path())
            .env("APITAP_TEST_PASSWORD", password.expose())
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

const USERS: &str = "{{ sink(name=\"pg\") }}\nSELECT id, userName FROM {{ use_source(\"users\") }}";

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
