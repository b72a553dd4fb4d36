//! A run of every experiment at full size, with made-up times.

use std::path::Path;

use bench_harness::{
    ArmPlan, Experiment, IDENTICAL, Measurements, MockApiCeiling, Outcome, RUN_FILE, RoundTrip,
    RunRecord, SAMPLES_FILE, SCHEMA_VERSION, Sample, Scale, Scenario, ScenarioPlan, Timestamp,
    Verification,
};
use chrono::{DateTime, TimeDelta};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

const SEED: u64 = 7;

/// What the first candidate of an experiment gains on `before` and on `tuned`; the others gain
/// nothing.
const GAINS: [(&str, f64, f64); 12] = [
    ("before-vs-tuned", 41.0, 41.0),
    ("copy-vs-insert", 4.1, 2.6),
    ("insert-batch-size", 2.3, 1.9),
    ("decode-path", 1.6, 2.1),
    ("page-size", 1.35, 1.22),
    ("concurrency", 1.28, 1.12),
    ("pipelining", 1.16, 1.0),
    ("prepared", 1.12, 1.31),
    ("connection-reuse", 1.09, 1.08),
    ("unnest", 0.9, 1.2),
    ("aggregate-memory", 1.7, 1.7),
    ("parallel-connections", 0.94, 0.83),
];

/// Everything of a finished run but the report.
pub(super) struct FullRun {
    pub(super) record: RunRecord,
    samples: Vec<Sample>,
}

impl FullRun {
    pub(super) fn new(experiments: &[Experiment]) -> Self {
        let mut plans: Vec<ScenarioPlan> = experiments
            .iter()
            .flat_map(|experiment| experiment.scenarios(Scale::Full))
            .collect();
        // Most of what differs is measured once more.
        let stands = plans.iter().filter(|plan| plan.cell.is_empty());
        let differing = stands.filter(|plan| {
            let known = GAINS.iter().any(|(id, ..)| *id == plan.experiment);
            known || plan.experiment == IDENTICAL
        });
        let again: Vec<ScenarioPlan> = differing.map(|plan| plan.repeated("again")).collect();
        plans.extend(again);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
        let mut samples = Vec::new();
        for plan in &plans {
            for block in 0..plan.blocks {
                for nth in 0..plan.arms.len() {
                    if block == 0 {
                        samples.push(sample(plan, nth, block, true, samples.len(), &mut random));
                    }
                    samples.push(sample(plan, nth, block, false, samples.len(), &mut random));
                }
            }
        }
        Self {
            record: RunRecord {
                schema_version: SCHEMA_VERSION,
                started_at: at(0),
                seed: SEED,
                command: ["apitap-bench", "run", "--full"]
                    .map(str::to_owned)
                    .to_vec(),
                build_profile: "release".to_owned(),
                scale: Scale::Full,
                confidence_level: 0.95,
                blocks_per_session: None,
                looks: None,
                confirms: true,
                calibrated_at: Some(at(0)),
                experiments: experiments
                    .iter()
                    .map(|one| one.definition.clone())
                    .collect(),
                scenarios: plans.into_iter().map(scenario).collect(),
                fingerprint: fingerprint(),
            },
            samples,
        }
    }

    pub(super) fn write(&self, folder: &Path) {
        self.record.write(&folder.join(RUN_FILE)).unwrap();
        let lines: Vec<String> = self
            .samples
            .iter()
            .map(|sample| serde_json::to_string(sample).unwrap() + "\n")
            .collect();
        std::fs::write(folder.join(SAMPLES_FILE), lines.concat()).unwrap();
    }
}

fn scenario(plan: ScenarioPlan) -> Scenario {
    let round_trip = |added_ms: f64| RoundTrip {
        direct_ms: 0.06,
        relayed_ms: added_ms + 0.19,
    };
    let verification = |arm: &ArmPlan| Verification {
        rows: arm.rows,
        checksum: "-8730160531498760".to_owned(),
    };
    Scenario {
        verification: plan.arms.iter().map(verification).collect(),
        mock_api_ceiling: Some(MockApiCeiling {
            rows_per_second: 3_600_000.0,
            bytes_per_second: 1.44e9,
        }),
        postgres_round_trip: plan.postgres_round_trip_ms.map(round_trip),
        api_round_trip: plan.api_round_trip_ms.map(round_trip),
        ..Scenario::planned(plan)
    }
}

