//! Which inconclusive scenario gets more blocks.
//!
//! On a busy host a block varies several times as much as on a quiet one, so no fixed number of blocks
//! suits both. A gate begins with few, and doubles them where they are inconclusive.

use std::collections::HashSet;
use std::time::Duration;

use super::results::{GatedScenario, ScenarioOutcome};
use crate::experiment::ScenarioPlan;
use crate::metric::Tier;
use crate::run_record::RunRecord;
use crate::samples::Sample;
use crate::stats::Verdict;

/// A scenario gets at most this many times its first blocks.
const MOST_TIMES: usize = 8;

/// The same for a confirmation: it must find the difference again without being chosen for it.
const MOST_TIMES_AGAIN: usize = 16;

/// The next scenario of `record` to get more blocks, by index from `from` on, and their new number: the
/// one with the fewest blocks, of those that fit into `left`. A gate begins with `first_blocks` of each.
///
/// One at a time, because `left` must be known before each: a host that becomes busier needs longer.
pub(super) fn more_blocks(
    record: &RunRecord,
    samples: &[Sample],
    found: &[GatedScenario],
    from: usize,
    first_blocks: usize,
    left: Duration,
) -> Option<(usize, usize)> {
    let scenarios = record.scenarios.iter().enumerate().skip(from);
    let open = scenarios.filter_map(|(index, scenario)| {
        let plan = &scenario.plan;
        let times = match plan.confirms {
            Some(_) => MOST_TIMES_AGAIN,
            None => MOST_TIMES,
        };
        let blocks = (2 * plan.blocks).min(times * first_blocks);
        if blocks <= plan.blocks || !is_open(plan, found) {
            return None;
        }
        let added = u32::try_from(blocks - plan.blocks).ok()?;
        let took = time_of_block(plan, samples)?.saturating_mul(added);
        (took <= left).then_some((index, blocks))
    });
    open.min_by_key(|(_, blocks)| *blocks)
}

