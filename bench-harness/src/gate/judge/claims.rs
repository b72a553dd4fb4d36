//! What became of the promises of a change, in each scenario.

use super::checks::{change, exact, first};
use super::{Evidence, Policy, Sides};
use crate::gate::claim::Claim;
use crate::gate::results::GatedClaim;
use crate::judge::log_ratios;
use crate::metric::Tier;
use crate::run_record::Scenario;
use crate::stats::{ClaimVerdict, Comparison, UNCALIBRATED, claim_verdict};

/// Judges every claim in every scenario of the plan, all of them as one family.
#[must_use]
pub(crate) fn claims(head: Evidence<'_>, claims: &[Claim], policy: Policy<'_>) -> Vec<GatedClaim> {
    let sides = Sides { head, stored: None };
    let scenarios = &head.record.scenarios;
    let family = claims.len() * scenarios.len();
    let of_scenario = |scenario| {
        let one = |claim| sides.claim(scenario, claim, policy, family);
        claims.iter().map(one).collect::<Vec<_>>()
    };
    scenarios.iter().flat_map(of_scenario).collect()
}

impl Sides<'_> {
    fn claim(
        &self,
        scenario: &Scenario,
        claim: &Claim,
        policy: Policy<'_>,
        family: usize,
    ) -> GatedClaim {
        let expected = claim.expected();
        let judged = |comparison: &Comparison| claim_verdict(&expected, comparison, UNCALIBRATED);
        let mut found = None;
        for comparison in self.looks_at(scenario, claim, policy, family) {
            let verdict = judged(&comparison);
            found = Some((comparison, verdict));
            if verdict != ClaimVerdict::Inconclusive {
                break;
            }
        }
        GatedClaim {
            claim: claim.to_string(),
            metric: claim.metric,
            scenario: scenario.plan.name.clone(),
            verdict: found.map_or(ClaimVerdict::Inconclusive, |(_, verdict)| verdict),
            change: found.map(|(comparison, _)| change(claim.metric, &comparison, None)),
            stage: None,
        }
    }

    /// The comparisons that may decide a claim, look by look.
    fn looks_at(
        &self,
        scenario: &Scenario,
        claim: &Claim,
        policy: Policy<'_>,
        family: usize,
    ) -> Vec<Comparison> {
        let (plan, metric) = (&scenario.plan, claim.metric);
        if metric.tier() == Tier::Counter {
            let (base, head) = self.counts(plan, metric);
            let both = base.zip(head).filter(|(base, _)| *base > 0.0);
            return both
                .map(|(base, head)| exact(head / base))
                .into_iter()
                .collect();
        }
        let (base, head) = (self.of_base(plan), self.of_head(plan));
        policy.looks.comparisons(plan.blocks, family, |blocks| {
            log_ratios(&first(&head, blocks), &base, metric)
        })
    }
}
