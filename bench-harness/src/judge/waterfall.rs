//! The changes that make `tuned` out of `before`, and what they gain together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::steps::{PartOf, Step};
use super::{ExperimentResults, Finding};
use crate::experiment::Arm;
use crate::metric::Metric;

/// Factor within which the product of the changes counts as the whole.
///
/// Of ten changes each estimate may be off by a per cent or two, and their product by ten per cent.
const ABOUT_INDEPENDENT: f64 = 1.1;

/// The changes one by one, and all at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waterfall {
    /// Changes that `tuned` has and `before` has not, each added alone to `before`, the largest gain
    /// first.
    pub changes: Vec<Change>,
    /// The product of their gains.
    pub product: f64,
    /// All at once; absent if that was not measured.
    pub whole: Option<Whole>,
    /// Changes that are judged by another quantity than time, by id.
    pub left_out: Vec<String>,
}

/// A change on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Experiment by id.
    pub experiment: String,
    /// Its gain on `before`.
    pub gain: f64,
    /// Product of the gains up to this one.
    pub so_far: f64,
}

/// `tuned` against `before`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whole {
    /// Experiment by id.
    pub experiment: String,
    /// Its gain.
    pub gain: f64,
    /// That gain ÷ the product of the changes.
    pub rest: f64,
    /// What the rest says.
    pub interaction: Interaction,
}

/// How the changes depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interaction {
    /// Hardly.
    Independent,
    /// Together they gain more than their product.
    More,
    /// Together they gain less than their product.
    Less,
}

impl Waterfall {
    /// None if no change was measured on a preset.
    pub(super) fn new(experiments: &[ExperimentResults], steps: &[Step]) -> Option<Self> {
        let is_time = |step: &&Step| {
            let mut all = experiments.iter();
            let experiment = all.find(|one| one.definition.id == step.experiment);
            experiment.is_some_and(|one| one.definition.metric == Metric::WallSeconds)
        };
        let on_the_way = steps.iter().filter(|step| step.part_of == PartOf::Tuned);
        let (timed, others): (Vec<&Step>, Vec<&Step>) = on_the_way.partition(is_time);
        let mut gains: Vec<(&Step, f64)> = timed
            .into_iter()
            .filter_map(|step| Some((step, step.added?.gain)))
            .collect();
        gains.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let mut product = 1.0;
        let mut changes = Vec::new();
        for (step, gain) in gains {
            product *= gain;
            changes.push(Change {
                experiment: step.experiment.clone(),
                gain,
                so_far: product,
            });
        }
        let whole = whole(experiments).and_then(|(experiment, finding)| {
            let gain = finding.gain()?;
            let rest = gain / product;
            Some(Whole {
                experiment: experiment.definition.id.clone(),
                gain,
                rest,
                interaction: match () {
                    () if rest > ABOUT_INDEPENDENT => Interaction::More,
                    () if rest < 1.0 / ABOUT_INDEPENDENT => Interaction::Less,
                    () => Interaction::Independent,
                },
            })
        });
        (!steps.is_empty()).then(|| Self {
            changes,
            product,
            whole,
            left_out: others.iter().map(|step| step.experiment.clone()).collect(),
        })
    }
}

/// All changes at once: `tuned` against `before`, as it was measured.
pub(super) fn whole(experiments: &[ExperimentResults]) -> Option<(&ExperimentResults, &Finding)> {
    let is = |arm: &Arm, preset: &str| {
        arm.preset.as_deref() == Some(preset) && arm.knobs.is_empty() && !arm.psql_copy
    };
    let experiment = experiments.iter().find(|experiment| {
        let definition = &experiment.definition;
        let candidate = definition.candidates.first();
        is(&definition.baseline, "before") && candidate.is_some_and(|arm| is(arm, "tuned"))
    })?;
    let finding = experiment.on(None)?;
    finding.leading()?;
    Some((experiment, finding))
}
