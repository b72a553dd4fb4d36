//! What a run found: everything that a report shows, computed from `run.json` and `samples.ndjson`.
//!
//! [`Results::new`] is pure. The same two files give the same results, however often a report is
//! rendered.

mod arm;
mod bound;
pub(crate) mod calibration;
pub(crate) mod compare;
pub(crate) mod control;
mod crossing;
mod family;
mod finding;
mod floor;
pub(crate) mod history;
mod holds;
pub(crate) mod prediction;
mod recommendation;
mod scenario;
mod shapley;
mod steps;
mod warning;
mod waterfall;

use std::collections::BTreeMap;
use std::num::NonZero;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use arm::ArmResults;
pub(crate) use arm::{Blocks, blocks, by_session, log_ratios};
pub(crate) use control::{CONTROL_BOUND, Control};
pub(crate) use crossing::Crossing;
pub(crate) use family::{Family, judge_together};
pub(crate) use finding::identical_log_ratios;
pub(crate) use finding::{Finding, Weakened};
pub(crate) use floor::Floor;
pub(crate) use holds::{GridPart, Holds, Values};
pub(crate) use recommendation::{Headline, Reason, Recommendation};
pub(crate) use scenario::{Excluded, Exclusion, ScenarioResults};
pub(crate) use shapley::Shapley;
pub(crate) use steps::{PartOf, Step, StepGain};
pub(crate) use warning::Warning;
pub(crate) use waterfall::{Interaction, Waterfall};

use crate::experiment::{Definition, IDENTICAL, Scale};
use crate::run_record::{RunRecord, SCHEMA_VERSION};
use crate::samples::{Measurements, Outcome, Sample, Samples, Timestamp};
use crate::stats::{ClaimVerdict, Verdict};

/// The findings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Version of this layout, [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When the run began.
    pub started_at: Timestamp,
    /// Seed of the order of samples.
    pub seed: u64,
    /// The command as it was typed, program first.
    pub command: Vec<String>,
    /// Cargo profile that the engine was built with.
    pub build_profile: String,
    /// How much time the run was given.
    pub scale: Scale,
    /// Confidence asked of every family of intervals.
    pub confidence_level: f64,
    /// When the noise of the machine was measured; absent if thresholds are uncalibrated.
    pub calibrated_at: Option<Timestamp>,
    /// Blocks after which the server was started anew; absent where the whole run is one session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_per_session: Option<NonZero<usize>>,
    /// How often the claims were judged while blocks were added; absent where they were judged once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<NonZero<usize>>,
    /// Whether flagged comparisons were to be measured once more.
    pub confirms: bool,
    /// What identical arms showed.
    pub control: Control,
    /// Findings by claim, in the order of the run record; identical arms first.
    pub experiments: Vec<ExperimentResults>,
    /// The changes that make `tuned` out of `before`, the largest gain first.
    pub steps: Vec<Step>,
    /// Those that `tuned` has, one after the other; absent if no change was measured on a preset.
    #[serde(default)]
    pub waterfall: Option<Waterfall>,
    /// The share of each change in the gain of all of them; absent if their combinations were not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shapley: Option<Shapley>,
    /// What the run comes to.
    #[serde(default)]
    pub headline: Headline,
    /// What was judged together.
    pub families: Vec<Family>,
    /// What was measured, by scenario, in the order in which it ran.
    pub scenarios: Vec<ScenarioResults>,
    /// How fast arms could be at most that are compared with psql.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floors: Vec<Floor>,
    /// What a reader must know before trusting the figures.
    pub warnings: Vec<Warning>,
    /// Machine, server and versions.
    pub fingerprint: serde_json::Value,
    /// Scenarios of which the folder of the run has profiles, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
}

/// What was found about one claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentResults {
    /// The claim and what was run for it.
    pub definition: Definition,
    /// The verdict on the claim: that of the finding on `before`, which is the state that the claim
    /// was made about, or else of the first one.
    pub verdict: ClaimVerdict,
    /// Comparisons: by preset the claim's own and its variants, then the cells of the grid.
    pub findings: Vec<Finding>,
    /// Why the claim is inconclusive; absent if it is not.
    #[serde(default)]
    pub inconclusive: Option<Reason>,
    /// Where the claim holds.
    #[serde(default)]
    pub holds: Holds,
    /// Where there is a gain that matters, of any size.
    #[serde(default)]
    pub gains: Holds,
    /// What to do about the change; absent for claims that are not about one.
    #[serde(default)]
    pub recommendation: Option<Recommendation>,
    /// Where the gain crosses what is promised.
    #[serde(default)]
    pub crossing: Option<Crossing>,
}

impl ExperimentResults {
    fn new(definition: &Definition, findings: &[Finding]) -> Self {
        let findings: Vec<Finding> = findings
            .iter()
            .filter(|finding| finding.experiment == definition.id)
            .cloned()
            .collect();
        let mut experiment = Self {
            definition: definition.clone(),
            verdict: ClaimVerdict::Inconclusive,
            findings,
            inconclusive: None,
            holds: Holds::default(),
            gains: Holds::default(),
            recommendation: None,
            crossing: None,
        };
        let deciding = experiment.deciding();
        experiment.verdict = deciding.map_or(ClaimVerdict::Inconclusive, |finding| finding.claim);
        if experiment.verdict == ClaimVerdict::Inconclusive {
            let deciding = experiment.deciding();
            let reason = deciding.map(|finding| Reason::new(definition, finding));
            experiment.inconclusive = Some(reason.unwrap_or(Reason::NotMeasured));
        }
        let improved = |finding: &Finding| finding.verdict == Verdict::Improved;
        experiment.holds = Holds::new(&experiment, &Finding::supports_claim);
        experiment.gains = Holds::new(&experiment, &improved);
        experiment.crossing = Crossing::new(&experiment);
        if experiment.is_change() {
            experiment.recommendation = Some(Recommendation::new(&experiment));
        }
        experiment
    }

