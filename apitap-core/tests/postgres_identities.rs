//! Columns whose values the server makes: identities and generated columns, in every mode by every method.

use apitap_core::config::{Config, WriteMethod, WriteMode};
use apitap_core::{ErrorKind, Job, Result, RunReport};
use serde_json::{Value, json};

use crate::fixture::{Fixture, api, run};

/// Every combination in which rows get into a table.
fn ways() -> impl Iterator<Item = (WriteMode, WriteMethod, usize)> {
    let modes = [WriteMode::Append, WriteMode::Replace, WriteMode::Merge];
    modes.into_iter().flat_map(|mode| {
        WriteMethod::ALL.into_iter().flat_map(move |method| {
            // A merge has one connection.
            let connections = if mode == WriteMode::Merge {
                1..=1
            } else {
                1..=2
            };
            connections.map(move |count| (mode, method, count))
        })
    })
}

async fn load(
    job: &Job,
    (mode, method, connections): (WriteMode, WriteMethod, usize),
) -> Result<RunReport> {
    let mut job = job.clone();
    job.sink.mode = mode;
    if mode == WriteMode::Merge && job.sink.key.is_empty() {
        job.sink.key = vec!["id".into()];
    }
    let config = Config::default()
        .with(&format!("write.method={method}"))
        .and_then(|config| config.with(&format!("write.connections={connections}")))
        .and_then(|config| config.with("write.batch_rows=1"));
    run(&job, config.unwrap()).await
}

async fn make(fixture: &Fixture, columns: &str) {
    let sql = format!("DROP TABLE IF EXISTS t; CREATE TABLE t ({columns})");
    fixture.client.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn postgres_takes_the_values_that_are_given_for_an_identity() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 5, "v": "r5"}, {"id": 6, "v": "r6"}])).await;
    let uri = server.uri();
    let job = fixture.job(&[("r", &uri)], "SELECT id, v FROM r", "t");
    for kind in ["ALWAYS", "BY DEFAULT"] {
        // With a unique index, and without, where a merge compares.
        for key in ["PRIMARY KEY", ""] {
            for way in ways() {
                let columns = format!("id int GENERATED {kind} AS IDENTITY {key}, v text");
                make(&fixture, &columns).await;
                load(&job, way).await.unwrap();
                let expected = json!([{"id": 5, "v": "r5"}, {"id": 6, "v": "r6"}]);
                assert_eq!(fixture.rows("t").await, expected, "{kind} {key} {way:?}");
                // A second merge updates, and the column is what it was.
                if way.0 == WriteMode::Merge {
                    load(&job, way).await.unwrap();
                    assert_eq!(fixture.rows("t").await, expected, "{kind} {key} {way:?}");
                }
                let kept = "(SELECT attidentity FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'id')";
                let letter = &kind[..1].to_lowercase().replace('b', "d");
                let kept = fixture.rows(kept).await;
                assert_eq!(kept, json!([{"attidentity": letter}]), "{kind} {way:?}");
            }
        }
    }
}

#[tokio::test]
async fn postgres_gives_values_to_identities_that_are_not_given() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"v": "x"}, {"v": "y"}])).await;
    let uri = server.uri();
    let mut job = fixture.job(&[("r", &uri)], "SELECT v FROM r", "t");
    job.sink.key = vec!["v".into()];
    for kind in ["ALWAYS", "BY DEFAULT"] {
        for way in ways() {
            let columns = format!("id int GENERATED {kind} AS IDENTITY (START 7), v text UNIQUE");
            make(&fixture, &columns).await;
            load(&job, way).await.unwrap();
            let ids = "(SELECT count(DISTINCT id) AS ids, min(id) >= 7 AS from_there FROM t)";
            let expected = json!([{"ids": 2, "from_there": true}]);
            assert_eq!(fixture.rows(ids).await, expected, "{kind} {way:?}");
        }
    }
}

#[tokio::test]
async fn postgres_computes_generated_columns_in_every_mode() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "a": 2}])).await;
    let uri = server.uri();
    let job = fixture.job(&[("r", &uri)], "SELECT * FROM r", "t");
    let columns = "id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED";
    for way in ways() {
        make(&fixture, columns).await;
        load(&job, way).await.unwrap();
        if way.0 != WriteMode::Append {
            load(&job, way).await.unwrap();
        }
        let expected = json!([{"id": 1, "a": 2, "twice": 4}]);
        assert_eq!(fixture.rows("t").await, expected, "{way:?}");
        fixture
            .client
            .batch_execute("UPDATE t SET a = 5")
            .await
            .unwrap();
        let expected = json!([{"id": 1, "a": 5, "twice": 10}]);
        assert_eq!(fixture.rows("t").await, expected, "{way:?}");
    }
}

#[tokio::test]
async fn postgres_generated_columns_that_a_query_has_are_refused_by_name() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "a": 2, "twice": 4}])).await;
    let uri = server.uri();
    let job = fixture.job(&[("r", &uri)], "SELECT * FROM r", "t");
    let columns = "id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED";
    make(&fixture, columns).await;
    fixture
        .client
        .batch_execute("INSERT INTO t VALUES (7, 1)")
        .await
        .unwrap();
    let before = json!([{"id": 7, "a": 1, "twice": 2}]);
    for way in ways() {
        let error = load(&job, way).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Database);
        let text = error.to_string();
        assert!(
            text.contains("column twice: it is a generated column"),
            "{text}"
        );
        let hint = error.next_step().unwrap();
        assert!(hint.contains("leave the column out"), "{hint}");
        assert_eq!(fixture.rows("t").await, before, "{way:?}");
    }
}

#[tokio::test]
async fn postgres_an_identity_that_a_merge_would_update_is_refused_by_name() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "v": "x"}])).await;
    let uri = server.uri();
    let mut job = fixture.job(&[("r", &uri)], "SELECT * FROM r", "t");
    job.sink.key = vec!["v".into()];
    make(
        &fixture,
        "id int GENERATED ALWAYS AS IDENTITY, v text PRIMARY KEY",
    )
    .await;
    for method in WriteMethod::ALL {
        let error = load(&job, (WriteMode::Merge, method, 1)).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("column id: it is GENERATED ALWAYS AS IDENTITY"),
            "{text}"
        );
        assert!(
            error
                .next_step()
                .unwrap()
                .contains("SET GENERATED BY DEFAULT")
        );
    }
    // Those that are generated by default may be updated.
    make(
        &fixture,
        "id int GENERATED BY DEFAULT AS IDENTITY, v text PRIMARY KEY",
    )
    .await;
    fixture
        .client
        .batch_execute("INSERT INTO t VALUES (9, 'x')")
        .await
        .unwrap();
    load(&job, (WriteMode::Merge, WriteMethod::Insert, 1))
        .await
        .unwrap();
    let rows: Value = json!([{"id": 1, "v": "x"}]);
    assert_eq!(fixture.rows("t").await, rows);
}
