//! The claims of the constructed run.

/// Definitions, as files would state them.
pub(super) const EXPERIMENTS: [&str; 9] = [
    r#"
    id = "a-a"
    title = "Identical arms"
    claim = "two arms that are the same do not differ"
    section = "control"
    expected = "negligible"
    metric = "wall_seconds"
    workload = "orders"
    on = { before = 50_000, tuned = 250_000 }
    baseline = { name = "a" }
    candidates = [{ name = "the same as a" }]
    "#,
    r#"
    id = "copy-vs-insert"
    title = "COPY instead of INSERT"
    claim = "10-100x faster for large datasets"
    section = "1A. Use PostgreSQL COPY for bulk inserts"
    phase = 1
    expected = { low = 10, high = 100 }
    metric = "wall_seconds"
    workload = "orders"
    on = { before = 50_000, tuned = 100_000 }
    baseline = { name = "insert", knobs = ["write.method=insert"] }
    candidates = [
        { name = "copy-binary", knobs = ["write.method=copy-binary"] },
        { name = "copy-csv", knobs = ["write.method=copy-csv"] },
    ]
    [vary]
    on = "tuned"
    rows = 10_000
    parameters = [
        { name = "postgres_round_trip_ms", values = [0.0, 2.0, 10.0] },
        { name = "write.batch_rows", values = [100, 1000] },
    ]
    "#,
    r#"
    id = "counter"
    title = "Atomic row counter"
    claim = "atomic counters: 2-5%"
    section = "2A. Use atomic counters"
    phase = 1
    expected = { low = 1.02, high = 1.05 }
    metric = "wall_seconds"
    workload = "orders"
    on = { before = 50_000, tuned = 250_000 }
    baseline = { name = "mutex", knobs = ["counter=mutex"] }
    candidates = [{ name = "atomic", knobs = ["counter=atomic"] }]
    "#,
    r#"
    id = "page-size"
    title = "Larger pages"
    claim = "default_page_size: 1000 items per API page"
    section = "5. HTTP fetching configuration"
    expected = "better"
    metric = "wall_seconds"
    workload = "orders"
    on = { before = 50_000, tuned = 250_000 }
    baseline = { name = "50 rows", knobs = ["source.page_rows=50"] }
    candidates = [{ name = "1,000 rows", knobs = ["source.page_rows=1000"] }]
    [vary]
    on = "before"
    rows = 5_000
    parameters = [{ name = "api_round_trip_ms", values = [0.0, 0.5, 2.0, 10.0] }]
    "#,
    r#"
    id = "before-vs-tuned"
    title = "All of it"
    claim = "at least 30 times faster than the state that the report describes"
    section = "goal of the project"
    expected = { low = 30 }
    metric = "wall_seconds"
    workload = "orders"
    rows = 50_000
    baseline = { name = "before", preset = "before" }
    candidates = [{ name = "tuned", preset = "tuned" }]
    "#,
    r#"
    id = "concurrency"
    title = "Parallel HTTP requests"
    claim = "concurrency: 10 parallel HTTP requests"
    section = "5. HTTP fetching configuration"
    expected = "better"
    metric = "wall_seconds"
    workload = "orders"
    on = { before = 50_000, tuned = 250_000 }
    baseline = { name = "1 request", knobs = ["source.concurrency=1"] }
    candidates = [{ name = "10 requests", knobs = ["source.concurrency=10"] }]
    [vary]
    on = "tuned"
    rows = 5_000
    parameters = [{ name = "api_round_trip_ms", values = [0.0, 0.5, 2.0, 10.0] }]
    "#,
    r#"
    id = "pipelining"
    title = "Pipelined statements"
    claim = "async pipelining: 20-50%"
    section = "1D. Pipeline writes (async batching)"
    phase = 2
    expected = { low = 1.2, high = 1.5 }
    metric = "wall_seconds"
    workload = "orders"
    on = { before = 50_000, tuned = 250_000 }
    baseline = { name = "one in flight", knobs = ["write.in_flight=1"] }
    candidates = [{ name = "eight in flight", knobs = ["write.in_flight=8"] }]
    "#,
    r#"
    id = "partitions"
    title = "Partitioned plans"
    claim = "consider partitioning for very large datasets"
    section = "4. DataFusion query processing"
    expected = "better"
    metric = "wall_seconds"
    workload = "orders"
    sql = "SELECT number, count(*) AS orders FROM orders GROUP BY number"
    on = { before = 50_000, tuned = 250_000 }
    baseline = { name = "1 partition", knobs = ["transform.partitions=1"] }
    candidates = [{ name = "2 partitions", knobs = ["transform.partitions=2"] }]
    "#,
    r#"
    id = "sample-size"
    title = "Smaller schema sample"
    claim = "reduce to 50 samples for faster startup"
    section = "3. Schema inference"
    expected = "better"
    metric = "first_row_seconds"
    workload = "orders"
    on = { before = 50_000, tuned = 100_000 }
    baseline = { name = "100 rows", knobs = ["infer.sample_rows=100"] }
    candidates = [{ name = "50 rows", knobs = ["infer.sample_rows=50"] }]
    "#,
];