fn at(second: usize) -> Timestamp {
    let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    (start + TimeDelta::seconds(second as i64)).into()
}

fn gain(plan: &ScenarioPlan, nth: usize) -> f64 {
    let known = GAINS.iter().find(|(id, ..)| *id == plan.experiment);
    let Some((_, before, tuned)) = known.filter(|_| nth > 0) else {
        return 1.0;
    };
    let alone = if plan.on.as_deref() == Some("tuned") {
        *tuned
    } else {
        *before
    };
    let first = if nth == 1 { alone } else { alone.sqrt() };
    // A grid must have something to show: the longer the way, the larger the gain.
    let round_trip = plan
        .postgres_round_trip_ms
        .or(plan.api_round_trip_ms)
        .unwrap_or(0.0);
    let batch = plan
        .cell
        .iter()
        .find(|at| at.parameter == "write.batch_rows");
    let batch = batch.and_then(|at| at.value.number());
    let batch = batch.map_or(1.0, |rows| rows / 1_000.0);
    first * (1.0 + round_trip / 3.0) / (1.0 + batch / 4.0)
}

fn sample(
    plan: &ScenarioPlan,
    nth: usize,
    block: usize,
    warm_up: bool,
    second: usize,
    random: &mut Xoshiro256PlusPlus,
) -> Sample {
    let arm = &plan.arms[nth];
    let noise = 1.0 + 0.02 * (random.random::<f64>() + random.random::<f64>() - 1.0);
    let straggles = random.random_range(0..60) == 0;
    let wall = 1.1 * noise * if straggles { 1.25 } else { 1.0 } / gain(plan, nth);
    let peak = match (arm.rows, plan.experiment.as_str()) {
        (_, "aggregate-memory") => 90e6 / gain(plan, nth),
        (2_000_000, _) => 64.1e6,
        _ => 61.4e6,
    };
    Sample {
        scenario: plan.name.clone(),
        arm: arm.name.clone(),
        block,
        position: nth,
        warm_up,
        started_at: at(second),
        outcome: Outcome::Measured(Measurements {
            wall_seconds: wall,
            process_wall_seconds: wall + 0.01,
            rows: arm.rows,
            first_row_seconds: Some(0.01 * noise),
            client_cpu_seconds: 0.6 * wall * (2.0 - noise),
            server_cpu_seconds: Some(0.5 * wall),
            peak_memory_bytes: Some((peak * noise) as u64),
            steal_share: 0.002,
            involuntary_switches: 40,
            bytes_from_api: 400 * arm.rows,
            bytes_to_server: 270 * arm.rows,
            statements: 3,
            round_trips: None,
            extra: Value::Null,
        }),
    }
}

fn fingerprint() -> Value {
    json!({
        "build": {
            "git_commit": "0123456789abcdef0123456789abcdef01234567",
            "git_dirty": false,
            "harness_version": "0.1.0",
            "profile": "release",
            "rustc": "rustc 1.95.0 (59807616e 2026-04-14)",
        },
        "machine": {
            "cores": 2,
            "cpu_model": "Intel(R) Xeon(R) Processor @ 2.80GHz",
            "kernel": "6.1.0-40-amd64",
            "memory_bytes": 8_326_713_344_u64,
            "os": "Debian GNU/Linux 12 (bookworm)",
        },
        "server": {
            "image_digest": null,
            "kind": "local",
            "settings": {
                "autovacuum": "on",
                "checkpoint_timeout": "900s",
                "fsync": "on",
                "full_page_writes": "on",
                "jit": "on",
                "max_wal_size": "4096MB",
                "shared_buffers": "16384 8kB",
                "synchronous_commit": "on",
                "wal_compression": "off",
                "wal_level": "replica",
            },
            "storage": "disk",
            "version": "17.2",
        },
    })
}
