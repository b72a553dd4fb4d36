//! What the relay made of the round trips that were asked for.

use crate::experiment::{API_ROUND_TRIP, POSTGRES_ROUND_TRIP};
use crate::report::units::{Seconds, plain};
use crate::results::{ExperimentResults, Results, ScenarioResults};
use crate::run_record::RoundTrip;
use crate::stats::sample::median;

/// The round trips of the grid as they were measured, once for each value.
pub(super) fn told(results: &Results, experiment: &ExperimentResults) -> Option<String> {
    let scenarios = || {
        let all = results.scenarios.iter();
        all.filter(|scenario| scenario.plan.experiment == experiment.definition.id)
    };
    let postgres: Vec<Measured> = scenarios()
        .filter_map(|one| measured(one, POSTGRES_ROUND_TRIP, one.postgres_round_trip))
        .collect();
    let api: Vec<Measured> = scenarios()
        .filter_map(|one| measured(one, API_ROUND_TRIP, one.api_round_trip))
        .collect();
    let sentences: Vec<String> = [("PostgreSQL", postgres), ("the API", api)]
        .into_iter()
        .filter_map(|(server, measured)| sentence(server, measured))
        .collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// What was added, and what came of it.
type Measured = (f64, RoundTrip);

fn measured(
    scenario: &ScenarioResults,
    parameter: &str,
    trip: Option<RoundTrip>,
) -> Option<Measured> {
    let at = scenario
        .plan
        .cell
        .iter()
        .find(|at| at.parameter == parameter)?;
    Some((at.value, trip?))
}

fn sentence(server: &str, mut measured: Vec<Measured>) -> Option<String> {
    let direct: Vec<f64> = measured.iter().map(|(_, trip)| trip.direct_ms).collect();
    let direct = median(&direct)?;
    // Every row of a grid has its own measurement; one of each value is enough.
    let mut told: Vec<f64> = Vec::new();
    measured.retain(|(added, _)| {
        let is_first = !told.contains(added);
        told.push(*added);
        is_first
    });
    let relayed: Vec<String> = measured
        .iter()
        .map(|(added, trip)| {
            format!(
                "{} ms added, {} in all",
                plain(*added),
                Seconds(trip.relayed_ms / 1e3)
            )
        })
        .collect();
    Some(format!(
        "Measured round trips to {server}: {}; without the relay {}.",
        relayed.join("; "),
        Seconds(direct / 1e3)
    ))
}
