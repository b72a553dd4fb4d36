//! Runs made up for tests.

use std::collections::BTreeMap;

use chrono::DateTime;

use super::entry::Entry;
use crate::experiment::{ArmPlan, LoadPlan, Scale, ScenarioPlan};
use crate::fingerprint::{Build, Fingerprint, Machine, Server};
use crate::run_record::{self, RunRecord, Scenario, Verification};
use crate::samples::{Measurements, Outcome, Sample, Samples, Timestamp};
use testkit::postgres::PgStorage;

const ROWS: u64 = 1_000;
const BLOCKS: usize = 4;

/// Of the first run.
const FIRST_SECONDS: i64 = 1_767_225_600;

pub(crate) fn fingerprint() -> Fingerprint {
    Fingerprint {
        machine: Machine {
            cpu_model: "Some CPU".to_owned(),
            cores: 2,
            memory_bytes: 8_200_000_000,
            kernel: "6.1".to_owned(),
            os: "Some OS 12".to_owned(),
        },
        build: Build {
            rustc: "rustc 1.95.0 (59807616e 2026-04-14)".to_owned(),
            profile: "release".to_owned(),
            git_commit: "a1".to_owned(),
            git_dirty: Some(false),
            harness_version: "0.1.0".to_owned(),
        },
        server: Some(Server {
            kind: "local".to_owned(),
            version: "17.2 (Some OS)".to_owned(),
            storage: Some(PgStorage::Disk),
            image_digest: None,
            settings: BTreeMap::from([("fsync".to_owned(), "on".to_owned())]),
        }),
    }
}

/// When the run of that day began.
pub(crate) fn day(day: u32) -> Timestamp {
    let seconds = FIRST_SECONDS + i64::from(day) * 86_400;
    DateTime::from_timestamp(seconds, 0).unwrap().into()
}

/// The commit of the run of that day.
pub(crate) fn commit(day: u32) -> String {
    format!("{day:08x}{:032}", 0)
}

/// The run of a day, of a commit; `wall_seconds` are by arm and block.
pub(crate) fn run(
    on: u32,
    commit: &str,
    wall_seconds: impl Fn(&str, usize) -> f64,
) -> (RunRecord, Samples) {
    let arm = |name: &str, preset: &str| ArmPlan {
        name: name.to_owned(),
        rows: ROWS,
        sql: None,
        load: LoadPlan::Engine {
            preset: preset.to_owned(),
            knobs: Vec::new(),
            attach: Vec::new(),
            mode: None,
        },
        revision: None,
    };
    let plan = ScenarioPlan {
        name: "orders on tuned".to_owned(),
        experiment: "orders".to_owned(),
        on: Some("tuned".to_owned()),
        cell: Vec::new(),
        workload: "orders".to_owned(),
        sql: None,
        key: Vec::new(),
        existing: None,
        table: None,
        postgres_round_trip_ms: None,
        api_round_trip_ms: None,
        blocks: BLOCKS,
        arms: vec![arm("INSERT", "before"), arm("COPY", "tuned")],
        confirms: None,
    };
    let mut samples = Samples::default();
    for block in 0..BLOCKS {
        for (position, arm) in plan.arms.iter().enumerate() {
            samples.samples.push(Sample {
                scenario: plan.name.clone(),
                arm: arm.name.clone(),
                block,
                position,
                warm_up: false,
                started_at: day(on),
                outcome: measured(wall_seconds(&arm.name, block)),
            });
        }
    }
    let verified = |_: &ArmPlan| Verification {
        rows: ROWS,
        checksum: "42".to_owned(),
    };
    let scenario = Scenario {
        verification: plan.arms.iter().map(verified).collect(),
        ..Scenario::planned(plan)
    };
    let mut fingerprint = fingerprint();
    fingerprint.build.git_commit = commit.to_owned();
    let record = RunRecord {
        schema_version: run_record::SCHEMA_VERSION,
        started_at: day(on),
        seed: 7,
        command: Vec::new(),
        build_profile: "release".to_owned(),
        scale: Scale::Default,
        confidence_level: 0.95,
        blocks_per_session: None,
        looks: None,
        confirms: false,
        calibrated_at: None,
        experiments: Vec::new(),
        scenarios: vec![scenario],
        fingerprint: serde_json::to_value(fingerprint).unwrap(),
    };
    (record, samples)
}

fn measured(wall_seconds: f64) -> Outcome {
    Outcome::Measured(Measurements {
        wall_seconds,
        process_wall_seconds: wall_seconds,
        rows: ROWS,
        first_row_seconds: None,
        client_cpu_seconds: 0.5 * wall_seconds,
        server_cpu_seconds: None,
        peak_memory_bytes: Some(50_000_000),
        steal_share: 0.0,
        involuntary_switches: 0,
        bytes_from_api: 4_000,
        bytes_to_server: 3_000,
        statements: 4,
        round_trips: None,
        extra: serde_json::Value::Null,
    })
}

/// Entries of so many runs, a day apart; `COPY` takes `slow` times as long from the run `from` on.
pub(crate) fn entries(runs: u32, from: u32, slow: f64) -> Vec<Entry> {
    let all = (0..runs).flat_map(|on| {
        let (record, samples) = run(on, &commit(on), |arm, block| {
            let noise = 1.0 + 0.003 * f64::from((on * 7 + block as u32 * 5) % 11);
            let is_slow = arm == "COPY" && on >= from;
            if is_slow { slow * noise } else { noise }
        });
        Entry::all(&record, &samples).unwrap()
    });
    all.collect()
}
