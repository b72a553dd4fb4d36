//! A constructed run for the tests of results and reports: six arms, eight blocks, one of
//! everything that goes wrong.

use chrono::{DateTime, TimeDelta};
use serde_json::json;

use crate::measurement::{Measurements, Outcome, Sample, Samples, Timestamp};
use crate::results::{Results, Target, TargetStatus};
use crate::run_record::{Arm, MockApiCeiling, RunRecord, SCHEMA_VERSION, Scenario, Verification};
use crate::runner::schedule::Schedule;

const SEED: u64 = 42;
const BLOCKS: usize = 8;
const ROWS: u64 = 200_000;

/// Name, method, rows per batch and typical seconds of every arm; the last fails always.
type ArmPlan = (&'static str, Option<&'static str>, Option<u64>, f64);

const ARMS: [ArmPlan; 6] = [
    ("insert @ 100", Some("insert"), Some(100), 19.0),
    ("insert @ 10,000", Some("insert"), Some(10_000), 6.2),
    ("copy-binary @ 100", Some("copy-binary"), Some(100), 1.9),
    (
        "copy-binary @ 10,000",
        Some("copy-binary"),
        Some(10_000),
        0.61,
    ),
    (r"psql \copy (binary)", None, None, 0.605),
    ("unnest @ 10,000", Some("unnest"), Some(10_000), 0.0),
];

fn started_at(sample: usize) -> Timestamp {
    let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    (start + TimeDelta::seconds(30 * sample as i64)).into()
}

pub(crate) fn run_record() -> RunRecord {
    RunRecord {
        schema_version: SCHEMA_VERSION,
        started_at: started_at(0),
        seed: SEED,
        command: ["apitap-bench", "run", "writers", "--postgres", "local"]
            .map(str::to_owned)
            .to_vec(),
        build_profile: "release".into(),
        confidence_level: 0.95,
        scenarios: vec![Scenario {
            name: "orders".into(),
            workload: "orders".into(),
            baseline: ARMS[0].0.into(),
            reference: Some(ARMS[4].0.into()),
            blocks: BLOCKS,
            arms: ARMS
                .iter()
                .map(|(name, method, batch_rows, _)| Arm {
                    name: (*name).into(),
                    method: method.map(str::to_owned),
                    batch_rows: *batch_rows,
                    settings: json!({"write": {"batch_rows": batch_rows, "method": method}}),
                })
                .collect(),
            mock_api_ceiling: Some(MockApiCeiling {
                rows_per_second: 450_000.0,
                bytes_per_second: 157.5e6,
            }),
            verification: Verification {
                rows: ROWS,
                checksum: "xxh3:5d8a3c1f9e0b7264".into(),
            },
        }],
        // Sorted by name: whether serde_json sorts or keeps the order depends on the features that
        // other crates ask.
        fingerprint: json!({
            "build": {"git_dirty": null, "profile": "release"},
            "machine": {"cores": 2, "cpu": "Xeon at 2.8 GHz", "memory_bytes": 8_000_000_000_u64},
            "postgres": {"settings": ["fsync=on", "synchronous_commit=on"], "storage": "disk", "version": "17.2"},
        }),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples: Vec<Sample> = (0..ARMS.len())
        .map(|arm| sample(arm, 0, arm, true, 1.3))
        .collect();
    for slot in Schedule::new(SEED, ARMS.len(), BLOCKS).slots() {
        // Noise of a few per cent that repeats and favours no arm.
        let noise = 1.0 + 0.01 * ((slot.block * 7 + slot.arm * 3) % 5) as f64;
        samples.push(sample(slot.arm, slot.block, slot.position, false, noise));
    }
    let position = |arm: &str, block| {
        samples
            .iter()
            .position(|sample| sample.arm == arm && sample.block == block && !sample.warm_up)
            .unwrap()
    };
    let (void, stolen, stalled) = (
        position(ARMS[1].0, 2),
        position(ARMS[3].0, 4),
        position(ARMS[2].0, 6),
    );
    samples[void].outcome = Outcome::Void {
        reason: "timed checkpoint".into(),
    };
    if let Outcome::Measured(figures) = &mut samples[stolen].outcome {
        figures.steal_share = 0.034;
    }
    if let Outcome::Measured(figures) = &mut samples[stalled].outcome {
        figures.wall_seconds = 9.5;
    }
    Samples {
        samples,
        cut_line: None,
    }
}

fn sample(arm: usize, block: usize, position: usize, warm_up: bool, noise: f64) -> Sample {
    let (name, method, batch_rows, seconds) = ARMS[arm];
    let outcome = if seconds == 0.0 {
        Outcome::Failed {
            reason: "worker exited with 1: column \"id\" is of type bigint\nbut 7 is text".into(),
        }
    } else {
        Outcome::Measured(Measurements {
            wall_seconds: seconds * noise,
            process_wall_seconds: seconds * noise + 0.02,
            rows: ROWS,
            client_cpu_seconds: 0.1 + 0.4 * seconds,
            server_cpu_seconds: Some(0.2 + 0.3 * seconds),
            peak_memory_bytes: method.map(|_| 61_400_000 + 1_000 * block as u64),
            steal_share: 0.002,
            involuntary_switches: 40,
            bytes_from_api: if method.is_some() { 70_000_000 } else { 0 },
            bytes_to_server: 50_000_000,
            statements: ROWS / batch_rows.unwrap_or(ROWS),
            extra: serde_json::Value::Null,
        })
    };
    Sample {
        scenario: "orders".into(),
        arm: name.into(),
        block,
        position,
        warm_up,
        started_at: started_at(block * ARMS.len() + position),
        outcome,
    }
}

pub(crate) fn results() -> Results {
    let targets = vec![
        Target {
            name: r"orders: copy-binary to psql \copy".into(),
            goal: "at most 1.1×".into(),
            measured: "1.008×".into(),
            status: TargetStatus::Met,
        },
        Target {
            name: "before to tuned".into(),
            goal: "at least 30×".into(),
            measured: "–".into(),
            status: TargetStatus::NotMeasured,
        },
    ];
    Results::of(&run_record(), &samples(), targets)
}

pub(crate) fn results_without_samples() -> Results {
    Results::of(&run_record(), &Samples::default(), Vec::new())
}
