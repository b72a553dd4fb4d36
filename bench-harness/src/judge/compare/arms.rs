//! The same arm in both runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Side;
use crate::judge::Family;
use crate::metric::Metric;
use crate::run_record::Scenario;
use crate::samples::Measurements;
use crate::stats::{Threshold, Unpaired, UnpairedJudged, judge_unpaired, sample};

/// What every arm is compared by. The server's CPU time is left out: it includes background
/// work of the server, which cancels within the blocks of one run but not between two runs.
const METRICS: [Metric; 2] = [Metric::WallSeconds, Metric::ClientCpuSeconds];

/// An arm in both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmComparison {
    /// Scenario by name.
    pub scenario: String,
    /// Arm by name.
    pub arm: String,
    /// Wall time first.
    pub measures: Vec<MetricComparison>,
}

/// One metric of an arm in both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricComparison {
    /// The metric.
    pub metric: Metric,
    /// Median in A.
    pub a: Option<f64>,
    /// Median in B.
    pub b: Option<f64>,
    /// Below what difference nobody needs to care: the larger threshold of the two runs.
    pub threshold: Threshold,
    /// B ÷ A, judged among all arms; absent if a sample is not above zero.
    pub judged: Option<UnpairedJudged>,
}

/// Every arm of the scenarios in both runs, and the families in which they were judged.
pub(super) fn all(
    a: &Side<'_>,
    b: &Side<'_>,
    scenarios: &[(&Scenario, &Scenario)],
    confidence: f64,
) -> (Vec<ArmComparison>, Vec<Family>) {
    let mut arms: Vec<ArmComparison> = places(scenarios)
        .map(|(scenario, _, arm)| ArmComparison {
            scenario: scenario.plan.name.clone(),
            arm: arm.to_owned(),
            measures: Vec::new(),
        })
        .collect();
    let mut families = Vec::new();
    for metric in METRICS {
        let members: Vec<Unpaired> = places(scenarios)
            .map(|(of_a, of_b, arm)| {
                let name = &of_a.plan.name;
                Unpaired {
                    candidate: values(metric, &b.figures(name, arm)),
                    baseline: values(metric, &a.figures(name, arm)),
                    threshold: of_a.threshold(metric).max(of_b.threshold(metric)),
                }
            })
            .collect();
        let (judged, correction) = judge_unpaired(&members, confidence);
        for ((arm, member), judged) in arms.iter_mut().zip(&members).zip(judged) {
            arm.measures.push(MetricComparison {
                metric,
                a: sample::median(&member.baseline),
                b: sample::median(&member.candidate),
                threshold: member.threshold,
                judged,
            });
        }
        families.push(Family {
            name: metric.to_string(),
            correction,
        });
    }
    (arms, families)
}

/// Every arm with its scenario in both runs.
fn places<'a>(
    scenarios: &[(&'a Scenario, &'a Scenario)],
) -> impl Iterator<Item = (&'a Scenario, &'a Scenario, &'a str)> {
    scenarios.iter().flat_map(|(of_a, of_b)| {
        let arms = of_a.plan.arms.iter();
        arms.map(|arm| (*of_a, *of_b, arm.name.as_str()))
    })
}

fn values(metric: Metric, figures: &[&Measurements]) -> Vec<f64> {
    figures.iter().filter_map(|one| metric.cost(one)).collect()
}
