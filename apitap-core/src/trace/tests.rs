use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::metrics::Metrics;

/// What a trace holds of `work`.
fn events(work: impl FnOnce()) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let (layer, guard) = chrome_trace(&path).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, work);
    guard.finish().unwrap();
    let trace: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    trace["traceEvents"].as_array().unwrap().clone()
}

fn phases(events: &[Value], name: &str) -> String {
    let of_name = events.iter().filter(|event| event["name"] == name);
    of_name.filter_map(|event| event["ph"].as_str()).collect()
}

#[test]
fn work_is_on_its_thread_and_waiting_is_a_bar() {
    let events = events(|| {
        let run = tracing::info_span!("run", module = "m");
        let page = tracing::debug_span!(parent: &run, "page", page = 7_u64);
        for _ in 0..2 {
            page.in_scope(|| stage::scan(&Metrics::default(), || ()));
        }
    });
    assert_eq!(phases(&events, "scan"), "BEBE");
    assert_eq!(phases(&events, "run"), "be");
    assert_eq!(phases(&events, "page"), "be");
    let page = events.iter().find(|event| event["name"] == "page").unwrap();
    assert_eq!(page["args"], serde_json::json!({"module": "m", "page": 7}));
    let times: Vec<_> = events.iter().filter_map(|one| one["ts"].as_f64()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_span_that_outlives_the_trace_is_closed_with_it() {
    let mut open = None;
    let events = events(|| open = Some(tracing::info_span!("run")));
    assert_eq!(phases(&events, "run"), "be");
}

#[test]
fn spans_of_others_and_events_are_left_out() {
    let events = events(|| {
        let _span = tracing::info_span!(target: "hyper", "theirs").entered();
        tracing::info!("an event");
    });
    assert_eq!(events.len(), 1, "{events:?}");
}

#[test]
fn a_full_disk_is_reported_at_the_end() {
    let (layer, guard) = chrome_trace(Path::new("/dev/full")).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..10_000 {
            stage::scan(&Metrics::default(), || ());
        }
    });
    let fault = guard.finish().unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::StorageFull);
}
