//! How fast an arm could be at most, by the processor time that it takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SamplesByScenario;
use super::arm::{Blocks, blocks};
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan, configured};
use crate::metric::Metric;
use crate::run_record::RunRecord;
use crate::samples::Measurements;
use crate::stats::{Comparison, Location, compare, location, log_ratio};

/// The floor under the time of one arm, where the baseline is psql with a file made beforehand.
///
/// Each interval is that of its own figure: none is adjusted for the number of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Scenario by name.
    pub scenario: String,
    /// Arm by name.
    pub arm: String,
    /// Connections that carry its rows to PostgreSQL.
    pub connections: usize,
    /// Processor time of client and server ÷ the machine's cores, in seconds; absent where the server's
    /// cannot be seen.
    pub seconds: Option<Location>,
    /// The same ÷ the wall time of psql in the same block.
    pub of_psql: Option<Comparison>,
    /// Processor time of the server, in seconds.
    pub server_cpu_seconds: Option<Location>,
    /// Processor time of the client for a million rows read, in seconds.
    pub client_cpu_seconds_per_million_rows: Option<Location>,
}

/// The floors of all arms of scenarios whose baseline is psql, in the order of the run.
pub(super) fn all(run: &RunRecord, samples: &SamplesByScenario<'_>) -> Vec<Floor> {
    let cores = run.fingerprint["machine"]["cores"].as_u64();
    let plans = run.scenarios.iter().map(|scenario| &scenario.plan);
    plans
        .filter(|plan| is_against_psql(plan))
        .flat_map(|plan| {
            let samples = samples.scenario(&plan.name);
            let psql = blocks(samples, &plan.baseline().name);
            let arms = plan.arms.iter().map(move |arm| {
                let own = blocks(samples, &arm.name);
                floor((plan, arm), &own, &psql, cores, run.confidence_level)
            });
            arms.collect::<Vec<_>>()
        })
        .collect()
}

fn is_against_psql(plan: &ScenarioPlan) -> bool {
    let is_first = plan.cell.is_empty() && plan.confirms.is_none();
    is_first && !matches!(plan.baseline().load, LoadPlan::Engine { .. })
}

fn floor(
    (plan, arm): (&ScenarioPlan, &ArmPlan),
    own: &Blocks<'_>,
    psql: &Blocks<'_>,
    cores: Option<u64>,
    confidence: f64,
) -> Floor {
    let located = |figure: &dyn Fn(&Measurements) -> Option<f64>| {
        let values: Option<Vec<f64>> = own.values().map(|sample| figure(sample)).collect();
        location(&values?, confidence)
    };
    let seconds = |sample: &Measurements| {
        let cpu = sample.client_cpu_seconds + sample.server_cpu_seconds?;
        Some(cpu / cores? as f64)
    };
    let of_psql: Vec<f64> = own
        .iter()
        .filter_map(|(block, sample)| log_ratio(seconds(sample)?, psql.get(block)?.wall_seconds))
        .collect();
    let per_million = Metric::ClientCpuSecondsPerMillionRows;
    Floor {
        scenario: plan.name.clone(),
        arm: arm.name.clone(),
        connections: connections(&arm.load),
        seconds: located(&seconds),
        of_psql: compare(&of_psql, confidence),
        server_cpu_seconds: located(&|sample| sample.server_cpu_seconds),
        client_cpu_seconds_per_million_rows: located(&|sample| per_million.value(sample, arm.rows)),
    }
}

fn connections(load: &LoadPlan) -> usize {
    match load {
        LoadPlan::Engine { preset, knobs, .. } => {
            configured(preset, knobs).map_or(1, |config| config.write.connections.get())
        }
        LoadPlan::PsqlCopy | LoadPlan::PsqlStaged(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use crate::judge::Results;
    use crate::report::example::{self, CEILING};
    use crate::samples::{Outcome, Samples};

    fn about(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 0.01, "{value}, {expected}");
    }

    #[test]
    fn a_floor_is_all_processor_time_over_the_cores() {
        let (run, samples) = example::with_ceiling();
        let floors = Results::new(&run, &samples).floors;
        let arms: Vec<(&str, usize)> = floors
            .iter()
            .map(|floor| (floor.arm.as_str(), floor.connections))
            .collect();
        let expected = [
            ("psql \\copy", 1),
            ("2 connections", 2),
            ("1 connection", 1),
        ];
        assert_eq!(arms, expected);
        // Two cores: 1.2 s of the client and 1.4 s of the server, beside 2 s of psql.
        let two = &floors[1];
        let seconds = two.seconds.unwrap();
        about(seconds.estimate, 1.3);
        assert!(seconds.interval.low < seconds.estimate && seconds.confidence >= 0.95);
        about(two.of_psql.unwrap().ratio, 0.65);
        about(two.server_cpu_seconds.unwrap().estimate, 1.4);
        about(
            two.client_cpu_seconds_per_million_rows.unwrap().estimate,
            2.4,
        );
        about(floors[0].of_psql.unwrap().ratio, 0.5);
    }

    #[test]
    fn without_the_server_only_the_client_is_known() {
        let (run, mut samples) = example::with_ceiling();
        for sample in &mut samples.samples {
            if let Outcome::Measured(figures) = &mut sample.outcome {
                figures.server_cpu_seconds = None;
            }
        }
        let floor = &Results::new(&run, &samples).floors[1];
        assert_eq!((floor.seconds, floor.of_psql), (None, None));
        assert_eq!(floor.server_cpu_seconds, None);
        assert!(floor.client_cpu_seconds_per_million_rows.is_some());
    }

    #[test]
    fn arms_that_are_not_beside_psql_have_none() {
        let results = example::results();
        assert!(!results.scenarios.is_empty());
        assert_eq!(results.floors, []);
        let (run, samples) = example::with_ceiling();
        let scenarios = |samples: &Samples| -> Vec<String> {
            let floors = Results::new(&run, samples).floors;
            floors.into_iter().map(|floor| floor.scenario).collect()
        };
        assert_eq!(scenarios(&samples), [CEILING; 3]);
        let nothing = Results::new(&run, &Samples::default()).floors;
        assert!(nothing.iter().all(|floor| floor.seconds.is_none()));
    }
}
