//! From samples and counts to verdicts. Pure.

use chrono::NaiveDate;

use super::counts::Count;
use super::policy::{Limits, Waiver, threshold};
use super::results::{Change, Check, GateOutcome, GatedScenario, ScenarioOutcome};
use super::scenario::{BASE, HEAD};
use crate::experiment::{LoadPlan, ScenarioPlan, configured};
use crate::judge::{Blocks, blocks, log_ratios};
use crate::measure::counters::tolerance;
use crate::metric::{GateMetric, Tier};
use crate::run_record::{RunRecord, Scenario};
use crate::samples::{Measurements, Metric, Outcome, Sample};
use crate::stats::{
    Comparison, Interval, Judged, Threshold, Unpaired, UnpairedJudged, Verdict, judge_family,
    judge_unpaired, sample, verdict,
};

/// What was measured of a revision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// What was to be run, and where.
    pub record: &'a RunRecord,
    /// The samples of both arms, if both were run together.
    pub samples: &'a [Sample],
    /// The counts, likewise.
    pub counts: &'a [Count],
}

/// What is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy<'a> {
    /// By how much quantities may be worse.
    pub limits: &'a Limits,
    /// Accepted regressions whose commits are of the change.
    pub waivers: &'a [Waiver],
    /// The day on which waivers must count.
    pub today: NaiveDate,
    /// Whether a scenario without figures is let pass.
    pub lenient: bool,
}

/// Judges every scenario that was to be run. Head and base stand block by block in `head`; in
/// `stored`, if there is such, the base was measured before.
#[must_use]
pub(crate) fn judge(
    head: Evidence<'_>,
    stored: Option<Evidence<'_>>,
    policy: Policy<'_>,
) -> Vec<GatedScenario> {
    let sides = Sides { head, stored };
    let all = || head.record.scenarios.iter();
    let first: Vec<&Scenario> = all().filter(|one| one.plan.confirms.is_none()).collect();
    let again: Vec<&Scenario> = all().filter(|one| one.plan.confirms.is_some()).collect();
    let judged = sides.timed(&first, policy.limits);
    let repeated = sides.timed(&again, policy.limits);
    let mut scenarios: Vec<GatedScenario> = first
        .iter()
        .zip(judged)
        .map(|(scenario, timed)| {
            let confirmation = again
                .iter()
                .zip(&repeated)
                .find(|(one, _)| one.plan.confirms.as_ref() == Some(&scenario.plan.name))
                .map(|(_, checks)| checks.as_slice());
            sides.scenario(scenario, timed, confirmation, policy)
        })
        .collect();
    scenarios.extend(sides.gone(policy.lenient));
    scenarios
}

/// What the scenarios come to together.
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

