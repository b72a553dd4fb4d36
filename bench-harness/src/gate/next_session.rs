//! Which scenarios the next session measures, and how far.
//!
//! A session is what one start of the server measures. On a busy host a block varies several times as much as
//! on a quiet one, so no fixed number of blocks suits both: a gate measures a scenario session by session, until
//! a look decides each of its times.

use std::collections::HashSet;
use std::time::Duration;

use super::results::{Check, GateResults, ScenarioOutcome};
use crate::experiment::ScenarioPlan;
use crate::metric::Tier;
use crate::run_record::RunRecord;
use crate::samples::Sample;
use crate::stats::{ClaimVerdict, Looks, SESSION_BLOCKS, Verdict};

/// The scenarios of `record` to measure on, by index, and the blocks that each has after the session: all that
/// are undecided or between two looks, and whose next look fits into `left`, those with the fewest blocks first.
///
/// The first look is reached however long it takes, and so is a second start of the server: nothing is found
/// slower before.
pub(super) fn next_session(
    record: &RunRecord,
    samples: &[Sample],
    found: &GateResults,
    looks: &Looks,
    mut left: Duration,
) -> Vec<(usize, usize)> {
    let planned = record.scenarios.iter().map(|one| &one.plan).enumerate();
    let mut open: Vec<(usize, &ScenarioPlan)> = planned
        .filter(|(_, plan)| !looks.contains(plan.blocks) || is_open(plan, found))
        .collect();
    open.sort_by_key(|(_, plan)| plan.blocks);
    let fitting = open.into_iter().filter_map(|(index, plan)| {
        let look = looks.after(plan.blocks)?;
        if look > looks.first().max(2 * SESSION_BLOCKS) {
            let added = u32::try_from(look - plan.blocks).ok()?;
            let takes = time_of_block(plan, samples)?.saturating_mul(added);
            left = left.checked_sub(takes)?;
        }
        Some((index, look.min(plan.blocks + SESSION_BLOCKS)))
    });
    fitting.collect()
}

/// Whether more blocks may decide the scenario.
fn is_open(plan: &ScenarioPlan, found: &GateResults) -> bool {
    let Some(scenario) = found.scenarios.iter().find(|one| one.name == plan.name) else {
        return false;
    };
    // A metric with figures and no change, such as no CPU tick in any load, has none with more blocks either.
    let timed = || {
        let checks = scenario.checks.iter();
        checks.filter(|check| check.metric.tier() != Tier::Counter && check.change.is_some())
    };
    let is_undecided = |check: &Check| check.is_hard && check.verdict == Verdict::Inconclusive;
    let is_claimed = |check: &Check| {
        let mut claims = found.claims.iter();
        claims.any(|one| {
            (&one.scenario, one.metric) == (&plan.name, check.metric)
                && one.verdict == ClaimVerdict::Inconclusive
        })
    };
    match scenario.outcome {
        ScenarioOutcome::Inconclusive
        | ScenarioOutcome::Waived { .. }
        | ScenarioOutcome::Passed => timed().any(|check| is_undecided(check) || is_claimed(check)),
        // A scenario with one worse time is worse, whatever its others are.
        ScenarioOutcome::Regressed => {
            timed().any(is_claimed)
                || timed().any(is_undecided)
                    && timed().all(|check| check.verdict != Verdict::Regressed)
        }
        ScenarioOutcome::Missing { .. }
        | ScenarioOutcome::Failed { .. }
        | ScenarioOutcome::WrongData { .. } => false,
    }
}

