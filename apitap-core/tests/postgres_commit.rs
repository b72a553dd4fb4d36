//! What is committed together: a load, or each of its statements.

use apitap_core::config::{Config, WriteMode};
use apitap_core::{ErrorKind, Job};
use serde_json::{Value, json};
use testkit::mock_api::{MockApiOptions, serve};
use testkit::workload::{Expectation, Workload};

use crate::fixture::{Fixture, api, bodies, run, source, target};

const METHODS: [&str; 3] = ["insert", "prepared", "unnest"];

fn configured(settings: &[&str]) -> Config {
    settings.iter().fold(Config::default(), |config, setting| {
        config.with(setting).unwrap()
    })
}

fn appended(fixture: &Fixture, url: &str) -> Job {
    let mut job = fixture.job(&[("orders", url)], "SELECT id FROM orders", "t");
    job.sink.mode = WriteMode::Append;
    job
}

async fn ids(fixture: &Fixture) -> Vec<i64> {
    let rows = fixture
        .client
        .query("SELECT id FROM t ORDER BY id", &[])
        .await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Pages of three rows, of which the last has a text for a number. Three rows may wait in the channel, so most of
/// the pages have reached the server by then.
#[tokio::test]
async fn postgres_keeps_the_batches_before_a_late_page_that_is_wrong() {
    const PAGES: i64 = 40;
    let fixture = Fixture::new().await;
    let mut pages: Vec<String> = (0..PAGES)
        .map(|page| (3 * page..3 * page + 3).map(|id| json!({ "id": id })))
        .map(|rows| Value::from_iter(rows).to_string())
        .collect();
    pages.push(r#"[{"id":"x"}]"#.into());
    let server = bodies(pages).await;
    let job = appended(&fixture, &server.uri());
    for method in METHODS {
        for table_exists in [false, true] {
            for commit in ["load", "batch"] {
                let table = match table_exists {
                    true => "CREATE TABLE t (id bigint)",
                    false => "",
                };
                let made = format!("DROP TABLE IF EXISTS t; {table}");
                fixture.client.batch_execute(&made).await.unwrap();
                let config = configured(&[
                    &format!("write.method={method}"),
                    &format!("write.commit={commit}"),
                    "write.batch_rows=3",
                    "write.in_flight=1",
                    "source.page_rows=3",
                    "source.concurrency=1",
                    "infer.sample_rows=3",
                    "channel.capacity=3",
                ]);
                let error = run(&job, config).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Value, "{error}");
                let case = format!("{method}, {commit}, table exists: {table_exists}");
                if commit == "load" {
                    assert_eq!(fixture.exists("t").await, table_exists, "{case}");
                    if table_exists {
                        assert_eq!(ids(&fixture).await, [0_i64; 0], "{case}");
                    }
                    continue;
                }
                let text = error.chain();
                assert!(
                    text.contains("keeps the batches") && text.contains("page 41"),
                    "{text}"
                );
                let kept = ids(&fixture).await;
                assert_eq!(kept.len() % 3, 0, "{case}");
                assert!(kept.len() >= 90, "{case}: {} rows", kept.len());
                assert_eq!(kept, (0..kept.len() as i64).collect::<Vec<_>>(), "{case}");
            }
        }
    }
}

/// The server refuses a row. The error still names it, although the transaction of its neighbours is over.
#[tokio::test]
async fn postgres_keeps_the_batches_before_a_row_that_is_refused() {
    let fixture = Fixture::new().await;
    let rows = (0..30).map(|id| json!({ "id": id }));
    let server = api(rows.collect()).await;
    let job = appended(&fixture, &server.uri());
    for method in METHODS {
        let made = "DROP TABLE IF EXISTS t; CREATE TABLE t (id bigint CHECK (id <> 19))";
        fixture.client.batch_execute(made).await.unwrap();
        let config = configured(&[
            &format!("write.method={method}"),
            "write.commit=batch",
            "write.batch_rows=5",
            "write.in_flight=1",
        ]);
        let text = run(&job, config).await.unwrap_err().chain();
        assert!(text.contains("row 20"), "{text}");
        assert_eq!(ids(&fixture).await, (0..15).collect::<Vec<_>>(), "{method}");
    }
}

#[tokio::test]
async fn postgres_holds_the_same_table_whatever_is_committed_together() {
    const ROWS: u64 = 1_500;
    let fixture = Fixture::new().await;
    for name in Workload::names() {
        let workload = Workload::named(name).unwrap();
        let api = serve(&MockApiOptions::new(name, ROWS)).await.unwrap();
        let expected = workload.expectation(ROWS);
        for method in METHODS {
            for (commit, in_flight) in [("load", 2), ("batch", 1), ("batch", 3)] {
                let table = format!("{name}_{method}_{commit}_{in_flight}");
                let sql = format!("SELECT * FROM {name}");
                let mut job = fixture.job(&[], &sql, &table);
                job.sources = vec![source(name, api.url()).into()];
                job.sink.target = target(fixture.database.url());
                job.sink.mode = WriteMode::Append;
                let config = configured(&[
                    &format!("write.method={method}"),
                    &format!("write.commit={commit}"),
                    &format!("write.in_flight={in_flight}"),
                    "write.batch_rows=101",
                    "infer.sample_rows=1500",
                ]);
                let report = run(&job, config).await.unwrap();
                assert_eq!(report.rows_written, ROWS, "{table}");
                let landed = Expectation::landed(&fixture.client, &workload, &table).await;
                assert_eq!(landed.unwrap(), expected, "{table}");
            }
        }
    }
}

#[tokio::test]
async fn what_needs_one_transaction_is_refused_before_anything_is_fetched() {
    let fixture = Fixture::new().await;
    let server = api(json!([{ "id": 1 }])).await;
    let insert = "write.method=insert";
    for (mode, settings, part) in [
        (WriteMode::Replace, vec![insert], "replace"),
        (WriteMode::Merge, vec![insert], "merge"),
        (WriteMode::Append, vec!["write.method=copy-text"], "COPY"),
        (
            WriteMode::Append,
            vec![insert, "write.connections=2"],
            "write.connections=1",
        ),
    ] {
        let mut job = appended(&fixture, &server.uri());
        job.sink.mode = mode;
        job.sink.key = vec!["id".into()];
        let config = configured(&[settings, vec!["write.commit=batch"]].concat());
        let error = run(&job, config).await.unwrap_err();
        assert!(error.is_config(), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("write.commit=batch") && text.contains(part),
            "{text}"
        );
        assert!(!fixture.exists("t").await);
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}
