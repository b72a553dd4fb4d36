//! What a change would gain, from the budget of a baseline, and how well that agrees with what was measured.
//!
//! The processor time of each stage, the pages, the flushes and the round trips of a baseline make up its wall time
//! ([`pipeline`]). A change alters some of them ([`change`]); what the new ones cost is learned from other loads
//! ([`costs`]). How far a prediction may be off is learned from those about other experiments
//! ([`crate::stats::conformal`]).
//!
//! Whatever is predicted about an experiment is learned without it: neither costs nor errors know its candidates.

mod cases;
mod change;
mod costs;
mod load;
mod pipeline;
mod question;
mod setting;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use self::cases::{Case, Measured};
use self::change::Expectation;
use self::costs::Costs;
use self::load::Load;
pub(crate) use self::question::{Change, Latency, Rows};
use self::setting::Setting;
use super::SamplesByScenario;
use crate::run_record::RunRecord;
use crate::samples::Samples;
use crate::stats::{Interval, conformal};

/// Version of the layout of `what-if.json`.
const SCHEMA_VERSION: u32 = 1;

/// Share of gains that intervals shall hold.
pub(crate) const COVERAGE: f64 = 0.9;

/// How much larger the errors of a prediction are expected to be for each e-fold of gain. Coverage holds whatever this
/// is; intervals are narrower the better it fits.
const ERROR_BY_SIZE: f64 = 2.0;

/// Predictions about a run, each beside what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Predictions {
    pub(crate) schema_version: u32,
    /// Share of gains that intervals shall hold.
    pub(crate) coverage: f64,
    /// By experiment.
    pub(crate) predictions: Vec<Prediction>,
    /// Comparisons that the model cannot predict, with the reason.
    pub(crate) left_out: Vec<LeftOut>,
}

/// What one change would gain in wall time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prediction {
    pub(crate) experiment: String,
    pub(crate) scenario: String,
    /// The baseline.
    pub(crate) arm: String,
    pub(crate) change: String,
    pub(crate) kind: Kind,
    pub(crate) basis: Basis,
    /// How many times as fast.
    pub(crate) gain: f64,
    /// Absent where too few other experiments say how far predictions are off.
    pub(crate) interval: Option<Interval>,
    /// The largest gain, if what the change touches took no time at all.
    pub(crate) at_most: f64,
    /// Absent of a change that was not measured.
    pub(crate) measured: Option<f64>,
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Knobs of the engine.
    Configuration,
    /// The number of rows.
    Rows,
    /// The round trip to the API.
    ApiRoundTrip,
    /// The round trip to PostgreSQL.
    PostgresRoundTrip,
}

/// What a prediction rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Basis {
    /// The budget, and costs of other loads where they are needed.
    Model,
    /// The model knows no difference: about 1.
    NoDifference,
    /// These stages would work in a way that no other experiment has. The gain is that of the rest, and the interval
    /// the bound of what these take.
    UnknownCosts(Vec<String>),
}

/// A comparison that cannot be predicted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    pub(crate) comparison: String,
    pub(crate) reason: String,
}

impl Prediction {
    fn new(load: &Load, to: &Setting, costs: &Costs) -> Self {
        let expected = Expectation::new(load, to, costs);
        let basis = if !expected.unknown.is_empty() {
            let stages = expected.unknown.iter();
            Basis::UnknownCosts(stages.map(ToString::to_string).collect())
        } else if expected.is_same {
            Basis::NoDifference
        } else {
            Basis::Model
        };
        Self {
            experiment: load.experiment.clone(),
            scenario: load.scenario.clone(),
            arm: load.arm.clone(),
            change: String::new(),
            kind: Kind::Configuration,
            basis,
            gain: expected.gain,
            interval: None,
            at_most: expected.at_most,
            measured: None,
        }
    }

    fn of_case(case: &Case<'_>, costs: &Costs) -> Self {
        let milliseconds = |from: f64, to: f64| format!("{:.1} → {:.1} ms", from * 1e3, to * 1e3);
        let (from, to) = (&case.load.setting, &case.to.setting);
        Self {
            change: match case.kind {
                Kind::Configuration | Kind::Rows => case.to.arm.clone(),
                Kind::ApiRoundTrip => {
                    let both = milliseconds(from.api_round_trip, to.api_round_trip);
                    format!("round trip to the API {both}")
                }
                Kind::PostgresRoundTrip => {
                    let both = milliseconds(from.postgres_round_trip, to.postgres_round_trip);
                    format!("round trip to PostgreSQL {both}")
                }
            },
            kind: case.kind,
            measured: Some(case.measured),
            ..Self::new(case.load, to, costs)
        }
    }

    /// Whether errors of such predictions say something about others: not where a cost is unknown.
    pub(crate) fn has_known_costs(&self) -> bool {
        !matches!(self.basis, Basis::UnknownCosts(_))
    }

    /// By how much errors are expected to be larger than those of a gain of 1.
    fn scale(&self) -> f64 {
        1.0 + ERROR_BY_SIZE * self.gain.ln().abs()
    }

    /// The logarithm of what was measured ÷ predicted.
    pub(crate) fn error(&self) -> Option<f64> {
        Some((self.measured? / self.gain).ln())
    }

