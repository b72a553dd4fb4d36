//! The share of each change in what all of them gain.
//!
//! What a change gains depends on which others are there already. Its Shapley value is the mean over all orders in
//! which the changes can be made. The values add up to the whole, so nothing is left unexplained.
//!
//! Source: Shapley, "A Value for n-Person Games", Contributions to the Theory of Games II (1953). The game is the
//! logarithm of the cost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SamplesByScenario;
use super::arm::{Blocks, blocks};
use crate::experiment::Definition;
use crate::run_record::RunRecord;
use crate::stats::{Comparison, compare, compare_sessions};

/// What the changes of an experiment gain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shapley {
    /// Experiment by id.
    pub experiment: String,
    /// Its changes, the largest gain first.
    pub shares: Vec<Share>,
    /// All of them together ÷ none of them.
    pub whole: Comparison,
}

/// The share of a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Change by name.
    pub change: String,
    /// With it ÷ without it, as the geometric mean over all orders.
    pub cost: Comparison,
}

impl Shapley {
    /// Of the first experiment with changes of which every combination was measured in a block.
    pub(super) fn new(run: &RunRecord, samples: &SamplesByScenario<'_>) -> Option<Self> {
        let mut scenarios = run.scenarios.iter().map(|one| &one.plan);
        let definitions = run.experiments.iter().filter(|one| !one.changes.is_empty());
        definitions
            .filter_map(|definition| {
                let plan = scenarios.find(|plan| plan.experiment == definition.id)?;
                let samples = samples.scenario(&plan.name);
                let combinations = 0..1_usize << definition.changes.len();
                let arms: Vec<Blocks<'_>> = combinations
                    .map(|bits| blocks(samples, &definition.combination(bits)))
                    .collect();
                Self::of(run, definition, &arms)
            })
            .next()
    }

    fn of(run: &RunRecord, definition: &Definition, arms: &[Blocks<'_>]) -> Option<Self> {
        let count = definition.changes.len();
        // For each session, the costs of all combinations in each of its blocks.
        let mut sessions: BTreeMap<usize, Vec<Vec<f64>>> = BTreeMap::new();
        for block in arms.first()?.keys() {
            let cost = |arm: &Blocks<'_>| definition.metric.cost(arm.get(block)?).map(f64::ln);
            if let Some(costs) = arms.iter().map(cost).collect() {
                sessions
                    .entry(block / run.session_blocks())
                    .or_default()
                    .push(costs);
            }
        }
        let compared = |log_ratio: &dyn Fn(&[f64]) -> f64| {
            let sessions: Vec<Vec<f64>> = sessions
                .values()
                .map(|blocks| blocks.iter().map(|costs| log_ratio(costs)).collect())
                .collect();
            compare_sessions(&sessions, run.confidence_level)
                .or_else(|| compare(&sessions.concat(), run.confidence_level))
        };
        let mut shares = Vec::with_capacity(count);
        for (nth, change) in definition.changes.iter().enumerate() {
            shares.push(Share {
                change: change.name.clone(),
                cost: compared(&|costs| value(nth, count, costs))?,
            });
        }
        shares.sort_by(|a, b| a.cost.ratio.total_cmp(&b.cost.ratio));
        Some(Self {
            experiment: definition.id.clone(),
            shares,
            whole: compared(&|costs| costs[costs.len() - 1] - costs[0])?,
        })
    }
}

/// The Shapley value of change `nth` of `count`, given the log costs of all combinations by their bits.
fn value(nth: usize, count: usize, log_costs: &[f64]) -> f64 {
    let without = (0..log_costs.len()).filter(|bits| bits >> nth & 1 == 0);
    without
        .map(|bits| {
            let weight = weight(bits.count_ones() as usize, count);
            weight * (log_costs[bits | 1 << nth] - log_costs[bits])
        })
        .sum()
}

/// The share of orders in which exactly `before` given changes come before a given one: s! (n − s − 1)! ÷ n!.
fn weight(before: usize, count: usize) -> f64 {
    let factorial = |number: usize| (1..=number).map(|one| one as f64).product::<f64>();
    factorial(before) * factorial(count - before - 1) / factorial(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_changes_that_save_the_same_time_share_it() {
        // Either saves all of it, and both no more.
        let costs = [10.0_f64, 5.0, 5.0, 5.0].map(f64::ln);
        for nth in 0..2 {
            assert!((value(nth, 2, &costs) - 0.5 * 0.5_f64.ln()).abs() < 1e-12);
        }
    }

    #[test]
    fn a_change_without_effect_has_no_share_and_independent_ones_have_their_own() {
        // The first halves the cost, the second does nothing, the third takes a tenth off.
        let costs: Vec<f64> = (0..8_usize)
            .map(|bits| {
                let first: f64 = if bits & 1 == 1 { 0.5 } else { 1.0 };
                let third = if bits & 4 == 4 { 0.9 } else { 1.0 };
                (7.0 * first * third).ln()
            })
            .collect();
        for (nth, expected) in [0.5_f64, 1.0, 0.9].into_iter().enumerate() {
            assert!((value(nth, 3, &costs).exp() - expected).abs() < 1e-12);
        }
    }

    proptest! {
        #[test]
        fn the_shares_add_up_to_the_whole(costs in prop::collection::vec(-3.0..3.0f64, 16)) {
            let sum: f64 = (0..4).map(|nth| value(nth, 4, &costs)).sum();
            prop_assert!((sum - (costs[15] - costs[0])).abs() < 1e-9);
        }
    }
}
