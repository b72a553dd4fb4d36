//! What each run found, finding beside finding.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Side;
use crate::judge::{Finding, Results};
use crate::metric::Metric;
use crate::run_record::Scenario;
use crate::stats::{Comparison, Verdict};

/// The gain of a candidate over its baseline in both runs.
///
/// Each was measured in blocks within its run, so what the machine did between the runs is in
/// neither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GainComparison {
    /// Scenario by name.
    pub scenario: String,
    /// Arm by name.
    pub candidate: String,
    /// The metric of the claim.
    pub metric: Metric,
    /// In A.
    pub a: Gain,
    /// In B.
    pub b: Gain,
    /// Whether the two intervals overlap. Where they do not, the gains differ; where they do, they may
    /// still differ.
    pub intervals_overlap: bool,
}

/// A gain in one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// Baseline ÷ candidate, its interval at the level that its run adjusted it to: above 1 is
    /// better.
    pub gain: Comparison,
    /// What the run made of it.
    pub verdict: Verdict,
}

impl GainComparison {
    /// Whether the verdicts of the runs differ.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.a.verdict != self.b.verdict
    }
}

/// Every finding of the scenarios that both runs have about the same metric, in the order of A.
pub(super) fn all(
    a: &Side<'_>,
    b: &Side<'_>,
    scenarios: &[(&Scenario, &Scenario)],
) -> Vec<GainComparison> {
    let compared = |name: &str| scenarios.iter().any(|(one, _)| one.plan.name == name);
    let (in_a, in_b) = (findings(a), findings(b));
    let by_place: HashMap<(&str, &str), &Finding> = in_b
        .iter()
        .map(|finding| {
            (
                (finding.scenario.as_str(), finding.candidate.as_str()),
                finding,
            )
        })
        .collect();
    in_a.iter()
        .filter(|finding| compared(&finding.scenario))
        .filter_map(|of_a| {
            let of_b = by_place.get(&(of_a.scenario.as_str(), of_a.candidate.as_str()))?;
            beside(of_a, of_b)
        })
        .collect()
}

fn findings(side: &Side<'_>) -> Vec<Finding> {
    let experiments = Results::new(side.record, side.samples).experiments;
    let findings = experiments
        .into_iter()
        .map(|experiment| experiment.findings);
    findings.flatten().collect()
}

fn beside(of_a: &Finding, of_b: &Finding) -> Option<GainComparison> {
    let metric = of_a.measures.first()?.metric;
    if of_b.measures.first()?.metric != metric {
        return None;
    }
    let (a, b) = (gain(of_a)?, gain(of_b)?);
    let (first, second) = (a.gain.interval, b.gain.interval);
    Some(GainComparison {
        scenario: of_a.scenario.clone(),
        candidate: of_a.candidate.clone(),
        metric,
        a,
        b,
        intervals_overlap: first.low <= second.high && second.low <= first.high,
    })
}

fn gain(finding: &Finding) -> Option<Gain> {
    Some(Gain {
        gain: finding.leading()?.comparison.inverted(),
        verdict: finding.verdict,
    })
}