/// The scenarios of which a time is worse and was not measured again yet.
#[must_use]
pub(crate) fn to_confirm(scenarios: &[GatedScenario]) -> Vec<String> {
    scenarios
        .iter()
        .filter(|one| {
            one.regressed()
                .any(|check| check.metric.tier() != Tier::Counter)
        })
        .map(|one| one.name.clone())
        .collect()
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
        // What was stored is held against whatever repeats it.
        let name = plan.confirms.as_ref().unwrap_or(&plan.name);
        let mut scenarios = stored.record.scenarios.iter();
        match scenarios.any(|one| one.plan.name == *name) {
            true => blocks_of(stored.samples, name, HEAD),
            false => Blocks::new(),
        }
    }

    fn of_head(&self, plan: &ScenarioPlan) -> Blocks<'a> {
        blocks_of(self.head.samples, &plan.name, HEAD)
    }

    /// The times of `scenarios`, each metric judged as a family.
    fn timed(&self, scenarios: &[&Scenario], limits: &Limits) -> Vec<Vec<Check>> {
        let mut checks: Vec<Vec<Check>> = vec![Vec::new(); scenarios.len()];
        let of_both: Vec<(Blocks<'_>, Blocks<'_>)> = scenarios
            .iter()
            .map(|one| (self.of_base(&one.plan), self.of_head(&one.plan)))
            .collect();
        for metric in GateMetric::ALL {
            let Some(cost) = metric.timed() else { continue };
            let limit = threshold(metric, limits.share(metric));
            let told = self.told(&of_both, cost, limit);
            for (nth, told) in told.into_iter().enumerate() {
                let rows = scenarios[nth].plan.baseline().rows;
                let (base, head) = &of_both[nth];
                let (base, head) = (values(metric, base, rows), values(metric, head, rows));
                // A server by URL does not tell what it spends.
                if base.is_empty() && head.is_empty() {
                    continue;
                }
                checks[nth].push(Check {
                    metric,
                    base: sample::median(&base),
                    head: sample::median(&head),
                    base_samples: base,
                    head_samples: head,
                    change: told.as_ref().map(|told| told.change(metric)),
                    limit: limits.share(metric),
                    is_hard: true,
                    verdict: told.map_or(Verdict::Inconclusive, |told| told.verdict),
                    again: None,
                });
            }
        }
        checks
    }

    /// What the costs of base and head amount to, as one family: block by block, or, where the base was
    /// stored, as two samples.
    fn told(
        &self,
        of_both: &[(Blocks<'_>, Blocks<'_>)],
        cost: Metric,
        limit: Threshold,
    ) -> Vec<Option<Told>> {
        let confidence = self.head.record.confidence_level;
        if self.stored.is_none() {
            let log_ratios: Vec<Vec<f64>> = of_both
                .iter()
                .map(|(base, head)| log_ratios(head, base, cost))
                .collect();
            let (judged, _) = judge_family(&log_ratios, &vec![limit; of_both.len()], confidence);
            let told = |one: Judged| Told {
                of_cost: one.comparison,
                adjusted_p: one.adjusted_p,
                verdict: one.verdict,
            };
            return judged.into_iter().map(|one| one.map(told)).collect();
        }
        let costs = |blocks: &Blocks<'_>| -> Vec<f64> {
            blocks
                .values()
                .filter_map(|one| cost.value_in(one))
                .collect()
        };
        let members: Vec<Unpaired> = of_both
            .iter()
            .map(|(base, head)| Unpaired {
                candidate: costs(head),
                baseline: costs(base),
                threshold: limit,
            })
            .collect();
        let (judged, _) = judge_unpaired(&members, confidence);
        let told = |one: UnpairedJudged| Told {
            of_cost: one.comparison,
            adjusted_p: one.adjusted_p,
            verdict: one.verdict,
        };
        judged.into_iter().map(|one| one.map(told)).collect()
    }

    fn scenario(
        &self,
        scenario: &Scenario,
        mut timed: Vec<Check>,
        confirmation: Option<&[Check]>,
        policy: Policy<'_>,
    ) -> GatedScenario {
        let plan = &scenario.plan;
        if let Some(confirmation) = confirmation {
            let is_worse = |check: &&mut Check| check.verdict == Verdict::Regressed;
            for check in timed.iter_mut().filter(is_worse) {
                let again = confirmation.iter().find(|one| one.metric == check.metric);
                check.again = Some(again.map_or(Verdict::Inconclusive, |one| one.verdict));
                if check.is_unconfirmed() {
                    check.verdict = Verdict::Inconclusive;
                }
            }
        }
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

    fn counted(&self, plan: &ScenarioPlan, limits: &Limits) -> Vec<Check> {
        let (of_base, of_head) = (self.of_base(plan), self.of_head(plan));
        let base_arm = if self.stored.is_some() { HEAD } else { BASE };
        let config = match &plan.baseline().load {
            LoadPlan::Engine { preset, knobs, .. } => configured(preset, knobs).ok(),
            LoadPlan::PsqlCopy => None,
        };
        GateMetric::ALL
            .into_iter()
            .filter(|metric| metric.tier() == Tier::Counter)
            .filter_map(|metric| {
                let base = most(metric, &of_base);
                let base = base.or_else(|| count(self.base(), base_arm, plan, metric));
                let head = most(metric, &of_head);
                let head = head.or_else(|| count(self.head, HEAD, plan, metric));
                let tolerance = config.as_ref().and_then(|config| tolerance(metric, config));
                let limit = limits.share(metric);
                (base.is_some() || head.is_some())
                    .then(|| counter(metric, base, head, limit, tolerance))
            })
            .collect()
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
        // What the head may be the remedy of.
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
            .filter(|plan| plan.confirms.is_none() && !here(&plan.name))
            .map(|plan| GatedScenario {
                name: plan.name.clone(),
                workload: plan.workload.clone(),
                rows: plan.baseline().rows,
                outcome: ScenarioOutcome::Missing {
                    reason: "it is in the baseline and no more in the gate".to_owned(),
                    lenient,
                },
                checks: Vec::new(),
                explanation: None,
            })
            .collect()
    }

    /// Samples of a scenario, those that confirm it too.
    fn taken(&self, plan: &ScenarioPlan) -> impl Iterator<Item = &Sample> {
        let is_of_it = |one: &&Sample| {
            one.scenario == plan.name || plan_confirmed(self.head, one) == Some(&plan.name)
        };
        self.head.samples.iter().filter(is_of_it)
    }

    /// The first reason that `of` finds in the outcomes of a side.
    fn first(
        &self,
        plan: &ScenarioPlan,
        side: &str,
        of: fn(&Outcome) -> Option<&String>,
    ) -> Option<String> {
        let mut samples = self.taken(plan).filter(|one| one.arm == side);
        samples.find_map(|one| of(&one.outcome)).cloned()
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

fn plan_confirmed<'a>(evidence: Evidence<'a>, sample: &Sample) -> Option<&'a String> {
    let mut scenarios = evidence.record.scenarios.iter();
    let of_sample = scenarios.find(|one| one.plan.name == sample.scenario)?;
    of_sample.plan.confirms.as_ref()
}

