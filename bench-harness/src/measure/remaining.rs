//! Which samples a run still has to take, and which it repeats.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use super::schedule;
use crate::experiment::{IDENTICAL, ScenarioPlan};
use crate::judge::Results;
use crate::run_record::{RunRecord, Scenario};
use crate::samples::Sample;

/// Blocks in which every arm has its sample. A block that an interrupt cut in two is repeated as a
/// whole, because its arms must be close together in time.
///
/// A void sample is repeated only if it is the very last: for any other one the run has given up.
fn done_blocks(plan: &ScenarioPlan, taken: &[Sample]) -> HashSet<usize> {
    let pending = taken.last().filter(|last| last.outcome.is_void());
    let settled: HashSet<(usize, &str)> = taken
        .iter()
        .filter(|sample| sample.scenario == plan.name && !sample.warm_up)
        .map(|sample| (sample.block, sample.arm.as_str()))
        .collect();
    let is_settled = |block: usize, arm: &str| {
        let is_pending = |last: &Sample| {
            !last.warm_up
                && (&last.scenario, last.block, last.arm.as_str()) == (&plan.name, block, arm)
        };
        settled.contains(&(block, arm)) && !pending.is_some_and(is_pending)
    };
    (0..plan.blocks)
        .filter(|block| plan.arms.iter().all(|arm| is_settled(*block, &arm.name)))
        .collect()
}

/// The blocks of `plan` within `blocks` that are not done.
pub(super) fn missing_blocks(
    plan: &ScenarioPlan,
    taken: &[Sample],
    blocks: &Range<usize>,
) -> BTreeSet<usize> {
    let done = done_blocks(plan, taken);
    let planned = blocks.start..blocks.end.min(plan.blocks);
    planned.filter(|block| !done.contains(block)).collect()
}

/// The arms of `plan` that run once before the `missing` blocks. Those with files of their own start cold in each
/// session, because the files are new as well.
pub(super) fn warm_ups(plan: &ScenarioPlan, missing: &BTreeSet<usize>) -> Vec<usize> {
    schedule::warm_ups(plan.arms.len(), missing, |arm| plan.arms[arm].has_scratch())
}

/// Number of samples in those of `scenarios`.
pub(super) fn missing_samples(
    scenarios: &[Scenario],
    taken: &[Sample],
    blocks: &Range<usize>,
) -> usize {
    let plans = scenarios.iter().map(|one| &one.plan);
    plans
        .map(|plan| plan.arms.len() * missing_blocks(plan, taken, blocks).len())
        .sum()
}

/// Sessions that one look adds to a claim at most.
const SESSIONS_PER_LOOK: usize = 8;

/// Adds to every claim outside of grids the blocks that would decide it, in whole sessions of
/// `blocks_per_session`. Returns how many blocks that is.
pub(super) fn extend_undecided(
    record: &mut RunRecord,
    results: &Results,
    blocks_per_session: usize,
) -> usize {
    let mut added = 0;
    let findings = results.experiments.iter().flat_map(|one| &one.findings);
    for finding in findings.filter(|one| one.is_headline && one.cell.is_empty()) {
        let scenario = record
            .scenarios
            .iter_mut()
            .find(|one| one.plan.name == finding.scenario);
        if let (Some(blocks), Some(scenario)) = (finding.blocks_to_decide, scenario) {
            let most = SESSIONS_PER_LOOK * blocks_per_session;
            scenario.plan.blocks += blocks.min(most);
            added += blocks.min(most);
        }
    }
    added
}

/// Plans identical arms again before the first scenario with missing samples: those of an earlier
/// session say nothing about the machine now.
pub(super) fn control_again(record: &mut RunRecord, taken: &[Sample]) {
    let scenarios = &record.scenarios;
    let is_open = |one: &Scenario| done_blocks(&one.plan, taken).len() < one.plan.blocks;
    let is_left = |one: &Scenario| one.plan.experiment != IDENTICAL && is_open(one);
    let Some(first) = scenarios.iter().position(is_left) else {
        return;
    };
    let mut again: Vec<Scenario> = Vec::new();
    for control in controls(record) {
        let name = &control.plan.name;
        let of_it =
            |one: &&Scenario| one.plan.name == *name || one.plan.confirms.as_ref() == Some(name);
        let sessions = scenarios.iter().filter(of_it).count();
        if !scenarios.iter().filter(of_it).any(is_open) {
            let session = format!("session {}", sessions + 1);
            again.push(control.repeated(control.plan.repeated(&session)));
        }
    }
    record.scenarios.splice(first..first, again);
}

/// The scenarios of identical arms, without their repetitions.
fn controls(record: &RunRecord) -> impl Iterator<Item = &Scenario> {
    let scenarios = record.scenarios.iter();
    scenarios.filter(|one| one.plan.experiment == IDENTICAL && one.plan.confirms.is_none())
}

