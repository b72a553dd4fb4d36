//! From samples and counts to verdicts. Pure.
//!
//! `checks` judges each metric of a scenario and `claims` each promise; this file says what that means
//! for the scenario and for the gate.

mod checks;
mod claims;

use chrono::NaiveDate;

pub(crate) use claims::claims;

use super::counts::Count;
use super::policy::{Limits, Waiver};
use super::results::{Check, GateOutcome, GatedScenario, ScenarioOutcome};
use super::scenario::{BASE, HEAD};
use crate::experiment::ScenarioPlan;
use crate::judge::{Blocks, blocks};
use crate::run_record::{RunRecord, Scenario};
use crate::samples::{Outcome, Sample};
use crate::stats::{Looks, Verdict};

/// What was measured of one revision, or of both together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// What was to be run, and where.
    pub record: &'a RunRecord,
    /// Their samples.
    pub samples: &'a [Sample],
    /// The counts of both arms, or of one.
    pub counts: &'a [Count],
}

/// The rules of the judgement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy<'a> {
    /// When times are looked at.
    pub looks: &'a Looks,
    /// By how much metrics may be worse.
    pub limits: &'a Limits,
    /// Accepted regressions whose commits are part of the change.
    pub waivers: &'a [Waiver],
    /// Today: waivers expire.
    pub today: NaiveDate,
    /// Whether a scenario without figures passes.
    pub lenient: bool,
}

/// Judges every scenario of the plan. `head` has the samples of both revisions, block by block;
/// where the base was measured before, `stored` has its samples.
#[must_use]
pub(crate) fn judge(
    head: Evidence<'_>,
    stored: Option<Evidence<'_>>,
    policy: Policy<'_>,
) -> Vec<GatedScenario> {
    let sides = Sides { head, stored };
    let all = &head.record.scenarios;
    let timed = sides.timed(all, policy);
    let mut scenarios: Vec<GatedScenario> = all
        .iter()
        .zip(timed)
        .map(|(scenario, timed)| sides.scenario(scenario, timed, policy))
        .collect();
    scenarios.extend(sides.gone(policy.lenient));
    scenarios
}

/// The outcome of all scenarios together.
#[must_use]
pub(crate) fn outcome(scenarios: &[GatedScenario]) -> GateOutcome {
    let of_one = |scenario: &GatedScenario| match &scenario.outcome {
        ScenarioOutcome::Passed | ScenarioOutcome::Waived { .. } => GateOutcome::Passed,
        ScenarioOutcome::Inconclusive => GateOutcome::Inconclusive,
        ScenarioOutcome::Regressed => GateOutcome::Regressed,
        ScenarioOutcome::Missing { lenient, .. } => match lenient {
            true => GateOutcome::Passed,
            false => GateOutcome::Missing,
        },
        ScenarioOutcome::Failed { .. } => GateOutcome::Failed,
        ScenarioOutcome::WrongData { .. } => GateOutcome::WrongData,
    };
    let worst = scenarios.iter().map(of_one).min();
    worst.unwrap_or(GateOutcome::Missing)
}

struct Sides<'a> {
    head: Evidence<'a>,
    stored: Option<Evidence<'a>>,
}

