//! Bad input: an error that says what, where and what to do, and the table as it was.

use apitap_core::config::{Config, WriteMethod, WriteMode};
use apitap_core::schema::ColumnType;
use apitap_core::{Error, ErrorKind, Job};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{Fixture, api, bodies, both_paths, run};

const OLD: &str = r#"[{"id":0,"t":"old"}]"#;

/// Runs a job that must fail in every mode and by every method, and checks that the table stays.
async fn fails(fixture: &Fixture, job: &Job, kind: ErrorKind, parts: &[&str]) -> Error {
    let mut last = None;
    for mode in [WriteMode::Append, WriteMode::Replace, WriteMode::Merge] {
        for (method, mut config) in WriteMethod::ALL
            .into_iter()
            .zip(both_paths().into_iter().cycle())
        {
            fixture
                .client
                .batch_execute("DROP TABLE IF EXISTS t; CREATE TABLE t (id bigint PRIMARY KEY, t text); INSERT INTO t VALUES (0, 'old')")
                .await
                .unwrap();
            config = config
                .with(&format!("write.method={method}"))
                .unwrap()
                .with("write.batch_rows=2")
                .unwrap();
            let mut job = job.clone();
            job.sink.mode = mode;
            job.sink.key = vec!["id".into()];
            let error = run(&job, config).await.unwrap_err();
            let text = error.chain();
            assert_eq!(error.kind(), kind, "{text}");
            for part in parts {
                assert!(text.contains(part), "`{part}` is missing in: {text}");
            }
            assert!(!text.contains("secret"), "{text}");
            assert!(error.next_step().is_some(), "{text}");
            assert_eq!(
                fixture.rows("t").await,
                serde_json::from_str::<Value>(OLD).unwrap()
            );
            last = Some(error);
        }
    }
    last.unwrap()
}

fn pages(count: usize) -> Vec<String> {
    (1..=count)
        .map(|page| json!([{"id": page * 2, "t": "a"}, {"id": page * 2 + 1, "t": "b"}]).to_string())
        .collect()
}

async fn fails_on_page_7(body: &str, kind: ErrorKind, parts: &[&str]) {
    let fixture = Fixture::new().await;
    let mut all = pages(9);
    all[6] = body.to_owned();
    let server = bodies(all).await;
    let uri = server.uri();
    // The sample ends before the page at fault.
    let job = fixture.job(&[("orders", &uri)], "SELECT id, t FROM orders", "t");
    let mut job_with_sample = job;
    let spec = std::sync::Arc::make_mut(&mut job_with_sample.sources[0]);
    spec.columns = [
        ("id".to_owned(), ColumnType::BigInt),
        ("t".to_owned(), ColumnType::Text),
    ]
    .into();
    fails(&fixture, &job_with_sample, kind, parts).await;
}

#[tokio::test]
async fn postgres_stays_as_it_was_on_invalid_json() {
    fails_on_page_7(
        r#"[{"id":14,"t":"secret"},{"id":15,]"#,
        ErrorKind::InvalidJson,
        &["source orders, page 7", "expected a key"],
    )
    .await;
}

#[tokio::test]
async fn postgres_stays_as_it_was_on_a_value_that_does_not_fit() {
    fails_on_page_7(
        r#"[{"id":14,"t":"a"},{"id":"secret","t":"b"}]"#,
        ErrorKind::Value,
        &["source orders, page 7, row 2, column id: a string where bigint is expected"],
    )
    .await;
}

#[tokio::test]
async fn postgres_stays_as_it_was_on_nul() {
    fails_on_page_7(
        "[{\"id\":14,\"t\":\"secret\\u0000\"}]",
        ErrorKind::NulCharacter,
        &[
            "source orders, page 7, row 1, column t",
            "NUL character",
            "column t, row 13 of the result",
        ],
    )
    .await;
}

#[tokio::test]
async fn postgres_stays_as_it_was_on_a_row_that_is_no_object() {
    fails_on_page_7(
        "[1]",
        ErrorKind::Value,
        &["source orders, page 7, row 1: the row is not a JSON object"],
    )
    .await;
}

