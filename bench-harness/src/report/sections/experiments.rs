//! One part for each experiment: what was compared, and all that was found.

use super::words::{
    besides, capitalised, claim_cell, claim_tone, holds, listed, on, promise, why_open,
};
use super::{arms, chosen, findings, grid, paragraph, places, summary};
use crate::experiment::{Arm, Definition};
use crate::format::{Count, Whole, one_line};
use crate::judge::{ExperimentResults, Results, ScenarioResults};
use crate::report::document::{Block, Section, Tone};
use crate::stats::ClaimVerdict;

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("experiments", "Experiment by experiment");
    let all = chosen::claims(results);
    section.push(paragraph(if results.experiments.is_empty() {
        "The run has no experiments.".to_owned()
    } else {
        setting(results)
    }));
    section.parts = all
        .into_iter()
        .chain(chosen::control(results))
        .map(|experiment| part(results, experiment))
        .collect();
    section
}

/// What all parts have in common, and how to read their tables.
fn setting(results: &Results) -> String {
    let mut workloads: Vec<&str> = results
        .experiments
        .iter()
        .map(|experiment| experiment.definition.workload.as_str())
        .collect();
    workloads.sort_unstable();
    workloads.dedup();
    let blocks = results.scenarios.iter().map(|one| one.plan.blocks).max();
    let blocks = blocks.unwrap_or_default();
    format!(
        "Workload: {}; {} of each scenario. δ: differences below it do not matter. Detectable: the smallest effect that so \
         many blocks of such noise find four times in five. Again: the same in a second session. CPU \
         of an arm: seconds for a million rows. The arms of grids, memory, \
         intervals of processor time and p are in results.json.",
        listed(&workloads.into_iter().map(one_line).collect::<Vec<_>>()),
        Count::new(blocks, "block")
    )
}

fn part(results: &Results, experiment: &ExperimentResults) -> Section {
    let definition = &experiment.definition;
    let mut part = Section::new(&definition.id, one_line(&definition.title));
    part.push(if experiment.is_control() {
        control_verdict(results, experiment)
    } else {
        verdict(results, experiment)
    });
    let scenarios = scenarios(results, experiment);
    if !experiment.is_control() {
        part.push(paragraph(claim(definition)));
    }
    part.push(paragraph(compared(definition, &scenarios)));
    if let Some(sql) = &definition.sql {
        part.push(paragraph(format!("Every sample runs: {}", one_line(sql))));
    }
    let stands = findings::stands(experiment, results.confidence_level);
    if !stands.rows.is_empty() {
        part.push(Block::Table(stands));
    }
    if let Some(chart) = arms::samples(definition, &scenarios) {
        part.push(Block::Chart(chart));
    }
    part.blocks.extend(grid::blocks(results, experiment));
    part
}

fn scenarios<'a>(results: &'a Results, experiment: &ExperimentResults) -> Vec<&'a ScenarioResults> {
    results
        .scenarios
        .iter()
        .filter(|scenario| scenario.plan.experiment == experiment.definition.id)
        .collect()
}

fn verdict(results: &Results, experiment: &ExperimentResults) -> Block {
    let definition = &experiment.definition;
    let confidence = results.confidence_level;
    let mut sentences = vec![format!(
        "Promised: {}. Measured: {}.",
        promise(definition),
        summary::by_preset(experiment, confidence)
    )];
    let deciding = experiment.deciding();
    let is_open = experiment.verdict == ClaimVerdict::Inconclusive;
    match deciding {
        Some(finding) if is_open && finding.leading().is_some() => {
            sentences.push(format!(
                "Inconclusive{}: {}.",
                on(finding.on.as_deref()),
                why_open(definition, finding)
            ));
        }
        _ => {}
    }
    if experiment.findings.iter().any(holds) {
        sentences.push(format!("The claim holds {}.", places::of_claim(experiment)));
    }
    if let Some(besides) = besides(results, experiment) {
        sentences.push(format!("{}.", capitalised(&besides)));
    }
    let is_measured = deciding.is_some_and(|finding| finding.leading().is_some());
    Block::Verdict {
        tone: claim_tone(experiment.verdict),
        word: if is_measured {
            experiment.verdict.to_string()
        } else {
            claim_cell(experiment).text
        },
        text: sentences.join(" "),
    }
}

fn control_verdict(results: &Results, experiment: &ExperimentResults) -> Block {
    let mut stands = chosen::stands(experiment).peekable();
    let (tone, word) = match () {
        () if stands.peek().is_none() => (Tone::Open, "not measured"),
        () if !results.control.differing.is_empty() => (Tone::Worse, "a difference"),
        () if stands.all(holds) => (Tone::Same, "no difference"),
        () => (Tone::Open, "no difference shown"),
    };
    Block::Verdict {
        tone,
        word: word.to_owned(),
        text: summary::control(results),
    }
}

fn claim(definition: &Definition) -> String {
    let phase = definition
        .phase
        .map_or_else(String::new, |phase| format!(", phase {phase}"));
    format!(
        "The claim: “{}” ({}{phase}).",
        one_line(&definition.claim),
        one_line(&definition.section)
    )
}

/// What stood against what, with how many rows and blocks.
fn compared(definition: &Definition, scenarios: &[&ScenarioResults]) -> String {
    let candidates: Vec<String> = definition.candidates.iter().map(arm).collect();
    let mut text = format!(
        "Compared: {} against {}",
        listed(&candidates),
        arm(&definition.baseline)
    );
    let stands: Vec<String> = scenarios
        .iter()
        .filter(|scenario| scenario.plan.cell.is_empty() && scenario.plan.confirms.is_none())
        .map(|scenario| format!("{}{}", rows(scenario), on(scenario.plan.on.as_deref())))
        .collect();
    if !stands.is_empty() {
        text += &format!("; {}", listed(&stands));
    }
    text.push('.');
    text
}

/// An arm with what makes it one: `insert (write.method=insert)`.
fn arm(arm: &Arm) -> String {
    let preset = arm.preset.iter().map(|preset| format!("preset {preset}"));
    let details: Vec<String> = preset.chain(arm.knobs.iter().cloned()).collect();
    let name = one_line(&arm.name);
    if details.is_empty() {
        name
    } else {
        format!("{name} ({})", one_line(&details.join(", ")))
    }
}

fn rows(scenario: &ScenarioResults) -> String {
    let mut counts: Vec<u64> = scenario.plan.arms.iter().map(|arm| arm.rows).collect();
    counts.dedup();
    let counts: Vec<String> = counts
        .into_iter()
        .map(|rows| Whole(rows).to_string())
        .collect();
    format!("{} rows", listed(&counts))
}
