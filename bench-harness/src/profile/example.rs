//! A constructed profile: every figure of it follows from what is here.

use apitap_core::budget::{Seen, ServerState};
use apitap_core::concurrency_time::{Activity, ActivityTime};
use apitap_core::timeline::Moment;
use apitap_core::{Config, RunReport};
use chrono::DateTime;
use serde_json::json;

use super::heap::{HeapProfile, Site, StageHeap};
use super::record::{
    HeapLoad, Observed, ProfileRecord, ProfiledLoad, SamplerKind, Subject, WatchedLoad,
};
use super::sampler::Sampled;
use super::stacks::Stacks;
use super::statistics::{ServerStatistics, Statement, Wal};

/// A report of a load with these times, its stages' processor seconds as given.
pub(crate) fn report(times: &[(&[Activity], f64)], cpu: &[(&str, f64)]) -> RunReport {
    let stage = |name: &str| {
        let found = cpu.iter().find(|(stage, _)| *stage == name);
        let seconds = found.map_or(0.0, |(_, seconds)| *seconds);
        json!({"busy_seconds": seconds, "cpu_seconds": seconds, "wait_seconds": 0.0, "rows": 0})
    };
    let latency = json!({"count": 0, "p50_ms": 0.0, "p95_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0});
    let channel = json!({
        "capacity_rows": 1, "messages": 0, "rows": 0, "max_depth_rows": 0,
        "send_wait_seconds": 0.0, "receive_wait_seconds": 0.0,
    });
    let activities: Vec<ActivityTime> = times
        .iter()
        .map(|(active, seconds)| ActivityTime {
            active: active.to_vec(),
            seconds: *seconds,
        })
        .collect();
    let wall: f64 = times.iter().map(|(_, seconds)| seconds).sum();
    serde_json::from_value(json!({
        "module": "m", "table": "t", "rows_read": 1, "rows_written": 1,
        "wall_seconds": wall, "first_row_seconds": null, "rows_per_second": 1.0,
        "source_bytes": 0, "write_bytes": 0,
        "http": {"requests": 0, "retries": 0, "pages": 0},
        "http_latency": latency, "write_latency": latency,
        "statements": 0, "flushes": 0,
        "stages": {
            "fetch": stage("fetch"), "source": stage("source"), "decode": stage("decode"),
            "infer": stage("infer"), "transform": stage("transform"), "encode": stage("encode"),
            "send": stage("send"), "write": stage("write"),
        },
        "channels": {"rows": null, "batches": channel},
        "activities": activities,
        "process": {"cpu_seconds": cpu.iter().map(|(_, seconds)| seconds).sum::<f64>(), "peak_memory_bytes": null},
        "config": Config::default(),
    }))
    .unwrap()
}

/// Rounds of the example.
const ROUNDS: usize = 6;

/// Rows of each load.
const ROWS: u64 = 10_000;

/// A profile in which the candidate encodes in a third of the time.
pub(crate) fn record() -> ProfileRecord {
    let time = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
    let mut loads = Vec::new();
    for round in 0..ROUNDS {
        for arm in 0..2 {
            for seen in [sampled(arm, round), watched(arm)] {
                loads.push(load(round, arm, seen));
            }
        }
    }
    loads.push(load(0, 0, heap()));
    ProfileRecord {
        subject: Subject {
            experiment: "copy-vs-insert".to_owned(),
            scenario: "copy-vs-insert on tuned".to_owned(),
            arms: ["insert".to_owned(), "copy-binary".to_owned()],
            rows: [ROWS; 2],
            sampler: SamplerKind::Pprof,
            cores: 2,
            started_at: time.into(),
            rounds: ROUNDS,
            fingerprint: json!({
                "machine": {"cores": 2, "cpu_model": "Example"},
                "build": {"git_commit": "0123456789abcdef", "git_dirty": false, "profile": "release"},
                "server": {"version": "17.2", "storage": "disk"},
            }),
        },
        loads,
    }
}

fn load(round: usize, arm: usize, seen: Observed) -> ProfiledLoad {
    use Activity::{Decode, Encode, PageWait, Request, ServerWait};
    let time = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
    // Seconds of encoding.
    let encode = [0.3, 0.1][arm];
    let mut report = report(
        &[
            (&[Decode], 0.2),
            (&[Encode], encode),
            (&[ServerWait], 0.1),
            (&[PageWait, Request], 0.05),
            (&[], 0.01),
        ],
        &[("decode", 0.2), ("encode", encode), ("send", 0.02)],
    );
    report.rows_read = ROWS;
    report.rows_per_second = ROWS as f64 / report.wall_seconds;
    ProfiledLoad {
        round,
        arm,
        started_at: time.into(),
        client_cpu_seconds: report.process.cpu_seconds,
        server_cpu_seconds: Some([0.4, 0.1][arm]),
        steal_share: 0.0,
        report,
        seen,
    }
}

/// A hundred samples for a second of processor time; the odd rounds see a little less decoding.
fn sampled(arm: usize, round: usize) -> Observed {
    let decode = 20 - round % 2;
    let encode = [30, 10][arm];
    let stacks = Stacks::parse(&format!(
        "tokio::run;apitap_core::stage::sql;apitap_core::stage::decode;apitap_core::decode::row {decode}\n\
         tokio::run;apitap_core::stage::encode;apitap_core::encode::row;core::fmt::write {encode}\n\
         tokio::run;apitap_core::stage::send;tokio_postgres::poll 2\n"
    ));
    Observed::Sampled(Sampled {
        frequency_hz: 100,
        cpu_seconds: [0.52, 0.32][arm],
        frames: stacks
            .iter()
            .map(|(stack, count)| stack.len() as u64 * count)
            .sum(),
        unknown_frames: 0,
        truncated: Some(0),
        stacks,
    })
}

fn watched(arm: usize) -> Observed {
    let look = |active: &[Activity], server, looks| Seen {
        active: active.to_vec(),
        server,
        looks,
    };
    let moment = |seconds: f64, rows_encoded| Moment {
        seconds,
        rows_encoded,
        rows_read: rows_encoded,
        memory_bytes: Some(64_000_000),
        send_wait_seconds: seconds / 4.0,
        ..Moment::default()
    };
    Observed::Watched(WatchedLoad {
        looks: vec![
            look(&[Activity::ServerWait], ServerState::Running, 8.0),
            look(&[Activity::ServerWait], ServerState::Waiting, 2.0),
            look(&[Activity::Decode], ServerState::Idle, 10.0),
            look(&[Activity::Encode], ServerState::Idle, 10.0),
        ],
        timeline: vec![moment(0.1, 1_000), moment(0.2, 6_000), moment(0.3, ROWS)],
        server: ServerStatistics {
            wal: Some(Wal {
                records: [20_000.0, 900.0][arm],
                page_images: 3.0,
                bytes: 6e6,
            }),
            io: None,
            statements: vec![Statement {
                text: ["INSERT INTO t | $1", "COPY t FROM STDIN"][arm].to_owned(),
                calls: 1.0,
                seconds: 0.1,
                rows: ROWS as f64,
            }],
        },
    })
}

fn heap() -> Observed {
    let site = Site {
        function: "apitap_core::encode::row".to_owned(),
        blocks: 30_000,
        bytes: 600_000,
    };
    Observed::Heap(HeapLoad {
        rows: ROWS,
        profile: HeapProfile {
            total_blocks: 40_000,
            total_bytes: 1_000_000,
            stages: vec![StageHeap {
                stage: Some("encode".to_owned()),
                blocks: 30_000,
                bytes: 600_000,
                sites: vec![site],
            }],
        },
    })
}