/// What a comparison of costs amounts to.
struct Told {
    of_cost: Comparison,
    adjusted_p: f64,
    verdict: Verdict,
}

impl Told {
    fn change(&self, metric: GateMetric) -> Change {
        let own = if metric.more_is_better() {
            self.of_cost.inverted()
        } else {
            self.of_cost
        };
        Change {
            estimate: own.ratio - 1.0,
            low: own.interval.low - 1.0,
            high: own.interval.high - 1.0,
            p_value: Some(self.adjusted_p),
            blocks: Some(own.blocks),
        }
    }
}

fn blocks_of<'a>(samples: &'a [Sample], scenario: &str, arm: &str) -> Blocks<'a> {
    let of_scenario = |one: &&Sample| one.scenario == scenario;
    let samples: Vec<&Sample> = samples.iter().filter(of_scenario).collect();
    blocks(&samples, arm)
}

/// A time of loads that read so many `rows`, in the unit of `metric`, block by block.
fn values(metric: GateMetric, blocks: &Blocks<'_>, rows: u64) -> Vec<f64> {
    let per_million = |seconds: f64| seconds * 1e6 / rows as f64;
    let value = |one: &Measurements| match metric {
        GateMetric::ClientCpuSecondsPerMillionRows => Some(per_million(one.client_cpu_seconds)),
        GateMetric::ServerCpuSecondsPerMillionRows => Some(per_million(one.server_cpu_seconds?)),
        GateMetric::RowsPerSecond => Some(rows as f64 / one.wall_seconds),
        _ => None,
    };
    blocks.values().filter_map(|one| value(one)).collect()
}

/// A counter that samples carry: its largest value, so that one that grows in some loads has grown.
fn most(metric: GateMetric, blocks: &Blocks<'_>) -> Option<f64> {
    let value = |one: &Measurements| match metric {
        GateMetric::Statements => Some(one.statements),
        GateMetric::RoundTrips => one.round_trips,
        GateMetric::BytesToServer => Some(one.bytes_to_server),
        GateMetric::BytesFromApi => Some(one.bytes_from_api),
        _ => None,
    };
    let values: Option<Vec<u64>> = blocks.values().map(|one| value(one)).collect();
    values?.into_iter().max().map(|most| most as f64)
}

/// A counter of a run of its own.
fn count(
    evidence: Evidence<'_>,
    arm: &str,
    plan: &ScenarioPlan,
    metric: GateMetric,
) -> Option<f64> {
    let mut counts = evidence.counts.iter();
    let found =
        counts.find(|one| one.scenario == plan.name && one.arm == arm && one.metric == metric)?;
    Some(found.value)
}

/// Judges two counts by the one function that judges all, as a comparison without doubt. One that has no
/// `tolerance`, because it varies, or that one side lacks, is only shown.
fn counter(
    metric: GateMetric,
    base: Option<f64>,
    head: Option<f64>,
    limit: f64,
    tolerance: Option<f64>,
) -> Check {
    let limit = limit.max(tolerance.unwrap_or_default());
    let ratio = base.zip(head).map(|both| match both {
        (0.0, 0.0) => 1.0,
        (base, head) => head / base,
    });
    let judged = ratio.map(|ratio| {
        let comparison = Comparison {
            ratio,
            interval: Interval {
                low: ratio,
                high: ratio,
            },
            confidence: 1.0,
            asked_confidence: 1.0,
            p_value: 0.0,
            blocks: 1,
        };
        verdict(&comparison, true, threshold(metric, limit))
    });
    // Of nothing, more is no share.
    let change = ratio.filter(|ratio| ratio.is_finite()).map(|ratio| Change {
        estimate: ratio - 1.0,
        low: ratio - 1.0,
        high: ratio - 1.0,
        p_value: None,
        blocks: None,
    });
    Check {
        metric,
        base,
        head,
        base_samples: Vec::new(),
        head_samples: Vec::new(),
        change,
        limit,
        is_hard: tolerance.is_some() && judged.is_some(),
        verdict: judged.unwrap_or(Verdict::Inconclusive),
        again: None,
    }
}

#[cfg(test)]
mod tests;
