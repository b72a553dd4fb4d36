//! What the relay made of the round trips that were asked for.

use crate::experiment::{API_ROUND_TRIP, POSTGRES_ROUND_TRIP};
use crate::format::{Seconds, plain};
use crate::judge::{Results, ScenarioResults};
use crate::run_record::RoundTrip;
use crate::stats::sample::median;

/// The round trips of all grids as they were measured, a median for each value.
pub(super) fn measured(results: &Results) -> Option<String> {
    let scenarios = || results.scenarios.iter();
    let postgres: Vec<Measured> = scenarios()
        .filter_map(|one| of_scenario(one, POSTGRES_ROUND_TRIP, one.postgres_round_trip))
        .collect();
    let api: Vec<Measured> = scenarios()
        .filter_map(|one| of_scenario(one, API_ROUND_TRIP, one.api_round_trip))
        .collect();
    let sentences: Vec<String> = [("PostgreSQL", postgres), ("the API", api)]
        .into_iter()
        .filter_map(|(server, measured)| sentence(server, &measured))
        .collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// What was added, and what came of it.
type Measured = (f64, RoundTrip);

fn of_scenario(
    scenario: &ScenarioResults,
    parameter: &str,
    trip: Option<RoundTrip>,
) -> Option<Measured> {
    let at = scenario
        .plan
        .cell
        .iter()
        .find(|at| at.parameter == parameter)?;
    Some((at.value.number()?, trip?))
}

fn sentence(server: &str, measured: &[Measured]) -> Option<String> {
    let direct: Vec<f64> = measured.iter().map(|(_, trip)| trip.direct_ms).collect();
    let direct = median(&direct)?;
    let mut values: Vec<f64> = measured.iter().map(|(added, _)| *added).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let relayed: Vec<String> = values
        .into_iter()
        .filter_map(|value| {
            let of_value = measured.iter().filter(|(added, _)| *added == value);
            let trips: Vec<f64> = of_value.map(|(_, trip)| trip.relayed_ms).collect();
            let whole = Seconds(median(&trips)? / 1e3);
            Some(format!("{} ms added, {whole} in all", plain(value)))
        })
        .collect();
    Some(format!(
        "Measured round trips to {server}: {}; without the relay {}.",
        relayed.join("; "),
        Seconds(direct / 1e3)
    ))
}
