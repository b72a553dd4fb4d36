//! A constructed comparison for the tests of results and reports: an arm that is faster, one that is much slower and
//! sometimes wrong, and one that is the same.

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};

use super::arm::arms;
use super::results::{CommandResults, Record};
use crate::measure::schedule::Schedule;
use crate::samples::{Measurements, Outcome, Sample, Samples, Timestamp};
use crate::stats::BLOCKS_PER_SESSION;

const SEED: u64 = 42;
const BLOCKS: usize = 10;

fn started_at(sample: usize) -> Timestamp {
    let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    (start + TimeDelta::seconds(sample as i64)).into()
}

pub(super) fn record() -> Record {
    let typed = [
        "apitap --preset tuned -m sql",
        r"psql -c '\copy orders FROM orders.copy (FORMAT binary)'",
        "dlt=python load_dlt.py csv",
        "twin=apitap -m sql | cat",
    ];
    let mut arms = arms(&typed.map(str::to_owned), &["dlt".to_owned()]).unwrap();
    arms[2].differences = vec![
        "text as character varying".to_owned(),
        "more columns: _dlt_load_id, _dlt_id".to_owned(),
    ];
    let command = [
        "apitap-bench",
        "compare",
        "--rows=200000",
        "--arm",
        typed[0],
        "--arm",
        typed[1],
    ];
    Record {
        started_at: started_at(0),
        command: command.map(str::to_owned).to_vec(),
        seed: SEED,
        workload: "orders".to_owned(),
        rows: 200_000,
        blocks: BLOCKS,
        blocks_per_session: BLOCKS_PER_SESSION.try_into().ok(),
        arms,
        prepare: Some("psql -c 'CREATE EXTENSION hstore'".to_owned()),
        notes: vec!["dlt 1.31.0, Python 3.11.7".to_owned()],
        fingerprint: json!({
            "machine": { "cpu_model": "Some CPU", "cores": 2 },
            "build": { "profile": "release", "git_commit": "0123456789abcdef", "git_dirty": false },
            "server": { "version": "17.2", "storage": "disk" },
        }),
    }
}

/// Seconds and bytes of memory, without noise.
fn truth(arm: &str) -> (f64, Option<u64>) {
    match arm {
        "psql" => (0.5, None),
        "dlt" => (10.0, Some(300_000_000)),
        "twin" => (0.5566, Some(62_000_000)),
        _ => (0.555, Some(61_000_000)),
    }
}

fn measured(arm: &str, block: usize, position: usize) -> Outcome {
    let (seconds, memory) = truth(arm);
    let noise = 1.0 + 0.004 * (((block * 7 + position * 3) % 5) as f64 - 2.0);
    let disk = match arm {
        "psql" => Value::Null,
        "dlt" => json!({ "read_bytes": 4_096, "written_bytes": 152_000_000 }),
        _ => json!({ "read_bytes": 0, "written_bytes": 0 }),
    };
    Outcome::Measured(Measurements {
        wall_seconds: seconds * noise,
        process_wall_seconds: seconds * noise,
        rows: 200_000,
        client_cpu_seconds: 0.8 * seconds * noise,
        server_cpu_seconds: Some(0.54),
        peak_memory_bytes: memory.map(|bytes| bytes + block as u64),
        extra: disk,
        ..Measurements::default()
    })
}

fn outcome(arm: &str, block: usize, position: usize) -> Outcome {
    match (arm, block) {
        ("dlt", 3) => Outcome::Failed {
            reason: "exit status: 1; the last that it said:\n  connection reset".to_owned(),
        },
        ("dlt", 4) => Outcome::WrongData {
            reason: "the table holds 199,000 rows instead of 200,000".to_owned(),
        },
        ("psql", 5) => Outcome::Void {
            reason: "12.0% CPU steal on the host (the limit is 5%)".to_owned(),
        },
        _ => measured(arm, block, position),
    }
}

pub(super) fn samples() -> Samples {
    let record = record();
    let sample = |arm: &str, block, position, warm_up, outcome| Sample {
        scenario: record.workload.clone(),
        arm: arm.to_owned(),
        block,
        position,
        warm_up,
        started_at: started_at(block),
        outcome,
    };
    let warm_ups = record.arms.iter().map(|arm| {
        let mut outcome = measured(&arm.name, 0, 0);
        if let Outcome::Measured(figures) = &mut outcome {
            figures.wall_seconds = 0.7;
        }
        sample(&arm.name, 0, 0, true, outcome)
    });
    let schedule = Schedule::new(SEED, record.arms.len(), BLOCKS);
    let slots = schedule.slots().iter().map(|slot| {
        let arm = &record.arms[slot.arm].name;
        let outcome = outcome(arm, slot.block, slot.position);
        sample(arm, slot.block, slot.position, false, outcome)
    });
    Samples {
        samples: warm_ups.chain(slots).collect(),
        cut_line: None,
    }
}

pub(super) fn results() -> CommandResults {
    CommandResults::new(&record(), &samples())
}