    /// Whether what was measured is within the interval.
    pub(crate) fn holds(&self) -> Option<bool> {
        Some(self.interval?.contains(self.measured?))
    }

    /// With an interval from the errors of others.
    fn within(self, bound: f64) -> Self {
        let interval = if self.has_known_costs() {
            let factor = (bound * self.scale()).exp();
            factor.is_finite().then(|| Interval {
                low: self.gain / factor,
                high: self.gain * factor,
            })
        } else {
            let most = self.at_most.max(self.gain);
            Some(Interval {
                low: self.gain / most,
                high: most,
            })
        };
        Self { interval, ..self }
    }
}

impl Predictions {
    /// Of all changes that were measured.
    #[must_use]
    pub(crate) fn new(run: &RunRecord, samples: &Samples) -> Self {
        let measured = Measured::new(run, &SamplesByScenario::new(samples));
        let cases = measured.cases();
        let experiments: Vec<&str> = cases.keys().copied().collect();
        // About the first experiment, learned without both.
        let mut predicted: BTreeMap<(&str, &str), Vec<Prediction>> = BTreeMap::new();
        for (nth, one) in experiments.iter().enumerate() {
            for other in &experiments[nth..] {
                let costs = Costs::new(measured.without(&[*one, *other]));
                predicted.insert((*one, *other), of_cases(&cases[one], &costs));
                predicted.insert((*other, *one), of_cases(&cases[other], &costs));
            }
        }
        let predictions = experiments.iter().flat_map(|own| {
            let others = experiments.iter().filter(|other| *other != own);
            let errors: Vec<Vec<f64>> = others
                .map(|other| scores(&predicted[&(*other, *own)]))
                .collect();
            let bound = conformal::bound(&errors, COVERAGE);
            let own = predicted[&(*own, *own)].iter().cloned();
            own.map(move |one| one.within(bound)).collect::<Vec<_>>()
        });
        Self {
            schema_version: SCHEMA_VERSION,
            coverage: COVERAGE,
            predictions: predictions.collect(),
            left_out: measured
                .left_out
                .iter()
                .map(|(comparison, reason)| LeftOut {
                    comparison: comparison.clone(),
                    reason: reason.to_string(),
                })
                .collect(),
        }
    }

    /// Of a change to the baselines of an experiment, outside of its grid.
    ///
    /// # Errors
    /// If nothing can be predicted of the experiment, or the change is no valid setting.
    pub(crate) fn of_change(
        run: &RunRecord,
        samples: &Samples,
        experiment: &str,
        change: &Change,
    ) -> Result<Self> {
        let measured = Measured::new(run, &SamplesByScenario::new(samples));
        let cases = measured.cases();
        let costs = Costs::new(measured.without(&[experiment]));
        let others = cases.iter().filter(|(id, _)| **id != experiment);
        let errors: Vec<Vec<f64>> = others
            .map(|(id, cases)| {
                let costs = Costs::new(measured.without(&[experiment, *id]));
                scores(&of_cases(cases, &costs))
            })
            .collect();
        let bound = conformal::bound(&errors, COVERAGE);
        let baselines = run.scenarios.iter().filter(|one| {
            let plan = &one.plan;
            plan.experiment == experiment && plan.cell.is_empty() && plan.confirms.is_none()
        });
        let loads = baselines.filter_map(|scenario| {
            let plan = &scenario.plan;
            let mut loads = measured.loads.iter();
            loads.find(|one| one.scenario == plan.name && one.arm == plan.baseline().name)
        });
        let predictions = loads
            .map(|load| {
                let to = change.applied_to(&load.setting)?;
                let prediction = Prediction {
                    change: change.to_string(),
                    kind: change.kind(),
                    ..Prediction::new(load, &to, &costs)
                };
                Ok(prediction.within(bound))
            })
            .collect::<Result<Vec<_>>>()?;
        ensure!(
            !predictions.is_empty(),
            "the run has no baseline of the engine with its report and the server's processor time in {experiment:?}"
        );
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            coverage: COVERAGE,
            predictions,
            left_out: Vec::new(),
        })
    }

    /// Of each kind of change, those that were measured.
    pub(crate) fn by_kind(&self) -> BTreeMap<(bool, Kind), Vec<&Prediction>> {
        let mut kinds: BTreeMap<(bool, Kind), Vec<&Prediction>> = BTreeMap::new();
        for one in self.predictions.iter().filter(|one| one.measured.is_some()) {
            let key = (!one.has_known_costs(), one.kind);
            kinds.entry(key).or_default().push(one);
        }
        kinds
    }
}

fn of_cases(cases: &[Case<'_>], costs: &Costs) -> Vec<Prediction> {
    let predictions = cases.iter();
    predictions
        .map(|case| Prediction::of_case(case, costs))
        .collect()
}

/// How far predictions were off, as multiples of what is expected.
fn scores(predictions: &[Prediction]) -> Vec<f64> {
    let known = predictions.iter().filter(|one| one.has_known_costs());
    known
        .filter_map(|one| Some(one.error()?.abs() / one.scale()))
        .collect()
}

#[cfg(test)]
mod tests;
