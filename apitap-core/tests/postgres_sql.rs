//! SQL over sources: what users of such a tool write, and what the original got wrong.

use serde_json::{Value, json};

use crate::fixture::{Fixture, api, bodies, both_paths, run};

fn orders() -> Value {
    (1..=10)
        .map(|id| {
            json!({
                "id": id, "customerId": id % 3, "amount": f64::from(id) + 0.25,
                "createdAt": format!("2024-01-{id:02}T10:00:00Z"),
                "tags": [id, "x"], "note": (id % 2 == 0).then_some("even"),
            })
        })
        .collect()
}

async fn check(sql: &str, expected: Value) {
    let fixture = Fixture::new().await;
    let orders = api(orders()).await;
    let customers = api(json!([{"id": 0, "name": "zero"}, {"id": 1, "name": "one"}])).await;
    let sources = [("orders", orders.uri()), ("customers", customers.uri())];
    let used: Vec<_> = sources
        .iter()
        .filter(|(name, _)| sql.contains(name))
        .map(|(name, url)| (*name, url.as_str()))
        .collect();
    for config in both_paths() {
        for partitions in ["transform.partitions=1", "transform.partitions=3"] {
            let config = config.clone().with(partitions).unwrap();
            let job = fixture.job(&used, sql, "t");
            run(&job, config.clone()).await.unwrap();
            assert_eq!(fixture.rows("t").await, expected, "{sql} {partitions}");
            run(&job, config.with("transform.streaming=false").unwrap())
                .await
                .unwrap();
            assert_eq!(
                fixture.rows("t").await,
                expected,
                "{sql} {partitions}, collected"
            );
        }
    }
}

#[tokio::test]
async fn postgres_gets_what_where_selects() {
    check(
        "SELECT id, note FROM orders WHERE id > 8 AND customerId <> 5",
        json!([{"id": 10, "note": "even"}, {"id": 9, "note": null}]),
    )
    .await;
}

#[tokio::test]
async fn postgres_gets_counts_and_other_aggregates_over_all_pages() {
    check(
        "SELECT COUNT(*) AS n, COUNT(note) AS notes, SUM(amount) AS total, MAX(createdAt) AS last FROM orders",
        json!([{"n": 10, "notes": 5, "total": 57.5, "last": "2024-01-10T10:00:00+00:00"}]),
    )
    .await;
    check("SELECT COUNT(*) AS n FROM orders", json!([{"n": 10}])).await;
    check(
        "SELECT DISTINCT customerId FROM orders",
        json!([{"customerId": 0}, {"customerId": 1}, {"customerId": 2}]),
    )
    .await;
}

#[tokio::test]
async fn postgres_gets_joins_self_joins_and_unions() {
    check(
        "SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customerId WHERE o.id < 4",
        json!([{"id": 1, "name": "one"}, {"id": 3, "name": "zero"}]),
    )
    .await;
    check(
        "SELECT a.id, b.id AS next FROM orders a JOIN orders b ON b.id = a.id + 1 WHERE a.id > 7",
        json!([{"id": 8, "next": 9}, {"id": 9, "next": 10}]),
    )
    .await;
    check(
        "SELECT id FROM orders WHERE id = 1 UNION ALL SELECT id FROM orders WHERE id = 2",
        json!([{"id": 1}, {"id": 2}]),
    )
    .await;
    check(
        "WITH big AS (SELECT id, amount FROM orders WHERE id > 8) \
         SELECT (SELECT COUNT(*) FROM big) AS n, (SELECT MAX(amount) FROM big) AS top",
        json!([{"n": 2, "top": 10.25}]),
    )
    .await;
    check(
        "WITH RECURSIVE chain AS (SELECT id FROM orders WHERE id = 1 \
         UNION ALL SELECT o.id FROM orders o JOIN chain c ON o.id = c.id * 2 WHERE o.id <= 8) SELECT id FROM chain",
        json!([{"id": 1}, {"id": 2}, {"id": 4}, {"id": 8}]),
    )
    .await;
}

