//! How often a load waits for the server, counted at the socket and known beforehand.

use apitap_core::config::Config;
use testkit::mock_api::{MockApiOptions, serve};

use crate::fixture::{Fixture, run, source};

/// Those of a load of one connection into a table that is not there, whatever moves the rows: one each for
/// BEGIN, the table's place with its lock, what there is under its name, CREATE TABLE, and COMMIT.
const AROUND: u64 = 5;

const ROWS: u64 = 1_050;

/// Round trips of a load of [`ROWS`] rows.
async fn round_trips(fixture: &Fixture, url: &str, settings: &[&str]) -> u64 {
    let mut job = fixture.job(&[("narrow", url)], "SELECT * FROM narrow", "t");
    job.sources = vec![source("narrow", url).into()];
    let config = settings
        .iter()
        .try_fold(Config::default(), |config, setting| config.with(setting));
    fixture
        .client
        .batch_execute("DROP TABLE IF EXISTS t")
        .await
        .unwrap();
    let report = run(&job, config.unwrap()).await.unwrap();
    assert_eq!(report.rows_written, ROWS);
    report.round_trips
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn postgres_is_waited_for_as_often_as_the_method_needs_each_time() {
    let fixture = Fixture::new().await;
    let api = serve(&MockApiOptions::new("narrow", ROWS)).await.unwrap();
    for (method, batch_rows, expected) in [
        // Preparing it, starting it, and its end, however many flushes there are.
        ("copy-binary", 100, 3),
        ("copy-binary", 1_000, 3),
        ("copy-text", 100, 3),
        // One for each flush.
        ("insert", 100, 11),
        ("insert", 1_000, 2),
        // The same and the preparation of two sizes, of one where all flushes have it.
        ("prepared", 100, 11 + 2),
        ("prepared", 350, 3 + 1),
        // One statement serves every size.
        ("unnest", 100, 11 + 1),
    ] {
        let settings = [
            format!("write.method={method}"),
            format!("write.batch_rows={batch_rows}"),
            "write.in_flight=1".to_owned(),
        ];
        let settings = settings.each_ref().map(String::as_str);
        for _ in 0..3 {
            let found = round_trips(&fixture, api.url(), &settings).await;
            assert_eq!(found, AROUND + expected, "{settings:?}");
        }
    }
}

#[tokio::test]
async fn postgres_is_waited_for_less_often_where_statements_are_under_way_at_once() {
    let fixture = Fixture::new().await;
    let api = serve(&MockApiOptions::new("narrow", ROWS)).await.unwrap();
    let settings = |in_flight| {
        [
            "write.method=insert",
            "write.batch_rows=10",
            match in_flight {
                1 => "write.in_flight=1",
                _ => "write.in_flight=16",
            },
        ]
    };
    let one = round_trips(&fixture, api.url(), &settings(1)).await;
    assert_eq!(one, AROUND + 105);
    let several = round_trips(&fixture, api.url(), &settings(16)).await;
    assert!((AROUND + 1..one).contains(&several), "{several}");
}
