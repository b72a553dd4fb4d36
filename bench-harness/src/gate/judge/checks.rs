//! Each metric of a scenario, judged: times by their samples, counters by their counts.

use super::{Evidence, Policy, Sides};
use crate::experiment::{LoadPlan, ScenarioPlan, configured};
use crate::gate::policy::{BEYOND_LIMIT, Limits, threshold};
use crate::gate::results::{Change, Check};
use crate::gate::scenario::{BASE, HEAD};
use crate::judge::{Blocks, log_ratios};
use crate::metric::{Metric, Tier};
use crate::run_record::Scenario;
use crate::stats::{
    Comparison, Decision, Design, FALSE_ALARM, Interval, Unpaired, UnpairedJudged, Verdict,
    judge_unpaired, sample, verdict,
};

impl Sides<'_> {
    /// The times of `scenarios`, each metric judged as a family.
    pub(super) fn timed(&self, scenarios: &[Scenario], policy: Policy<'_>) -> Vec<Vec<Check>> {
        let mut checks: Vec<Vec<Check>> = vec![Vec::new(); scenarios.len()];
        let sides: Vec<(Blocks<'_>, Blocks<'_>)> = scenarios
            .iter()
            .map(|one| (self.of_base(&one.plan), self.of_head(&one.plan)))
            .collect();
        let timed = Metric::GATED.into_iter();
        for metric in timed.filter(|metric| metric.tier() != Tier::Counter) {
            let limit = policy.limits.share(metric);
            let judged = self.judged(scenarios, &sides, metric, policy);
            for (nth, judged) in judged.into_iter().enumerate() {
                let rows = scenarios[nth].plan.baseline().rows;
                let (base, head) = &sides[nth];
                let (base, head) = (values(metric, base, rows), values(metric, head, rows));
                // The CPU time of a server by URL is not known.
                if base.is_empty() && head.is_empty() {
                    continue;
                }
                checks[nth].push(Check {
                    metric,
                    base: sample::median(&base),
                    head: sample::median(&head),
                    base_samples: base,
                    head_samples: head,
                    change: judged
                        .as_ref()
                        .map(|one| change(metric, &one.comparison, Some(one.adjusted_p))),
                    limit,
                    is_hard: true,
                    verdict: judged.map_or(Verdict::Inconclusive, |judged| judged.verdict),
                });
            }
        }
        checks
    }

    /// Head against base of every scenario, judged as one family: block by block at every look, or, where
    /// the base was stored, once and as two samples.
    fn judged(
        &self,
        scenarios: &[Scenario],
        sides: &[(Blocks<'_>, Blocks<'_>)],
        metric: Metric,
        policy: Policy<'_>,
    ) -> Vec<Option<Costs>> {
        let limit = policy.limits.share(metric);
        if self.stored.is_none() {
            let design = Design {
                looks: policy.looks,
                limit: threshold(metric, limit),
                margin: threshold(metric, limit + BEYOND_LIMIT),
                family: sides.len(),
            };
            let judged = scenarios.iter().zip(sides).map(|(scenario, (base, head))| {
                let of_first = |blocks| log_ratios(&first(head, blocks), base, metric);
                design.judge(scenario.plan.blocks, of_first)
            });
            return judged.map(|one| one.map(Costs::from)).collect();
        }
        let costs = |blocks: &Blocks<'_>| -> Vec<f64> {
            let samples = blocks.values();
            samples.filter_map(|sample| metric.cost(sample)).collect()
        };
        let members: Vec<Unpaired> = sides
            .iter()
            .map(|(base, head)| Unpaired {
                candidate: costs(head),
                baseline: costs(base),
                threshold: threshold(metric, limit),
            })
            .collect();
        let (judged, _) = judge_unpaired(&members, 1.0 - FALSE_ALARM);
        judged.into_iter().map(|one| one.map(Costs::from)).collect()
    }

    /// A counter of base and head.
    pub(super) fn counts(&self, plan: &ScenarioPlan, metric: Metric) -> (Option<f64>, Option<f64>) {
        let base_arm = if self.stored.is_some() { HEAD } else { BASE };
        let base = most(metric, &self.of_base(plan));
        let head = most(metric, &self.of_head(plan));
        (
            base.or_else(|| count(self.base(), base_arm, plan, metric)),
            head.or_else(|| count(self.head, HEAD, plan, metric)),
        )
    }

    /// The counters of a scenario.
    pub(super) fn counted(&self, plan: &ScenarioPlan, limits: &Limits) -> Vec<Check> {
        let config = match &plan.baseline().load {
            LoadPlan::Engine { preset, knobs, .. } => configured(preset, knobs).ok(),
            LoadPlan::PsqlCopy | LoadPlan::PsqlStaged(_) => None,
        };
        let counters = Metric::GATED.into_iter();
        counters
            .filter(|metric| metric.tier() == Tier::Counter)
            .filter_map(|metric| {
                let (base, head) = self.counts(plan, metric);
                let tolerance = config.as_ref().and_then(|config| metric.tolerance(config));
                let limit = limits.share(metric);
                (base.is_some() || head.is_some())
                    .then(|| counter(metric, base, head, limit, tolerance))
            })
            .collect()
    }
}

