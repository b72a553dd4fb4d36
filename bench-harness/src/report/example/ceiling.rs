//! A claim about psql beside the constructed run.

use super::{run_record, samples, started_at};
use crate::experiment::{Definition, Experiment, Scale, ScenarioPlan};
use crate::run_record::{RunRecord, Scenario};
use crate::samples::{Measurements, Outcome, Sample, Samples};

const EXPERIMENT: &str = r#"
    id = "psql-ceiling"
    title = "The ceiling"
    claim = "at most 0.75 times the time of psql \\copy"
    section = "goal of the project"
    expected = { low = 1.333 }
    metric = "wall_seconds"
    workload = "orders"
    rows = 500_000
    baseline = { name = "psql \\copy", psql_copy = true }
    candidates = [
        { name = "2 connections", preset = "tuned", knobs = ["write.connections=2"] },
        { name = "1 connection", preset = "tuned", knobs = ["write.connections=1"], expected = { low = 1.136 } },
    ]
"#;

/// Its scenario.
pub(crate) const CEILING: &str = "psql-ceiling";

/// Seconds of wall time, of the client's processors and of the server's.
fn seconds(arm: &str) -> (f64, f64, f64) {
    match arm {
        "2 connections" => (1.4, 1.2, 1.4),
        "1 connection" => (1.9, 1.1, 1.5),
        _ => (2.0, 0.4, 1.6),
    }
}

/// The constructed run and its samples, with those of the claim, and of the same measured again.
pub(crate) fn with_ceiling() -> (RunRecord, Samples) {
    let (mut run, mut samples) = (run_record(), samples());
    let definition = Definition::parse(EXPERIMENT).unwrap();
    let experiment = Experiment { definition };
    let mut plans = experiment.scenarios(Scale::Default);
    plans.push(plans[0].repeated("again"));
    for plan in plans {
        let blocks = 0..plan.blocks;
        let taken = blocks.flat_map(|block| (0..plan.arms.len()).map(move |arm| (block, arm)));
        let taken: Vec<Sample> = taken
            .map(|(block, arm)| sample(&plan, block, arm))
            .collect();
        samples.samples.extend(taken);
        run.scenarios.push(Scenario::planned(plan));
    }
    run.experiments.push(experiment.definition);
    (run, samples)
}

fn sample(plan: &ScenarioPlan, block: usize, position: usize) -> Sample {
    let arm = &plan.arms[position];
    let (wall, client, server) = seconds(&arm.name);
    let noise = 1.0 + 0.002 * ((block * 7 + position * 3) % 5) as f64;
    Sample {
        scenario: plan.name.clone(),
        arm: arm.name.clone(),
        block,
        position,
        warm_up: false,
        started_at: started_at(block),
        outcome: Outcome::Measured(Measurements {
            wall_seconds: wall * noise,
            process_wall_seconds: wall * noise,
            rows: arm.rows,
            client_cpu_seconds: client * noise,
            server_cpu_seconds: Some(server * noise),
            ..Measurements::default()
        }),
    }
}