/// How long a block took when the scenario was last measured, with warm-up, void samples and pauses: a
/// busy host is rarely idle a moment later.
fn time_of_block(plan: &ScenarioPlan, samples: &[Sample]) -> Option<Duration> {
    let own = samples.iter().filter(|sample| sample.scenario == plan.name);
    let own: Vec<&Sample> = own.collect();
    let begins = |two: &[&Sample]| !two[0].warm_up && two[1].warm_up;
    let begun = own.windows(2).rposition(begins).map_or(0, |at| at + 1);
    let last = &own[begun..];
    let measured = last.iter().filter(|sample| !sample.warm_up);
    let blocks: HashSet<usize> = measured.map(|sample| sample.block).collect();
    let [first, .., end] = last else {
        return None;
    };
    let between = end.started_at.seconds_since(first.started_at);
    // The last sample took about as long as the others.
    let took = between * last.len() as f64 / (last.len() - 1) as f64;
    Duration::try_from_secs_f64(took / blocks.len() as f64).ok()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::experiment::Revision;
    use crate::gate::example as gate_example;
    use crate::gate::results::{GatedClaim, GatedScenario};
    use crate::gate::scenario::{BASE, HEAD, Scenarios, Size};
    use crate::metric::Metric;
    use crate::report::example;
    use crate::run_record::Scenario;
    use crate::samples::Outcome;

    /// Two scenarios, `tuned` with so many blocks and `before` with those of a session.
    fn record(blocks: usize) -> RunRecord {
        let revision = Revision {
            commit: "c".repeat(40),
            environment: Vec::new(),
        };
        let scenarios = Scenarios::read(None).unwrap();
        let revisions = [(BASE, revision.clone()), (HEAD, revision)];
        let plan = |name: &str, blocks: usize| ScenarioPlan {
            blocks,
            ..scenarios.chosen(&[name.to_owned()], true)[0].plan(Size::default(), &revisions)
        };
        let plans = [plan("tuned", blocks), plan("before", 12)];
        RunRecord {
            scenarios: plans.map(Scenario::planned).to_vec(),
            ..example::run_record()
        }
    }

    /// A session's samples of a scenario, a block of which takes so long; the first only warms up.
    fn session(scenario: &Scenario, begun_at: i64, seconds_of_block: f64) -> Vec<Sample> {
        const MEASURED_BLOCKS: usize = 3;
        let samples = 2 * (1 + MEASURED_BLOCKS);
        let gap = seconds_of_block * MEASURED_BLOCKS as f64 / samples as f64;
        let begun = DateTime::from_timestamp(begun_at, 0).unwrap();
        let sample = |nth: usize| Sample {
            scenario: scenario.plan.name.clone(),
            arm: [BASE, HEAD][nth % 2].to_owned(),
            block: (nth / 2).saturating_sub(1),
            position: nth % 2,
            warm_up: nth < 2,
            started_at: (begun + TimeDelta::milliseconds((1e3 * gap * nth as f64) as i64)).into(),
            outcome: Outcome::Void {
                reason: String::new(),
            },
        };
        (0..samples).map(sample).collect()
    }

    /// Samples of every scenario, a block of which takes a second.
    fn samples(record: &RunRecord) -> Vec<Sample> {
        let all = record.scenarios.iter();
        all.flat_map(|one| session(one, 0, 1.0)).collect()
    }

    fn check(verdict: Verdict) -> Check {
        gate_example::timed(Metric::ClientCpuSecondsPerMillionRows, 2.0, 2.1, verdict)
    }

    fn found(name: &str, outcome: ScenarioOutcome, verdict: Verdict) -> GatedScenario {
        gate_example::scenario(name, outcome, vec![check(verdict)])
    }

    fn open(name: &str) -> GatedScenario {
        found(name, ScenarioOutcome::Inconclusive, Verdict::Inconclusive)
    }

    fn passed(name: &str) -> GatedScenario {
        found(name, ScenarioOutcome::Passed, Verdict::Equivalent)
    }

    fn asked(blocks: usize, found: &[GatedScenario], seconds: u64) -> Vec<(usize, usize)> {
        asked_with(blocks, found, seconds, Vec::new())
    }

    fn asked_with(
        blocks: usize,
        found: &[GatedScenario],
        seconds: u64,
        claims: Vec<GatedClaim>,
    ) -> Vec<(usize, usize)> {
        let record = record(blocks);
        let found = GateResults {
            scenarios: found.to_vec(),
            claims,
            ..gate_example::results()
        };
        let left = Duration::from_secs(seconds);
        next_session(
            &record,
            &samples(&record),
            &found,
            &Size::default().looks(),
            left,
        )
    }

    #[test]
    fn sessions_lead_to_the_next_look_and_end_at_the_last() {
        let one = [open("tuned"), passed("before")];
        for (blocks, then) in [
            (12, 24),
            (24, 36),
            (36, 48),
            (156, 160),
            (160, 172),
            (316, 320),
        ] {
            assert_eq!(asked(blocks, &one, 10_000), [(0, then)]);
        }
        assert_eq!(asked(320, &one, 10_000), []);
        // Between two looks nothing new is known, so a look that has begun is finished.
        assert_eq!(
            asked(36, &[passed("tuned"), passed("before")], 10_000),
            [(0, 48)]
        );
    }

    #[test]
    fn all_open_scenarios_that_fit_share_a_session() {
        let both = [open("tuned"), open("before")];
        assert_eq!(asked(24, &both, 10_000), [(1, 24), (0, 36)]);
        // The 24 blocks up to the next look do not fit; the second start of the server is not asked.
        assert_eq!(asked(24, &both, 23), [(1, 24)]);
        assert_eq!(asked(12, &both, 0), [(0, 24), (1, 24)]);
    }

    #[test]
    fn a_block_takes_what_it_took_when_it_was_last_measured() {
        let record = record(12);
        let scenario = &record.scenarios[0];
        let samples = [session(scenario, 0, 1.0), session(scenario, 3_600, 5.0)].concat();
        let took = time_of_block(&scenario.plan, &samples).unwrap();
        assert!((took.as_secs_f64() - 5.0).abs() < 0.01, "{took:?}");
    }

    #[test]
    fn decided_scenarios_get_no_more() {
        let is_measured_on = |scenario: GatedScenario| !asked(12, &[scenario], 1_000).is_empty();
        let mut worse = found("tuned", ScenarioOutcome::Regressed, Verdict::Regressed);
        worse.checks.push(check(Verdict::Inconclusive));
        assert!(!is_measured_on(worse.clone()));
        let reason = "known".to_owned();
        let expires = "2027-01-31".to_owned();
        worse.outcome = ScenarioOutcome::Waived { reason, expires };
        assert!(is_measured_on(worse));
        let mut idle = open("tuned");
        idle.checks[0].change = None;
        assert!(!is_measured_on(idle));
        let mut shown = open("tuned");
        shown.checks[0].is_hard = false;
        assert!(!is_measured_on(shown));
    }

    #[test]
    fn a_worse_counter_does_not_end_the_times() {
        let mut counted = found("tuned", ScenarioOutcome::Regressed, Verdict::Inconclusive);
        let counter = gate_example::counted(Metric::Statements, 3.0, 4.0, Verdict::Regressed);
        counted.checks.push(counter);
        assert_eq!(asked(12, &[counted], 1_000), [(0, 24)]);
    }

    #[test]
    fn an_undecided_claim_is_measured_on_and_a_decided_one_is_not() {
        let metric = Metric::ClientCpuSecondsPerMillionRows;
        for (verdict, is_open) in [
            (ClaimVerdict::Inconclusive, true),
            (ClaimVerdict::Refuted, false),
        ] {
            let claim = gate_example::claim("tuned", metric, verdict);
            let next = asked_with(12, &[passed("tuned")], 1_000, vec![claim]);
            assert_eq!(!next.is_empty(), is_open, "{verdict}");
        }
    }
}
