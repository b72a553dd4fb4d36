//! A constructed run for the tests of results and reports: some claims on both presets, a grid, a
//! confirmation, and one of everything that goes wrong.

mod ceiling;
mod experiments;

use chrono::{DateTime, TimeDelta};
use serde_json::json;

pub(crate) use ceiling::{CEILING, with_ceiling};
use experiments::EXPERIMENTS;

use crate::experiment::{ArmPlan, Definition, Experiment, LoadPlan, Scale, ScenarioPlan};
use crate::judge::Results;
use crate::judge::history;
use crate::judge::history::series::History;
use crate::measure::schedule::Schedule;
use crate::metric::Metric;
use crate::run_record::{
    LearnedThreshold, MockApiCeiling, RoundTrip, RunRecord, SCHEMA_VERSION, Scenario, Verification,
};
use crate::samples::{Measurements, Outcome, Sample, Samples, Timestamp};
use crate::stats::Threshold;

const SEED: u64 = 42;

fn definitions() -> Vec<Definition> {
    EXPERIMENTS
        .iter()
        .map(|toml| Definition::parse(toml).unwrap())
        .collect()
}

fn plans() -> Vec<ScenarioPlan> {
    let mut plans: Vec<ScenarioPlan> = definitions()
        .into_iter()
        .flat_map(|definition| Experiment { definition }.scenarios(Scale::Default))
        .collect();
    let again = plans.iter().find(|plan| plan.name == "page-size on before");
    plans.push(again.unwrap().repeated("again"));
    plans
}

/// Seconds of an arm for a thousand rows, without noise: what this constructed world is like.
fn seconds_per_thousand_rows(plan: &ScenarioPlan, arm: &ArmPlan) -> f64 {
    let (is_before, knobs) = preset_and_knobs(arm);
    let has = |knob: &str| knobs.iter().any(|one| one == knob);
    let base = if is_before { 0.019 } else { 0.0036 };
    let change = match () {
        () if has("write.method=insert") && !is_before => 0.008,
        () if has("write.method=copy-binary") && is_before => -0.013,
        () if has("write.method=copy-csv") && is_before => -0.011,
        () if has("write.method=copy-csv") => 0.0014,
        () if has("source.page_rows=1000") && is_before => -0.002,
        () if has("source.page_rows=50") && !is_before => 0.0004,
        () if has("transform.partitions=2") && is_before => 0.0045,
        () => 0.0,
    };
    let statements = match () {
        () if !has("write.method=insert") => 0.0,
        () if has("write.batch_rows=100") => 10.0,
        () => 1.0,
    };
    let small_pages = !has("source.page_rows=1000") && (is_before || has("source.page_rows=50"));
    let pages = if small_pages { 20.0 } else { 1.0 };
    let at_a_time = if has("source.concurrency=10") {
        10.0
    } else {
        1.0
    };
    base + change
        + statements * plan.postgres_round_trip_ms.unwrap_or(0.0) / 1e3
        + pages / at_a_time * plan.api_round_trip_ms.unwrap_or(0.0) / 1e3
}

fn preset_and_knobs(arm: &ArmPlan) -> (bool, &[String]) {
    match &arm.load {
        LoadPlan::Engine { preset, knobs, .. } => (preset == "before", knobs),
        LoadPlan::PsqlCopy | LoadPlan::PsqlStaged(_) => (false, &[]),
    }
}

fn started_at(sample: usize) -> Timestamp {
    let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    (start + TimeDelta::seconds(sample as i64)).into()
}

pub(crate) fn run_record() -> RunRecord {
    let scenario = |plan: ScenarioPlan| Scenario {
        verification: plan
            .arms
            .iter()
            .map(|arm| Verification {
                rows: arm.rows,
                checksum: "-8730160531498760".into(),
            })
            .collect(),
        thresholds: if plan.name == "counter on before" {
            let threshold = Threshold::new(0.018).unwrap();
            vec![LearnedThreshold {
                metric: Metric::WallSeconds,
                threshold,
            }]
        } else {
            Vec::new()
        },
        unprepared: None,
        mock_api_ceiling: plan.api_round_trip_ms.is_none().then_some(MockApiCeiling {
            rows_per_second: 3_600_000.0,
            bytes_per_second: 1.44e9,
        }),
        postgres_round_trip: plan.postgres_round_trip_ms.map(round_trip),
        api_round_trip: plan.api_round_trip_ms.map(round_trip),
        plan,
    };
    RunRecord {
        schema_version: SCHEMA_VERSION,
        started_at: started_at(0),
        seed: SEED,
        command: ["apitap-bench", "run", "--postgres", "local"]
            .map(str::to_owned)
            .to_vec(),
        build_profile: "release".into(),
        scale: Scale::Default,
        confidence_level: 0.95,
        blocks_per_session: None,
        looks: None,
        confirms: true,
        calibrated_at: Some(started_at(0)),
        experiments: definitions(),
        scenarios: plans().into_iter().map(scenario).collect(),
        // Sorted by name: whether serde_json sorts or keeps the order depends on the features that
        // other crates ask.
        fingerprint: json!({
            "build": {"git_commit": "0123456789abcdef", "git_dirty": null, "profile": "release"},
            "machine": {"cores": 2, "cpu_model": "Xeon at 2.8 GHz", "memory_bytes": 8_000_000_000_u64},
            "server": {"settings": {"fsync": "on", "synchronous_commit": "on"}, "storage": "disk", "version": "17.2"},
        }),
    }
}