#[tokio::test]
async fn postgres_gets_nested_columns_as_jsonb_and_parts_of_them() {
    check(
        "SELECT id, tags FROM orders WHERE id = 1",
        json!([{"id": 1, "tags": [1, "x"]}]),
    )
    .await;
    check(
        "SELECT tags->>1 AS tag, (tags->0)::bigint AS n FROM orders WHERE id = 2",
        json!([{"tag": "x", "n": 2}]),
    )
    .await;
}

#[tokio::test]
async fn postgres_gets_no_null_for_a_number_that_json_lacks() {
    let fixture = Fixture::new().await;
    let orders = api(orders()).await;
    let url = orders.uri();
    let sql = "SELECT id, make_array(amount, 'NaN'::double) AS amounts FROM orders";
    let job = fixture.job(&[("orders", &url)], sql, "t");
    let error = run(&job, both_paths()[0].clone()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("column amounts, row 1 of the result"),
        "{text}"
    );
}

#[tokio::test]
async fn a_source_that_is_read_twice_is_fetched_once() {
    let fixture = Fixture::new().await;
    let orders = api(orders()).await;
    let sources = [("orders", orders.uri())];
    let sources: Vec<_> = sources
        .iter()
        .map(|(name, url)| (*name, url.as_str()))
        .collect();
    let sql =
        "SELECT a.id FROM orders a JOIN orders b ON a.id = b.id UNION ALL SELECT id FROM orders";
    for config in both_paths() {
        let report = run(&fixture.job(&sources, sql, "t"), config).await.unwrap();
        // Four pages of three rows or less, and one request that finds the end.
        assert_eq!(
            (report.rows_written, report.rows_read, report.http.pages),
            (20, 10, 4)
        );
    }
}

#[tokio::test]
async fn a_shared_source_that_exceeds_its_memory_spills() {
    let fixture = Fixture::new().await;
    let filler = "x".repeat(2_000);
    let rows: Value = (0..2_000)
        .map(|id| json!({"id": id, "filler": format!("{id}{filler}")}))
        .collect();
    let server = api(rows).await;
    let sources = [("orders", server.uri())];
    let sources: Vec<_> = sources
        .iter()
        .map(|(name, url)| (*name, url.as_str()))
        .collect();
    let config = both_paths()[1].clone();
    let config = config
        .with("source.page_rows=200")
        .unwrap()
        .with("transform.memory_limit_bytes=1048576")
        .unwrap();
    let sql = "SELECT COUNT(*) AS n, SUM(l) AS l FROM \
               (SELECT length(filler) AS l FROM orders UNION ALL SELECT length(filler) FROM orders)";
    for partitions in ["transform.partitions=1", "transform.partitions=2"] {
        let config = config.clone().with(partitions).unwrap();
        run(&fixture.job(&sources, sql, "t"), config).await.unwrap();
        assert_eq!(
            fixture.rows("t").await,
            json!([{"n": 4_000, "l": 2 * (2_000 * 2_000 + 6_890)}])
        );
    }
}

#[tokio::test]
async fn a_shared_source_leaves_memory_for_the_join_over_it() {
    let fixture = Fixture::new().await;
    let filler = "x".repeat(2_000);
    let rows: Value = (0..2_000)
        .map(|id| json!({"id": id, "filler": format!("{id}{filler}")}))
        .collect();
    let server = api(rows).await;
    let uri = server.uri();
    let config = both_paths()[1].clone();
    let config = config
        .with("source.page_rows=200")
        .unwrap()
        .with("transform.memory_limit_bytes=12582912")
        .unwrap();
    let sql =
        "SELECT COUNT(*) AS n FROM orders a JOIN orders b ON a.id = b.id AND a.filler = b.filler";
    run(&fixture.job(&[("orders", &uri)], sql, "t"), config)
        .await
        .unwrap();
    assert_eq!(fixture.rows("t").await, json!([{"n": 2_000}]));
}