/// The first so many blocks.
pub(super) fn first<'a>(all: &Blocks<'a>, blocks: usize) -> Blocks<'a> {
    let within = all.range(..blocks);
    within.map(|(block, sample)| (*block, *sample)).collect()
}

/// A comparison of costs in the metric's own direction.
pub(super) fn change(metric: Metric, costs: &Comparison, p_value: Option<f64>) -> Change {
    let own = if metric.more_is_better() {
        costs.inverted()
    } else {
        *costs
    };
    Change {
        estimate: own.ratio - 1.0,
        low: own.interval.low - 1.0,
        high: own.interval.high - 1.0,
        p_value,
        blocks: (metric.tier() != Tier::Counter).then_some(own.blocks),
    }
}

/// Costs that were counted, as a comparison without uncertainty.
pub(super) fn exact(ratio: f64) -> Comparison {
    Comparison {
        ratio,
        interval: Interval {
            low: ratio,
            high: ratio,
        },
        confidence: 1.0,
        asked_confidence: 1.0,
        p_value: 0.0,
        blocks: 1,
    }
}

/// Costs compared, head ÷ base.
struct Costs {
    comparison: Comparison,
    adjusted_p: f64,
    verdict: Verdict,
}

impl From<Decision> for Costs {
    fn from(judged: Decision) -> Self {
        Self {
            comparison: judged.comparison,
            adjusted_p: judged.adjusted_p,
            verdict: judged.verdict,
        }
    }
}

impl From<UnpairedJudged> for Costs {
    fn from(judged: UnpairedJudged) -> Self {
        Self {
            comparison: judged.comparison,
            adjusted_p: judged.adjusted_p,
            verdict: judged.verdict,
        }
    }
}

/// The values of a metric, block by block.
fn values(metric: Metric, blocks: &Blocks<'_>, rows: u64) -> Vec<f64> {
    let samples = blocks.values();
    samples
        .filter_map(|sample| metric.value(sample, rows))
        .collect()
}

/// The largest value of a counter that samples have: one that grows in some loads has grown.
fn most(metric: Metric, blocks: &Blocks<'_>) -> Option<f64> {
    let values: Option<Vec<f64>> = blocks.values().map(|sample| metric.cost(sample)).collect();
    values?.into_iter().reduce(f64::max)
}

/// A counter of a run of its own.
fn count(evidence: Evidence<'_>, arm: &str, plan: &ScenarioPlan, metric: Metric) -> Option<f64> {
    let mut counts = evidence.counts.iter();
    let found =
        counts.find(|one| one.scenario == plan.name && one.arm == arm && one.metric == metric)?;
    Some(found.value)
}

/// Judges two counts by the function that judges everything, as a comparison without uncertainty. A
/// counter without `tolerance` varies: it is only shown, as is one that one side does not have.
fn counter(
    metric: Metric,
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
    let judged = ratio.map(|ratio| verdict(&exact(ratio), true, threshold(metric, limit)));
    // A change from 0 has no share.
    let finite = ratio.filter(|ratio| ratio.is_finite());
    Check {
        metric,
        base,
        head,
        base_samples: Vec::new(),
        head_samples: Vec::new(),
        change: finite.map(|ratio| change(metric, &exact(ratio), None)),
        limit,
        is_hard: tolerance.is_some() && judged.is_some(),
        verdict: judged.unwrap_or(Verdict::Inconclusive),
    }
}
