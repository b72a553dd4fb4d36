//! Loads without rows.

use std::sync::Arc;

use apitap_core::config::{Config, WriteMethod, WriteMode};
use apitap_core::schema::ColumnType;
use apitap_core::write::EmptyLoad;
use apitap_core::{Job, Result, RunReport};
use serde_json::json;

use crate::fixture::{Fixture, api, run};
use crate::project::Project;

const OLD: &str =
    "DROP TABLE IF EXISTS t; CREATE TABLE t (id int, v text); INSERT INTO t VALUES (99, 'old')";

/// Loads into a table with one old row.
async fn load(
    fixture: &Fixture,
    job: &Job,
    mode: WriteMode,
    method: WriteMethod,
) -> Result<RunReport> {
    fixture.client.batch_execute(OLD).await.unwrap();
    let mut job = job.clone();
    job.sink.mode = mode;
    job.sink.key = match mode {
        WriteMode::Merge => vec!["id".into()],
        WriteMode::Append | WriteMode::Replace => Vec::new(),
    };
    let config = Config::default().with(&format!("write.method={method}"));
    run(&job, config.unwrap()).await
}

#[tokio::test]
async fn postgres_nothing_is_added_to_a_table_that_exists() {
    let fixture = Fixture::new().await;
    let server = api(json!([])).await;
    let uri = server.uri();
    for sql in [
        "SELECT * FROM r",
        "SELECT id, upper(v) AS v FROM r WHERE price > 3",
        "SELECT id, count(*) AS n FROM r GROUP BY id",
    ] {
        let job = fixture.job(&[("r", &uri)], sql, "t");
        for mode in [WriteMode::Append, WriteMode::Merge] {
            for method in WriteMethod::ALL {
                let report = load(&fixture, &job, mode, method).await.unwrap();
                assert_eq!(report.rows_written, 0);
                let old = json!([{"id": 99, "v": "old"}]);
                assert_eq!(fixture.rows("t").await, old, "{sql} {mode:?} {method}");
            }
        }
    }
}

#[tokio::test]
async fn postgres_what_is_a_row_of_nothing_is_not_skipped() {
    let fixture = Fixture::new().await;
    let (empty, full) = (
        api(json!([])).await,
        api(json!([{"id": 1, "v": "x"}])).await,
    );
    let sources = [("r", empty.uri()), ("s", full.uri())];
    let sources = sources.each_ref().map(|(name, url)| (*name, url.as_str()));
    for (sql, sources) in [
        ("SELECT count(*) AS id, 'n' AS v FROM r", &sources[..1]),
        (
            "SELECT s.id, r.v FROM s LEFT JOIN r ON r.id = s.id",
            &sources[..],
        ),
    ] {
        let job = fixture.job(sources, sql, "t");
        for mode in [WriteMode::Append, WriteMode::Merge, WriteMode::Replace] {
            let error = load(&fixture, &job, mode, WriteMethod::CopyBinary)
                .await
                .unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("source r: no rows, so its columns are unknown"),
                "{text}"
            );
            assert!(error.next_step().unwrap().contains("`columns`"));
            assert_eq!(fixture.rows("t").await, json!([{"id": 99, "v": "old"}]));
        }
    }
}

#[tokio::test]
async fn postgres_a_table_that_is_replaced_needs_columns_or_leave() {
    let fixture = Fixture::new().await;
    let server = api(json!([])).await;
    let uri = server.uri();
    let mut job = fixture.job(&[("r", &uri)], "SELECT id, v FROM r", "t");
    for method in WriteMethod::ALL {
        let mode = WriteMode::Replace;
        job.sink.empty = EmptyLoad::Usual;
        let error = load(&fixture, &job, mode, method).await.unwrap_err();
        assert!(error.to_string().contains("columns are unknown"), "{error}");
        assert!(
            error.next_step().unwrap().contains("allow_empty"),
            "{error:?}"
        );
        assert_eq!(fixture.rows("t").await, json!([{"id": 99, "v": "old"}]));

        job.sink.empty = EmptyLoad::Allowed;
        load(&fixture, &job, mode, method).await.unwrap();
        assert_eq!(fixture.rows("t").await, json!([]));
        // With the columns that it had.
        fixture
            .client
            .batch_execute("INSERT INTO t VALUES (1, 'x')")
            .await
            .unwrap();
    }
    // Declared columns need no leave.
    job.sink.empty = EmptyLoad::Usual;
    Arc::make_mut(&mut job.sources[0]).columns = [
        ("id".to_owned(), ColumnType::BigInt),
        ("v".to_owned(), ColumnType::Text),
    ]
    .into();
    load(&fixture, &job, WriteMode::Replace, WriteMethod::CopyText)
        .await
        .unwrap();
    assert_eq!(fixture.rows("t").await, json!([]));
}

#[tokio::test]
async fn postgres_a_table_that_is_not_there_cannot_be_left_alone() {
    let fixture = Fixture::new().await;
    let server = api(json!([])).await;
    let uri = server.uri();
    let mut job = fixture.job(&[("r", &uri)], "SELECT id FROM r", "nowhere");
    job.sink.empty = EmptyLoad::Allowed;
    for mode in [WriteMode::Append, WriteMode::Replace] {
        job.sink.mode = mode;
        let error = run(&job, Config::default()).await.unwrap_err();
        assert!(error.to_string().contains("columns are unknown"), "{error}");
        assert!(!fixture.exists("nowhere").await);
    }
}

#[tokio::test]
async fn postgres_a_load_without_rows_fails_for_who_wants_it() {
    let fixture = Fixture::new().await;
    let (empty, full) = (
        api(json!([])).await,
        api(json!([{"id": 1, "v": "x"}])).await,
    );
    for (uri, sql) in [
        (empty.uri(), "SELECT id, v FROM r"),
        (full.uri(), "SELECT id, v FROM r WHERE id > 1"),
    ] {
        let mut job = fixture.job(&[("r", &uri)], sql, "t");
        for mode in [WriteMode::Append, WriteMode::Merge, WriteMode::Replace] {
            job.sink.empty = EmptyLoad::Refused;
            let error = load(&fixture, &job, mode, WriteMethod::CopyBinary)
                .await
                .unwrap_err();
            assert!(error.to_string().contains("no rows"), "{error}");
            assert_eq!(fixture.rows("t").await, json!([{"id": 99, "v": "old"}]));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_the_command_says_that_there_were_no_rows() {
    let sql = "{{ sink(name=\"pg\", mode=\"append\") }} SELECT id FROM {{ use_source(\"users\") }}";
    let project = Project::over(api(json!([])).await, sql).await;
    let make = "CREATE TABLE users (id int)";
    project.fixture.client.batch_execute(make).await.unwrap();
    let (code, _, said) = project.apitap(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("source users: no rows"), "{said}");
    let (code, _, said) = project.apitap(&["--fail-on-empty"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the load has no rows"), "{said}");
}
