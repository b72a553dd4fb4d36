//! Which experiments and findings a section is about.

use crate::experiment::Arm;
use crate::judge::{ExperimentResults, Finding, Results, Step};

/// The claims, in the order of the sections of the optimization report.
pub(super) fn claims(results: &Results) -> Vec<&ExperimentResults> {
    let mut claims: Vec<&ExperimentResults> = results
        .experiments
        .iter()
        .filter(|experiment| !experiment.is_control())
        .collect();
    claims.sort_by(|a, b| a.definition.section.cmp(&b.definition.section));
    claims
}

/// Claims about one change, which is added to a preset.
pub(super) fn changes(results: &Results) -> Vec<&ExperimentResults> {
    let mut claims = claims(results);
    claims.retain(|experiment| stands_on_presets(experiment));
    claims
}

/// Claims about arms that name their own presets.
pub(super) fn goals(results: &Results) -> Vec<&ExperimentResults> {
    let mut claims = claims(results);
    claims.retain(|experiment| !stands_on_presets(experiment));
    claims
}

pub(super) fn stands_on_presets(experiment: &ExperimentResults) -> bool {
    !experiment.definition.on.is_empty()
}

pub(super) fn control(results: &Results) -> Option<&ExperimentResults> {
    results.experiments.iter().find(|one| one.is_control())
}

/// The way of a change from `before` to `tuned`.
pub(super) fn step<'a>(results: &'a Results, experiment: &ExperimentResults) -> Option<&'a Step> {
    let mut steps = results.steps.iter();
    steps.find(|step| step.experiment == experiment.definition.id)
}

/// All changes at once: `tuned` against `before`, as it was measured.
pub(super) fn whole(results: &Results) -> Option<(&ExperimentResults, &Finding)> {
    let is = |arm: &Arm, preset: &str| {
        arm.preset.as_deref() == Some(preset) && arm.knobs.is_empty() && !arm.psql_copy
    };
    let experiment = results.experiments.iter().find(|experiment| {
        let definition = &experiment.definition;
        let candidate = definition.candidates.first();
        is(&definition.baseline, "before") && candidate.is_some_and(|arm| is(arm, "tuned"))
    })?;
    let finding = experiment.on(None)?;
    finding.leading()?;
    Some((experiment, finding))
}

/// Findings of the claim's own candidate on the presets, in their order, that were measured.
pub(super) fn stands(experiment: &ExperimentResults) -> impl Iterator<Item = &Finding> {
    experiment.findings.iter().filter(|finding| {
        finding.is_headline && finding.cell.is_empty() && finding.leading().is_some()
    })
}
