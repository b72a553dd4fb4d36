//! Every claim with what became of it.

use super::format::{besides, claim_tone, claim_word, gain_cell, name, promise};
use super::{holds, paragraph};
use crate::format::{Percent, one_line};
use crate::judge::{ExperimentResults, Results};
use crate::report::document::{Block, Cell, Section, Table};

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("claims", "The claims");
    section.push(paragraph(
        "A gain is a factor: 2× is twice as fast, or half the cost. Its interval is in brackets; ~ means that the interval \
         includes 1. The verdict is that on before, the state that the claims were made about, or on tuned where before \
         was not measured. Added to before: the change alone. Taken out of tuned: what tuned loses without the change, \
         or would gain by it.",
    ));
    let (changes, goals) = tables(results);
    if changes.rows.is_empty() && goals.rows.is_empty() {
        section.push(paragraph("No claim was part of this run."));
    }
    if !changes.rows.is_empty() {
        section.push(Block::Table(changes));
    }
    if !goals.rows.is_empty() {
        section.push(Block::Table(goals));
    }
    section
}

/// The claims about single changes, and those about whole configurations.
fn tables(results: &Results) -> (Table, Table) {
    let mut changes = Table::new(
        "Claims about single changes",
        &[
            "Claim",
            "Verdict",
            ">Promised",
            ">Added to before",
            ">Taken out of tuned",
            "+>Smallest visible effect",
            "+Where it holds",
            "+Section",
        ],
    )
    .into_cards();
    let (on_presets, others): (Vec<_>, Vec<_>) = results
        .claims()
        .into_iter()
        .partition(|one| one.is_change());
    changes.rows = on_presets
        .into_iter()
        .map(|experiment| change_row(results, experiment))
        .collect();
    let mut goals = Table::new(
        "Claims about whole configurations",
        &[
            "Claim",
            "Verdict",
            ">Promised",
            ">Measured",
            "+Compared",
            "+>Smallest visible effect",
            "+Where it holds",
        ],
    )
    .into_cards();
    goals.rows = others
        .into_iter()
        .map(|experiment| goal_row(results, experiment))
        .collect();
    (changes, goals)
}

fn change_row(results: &Results, experiment: &ExperimentResults) -> Vec<Cell> {
    let confidence = results.confidence_level;
    vec![
        title(experiment),
        verdict(experiment),
        Cell::text(promise(&experiment.definition)),
        gain_cell(experiment.on(Some("before")), confidence),
        gain_cell(experiment.on(Some("tuned")), confidence),
        visible(experiment),
        holds_cell(results, experiment),
        Cell::text(section_number(experiment)),
    ]
}

/// `1A, phase 1` of `1A. Use PostgreSQL COPY`; the whole of what has no number.
fn section_number(experiment: &ExperimentResults) -> String {
    let section = &experiment.definition.section;
    let number = section
        .split_once(". ")
        .map_or(section.as_str(), |(number, _)| number);
    match experiment.definition.phase {
        Some(phase) => format!("{}, phase {phase}", one_line(number)),
        None => one_line(number),
    }
}

fn goal_row(results: &Results, experiment: &ExperimentResults) -> Vec<Cell> {
    let definition = &experiment.definition;
    let candidate = definition.candidates.first();
    let compared = candidate.map_or_else(String::new, |candidate| {
        format!("{} against {}", candidate.name, definition.baseline.name)
    });
    vec![
        title(experiment),
        verdict(experiment),
        Cell::text(promise(definition)),
        gain_cell(experiment.on(None), results.confidence_level),
        name(&compared),
        visible(experiment),
        holds_cell(results, experiment),
    ]
}

fn title(experiment: &ExperimentResults) -> Cell {
    let definition = &experiment.definition;
    name(&definition.title).linked(&definition.id)
}

fn verdict(experiment: &ExperimentResults) -> Cell {
    Cell::text(claim_word(experiment)).toned(claim_tone(experiment.verdict))
}

/// The smallest effect that the comparison of the verdict would show.
fn visible(experiment: &ExperimentResults) -> Cell {
    let judged = experiment.deciding().and_then(|finding| finding.leading());
    let effect = judged.and_then(|judged| judged.smallest_detectable);
    effect.map_or_else(Cell::absent, |share| {
        Cell::figure(Percent(share).to_string(), share)
    })
}

fn holds_cell(results: &Results, experiment: &ExperimentResults) -> Cell {
    let place = holds::claim(experiment);
    Cell::text(match besides(results, experiment) {
        Some(besides) => format!("{place}; {besides}"),
        None => place,
    })
}
