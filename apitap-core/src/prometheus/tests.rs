use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::*;

/// The value of a series as it is written in the text.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    let Some(line) = line else {
        panic!("no {series} in\n{text}");
    };
    line.trim().parse().unwrap()
}

/// What a run did in a moment.
fn go_on(metrics: &Metrics, rows: u64, latencies: &[u64]) {
    metrics.rows_decoded.fetch_add(rows, Relaxed);
    metrics
        .source
        .requests
        .fetch_add(latencies.len() as u64, Relaxed);
    for milliseconds in latencies {
        let latency = Duration::from_millis(*milliseconds);
        metrics.source.latency.record(latency);
    }
}

const READ: &str = r#"apitap_records_total{module="a",stage="read"}"#;
const REQUESTS: &str = r#"apitap_http_requests_total{module="a"}"#;
const COUNT: &str = r#"http_client_request_duration_seconds_count{module="a"}"#;
const SUM: &str = r#"apitap_http_latency_seconds_sum{module="a"}"#;
const MEDIAN: &str = r#"apitap_http_latency_seconds{module="a",quantile="0.5"}"#;

#[test]
fn totals_never_go_back_over_the_runs_of_a_module() {
    let exposition = Exposition::new();
    let mut seen = Vec::new();
    for rows in [10, 5] {
        let metrics = Arc::new(Metrics::default());
        let run = exposition.watch("a", metrics.clone());
        seen.push(exposition.text());
        go_on(&metrics, rows, &[20]);
        seen.push(exposition.text());
        run.succeeded();
        seen.push(exposition.text());
    }
    for (series, expected) in [
        (READ, [0.0, 10.0, 10.0, 10.0, 15.0, 15.0]),
        (REQUESTS, [0.0, 1.0, 1.0, 1.0, 2.0, 2.0]),
        (COUNT, [0.0, 1.0, 1.0, 1.0, 2.0, 2.0]),
    ] {
        let values: Vec<_> = seen.iter().map(|text| value(text, series)).collect();
        assert_eq!(values, expected, "{series}");
    }
    let sums: Vec<_> = seen.iter().map(|text| value(text, SUM)).collect();
    assert!(sums.is_sorted(), "{sums:?}");
    assert!((sums[5] - 0.04).abs() < 0.0001, "{sums:?}");
}

#[test]
fn runs_are_counted_by_their_end() {
    let exposition = Exposition::new();
    exposition.watch("a", Arc::default()).succeeded();
    drop(exposition.watch("a", Arc::default()));
    let under_way = exposition.watch("a", Arc::default());
    let text = exposition.text();
    for outcome in ["succeeded", "failed"] {
        let series = format!(r#"apitap_runs_total{{module="a",outcome="{outcome}"}}"#);
        assert_eq!(value(&text, &series), 1.0);
    }
    drop(under_way);
}

#[test]
fn modules_do_not_mix() {
    let exposition = Exposition::new();
    let (a, b) = (Arc::default(), Arc::default());
    let _runs = [
        exposition.watch("a", Arc::clone(&a)),
        exposition.watch("b", Arc::clone(&b)),
    ];
    go_on(&a, 1, &[]);
    go_on(&b, 2, &[]);
    let text = exposition.text();
    assert_eq!(value(&text, READ), 1.0);
    assert_eq!(value(&text, &READ.replace("\"a\"", "\"b\"")), 2.0);
}

#[test]
fn buckets_are_cumulative_and_end_with_the_count() {
    let exposition = Exposition::new();
    let metrics = Arc::new(Metrics::default());
    let _run = exposition.watch("a", metrics.clone());
    // On a bound, between two, and beyond the last.
    go_on(&metrics, 0, &[5, 60, 60, 20_000]);
    let text = exposition.text();
    let prefix = r#"http_client_request_duration_seconds_bucket{module="a",le=""#;
    let buckets: Vec<(&str, u64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix(prefix)?.split_once("\"} "))
        .map(|(bound, count)| (bound, count.parse().unwrap()))
        .collect();
    assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{buckets:?}");
    let at = |bound| buckets.iter().find(|(name, _)| *name == bound).unwrap().1;
    assert_eq!([at("0.0025"), at("0.005"), at("0.05")], [0, 1, 1]);
    assert_eq!([at("0.075"), at("10"), at("+Inf")], [3, 3, 4]);
    assert_eq!(value(&text, COUNT), 4.0);
}

#[test]
fn quantiles_are_those_of_the_run_that_began_last() {
    let exposition = Exposition::new();
    let first = Arc::new(Metrics::default());
    let run = exposition.watch("a", first.clone());
    go_on(&first, 0, &[10; 99]);
    go_on(&first, 0, &[500]);
    run.succeeded();
    let text = exposition.text();
    assert!((value(&text, MEDIAN) - 0.01).abs() < 0.0001);
    let second = Arc::new(Metrics::default());
    let _run = exposition.watch("a", second.clone());
    assert!(value(&exposition.text(), MEDIAN).is_nan());
    go_on(&second, 0, &[40]);
    let text = exposition.text();
    assert!((value(&text, MEDIAN) - 0.04).abs() < 0.0001);
    assert_eq!(value(&text, COUNT), 101.0);
}

#[test]
fn a_gauge_forgets_a_run_that_ended() {
    let exposition = Exposition::new();
    let metrics = Arc::new(Metrics::default());
    let run = exposition.watch("a", metrics.clone());
    let channel = crate::channel::bounded::<()>(10, metrics.batches_channel.clone());
    let capacity = r#"apitap_channel_capacity{module="a",edge="batches"}"#;
    assert_eq!(value(&exposition.text(), capacity), 10.0);
    drop(run);
    assert_eq!(value(&exposition.text(), capacity), 0.0);
    drop(channel);
}

#[test]
fn without_runs_only_the_process_is_shown() {
    let text = Exposition::new().text();
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    assert_eq!(
        names,
        [
            "process_cpu_seconds_total counter",
            "process_peak_resident_memory_bytes gauge",
            "process_resident_memory_bytes gauge"
        ]
    );
}