#[tokio::test]
async fn postgres_stays_as_it_was_on_an_error_status_after_the_first_page() {
    let fixture = Fixture::new().await;
    let server = wiremock::MockServer::start().await;
    let pages = |request: &wiremock::Request| {
        if request
            .url
            .query_pairs()
            .any(|(key, value)| key == "page" && value == "2")
        {
            wiremock::ResponseTemplate::new(500)
        } else {
            wiremock::ResponseTemplate::new(200)
                .set_body_raw(r#"[{"id":1,"t":"a"}]"#, "application/json")
        }
    };
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(pages)
        .mount(&server)
        .await;
    let uri = server.uri();
    let job = fixture.job(&[("orders", &uri)], "SELECT id, t FROM orders", "t");
    fails(
        &fixture,
        &job,
        ErrorKind::HttpStatus,
        &["source orders, page 2", "500"],
    )
    .await;
}

#[tokio::test]
async fn postgres_stays_as_it_was_on_a_truncated_body() {
    let fixture = Fixture::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4_096]).await;
                let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n[{\"id\":1";
                let _ = stream.write_all(half.as_bytes()).await;
            });
        }
    });
    let job = fixture.job(&[("orders", &uri)], "SELECT id, t FROM orders", "t");
    fails(
        &fixture,
        &job,
        ErrorKind::Unreachable,
        &["source orders, page 1"],
    )
    .await;
}

#[tokio::test]
async fn postgres_stays_as_it_was_when_the_api_is_not_there() {
    let fixture = Fixture::new().await;
    let job = fixture.job(
        &[("orders", "http://127.0.0.1:9/")],
        "SELECT id, t FROM orders",
        "t",
    );
    fails(
        &fixture,
        &job,
        ErrorKind::Unreachable,
        &["source orders, page 1"],
    )
    .await;
}

#[tokio::test]
async fn postgres_stays_as_it_was_on_bad_sql() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "t": "secret"}])).await;
    let uri = server.uri();
    for (sql, part) in [
        ("SELEC id FROM orders", "Expected: an SQL statement"),
        ("SELECT nothing FROM orders", "nothing"),
        ("SELECT id FROM customers", "customers"),
        ("DROP TABLE orders", "DDL"),
        ("INSERT INTO orders SELECT * FROM orders", "DML"),
        ("SELECT 1; SELECT 2", "single SQL statement"),
        ("SELECT id / 0 AS id, t FROM orders", "division by zero"),
        (
            "SELECT CAST(t AS BIGINT) AS id, t FROM orders",
            "the SQL casts a text that is no bigint",
        ),
    ] {
        let job = fixture.job(&[("orders", &uri)], sql, "t");
        fails(&fixture, &job, ErrorKind::Sql, &[part]).await;
    }
}

#[tokio::test]
async fn postgres_columns_that_are_missing_or_too_narrow_are_named() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1, "t": "a", "more": 2}])).await;
    let uri = server.uri();
    let job = fixture.job(&[("orders", &uri)], "SELECT * FROM orders", "t");
    let error = fails(
        &fixture,
        &job,
        ErrorKind::Database,
        &["\"t\" has no column more"],
    )
    .await;
    assert!(
        error
            .next_step()
            .unwrap()
            .contains("ADD COLUMN \"more\" bigint"),
        "{error:?}"
    );
    let job = fixture.job(&[("orders", &uri)], "SELECT id, more AS t FROM orders", "t");
    fails(
        &fixture,
        &job,
        ErrorKind::Value,
        &["column t", "without change"],
    )
    .await;
}

#[tokio::test]
async fn postgres_needs_a_key_to_merge() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1}])).await;
    let uri = server.uri();
    let mut job = fixture.job(&[("orders", &uri)], "SELECT id FROM orders", "m");
    job.sink.mode = WriteMode::Merge;
    let error = run(&job, Config::default()).await.unwrap_err();
    assert!(
        error.to_string().contains("mode merge needs a primary key"),
        "{error}"
    );
    job.sink.key = vec!["number".into()];
    let error = run(&job, Config::default()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the result has no column number"),
        "{error}"
    );
    assert!(!fixture.exists("m").await);
}

#[tokio::test]
async fn postgres_that_refuses_or_is_not_there_is_named() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"id": 1}])).await;
    let uri = server.uri();
    let job = fixture.job(&[("orders", &uri)], "SELECT id FROM orders", "t");
    let mut wrong_password = job.clone();
    wrong_password.sink.target.password = apitap_core::secret::Secret("secret".into());
    let mut no_server = job.clone();
    no_server.sink.target.port = 9;
    let mut no_database = job;
    no_database.sink.target.database = "nowhere".into();
    for (job, part) in [
        (wrong_password, "password authentication failed"),
        (no_server, "cannot connect to"),
        (no_database, "\"nowhere\" does not exist"),
    ] {
        let error = run(&job, Config::default()).await.unwrap_err();
        let text = error.chain();
        assert_eq!(error.kind(), ErrorKind::Connect, "{text}");
        assert!(text.contains(part), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert!(error.next_step().is_some());
    }
}

