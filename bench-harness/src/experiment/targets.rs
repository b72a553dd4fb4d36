//! The goals of the engine beside what a run measured.
//!
//! A goal that is stated for a number of rows is judged at that number alone: a quick run shows its
//! figure and leaves the judgement open. A ratio is judged by its estimate; the interval stands
//! beside it.

use super::PSQL_COPY;
use super::writers::{BEFORE, CEILING_ROWS, MEMORY_ROWS, PRESETS_REMOTE, TUNED};
use crate::report::units::{Bytes, Number, Range, Times, Whole};
use crate::results::{ArmResults, Results, ScenarioResults, Target, TargetStatus};

/// At least so many times faster than `before` must `tuned` be.
const TUNED_SPEEDUP: f64 = 30.0;

/// At most so many times the time of `psql \copy`.
const CEILING_RATIO: f64 = 1.1;

/// At most so many times the memory at ten times the rows.
const MEMORY_GROWTH: f64 = 1.15;

const MEMORY_LIMIT_BYTES: f64 = 150e6;

/// The mock API must serve at least so many times what the fastest pipeline drains.
const MOCK_API_HEADROOM: f64 = 3.0;

/// All goals, judged by `results`.
#[must_use]
pub fn targets(results: &Results) -> Vec<Target> {
    vec![
        speedup(results, "presets", "API without latency"),
        speedup(results, PRESETS_REMOTE, "API of 10 ms"),
        ceiling(results),
        memory_growth(results),
        memory_limit(results),
        headroom(results),
    ]
}

fn speedup(results: &Results, scenario: &str, place: &str) -> Target {
    let ratio = arm(results, scenario, TUNED).and_then(|(_, arm)| arm.to_baseline);
    let speed = ratio.map(|ratio| ratio.inverted());
    let measured = speed.map(|speed| {
        let range = Range::of(&speed, results.confidence_level);
        format!("{} ({range})", Times(speed.ratio))
    });
    Target {
        name: format!("speed of {TUNED} to {BEFORE}, {place}"),
        goal: format!("at least {TUNED_SPEEDUP}×"),
        status: judged(speed.map(|speed| speed.ratio >= TUNED_SPEEDUP)),
        measured: shown(measured),
    }
}

fn ceiling(results: &Results) -> Target {
    let found = arm(results, "ceiling", TUNED)
        .and_then(|(scenario, arm)| Some((scenario.verification.rows, arm.to_baseline?)));
    let measured = found.map(|(rows, ratio)| {
        let range = Range::of(&ratio, results.confidence_level);
        format!("{} ({range}) at {} rows", Times(ratio.ratio), Whole(rows))
    });
    let reached = found
        .filter(|(rows, _)| *rows == CEILING_ROWS)
        .map(|(_, ratio)| ratio.ratio <= CEILING_RATIO);
    Target {
        name: format!("time of {TUNED} to {PSQL_COPY}"),
        goal: format!("at most {CEILING_RATIO}× at {} rows", Whole(CEILING_ROWS)),
        status: judged(reached),
        measured: shown(measured),
    }
}

fn memory_growth(results: &Results) -> Target {
    let [few, many] = MEMORY_ROWS.map(|rows| peak_memory(results, rows));
    let growth = many.zip(few).map(|(many, few)| many / few);
    Target {
        name: "peak memory at ten times the rows".to_owned(),
        goal: format!("at most {MEMORY_GROWTH}× at {} rows", Whole(MEMORY_ROWS[1])),
        status: judged(growth.map(|growth| growth <= MEMORY_GROWTH)),
        measured: shown(growth.map(|growth| Times(growth).to_string())),
    }
}

fn memory_limit(results: &Results) -> Target {
    let peak = peak_memory(results, MEMORY_ROWS[1]);
    Target {
        name: "peak memory".to_owned(),
        goal: format!(
            "below {} at {} rows",
            Bytes(MEMORY_LIMIT_BYTES),
            Whole(MEMORY_ROWS[1])
        ),
        status: judged(peak.map(|peak| peak < MEMORY_LIMIT_BYTES)),
        measured: shown(peak.map(|peak| Bytes(peak).to_string())),
    }
}