/// The flagged comparisons of the claims that were not repeated yet, after identical arms.
pub(super) fn confirmations(record: &RunRecord, results: &Results) -> Vec<Scenario> {
    let flagged: HashSet<&str> = results
        .experiments
        .iter()
        .filter(|experiment| !experiment.is_control())
        .flat_map(|experiment| &experiment.findings)
        .filter(|one| one.is_headline && one.cell.is_empty() && one.is_flagged())
        .map(|one| one.scenario.as_str())
        .collect();
    if flagged.is_empty() {
        return Vec::new();
    }
    let scenarios = record.scenarios.iter();
    controls(record)
        .chain(scenarios.filter(|one| flagged.contains(one.plan.name.as_str())))
        .map(|first| first.repeated(first.plan.repeated("again")))
        .filter(|again| {
            !record
                .scenarios
                .iter()
                .any(|one| one.plan.name == again.plan.name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Experiment, ExperimentFiles, Scale};
    use crate::report::example;
    use crate::samples::{Outcome, Timestamp};

    fn names(scenarios: &[Scenario]) -> Vec<&str> {
        let scenarios = scenarios.iter();
        scenarios.map(|one| one.plan.name.as_str()).collect()
    }

    #[test]
    fn a_block_that_was_cut_in_two_is_not_done() {
        let record = example::run_record();
        let plan = &record.scenarios[0].plan;
        let sample = |block, arm: usize, outcome| Sample {
            scenario: plan.name.clone(),
            arm: plan.arms[arm].name.clone(),
            block,
            position: arm,
            warm_up: false,
            started_at: Timestamp::now(),
            outcome,
        };
        let failed = || Outcome::Failed {
            reason: String::new(),
        };
        let void = || Outcome::Void {
            reason: String::new(),
        };
        let arms = 0..plan.arms.len();
        let mut taken: Vec<Sample> = arms.map(|arm| sample(0, arm, failed())).collect();
        taken.push(sample(1, 0, failed()));
        assert_eq!(done_blocks(plan, &taken), HashSet::from([0]));
        let left = plan.arms.len() * (plan.blocks - 1);
        let missing =
            |blocks: Range<usize>| missing_samples(&record.scenarios[..1], &taken, &blocks);
        assert_eq!(missing(0..plan.blocks), left);
        // Of the first session of two blocks, one is left; of the last, one that there is.
        assert_eq!(missing(0..2), plan.arms.len());
        assert_eq!(missing(plan.blocks - 1..plan.blocks + 1), plan.arms.len());
        taken.push(sample(0, 0, void()));
        assert_eq!(done_blocks(plan, &taken), HashSet::new());
        taken.push(sample(1, 1, failed()));
        assert!(done_blocks(plan, &taken).contains(&0));
    }

    #[test]
    fn later_sessions_warm_up_the_server_and_arms_with_files() {
        let all = Experiment::all(&ExperimentFiles::find(None)).unwrap();
        let plan = |id: &str| {
            let experiment = all.iter().find(|one| one.id() == id).unwrap();
            experiment.scenarios(Scale::Full).swap_remove(0)
        };
        let warm_ups = |id, blocks: [usize; 2]| warm_ups(&plan(id), &BTreeSet::from(blocks)).len();
        assert_eq!(warm_ups("copy-vs-insert", [0, 1]), 4);
        assert_eq!(warm_ups("copy-vs-insert", [2, 3]), 1);
        assert_eq!(warm_ups("schema-cache", [2, 3]), 2);
    }

    #[test]
    fn a_resumed_run_measures_identical_arms_of_its_own() {
        let mut record = example::run_record();
        let planned = record.scenarios.len();
        // Identical arms are done, and the rest is not.
        let mut taken = example::samples().samples;
        taken.retain(|sample| sample.scenario.starts_with("a-a"));
        for session in 2..=3 {
            control_again(&mut record, &taken);
            assert_eq!(record.scenarios.len(), planned + 2 * (session - 1));
            let added = &record.scenarios[2 * (session - 1)..2 * session];
            let expected = ["before", "tuned"].map(|on| format!("a-a on {on} session {session}"));
            assert_eq!(names(added), expected);

            // They are open now, so another session takes these.
            let planned = record.scenarios.len();
            control_again(&mut record, &taken);
            assert_eq!(record.scenarios.len(), planned);
            let repeated: Vec<Sample> = taken[..]
                .iter()
                .filter(|sample| !sample.scenario.contains("session"))
                .map(|sample| Sample {
                    scenario: format!("{} session {session}", sample.scenario),
                    ..sample.clone()
                })
                .collect();
            taken.extend(repeated);
        }
    }

    #[test]
    fn identical_arms_alone_need_no_others() {
        let mut record = example::run_record();
        record
            .scenarios
            .retain(|one| one.plan.experiment == IDENTICAL);
        let mut taken = example::samples().samples;
        taken.retain(|sample| sample.scenario == "a-a on before");
        control_again(&mut record, &taken);
        assert_eq!(names(&record.scenarios), ["a-a on before", "a-a on tuned"]);
    }

    #[test]
    fn flagged_claims_are_repeated_once_beside_identical_arms() {
        let mut record = example::run_record();
        let again = confirmations(&record, &example::results());
        // The example's record holds the repetition of page-size on before.
        assert_eq!(
            names(&again),
            [
                "a-a on before again",
                "a-a on tuned again",
                "copy-vs-insert on before again",
                "copy-vs-insert on tuned again",
                "page-size on tuned again",
                "before-vs-tuned again",
                "partitions on before again",
                "sample-size on before again",
                "sample-size on tuned again",
            ]
        );
        record.scenarios.extend(again);
        assert!(confirmations(&record, &example::results()).is_empty());
    }
}
