//! Which functions and crates cost more or less in the candidate, with how much certainty.
//!
//! A function is charged inclusively, with every sample below it, once, however often it is in the
//! stack; and by itself, with the samples whose innermost frame outside of the standard library is its
//! own: what `alloc` or `memcpy` cost counts for who called them. So are crates. What is charged by
//! itself adds up.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frame::{STANDARD, function};
use super::marker::crate_of;
use super::per_thousand;
use super::stacks::Stacks;
use crate::stats::{Interval, location};

/// Names what is charged to no crate and no function.
pub(crate) const NO_CRATE: &str = "[system]";

/// One load's stacks, and what one sample of it means.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Where it was seen.
    pub stacks: Stacks,
    /// Processor time of a sample, in µs per 1,000 rows.
    pub sample_cost: f64,
}

impl Load {
    /// Stacks of so many seconds of processor time on so many rows.
    #[must_use]
    pub(crate) fn new(stacks: Stacks, cpu_seconds: f64, rows: u64) -> Self {
        let samples = stacks.total().max(1) as f64;
        Self {
            sample_cost: per_thousand(cpu_seconds, rows) / samples,
            stacks,
        }
    }
}

/// A difference of processor time, in µs per 1,000 rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// Function or crate.
    pub name: String,
    /// Mean of the baseline.
    pub baseline: f64,
    /// Mean of the candidate.
    pub candidate: f64,
    /// Candidate less baseline, pair by pair: the Hodges–Lehmann estimate.
    pub difference: f64,
    /// Its interval; absent where pairs are too few for the confidence asked for.
    pub interval: Option<Interval>,
}

impl Delta {
    /// Whether it may as well be none.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        self.interval.is_none_or(|interval| interval.contains(0.0))
    }
}

/// The functions whose inclusive cost differs most, at most `count`.
#[must_use]
pub(crate) fn functions(pairs: &[(Load, Load)], confidence: f64, count: usize) -> Vec<Delta> {
    largest(all(pairs, confidence, inclusive), count)
}

/// The functions whose own cost differs most, at most `count`.
#[must_use]
pub(crate) fn own_functions(pairs: &[(Load, Load)], confidence: f64, count: usize) -> Vec<Delta> {
    largest(all(pairs, confidence, by_function), count)
}

/// The crates that differ most, at most `count`.
#[must_use]
pub(crate) fn crates(pairs: &[(Load, Load)], confidence: f64, count: usize) -> Vec<Delta> {
    largest(all(pairs, confidence, by_crate), count)
}

fn largest(mut deltas: Vec<Delta>, count: usize) -> Vec<Delta> {
    let size = |delta: &Delta| delta.difference.abs();
    deltas.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.name.cmp(&b.name)));
    deltas.truncate(count);
    deltas
}

fn all(
    pairs: &[(Load, Load)],
    confidence: f64,
    costs: fn(&Load) -> BTreeMap<String, f64>,
) -> Vec<Delta> {
    let costs: Vec<_> = pairs.iter().map(|(a, b)| (costs(a), costs(b))).collect();
    let names: BTreeSet<&String> = costs
        .iter()
        .flat_map(|(a, b)| a.keys().chain(b.keys()))
        .collect();
    names
        .into_iter()
        .filter_map(|name| {
            let cost = |of: &BTreeMap<String, f64>| of.get(name).copied().unwrap_or_default();
            let differences: Vec<f64> = costs.iter().map(|(a, b)| cost(b) - cost(a)).collect();
            let found = location(&differences, confidence)?;
            let mean =
                |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / costs.len() as f64;
            Some(Delta {
                name: name.clone(),
                baseline: mean(&mut costs.iter().map(|(a, _)| cost(a))),
                candidate: mean(&mut costs.iter().map(|(_, b)| cost(b))),
                difference: found.estimate,
                interval: (found.confidence >= confidence).then_some(found.interval),
            })
        })
        .collect()
}

fn inclusive(load: &Load) -> BTreeMap<String, f64> {
    let mut costs = BTreeMap::new();
    for (stack, count) in load.stacks.iter() {
        let functions: BTreeSet<String> = stack.iter().map(|frame| function(frame)).collect();
        for function in functions {
            *costs.entry(function).or_default() += count as f64 * load.sample_cost;
        }
    }
    costs
}

fn by_function(load: &Load) -> BTreeMap<String, f64> {
    charged(load, |frame, _| function(frame))
}

fn by_crate(load: &Load) -> BTreeMap<String, f64> {
    charged(load, |_, of_crate| of_crate.to_owned())
}

/// The samples of a load by what `name` makes of the innermost frame that is of a crate outside of the
/// standard library, given that frame and its crate.
fn charged(load: &Load, name: impl Fn(&str, &str) -> String) -> BTreeMap<String, f64> {
    let mut costs = BTreeMap::new();
    for (stack, count) in load.stacks.iter() {
        let mut frames = stack.iter().rev();
        let charged = frames.find_map(|frame| {
            let of_crate = crate_of(frame).filter(|one| !STANDARD.contains(one))?;
            Some(name(frame, of_crate))
        });
        let charged = charged.unwrap_or_else(|| NO_CRATE.to_owned());
        *costs.entry(charged).or_default() += count as f64 * load.sample_cost;
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(stacks: &Stacks) -> Load {
        Load {
            stacks: stacks.clone(),
            sample_cost: 2.0,
        }
    }

    #[test]
    fn recursion_counts_once_and_servants_for_their_callers() {
        let stacks = Stacks::parse("a::f;a::f;core::slice::sort;memcpy 3\na::f;b::g 1\nstart 1\n");
        let functions = inclusive(&load(&stacks));
        assert_eq!(functions["a::f"], 8.0);
        assert_eq!(functions["memcpy"], 6.0);
        let own = by_function(&load(&stacks));
        assert_eq!((own["a::f"], own["b::g"], own[NO_CRATE]), (6.0, 2.0, 2.0));
        let crates = by_crate(&load(&stacks));
        assert_eq!(
            (crates["a"], crates["b"], crates[NO_CRATE]),
            (6.0, 2.0, 2.0)
        );
        assert_eq!(crates.values().sum::<f64>(), 10.0);
    }

    #[test]
    fn what_grows_in_every_pair_is_told_from_noise() {
        let before =
            [3, 4, 5, 3, 4, 5].map(|count| Stacks::parse(&format!("a::f 9\na::g {count}\n")));
        let after = [5, 4, 3, 4, 3, 5]
            .map(|count| Stacks::parse(&format!("a::f 20\na::g {count}\nb::h 7\n")));
        let pairs: Vec<_> = before
            .iter()
            .zip(&after)
            .map(|(a, b)| (load(a), load(b)))
            .collect();
        let deltas = functions(&pairs, 0.95, 2);
        assert_eq!(deltas.len(), 2);
        assert_eq!(
            (deltas[0].name.as_str(), deltas[0].difference),
            ("a::f", 22.0)
        );
        assert_eq!(
            (deltas[1].name.as_str(), deltas[1].candidate),
            ("b::h", 14.0)
        );
        assert!(!deltas[0].is_noise());
        let all = functions(&pairs, 0.95, 9);
        assert!(
            all.iter()
                .find(|one| one.name == "a::g")
                .unwrap()
                .is_noise()
        );
        let few = functions(&pairs[..3], 0.95, 1);
        assert!(few[0].interval.is_none() && few[0].is_noise());
        assert_eq!(crates(&pairs, 0.95, 9).len(), 2);
    }
}
