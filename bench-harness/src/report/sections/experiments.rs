//! One part for each experiment: what was compared, and all that was found.

use apitap_core::config::WriteMode;

use super::format::{
    besides, capitalised, claim_tone, claim_word, listed, measured, on, promise, reason,
};
use super::{arms, bound, findings, grid, holds, paragraph, summary};
use crate::experiment::{Arm, Definition};
use crate::format::{Count, Percent, Whole, one_line};
use crate::judge::{ExperimentResults, Results, ScenarioResults};
use crate::report::document::{Block, Section, Tone};

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("experiments", "Experiment by experiment");
    section.push(paragraph(if results.experiments.is_empty() {
        "The run has no experiments.".to_owned()
    } else {
        setting(results)
    }));
    section.parts = results
        .claims()
        .into_iter()
        .chain(results.identical())
        .map(|experiment| part(results, experiment))
        .collect();
    section
}

/// What all parts have in common, and how to read their tables.
fn setting(results: &Results) -> String {
    let scenarios = results.scenarios.iter();
    let mut workloads: Vec<&str> = results
        .experiments
        .iter()
        .map(|experiment| experiment.definition.workload.as_str())
        .chain(scenarios.map(|one| one.plan.workload.as_str()))
        .collect();
    workloads.sort_unstable();
    workloads.dedup();
    let blocks = results.scenarios.iter().map(|one| one.plan.blocks).max();
    let blocks = blocks.unwrap_or_default();
    format!(
        "Workload: {}; {} of each scenario. δ: smaller differences do not matter. Smallest visible: the effect that so many \
         blocks of such noise show four times in five. Again: the same in a second session. CPU of an arm: seconds for a \
         million rows. The arms of grids, memory, intervals of processor time and p are in results.json.",
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
    for arm in definition.arms() {
        if let Some(sql) = &arm.sql {
            let name = one_line(&arm.name);
            part.push(paragraph(format!("{name} runs: {}", one_line(sql))));
        }
    }
    if let Some(share) = definition.existing {
        part.push(paragraph(format!(
            "Before each sample the table holds rows: {} of the number that is loaded.",
            Percent(share)
        )));
    }
    let comparisons = findings::table(experiment, results.confidence_level);
    if !comparisons.rows.is_empty() {
        part.push(Block::Table(comparisons));
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
    let by_preset: Vec<String> = experiment
        .outside_grid()
        .map(|finding| {
            format!(
                "{}{}",
                measured(finding, confidence),
                on(finding.on.as_deref())
            )
        })
        .collect();
    let mut sentences = vec![format!("Promised: {}.", promise(definition))];
    if !by_preset.is_empty() {
        sentences.push(format!("Measured: {}.", by_preset.join("; ")));
    }
    if let (Some(why), Some(finding)) = (experiment.inconclusive, experiment.deciding()) {
        let place = on(finding.on.as_deref());
        let more = finding.blocks_to_decide.map_or_else(String::new, |blocks| {
            format!("; about {} would decide", Count::new(blocks, "more block"))
        });
        sentences.push(format!("Inconclusive{place}: {}{more}.", reason(why)));
    }
    if !experiment.holds.is_empty() {
        let places = holds::places(&experiment.holds);
        sentences.push(format!("The claim holds {places}."));
    }
    sentences.extend(bound::sentences(results, experiment));
    if let Some(besides) = besides(results, experiment) {
        sentences.push(format!("{}.", capitalised(&besides)));
    }
    Block::Verdict {
        tone: claim_tone(experiment.verdict),
        word: claim_word(experiment),
        text: sentences.join(" "),
    }
}

fn control_verdict(results: &Results, experiment: &ExperimentResults) -> Block {
    let (tone, word) = match () {
        () if experiment.outside_grid().next().is_none() => (Tone::Unknown, "not measured"),
        () if !results.control.differing.is_empty() => (Tone::No, "a difference"),
        () => (Tone::Yes, "no difference"),
    };
    Block::Verdict {
        tone,
        word: word.to_owned(),
        text: format!("{}.", summary::control(results).1),
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

/// What was compared with what, with how many rows and blocks.
fn compared(definition: &Definition, scenarios: &[&ScenarioResults]) -> String {
    let candidates = if definition.changes.is_empty() {
        listed(&definition.candidates.iter().map(arm).collect::<Vec<_>>())
    } else {
        let changes = definition.changes.iter();
        let changes: Vec<String> = changes
            .map(|one| one_line(&format!("{} ({})", one.name, one.knobs.join(", "))))
            .collect();
        format!("every combination of {}", listed(&changes))
    };
    let mut text = format!(
        "Compared: {candidates} against {}",
        arm(&definition.baseline)
    );
    let loads: Vec<String> = scenarios
        .iter()
        .filter(|scenario| scenario.plan.cell.is_empty() && scenario.plan.confirms.is_none())
        .map(|scenario| format!("{}{}", rows(scenario), on(scenario.plan.on.as_deref())))
        .collect();
    if !loads.is_empty() {
        text += &format!("; {}", listed(&loads));
    }
    text.push('.');
    text
}

/// An arm with what makes it one: `insert (write.method=insert)`.
fn arm(arm: &Arm) -> String {
    let preset = arm.preset.iter().map(|preset| format!("preset {preset}"));
    let mode = arm.mode.map(|mode| match mode {
        WriteMode::Append => "mode append".to_owned(),
        WriteMode::Replace => "mode replace".to_owned(),
        WriteMode::Merge => "mode merge".to_owned(),
    });
    let details: Vec<String> = preset
        .chain(arm.knobs.iter().cloned())
        .chain(mode)
        .collect();
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
