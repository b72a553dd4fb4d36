//! A machine that has too little: a named error, exit code 1, and the table as it was.

use serde_json::{Value, json};

use crate::fixture::{Fixture, bodies};
use crate::project::{Project, USERS, ended, users};

/// What the operating system says when descriptors are exhausted.
const NO_DESCRIPTORS: &str = "Too many open files";

async fn old_table(fixture: &Fixture) {
    let table =
        "DROP TABLE IF EXISTS users; CREATE TABLE users (id bigint PRIMARY KEY, \"userName\" text);
                 INSERT INTO users VALUES (0, 'old')";
    fixture.client.batch_execute(table).await.unwrap();
}

async fn rows(fixture: &Fixture) -> usize {
    fixture.rows("users").await.as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_loaded_or_as_it_was_when_descriptors_run_out() {
    let project = Project::new(USERS).await;
    let settings = ["--set", "source.page_rows=1", "--report", "report.json"];
    let (mut refused, mut loaded) = (0, 0);
    for limit in 4..=32 {
        old_table(&project.fixture).await;
        let command = project.command_after(&format!("ulimit -n {limit}"), &settings);
        let (code, _, stderr) = ended(command);
        match code {
            0 => {
                loaded += 1;
                assert_eq!(rows(&project.fixture).await, 6, "{limit}: {stderr}");
            }
            1 | 2 => {
                refused += 1;
                assert!(stderr.contains(NO_DESCRIPTORS), "{limit}: {stderr}");
                assert_eq!(rows(&project.fixture).await, 1, "{limit}: {stderr}");
            }
            _ => panic!("{limit}: {code}: {stderr}"),
        }
    }
    assert!(
        refused > 0 && loaded > 0,
        "{refused} refused, {loaded} loaded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_loaded_or_as_it_was_when_memory_runs_out() {
    let page = |first: usize| -> Value {
        let text = "x".repeat(1 << 10);
        (first..first + 32_000)
            .map(|id| json!({"id": id, "userName": text}))
            .collect()
    };
    let server = bodies(vec![page(1).to_string(), page(100_000).to_string()]).await;
    let project = Project::over(server, USERS).await;
    let (mut refused, mut loaded) = (0, 0);
    for mebibytes in [160, 256, 4_096] {
        old_table(&project.fixture).await;
        let limit = format!("ulimit -v {}", mebibytes << 10);
        let (code, _, stderr) = ended(project.command_after(&limit, &[]));
        match code {
            0 => {
                loaded += 1;
                assert_eq!(rows(&project.fixture).await, 64_001, "{mebibytes}");
            }
            1 => {
                refused += 1;
                let named = ["memory allocation of", "Cannot allocate memory", "spawn"];
                assert!(
                    named.iter().any(|name| stderr.contains(name)),
                    "{mebibytes}: {stderr}"
                );
                assert_eq!(rows(&project.fixture).await, 1, "{mebibytes}: {stderr}");
            }
            _ => panic!("{mebibytes}: {code}: {stderr}"),
        }
    }
    assert!(
        refused > 0 && loaded > 0,
        "{refused} refused, {loaded} loaded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_as_it_was_when_the_memory_of_the_sql_runs_out() {
    let server = bodies(vec![users(100_000).to_string()]).await;
    // What a hash join is built on cannot be spilled.
    let sql =
        "{{ sink(name=\"pg\") }} SELECT a.id, b.\"userName\" FROM {{ use_source(\"users\") }} a
               JOIN {{ use_source(\"users\") }} b ON a.id = b.id";
    let project = Project::over(server, sql).await;
    old_table(&project.fixture).await;
    let settings = [
        "--set",
        "transform.memory_limit_bytes=1048576",
        "--report",
        "report.json",
    ];
    let (code, _, stderr) = project.apitap(&settings);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("transform.memory_limit_bytes"), "{stderr}");
    let report = std::fs::read(project.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report[0]["error"]["kind"], "resources");
    assert_eq!(rows(&project.fixture).await, 1);
}