/// Lanes overtake each other; a merge must not let them.
#[tokio::test]
async fn postgres_keeps_the_last_page_of_a_key_however_many_lanes_are_asked_for() {
    let fixture = Fixture::new().await;
    let rows: Value = (0..3_000)
        .map(|row| json!({"id": row % 3, "version": row}))
        .collect();
    let server = api(rows).await;
    let uri = server.uri();
    for config in both_paths() {
        let config = config
            .with("transform.partitions=4")
            .unwrap()
            .with("source.concurrency=4")
            .unwrap();
        let mut job = fixture.job(
            &[("orders", &uri)],
            "SELECT id, version FROM orders",
            "merged",
        );
        job.sink.mode = apitap_core::config::WriteMode::Merge;
        job.sink.key = vec!["id".into()];
        run(&job, config).await.unwrap();
        let rows = json!([{"id": 0, "version": 2_997}, {"id": 1, "version": 2_998}, {"id": 2, "version": 2_999}]);
        assert_eq!(fixture.rows("merged").await, rows);
    }
}

#[tokio::test]
async fn limits_and_columns_are_pushed_into_the_source() {
    let fixture = Fixture::new().await;
    let orders = api(orders()).await;
    // The second page would not decode: `amount` is no number there.
    let wrong = bodies(vec![
        r#"[{"id":1,"amount":1.5},{"id":2,"amount":2.5}]"#.into(),
        r#"[{"id":3,"amount":"none"},{"id":4}]"#.into(),
    ])
    .await;
    for config in both_paths() {
        let config = config.with("infer.sample_rows=2").unwrap();
        let uri = orders.uri();
        let job = fixture.job(&[("orders", &uri)], "SELECT id FROM orders LIMIT 4", "t");
        let report = run(&job, config.clone()).await.unwrap();
        assert_eq!(
            (report.rows_written, report.http.requests),
            (4, 2),
            "pages that are not needed are not fetched"
        );
        let uri = wrong.uri();
        let job = fixture.job(&[("orders", &uri)], "SELECT id FROM orders", "t");
        assert_eq!(
            run(&job, config).await.unwrap().rows_written,
            4,
            "columns that are not read are not decoded"
        );
    }
}

#[tokio::test]
async fn a_name_that_holds_another_is_not_replaced_in_part() {
    let fixture = Fixture::new().await;
    let server = api(json!([{"orders": 1, "orders_total": 2}])).await;
    let uri = server.uri();
    let job = fixture.job(
        &[("orders", &uri)],
        "SELECT orders, orders_total FROM orders",
        "orders_copy",
    );
    run(&job, both_paths()[1].clone()).await.unwrap();
    assert_eq!(
        fixture.rows("orders_copy").await,
        json!([{"orders": 1, "orders_total": 2}])
    );
}

#[tokio::test]
async fn timestamps_and_decimals_land_as_themselves_and_json_null_as_null() {
    let fixture = Fixture::new().await;
    let server = bodies(vec![
        r#"[{"id":1,"at":"2024-02-29T12:00:00.123456+02:00","cents":0.1234567890123456789,"j":{"a":[1.10,null]}},
            {"id":2,"at":null,"cents":12,"j":null}]"#
            .into(),
    ])
    .await;
    let uri = server.uri();
    let job = fixture.job(&[("s", &uri)], "SELECT * FROM s", "t");
    for config in both_paths() {
        run(&job, config).await.unwrap();
        let rows = fixture
            .rows("(SELECT at::text, cents::text, j::text, j IS NULL AS n FROM t)")
            .await;
        assert_eq!(
            rows,
            json!([
                {"at": "2024-02-29 10:00:00.123456+00", "cents": "0.1234567890123456789", "j": "{\"a\": [1.10, null]}", "n": false},
                {"at": null, "cents": "12.0000000000000000000", "j": null, "n": true},
            ])
        );
    }
}