    /// Whether it is about one change, which is added to presets.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !self.is_control() && !self.definition.on.is_empty()
    }

    /// Findings of the claim's own candidate outside the grid that were measured, by preset.
    pub fn outside_grid(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| {
            finding.is_headline && finding.cell.is_empty() && finding.leading().is_some()
        })
    }

    /// The largest gain outside the grid that matters.
    #[must_use]
    pub fn gain(&self) -> Option<f64> {
        let gains = self.gains_with(Verdict::Improved);
        gains.max_by(f64::total_cmp)
    }

    /// The largest loss outside the grid that matters, as a gain below 1.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        let losses = self.gains_with(Verdict::Regressed);
        losses.min_by(f64::total_cmp)
    }

    fn gains_with(&self, verdict: Verdict) -> impl Iterator<Item = f64> {
        self.outside_grid()
            .filter(move |finding| finding.verdict == verdict)
            .filter_map(Finding::gain)
    }

    /// The finding of the claim's own candidate on a preset; on none, where arms name their own.
    #[must_use]
    pub fn on(&self, preset: Option<&str>) -> Option<&Finding> {
        self.findings
            .iter()
            .find(|one| one.is_headline && one.cell.is_empty() && one.on.as_deref() == preset)
    }

    /// The finding that decides about the claim.
    #[must_use]
    pub fn deciding(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.is_headline)
    }

    /// The findings in the cells of the grid.
    pub fn cells(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|one| !one.cell.is_empty())
    }

    /// Whether its arms are identical: its findings are about noise.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.definition.id == IDENTICAL
    }
}

impl Results {
    /// Computes the findings of `run` from `samples`.
    ///
    /// Samples of a scenario or an arm that the record does not name are left out.
    #[must_use]
    pub fn new(run: &RunRecord, samples: &Samples) -> Self {
        let samples_of = SamplesByScenario::new(samples);
        let scenarios: Vec<ScenarioResults> = run
            .scenarios
            .iter()
            .map(|scenario| {
                ScenarioResults::new(scenario, samples_of.scenario(&scenario.plan.name))
            })
            .collect();
        let (mut findings, families, control) = finding::all(run, &samples_of);
        bound::note(&mut findings, run, &samples_of);
        let experiments: Vec<ExperimentResults> = run
            .experiments
            .iter()
            .map(|definition| ExperimentResults::new(definition, &findings))
            .collect();
        let steps = steps::all(&experiments);
        let mut results = Self {
            schema_version: SCHEMA_VERSION,
            started_at: run.started_at,
            seed: run.seed,
            command: run.command.clone(),
            build_profile: run.build_profile.clone(),
            scale: run.scale,
            confidence_level: run.confidence_level,
            calibrated_at: run.calibrated_at,
            blocks_per_session: run.blocks_per_session,
            looks: run.looks,
            confirms: run.confirms,
            control,
            waterfall: Waterfall::new(&experiments, &steps),
            shapley: Shapley::new(run, &samples_of),
            headline: Headline::new(&experiments),
            steps,
            experiments,
            families,
            scenarios,
            floors: floor::all(run, &samples_of),
            warnings: Vec::new(),
            fingerprint: run.fingerprint.clone(),
            profiles: Vec::new(),
        };
        results.warnings = warning::all(&results, samples);
        results
    }

    /// The experiment of that id.
    #[must_use]
    pub fn experiment(&self, id: &str) -> Option<&ExperimentResults> {
        self.experiments
            .iter()
            .find(|experiment| experiment.definition.id == id)
    }

    /// The claims, in the order of the sections of the optimization report.
    #[must_use]
    pub fn claims(&self) -> Vec<&ExperimentResults> {
        let claims = self.experiments.iter().filter(|one| !one.is_control());
        let mut claims: Vec<&ExperimentResults> = claims.collect();
        claims.sort_by(|a, b| a.definition.section.cmp(&b.definition.section));
        claims
    }

    /// The experiment of identical arms.
    #[must_use]
    pub fn identical(&self) -> Option<&ExperimentResults> {
        self.experiments.iter().find(|one| one.is_control())
    }

    /// All changes at once: `tuned` against `before`.
    #[must_use]
    pub fn whole(&self) -> Option<(&ExperimentResults, &Finding)> {
        waterfall::whole(&self.experiments)
    }

    /// The scenario of that name.
    #[must_use]
    pub fn scenario(&self, name: &str) -> Option<&ScenarioResults> {
        self.scenarios.iter().find(|one| one.plan.name == name)
    }
}

/// Samples of each scenario, in the order in which they were taken.
struct SamplesByScenario<'a>(BTreeMap<&'a str, Vec<&'a Sample>>);

impl<'a> SamplesByScenario<'a> {
    fn new(samples: &'a Samples) -> Self {
        let mut by_scenario: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
        for sample in &samples.samples {
            let of_scenario = by_scenario.entry(&sample.scenario);
            of_scenario.or_default().push(sample);
        }
        Self(by_scenario)
    }

    fn scenario(&self, name: &str) -> &[&'a Sample] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The figures of a sample that has some.
fn measured(sample: &Sample) -> Option<&Measurements> {
    match &sample.outcome {
        Outcome::Measured(measurements) => Some(measurements),
        Outcome::Failed { .. } | Outcome::WrongData { .. } | Outcome::Void { .. } => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