impl<'a> Sides<'a> {
    fn base(&self) -> Evidence<'a> {
        self.stored.unwrap_or(self.head)
    }

    fn of_base(&self, plan: &ScenarioPlan) -> Blocks<'a> {
        let Some(stored) = self.stored else {
            return blocks_of(self.head.samples, &plan.name, BASE);
        };
        let mut scenarios = stored.record.scenarios.iter();
        match scenarios.any(|one| one.plan.name == plan.name) {
            true => blocks_of(stored.samples, &plan.name, HEAD),
            false => Blocks::new(),
        }
    }

    fn of_head(&self, plan: &ScenarioPlan) -> Blocks<'a> {
        blocks_of(self.head.samples, &plan.name, HEAD)
    }

    fn scenario(
        &self,
        scenario: &Scenario,
        timed: Vec<Check>,
        policy: Policy<'_>,
    ) -> GatedScenario {
        let plan = &scenario.plan;
        let mut checks = self.counted(plan, policy.limits);
        checks.extend(timed);
        GatedScenario {
            name: plan.name.clone(),
            workload: plan.workload.clone(),
            rows: plan.baseline().rows,
            outcome: self.outcome(scenario, &checks, policy),
            checks,
            explanation: None,
        }
    }

    fn outcome(
        &self,
        scenario: &Scenario,
        checks: &[Check],
        policy: Policy<'_>,
    ) -> ScenarioOutcome {
        let plan = &scenario.plan;
        let wrong = |side| {
            self.first(plan, side, |outcome| match outcome {
                Outcome::WrongData { reason } => Some(reason),
                _ => None,
            })
        };
        let failed = self.first(plan, HEAD, |outcome| match outcome {
            Outcome::Failed { reason } => Some(reason),
            _ => None,
        });
        if let Some(reason) = wrong(HEAD) {
            return ScenarioOutcome::WrongData { reason };
        }
        if let Some(reason) = failed {
            return ScenarioOutcome::Failed {
                reason: format!("a load of the head failed: {reason}"),
            };
        }
        // The head may be what fixes it.
        let wrong_base = wrong(BASE).map(|reason| format!("the base left wrong data: {reason}"));
        if let Some(reason) = wrong_base.or_else(|| self.missing(scenario)) {
            return ScenarioOutcome::Missing {
                reason,
                lenient: policy.lenient,
            };
        }
        let mut waived = None;
        for check in checks.iter().filter(|check| check.is_hard) {
            if check.verdict != Verdict::Regressed {
                continue;
            }
            let mut waivers = policy.waivers.iter();
            match waivers.find(|one| one.covers(&plan.name, check, policy.today)) {
                Some(waiver) => waived = Some(waiver),
                None => return ScenarioOutcome::Regressed,
            }
        }
        let is_open = |check: &&Check| check.is_hard && check.verdict == Verdict::Inconclusive;
        match waived {
            Some(waiver) => ScenarioOutcome::Waived {
                reason: waiver.reason.clone(),
                expires: waiver.expires.to_string(),
            },
            None if checks.iter().any(|check| is_open(&check)) => ScenarioOutcome::Inconclusive,
            None => ScenarioOutcome::Passed,
        }
    }

    /// The stored scenarios that were not measured again.
    fn gone(&self, lenient: bool) -> Vec<GatedScenario> {
        let here = |name: &String| {
            let mut scenarios = self.head.record.scenarios.iter();
            scenarios.any(|one| one.plan.name == *name)
        };
        let stored = self.stored.iter().flat_map(|one| &one.record.scenarios);
        stored
            .map(|scenario| &scenario.plan)
            .filter(|plan| !here(&plan.name))
            .map(|plan| GatedScenario {
                name: plan.name.clone(),
                workload: plan.workload.clone(),
                rows: plan.baseline().rows,
                outcome: ScenarioOutcome::Missing {
                    reason: "it is in the baseline, and the gate no longer has it".to_owned(),
                    lenient,
                },
                checks: Vec::new(),
                explanation: None,
            })
            .collect()
    }

    /// The first reason that `of` finds in the outcomes of a side.
    fn first(
        &self,
        plan: &ScenarioPlan,
        side: &str,
        of: fn(&Outcome) -> Option<&String>,
    ) -> Option<String> {
        let samples = self.head.samples.iter();
        let mut own = samples.filter(|one| one.scenario == plan.name && one.arm == side);
        own.find_map(|one| of(&one.outcome)).cloned()
    }

    /// Why a side has no figures.
    fn missing(&self, scenario: &Scenario) -> Option<String> {
        let plan = &scenario.plan;
        let sides = [(BASE, self.of_base(plan)), (HEAD, self.of_head(plan))];
        let (side, _) = sides.iter().find(|(_, blocks)| blocks.is_empty())?;
        let reason = self.first(plan, side, |outcome| match outcome {
            Outcome::Failed { reason } | Outcome::Void { reason } => Some(reason),
            Outcome::Measured(_) | Outcome::WrongData { .. } => None,
        });
        let reason = reason.or_else(|| scenario.unprepared.clone());
        Some(match reason {
            Some(reason) => format!("the {side} has no figures: {reason}"),
            None if self.stored.is_some() && *side == BASE => {
                "it is not in the baseline".to_owned()
            }
            None => format!("the {side} was not measured"),
        })
    }
}

fn blocks_of<'a>(samples: &'a [Sample], scenario: &str, arm: &str) -> Blocks<'a> {
    let of_scenario = |one: &&Sample| one.scenario == scenario;
    let samples: Vec<&Sample> = samples.iter().filter(of_scenario).collect();
    blocks(&samples, arm)
}

#[cfg(test)]
mod tests;