/// Whether more blocks may decide the scenario.
fn is_open(plan: &ScenarioPlan, found: &[GatedScenario]) -> bool {
    let name = plan.confirms.as_ref().unwrap_or(&plan.name);
    let Some(scenario) = found.iter().find(|one| one.name == *name) else {
        return false;
    };
    let timed = scenario.checks.iter();
    let mut timed = timed.filter(|check| check.is_hard && check.metric.tier() != Tier::Counter);
    // A scenario with one worse metric is worse, whatever the others are, unless that one is waived. A
    // metric with figures and no change, such as no CPU tick in any load, has none with more blocks either.
    let may_turn = matches!(
        scenario.outcome,
        ScenarioOutcome::Inconclusive | ScenarioOutcome::Waived { .. }
    );
    may_turn
        && timed.any(|check| match plan.confirms {
            Some(_) => check.again == Some(Verdict::Inconclusive),
            None => {
                let is_undecided = check.verdict == Verdict::Inconclusive && check.again.is_none();
                is_undecided && check.change.is_some()
            }
        })
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
    use crate::gate::results::Check;
    use crate::gate::scenario::{BASE, HEAD, Scenarios, Size};
    use crate::metric::Metric;
    use crate::report::example;
    use crate::run_record::Scenario;
    use crate::samples::Outcome;

    const FIRST: usize = 12;

    /// Two scenarios, `tuned` with so many blocks, and what confirms it.
    fn record(blocks: usize) -> RunRecord {
        let revision = Revision {
            commit: "c".repeat(40),
            environment: Vec::new(),
        };
        let size = Size {
            blocks: blocks.try_into().ok(),
            ..Size::default()
        };
        let scenarios = Scenarios::read(None).unwrap();
        let revisions = [(BASE, revision.clone()), (HEAD, revision)];
        let plan = |name: &str| {
            let named = scenarios.chosen(&[name.to_owned()], true);
            named[0].plan(size, &revisions)
        };
        let again = plan("tuned").repeated("again");
        let plans = [plan("tuned"), plan("before"), again];
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

    fn check(verdict: Verdict, again: Option<Verdict>) -> Check {
        Check {
            again,
            ..gate_example::timed(Metric::ClientCpuSecondsPerMillionRows, 2.0, 2.1, verdict)
        }
    }

    fn found(name: &str, outcome: ScenarioOutcome, check: Check) -> GatedScenario {
        gate_example::scenario(name, outcome, vec![check])
    }

    fn open(name: &str) -> GatedScenario {
        let check = check(Verdict::Inconclusive, None);
        found(name, ScenarioOutcome::Inconclusive, check)
    }

    fn asked(record: &RunRecord, found: &[GatedScenario], seconds: u64) -> Option<(usize, usize)> {
        let left = Duration::from_secs(seconds);
        more_blocks(record, &samples(record), found, 0, FIRST, left)
    }

    #[test]
    fn inconclusive_scenarios_get_twice_the_blocks_up_to_eight_times_the_first() {
        let passed = found(
            "before",
            ScenarioOutcome::Passed,
            check(Verdict::Equivalent, None),
        );
        let one = [open("tuned"), passed];
        for (blocks, more) in [(12, Some(24)), (48, Some(96)), (96, None)] {
            let expected = more.map(|more| (0, more));
            assert_eq!(asked(&record(blocks), &one, 1_000), expected);
        }
        assert_eq!(asked(&record(12), &one, 13), Some((0, 24)));
        assert_eq!(asked(&record(12), &one, 11), None);
    }

    #[test]
    fn the_scenario_with_the_fewest_blocks_is_next() {
        let both = [open("tuned"), open("before")];
        let mut record = record(12);
        assert_eq!(asked(&record, &both, 1_000), Some((0, 24)));
        record.scenarios[0].plan.blocks = 24;
        assert_eq!(asked(&record, &both, 1_000), Some((1, 24)));
        let slow = session(&record.scenarios[1], 0, 60.0);
        let samples = [session(&record.scenarios[0], 0, 1.0), slow].concat();
        let left = Duration::from_secs(25);
        let next = more_blocks(&record, &samples, &both, 0, FIRST, left);
        assert_eq!(next, Some((0, 48)), "what fits is next");
        record.scenarios[1].plan.blocks = 48;
        assert_eq!(asked(&record, &both, 1_000), Some((0, 48)));
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
        let regressed = check(Verdict::Regressed, None);
        let also_open = check(Verdict::Inconclusive, None);
        let mut worse = found("tuned", ScenarioOutcome::Regressed, regressed);
        worse.checks.push(also_open);
        assert_eq!(asked(&record(12), &[worse.clone()], 1_000), None);
        worse.outcome = ScenarioOutcome::Waived {
            reason: "known".to_owned(),
            expires: "2027-01-31".to_owned(),
        };
        assert_eq!(asked(&record(12), &[worse], 1_000), Some((0, 24)));
        let mut idle = check(Verdict::Inconclusive, None);
        idle.change = None;
        let idle = found("tuned", ScenarioOutcome::Inconclusive, idle);
        assert_eq!(asked(&record(12), &[idle], 1_000), None);
        let refuted = check(Verdict::Inconclusive, Some(Verdict::Equivalent));
        let refuted = found("tuned", ScenarioOutcome::Inconclusive, refuted);
        assert_eq!(asked(&record(12), &[refuted], 1_000), None);
        let mut shown = check(Verdict::Inconclusive, None);
        shown.is_hard = false;
        let shown = found("tuned", ScenarioOutcome::Inconclusive, shown);
        assert_eq!(asked(&record(12), &[shown], 1_000), None);
    }

    #[test]
    fn an_inconclusive_confirmation_gets_more_than_what_it_confirms() {
        let unconfirmed = check(Verdict::Inconclusive, Some(Verdict::Inconclusive));
        let found = [found("tuned", ScenarioOutcome::Inconclusive, unconfirmed)];
        assert_eq!(asked(&record(96), &found, 1_000), Some((2, 192)));
        assert_eq!(asked(&record(192), &found, 1_000), None);
    }
}