fn round_trip(added_ms: f64) -> RoundTrip {
    RoundTrip {
        direct_ms: 0.06,
        relayed_ms: added_ms + 0.19,
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Vec::new();
    for plan in plans() {
        for arm in 0..plan.arms.len() {
            samples.push(sample(&plan, arm, 0, true, samples.len()));
        }
        for slot in Schedule::new(SEED, plan.arms.len(), plan.blocks).slots() {
            samples.push(sample(&plan, slot.arm, slot.block, false, samples.len()));
        }
    }
    spoil(&mut samples);
    Samples {
        samples,
        cut_line: None,
    }
}

/// A void sample, a failed one, a wrong one, a stolen one and a stalled one.
fn spoil(samples: &mut [Sample]) {
    let position = |scenario: &str, arm: &str, block| {
        let is_it = |one: &Sample| {
            one.scenario == scenario && one.arm == arm && one.block == block && !one.warm_up
        };
        samples.iter().position(is_it).unwrap()
    };
    let void = position("counter on before", "atomic", 2);
    let failed = position("copy-vs-insert on before", "copy-csv", 1);
    let wrong = position("copy-vs-insert on before", "copy-csv", 2);
    let stolen = position("counter on tuned", "mutex", 4);
    let stalled = position("page-size on tuned", "50 rows", 6);
    samples[void].outcome = Outcome::Void {
        reason: "timed checkpoint".into(),
    };
    samples[failed].outcome = Outcome::Failed {
        reason: "worker exited with 1: column \"id\" is of type bigint\nbut 7 is text".into(),
    };
    samples[wrong].outcome = Outcome::WrongData {
        reason: "the table holds 49999 rows instead of 50000".into(),
    };
    if let Outcome::Measured(figures) = &mut samples[stolen].outcome {
        figures.steal_share = 0.034;
    }
    if let Outcome::Measured(figures) = &mut samples[stalled].outcome {
        figures.wall_seconds = 9.5;
    }
}

fn sample(plan: &ScenarioPlan, arm: usize, block: usize, warm_up: bool, nth: usize) -> Sample {
    let arm_plan = &plan.arms[arm];
    // Noise of a few per cent that repeats and favours no arm; of one scenario tens of per cent.
    let shake = if plan.name == "pipelining on before" {
        0.15
    } else {
        0.004
    };
    let noise = |shake: f64| 1.0 + shake * ((block * 7 + arm * 3) % 5) as f64;
    let first = if warm_up { 1.3 } else { noise(shake) };
    let calm = seconds_per_thousand_rows(plan, arm_plan) * arm_plan.rows as f64 / 1e3;
    let wall = calm * first;
    let cpu = if shake > 0.05 {
        calm * noise(0.004)
    } else {
        wall
    };
    let (_, knobs) = preset_and_knobs(arm_plan);
    let has = |knob: &str| knobs.iter().any(|one| one == knob);
    let saved = if has("write.in_flight=8") { 1.3 } else { 1.0 };
    let first_row = if has("infer.sample_rows=50") {
        0.01
    } else {
        0.012
    };
    Sample {
        scenario: plan.name.clone(),
        arm: arm_plan.name.clone(),
        block,
        position: arm,
        warm_up,
        started_at: started_at(nth),
        outcome: Outcome::Measured(Measurements {
            wall_seconds: wall,
            process_wall_seconds: wall + 0.01,
            rows: arm_plan.rows,
            first_row_seconds: Some(first_row * first),
            client_cpu_seconds: 0.6 * cpu / saved,
            server_cpu_seconds: Some(0.5 * cpu),
            peak_memory_bytes: Some(61_400_000 + 1_000 * block as u64),
            steal_share: 0.002,
            involuntary_switches: 40,
            bytes_from_api: 400 * arm_plan.rows,
            bytes_to_server: 270 * arm_plan.rows,
            statements: 3,
            round_trips: None,
            extra: serde_json::Value::Null,
        }),
    }
}

/// A history of two arms, one of which becomes slower.
pub(crate) fn history() -> History {
    History::new(&history::example::entries(14, 8, 1.25), &[], 0.01)
}

pub(crate) fn results() -> Results {
    Results::new(&run_record(), &samples())
}

pub(crate) fn results_without_samples() -> Results {
    Results::new(&run_record(), &Samples::default())
}
