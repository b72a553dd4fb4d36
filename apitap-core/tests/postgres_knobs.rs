//! Knobs of the engine that change no row, only the way there.

use std::sync::Arc;

use apitap_core::metrics::Metrics;
use apitap_core::{Engine, ErrorKind};
use serde_json::{Value, json};

use crate::fixture::{Fixture, api, bodies, both_paths, run};

fn rows(count: u64) -> Value {
    (0..count)
        .map(|id| json!({"id": id, "email": format!("somebody.{id}@example.com"), "price": 0.5}))
        .collect()
}

/// A cached schema replaces the sample: nothing is fetched to plan a query.
#[tokio::test]
async fn a_cached_schema_needs_no_sample() {
    let fixture = Fixture::new().await;
    let server = api(rows(30)).await;
    let uri = server.uri();
    let job = fixture.job(&[("orders", &uri)], "SELECT id FROM orders LIMIT 1", "t");
    for config in both_paths() {
        let folder = tempfile::tempdir().unwrap();
        let config = config
            .with(&format!("infer.cache=file:{}", folder.path().display()))
            .unwrap();
        let requests = async |engine: Engine| {
            let report = engine.run(&job, Arc::default()).await.unwrap();
            assert_eq!(report.rows_written, 1);
            report.http.requests
        };
        // Thirty rows by three, and one request that finds the end.
        assert!(requests(Engine::new(config.clone())).await > 10);
        assert_eq!(requests(Engine::new(config.clone())).await, 1);
        let before = server.received_requests().await.unwrap().len();
        Engine::new(config).dry_run(&job).await.unwrap();
        assert_eq!(server.received_requests().await.unwrap().len(), before);
    }
}

/// The last page is wrong: whoever waits for the whole result has sent nothing by then.
#[tokio::test]
async fn nothing_is_sent_before_a_collected_result_is_complete() {
    let fixture = Fixture::new().await;
    let server = bodies(vec![r#"[{"id":1}]"#.into(), r#"[{"id":"x"}]"#.into()]).await;
    let uri = server.uri();
    let job = fixture.job(&[("orders", &uri)], "SELECT id FROM orders", "t");
    for config in both_paths() {
        let config = config
            .with("infer.sample_rows=1")
            .and_then(|config| config.with("write.batch_rows=1"))
            .and_then(|config| config.with("transform.streaming=false"))
            .unwrap();
        let metrics = Arc::new(Metrics::default());
        let ended = Engine::new(config).run(&job, metrics.clone()).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Value);
        assert_eq!(metrics.write.first_rows.get(), None);
    }
}

#[tokio::test]
async fn groups_that_exceed_their_memory_spill() {
    let fixture = Fixture::new().await;
    let server = api(rows(20_000)).await;
    let uri = server.uri();
    let sql = "SELECT email, count(*) AS orders, sum(price) AS total FROM \
               (SELECT email, price FROM orders) GROUP BY email";
    for config in both_paths() {
        let config = config
            .with("source.page_rows=2000")
            .and_then(|config| config.with("transform.memory_limit_bytes=1048576"))
            .unwrap();
        let job = fixture.job(&[("orders", &uri)], sql, "t");
        run(&job, config.clone()).await.unwrap();
        let sums = "(SELECT count(*) AS n, sum(orders) AS orders, sum(total) AS total FROM t)";
        let expected = json!([{"n": 20_000, "orders": 20_000, "total": 10_000}]);
        assert_eq!(fixture.rows(sums).await, expected);
        // Values of one group cannot be spilled.
        let sql = "SELECT count(DISTINCT email) AS n, count(DISTINCT id) AS m FROM orders";
        let job = fixture.job(&[("orders", &uri)], sql, "n");
        let error = run(&job, config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Resources, "{error}");
        let hint = error.next_step().unwrap();
        assert!(hint.contains("transform.memory_limit_bytes"), "{hint}");
        assert!(!fixture.exists("n").await);
    }
}