#[tokio::test]
async fn a_source_without_rows_says_that_its_columns_are_unknown() {
    let fixture = Fixture::new().await;
    let server = api(json!([])).await;
    let uri = server.uri();
    let mut job = fixture.job(&[("orders", &uri)], "SELECT id FROM orders", "t");
    let error = run(&job, Config::default()).await.unwrap_err();
    assert!(
        error.to_string().contains("source orders: no rows"),
        "{error}"
    );
    // With its columns declared, nothing is a result like any other.
    let spec = std::sync::Arc::make_mut(&mut job.sources[0]);
    spec.columns = [("id".to_owned(), ColumnType::BigInt)].into();
    for method in WriteMethod::ALL {
        let config = Config::default().with(&format!("write.method={method}"));
        let report = run(&job, config.unwrap()).await.unwrap();
        let written = (report.rows_written, report.first_row_seconds);
        assert_eq!(written, (0, None), "{method}");
        assert_eq!(fixture.rows("t").await, json!([]));
    }
}

/// The server turns from numbers to texts between two runs.
#[tokio::test]
async fn a_cached_schema_that_no_longer_suits_is_dropped() {
    let fixture = Fixture::new().await;
    let turned = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let server = wiremock::MockServer::start().await;
    let pages = {
        let turned = turned.clone();
        move |request: &wiremock::Request| {
            let first = request
                .url
                .query_pairs()
                .any(|(key, value)| key == "page" && value == "1");
            let body = match (first, turned.load(std::sync::atomic::Ordering::Relaxed)) {
                (false, _) => "[]",
                (true, false) => r#"[{"id":1}]"#,
                (true, true) => r#"[{"id":"x"}]"#,
            };
            wiremock::ResponseTemplate::new(200).set_body_raw(body, "application/json")
        }
    };
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(pages)
        .mount(&server)
        .await;
    let folder = tempfile::tempdir().unwrap();
    let config = Config::default()
        .with(&format!("infer.cache=file:{}", folder.path().display()))
        .unwrap();
    let cached = || std::fs::read_dir(folder.path()).unwrap().count();
    let uri = server.uri();
    let job = |table| fixture.job(&[("orders", &uri)], "SELECT id FROM orders", table);
    run(&job("numbers"), config.clone()).await.unwrap();
    assert_eq!(cached(), 1);
    turned.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = run(&job("texts"), config.clone()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("column id: a string where bigint is expected"),
        "{error}"
    );
    assert_eq!(cached(), 0);
    run(&job("texts"), config).await.unwrap();
    assert_eq!(fixture.rows("texts").await, json!([{"id": "x"}]));
}

/// With several statements under way, the error is that of the one that failed, not of the next.
#[tokio::test]
async fn postgres_duplicates_are_reported_by_every_method() {
    let fixture = Fixture::new().await;
    fixture
        .client
        .batch_execute("CREATE TABLE t (id bigint PRIMARY KEY)")
        .await
        .unwrap();
    let rows = (0..40).map(|id| json!({"id": id % 7})).collect();
    let server = api(rows).await;
    let uri = server.uri();
    for method in WriteMethod::ALL {
        for rows in [1, 3, 100] {
            let mut job = fixture.job(&[("orders", &uri)], "SELECT id FROM orders", "t");
            job.sink.mode = WriteMode::Append;
            let config = Config::default()
                .with(&format!("write.method={method}"))
                .and_then(|config| config.with(&format!("write.batch_rows={rows}")))
                .and_then(|config| config.with("write.in_flight=3"))
                .unwrap();
            let error = run(&job, config).await.unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("duplicate key value violates unique constraint"),
                "{method} {rows}: {error}"
            );
            assert!(error.next_step().unwrap().contains("mode merge"));
            assert_eq!(fixture.rows("t").await, json!([]));
        }
    }
}

#[tokio::test]
async fn keys_that_the_sample_lacks_are_an_error_where_every_column_is_asked_for() {
    let fixture = Fixture::new().await;
    let server = bodies(vec![
        r#"[{"id":1}]"#.into(),
        r#"[{"id":2,"coupon":"x"}]"#.into(),
    ])
    .await;
    let uri = server.uri();
    for config in both_paths() {
        let config = config.with("infer.sample_rows=1").unwrap();
        let job = fixture.job(&[("orders", &uri)], "SELECT * FROM orders", "t");
        let error = run(&job, config.clone()).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("source orders, page 2, row 1, column coupon: not in the schema"),
            "{error}"
        );
        let ignoring = config.clone().with("decode.unknown_fields=ignore").unwrap();
        assert_eq!(run(&job, ignoring).await.unwrap().rows_written, 2);
        let job = fixture.job(&[("orders", &uri)], "SELECT id FROM orders", "t");
        assert_eq!(run(&job, config).await.unwrap().rows_written, 2);
    }
}
