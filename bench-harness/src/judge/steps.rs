//! The way from `before` to `tuned`, change by change.

use apitap_core::Config;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ExperimentResults;
use crate::experiment::{Definition, configured};
use crate::stats::{Interval, Verdict};

/// A change with its gain from both ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Experiment by id.
    pub experiment: String,
    /// What is changed.
    pub title: String,
    /// Which presets have this very change.
    pub part_of: PartOf,
    /// Added alone to `before`; absent if that was not measured.
    pub added: Option<StepGain>,
    /// What `tuned` loses without it: taken alone out of `tuned`. Where `tuned` does not have the
    /// change, what it would gain by it.
    pub taken_out: Option<StepGain>,
}

/// The presets that a change is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartOf {
    /// `tuned` alone: the gains of such steps would multiply to the whole, were they independent.
    Tuned,
    /// `before` and `tuned`: what was measured is what it would cost to lose it.
    Both,
    /// None of them: what was measured is what it would bring.
    Neither,
}

/// A gain as a factor of speed or thrift.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepGain {
    /// Baseline ÷ candidate.
    pub gain: f64,
    /// Its interval at the family's level.
    pub interval: Interval,
    /// Whether there is one.
    pub verdict: Verdict,
}

/// The changes that were measured on a preset, the largest gain on `before` first.
pub(super) fn all(experiments: &[ExperimentResults]) -> Vec<Step> {
    let mut steps: Vec<Step> = experiments
        .iter()
        .filter(|experiment| !experiment.is_control() && !experiment.definition.on.is_empty())
        .map(|experiment| Step {
            experiment: experiment.definition.id.clone(),
            title: experiment.definition.title.clone(),
            part_of: part_of(&experiment.definition),
            added: gain(experiment, "before"),
            taken_out: gain(experiment, "tuned"),
        })
        .filter(|step| step.added.is_some() || step.taken_out.is_some())
        .collect();
    let order = |step: &Step| {
        let first = step.added.or(step.taken_out);
        first.map_or(0.0, |gain| gain.gain)
    };
    steps.sort_by(|a, b| order(b).total_cmp(&order(a)));
    steps
}

fn gain(experiment: &ExperimentResults, on: &str) -> Option<StepGain> {
    let finding = experiment.on(Some(on))?;
    let comparison = finding.leading()?.comparison.inverted();
    Some(StepGain {
        gain: comparison.ratio,
        interval: comparison.interval,
        verdict: finding.verdict,
    })
}

fn part_of(definition: &Definition) -> PartOf {
    let knobs = definition.candidates.first().map(|one| &one.knobs[..]);
    let has = |preset: &str| {
        let changed: Option<Config> = configured(preset, knobs.unwrap_or_default()).ok();
        changed.is_some() && changed == Config::preset(preset).ok()
    };
    match (has("before"), has("tuned")) {
        (true, true) => PartOf::Both,
        (false, true) if is_before(definition) => PartOf::Tuned,
        _ => PartOf::Neither,
    }
}

/// Whether `before` is what the change is made to.
fn is_before(definition: &Definition) -> bool {
    configured("before", &definition.baseline.knobs).ok() == Config::preset("before").ok()
}