/// The least headroom of all scenarios counts: it is that of the fastest pipeline of the run.
fn headroom(results: &Results) -> Target {
    let least = results
        .scenarios
        .iter()
        .filter_map(|scenario| Some((scenario, scenario.mock_api.as_ref()?)))
        .min_by(|(_, a), (_, b)| a.times_fastest.total_cmp(&b.times_fastest));
    let measured = least.map(|(scenario, api)| {
        let times = Number(api.times_fastest);
        format!("{times} times, {} of {}", api.fastest_arm, scenario.name)
    });
    Target {
        name: "mock API alone to the fastest pipeline".to_owned(),
        goal: format!("at least {MOCK_API_HEADROOM} times"),
        status: judged(least.map(|(_, api)| api.times_fastest >= MOCK_API_HEADROOM)),
        measured: shown(measured),
    }
}

fn arm<'a>(
    results: &'a Results,
    scenario: &str,
    arm: &str,
) -> Option<(&'a ScenarioResults, &'a ArmResults)> {
    let scenario = results.scenarios.iter().find(|one| one.name == scenario)?;
    let arm = scenario.arms.iter().find(|one| one.name == arm)?;
    Some((scenario, arm))
}

/// Peak memory of the tuned arm in the memory scenario of so many rows.
fn peak_memory(results: &Results, rows: u64) -> Option<f64> {
    let scenario = results
        .scenarios
        .iter()
        .find(|one| one.name.starts_with("memory") && one.verification.rows == rows)?;
    let (_, arm) = arm(results, &scenario.name, TUNED)?;
    arm.peak_memory_bytes.map(|bytes| bytes as f64)
}

fn judged(reached: Option<bool>) -> TargetStatus {
    match reached {
        Some(true) => TargetStatus::Met,
        Some(false) => TargetStatus::Missed,
        None => TargetStatus::NotMeasured,
    }
}

fn shown(measured: Option<String>) -> String {
    measured.unwrap_or_else(|| "–".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn a_run_without_the_scenarios_of_a_goal_does_not_judge_it() {
        let targets = targets(&example::results_without_samples());
        assert_eq!(targets.len(), 6);
        assert!(
            targets
                .iter()
                .all(|target| target.status == TargetStatus::NotMeasured)
        );
    }

    #[test]
    fn goals_are_judged_at_their_own_number_of_rows() {
        let mut results = example::results();
        let scenario = &mut results.scenarios[0];
        scenario.name = "ceiling".to_owned();
        let arm = scenario
            .arms
            .iter_mut()
            .find(|arm| arm.to_baseline.is_some_and(|ratio| ratio.ratio < 1.0))
            .unwrap();
        arm.name = TUNED.to_owned();
        let ceiling = &targets(&results)[2];
        assert_eq!(ceiling.status, TargetStatus::NotMeasured);
        assert!(
            ceiling.measured.ends_with("at 200,000 rows"),
            "{}",
            ceiling.measured
        );

        results.scenarios[0].verification.rows = CEILING_ROWS;
        assert_eq!(targets(&results)[2].status, TargetStatus::Met);
    }

    #[test]
    fn memory_is_compared_across_its_scenarios() {
        let results = example::results();
        let memory = |name: &str, rows, bytes| {
            let mut scenario = results.scenarios[0].clone();
            scenario.name = name.to_owned();
            scenario.verification.rows = rows;
            scenario.arms.truncate(1);
            scenario.arms[0].name = TUNED.to_owned();
            scenario.arms[0].peak_memory_bytes = Some(bytes);
            scenario
        };
        let mut results = results.clone();
        results.scenarios = vec![
            memory("memory-500k", MEMORY_ROWS[0], 100_000_000),
            memory("memory-5m", MEMORY_ROWS[1], 120_000_000),
        ];
        let targets = targets(&results);
        assert_eq!(targets[3].measured, "1.20×");
        assert_eq!(targets[3].status, TargetStatus::Missed);
        assert_eq!(targets[4].status, TargetStatus::Met);
    }
}
