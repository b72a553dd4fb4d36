//! What to do about each change, and what the run comes to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crossing::promised_floor;
use super::{ExperimentResults, Finding, Weakened};
use crate::experiment::Definition;
use crate::stats::{ClaimVerdict, Verdict};

/// Changes that the headline names: the largest gains, and the largest losses.
const MOST_GAINS: usize = 3;
const MOST_LOSSES: usize = 2;

/// What the evidence says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recommendation {
    /// It gains on `before`, or on the preset that was measured instead.
    Do,
    /// It gains elsewhere only: on the other preset, or in a part of its grid.
    DoElsewhere,
    /// It gains nothing that matters, or costs something.
    Dont,
    /// The run cannot tell.
    Inconclusive,
}

impl Recommendation {
    pub(super) fn new(experiment: &ExperimentResults) -> Self {
        let Some(deciding) = experiment.deciding() else {
            return Self::Inconclusive;
        };
        let is_decided = matches!(deciding.verdict, Verdict::Equivalent | Verdict::Regressed)
            || experiment.verdict == ClaimVerdict::Refuted
            || deciding.supports_claim();
        match () {
            () if deciding.verdict == Verdict::Improved => Self::Do,
            // A part of the grid does not make up for a loss on a preset.
            () if experiment.loss().is_some() && experiment.gain().is_none() => Self::Dont,
            () if !experiment.gains.is_empty() => Self::DoElsewhere,
            () if is_decided => Self::Dont,
            () => Self::Inconclusive,
        }
    }
}

/// Why a claim is inconclusive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No block has a figure of both arms.
    NotMeasured,
    /// Identical arms differ in this run.
    IdenticalArmsDiffer,
    /// Measured again, the outcome was another one.
    Unconfirmed,
    /// Too few blocks for an interval.
    TooFewBlocks,
    /// A smaller difference than this share would not be seen.
    Resolution(f64),
    /// The gain could be above or below this factor, the least that the claim allows.
    AroundPromise(f64),
    /// The difference could be larger or smaller than this share, below which it does not matter.
    AroundThreshold(f64),
}

impl Reason {
    pub(super) fn new(definition: &Definition, finding: &Finding) -> Self {
        let (Some(judged), Some(measure)) = (finding.leading(), finding.measures.first()) else {
            return Self::NotMeasured;
        };
        match (finding.weakened, finding.verdict) {
            (Some(Weakened::IdenticalArmsDiffer), _) => Self::IdenticalArmsDiffer,
            (Some(Weakened::Unconfirmed | Weakened::ClaimUnconfirmed), _) => Self::Unconfirmed,
            _ if !judged.comparison.is_confident() => Self::TooFewBlocks,
            (None, Verdict::Inconclusive) => judged
                .smallest_detectable
                .map_or(Self::TooFewBlocks, Self::Resolution),
            (None, _) => match promised_floor(definition.expected, measure.threshold) {
                Some(floor) => Self::AroundPromise(floor),
                None => Self::AroundThreshold(measure.threshold.share()),
            },
        }
    }
}

/// The run in one sentence, as experiments by id.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Headline {
    /// Changes that gain and cost nothing anywhere, the largest gain first: at most three.
    pub pay: Vec<String>,
    /// Changes that only cost, the largest loss first: at most two.
    pub do_not: Vec<String>,
}

impl Headline {
    pub(super) fn new(experiments: &[ExperimentResults]) -> Self {
        let chosen = |wanted: Recommendation, order: fn(&ExperimentResults) -> Option<f64>| {
            let mut chosen: Vec<(f64, &ExperimentResults)> = experiments
                .iter()
                .filter(|one| one.recommendation == Some(wanted))
                .filter_map(|one| Some((order(one)?, one)))
                .collect();
            chosen.sort_by(|(a, _), (b, _)| b.total_cmp(a));
            let ids = chosen.into_iter().map(|(_, one)| one.definition.id.clone());
            ids.collect::<Vec<_>>()
        };
        let mut pay = chosen(Recommendation::Do, |one| match one.loss() {
            Some(_) => None,
            None => one.gain(),
        });
        let mut do_not = chosen(Recommendation::Dont, |one| Some(1.0 / one.loss()?));
        pay.truncate(MOST_GAINS);
        do_not.truncate(MOST_LOSSES);
        Self { pay, do_not }
    }
}
