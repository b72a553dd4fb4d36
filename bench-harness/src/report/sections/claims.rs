//! Every claim with what became of it.

use super::words::{besides, claim_cell, gain_cell, name, promise};
use super::{chosen, paragraph, places};
use crate::format::one_line;
use crate::judge::{ExperimentResults, Results};
use crate::report::document::{Block, Cell, Section, Table};

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("claims", "The claims");
    section.push(paragraph(
        "A gain is a factor: 2× is twice as fast, or half of what the claim is about. Beside it stands its interval; ~ \
         stands for one that may as well be none. The verdict is that on before, the state that the claims were \
         made about; of a change that was not measured there, that on tuned.",
    ));
    let (changes, goals) = tables(results);
    if changes.rows.is_empty() && goals.rows.is_empty() {
        section.push(paragraph("No claim was part of this run."));
    }
    if !changes.rows.is_empty() {
        section.push(Block::Table(changes));
    }
    if !goals.rows.is_empty() {
        section.push(paragraph("Claims about whole configurations:"));
        section.push(Block::Table(goals));
    }
    section
}

/// The claims about single changes, and those about whole configurations.
pub(in crate::report) fn tables(results: &Results) -> (Table, Table) {
    let mut changes = Table::new(
        "Claims about single changes",
        &[
            "Claim",
            "Verdict",
            ">Promised",
            ">Added to before",
            ">Taken out of tuned",
            "Where it holds",
            "Section",
        ],
    );
    changes.rows = chosen::changes(results)
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
            "Compared",
            "Where it holds",
        ],
    );
    goals.rows = chosen::goals(results)
        .into_iter()
        .map(|experiment| goal_row(results, experiment))
        .collect();
    (changes, goals)
}

fn change_row(results: &Results, experiment: &ExperimentResults) -> Vec<Cell> {
    let confidence = results.confidence_level;
    vec![
        title(experiment),
        claim_cell(experiment),
        Cell::text(promise(&experiment.definition)),
        gain_cell(experiment.on(Some("before")), confidence),
        gain_cell(experiment.on(Some("tuned")), confidence),
        holds_cell(results, experiment),
        Cell::text(section_number(&experiment.definition.section)),
    ]
}

/// `1A` of `1A. Use PostgreSQL COPY`; the whole of what has no number.
fn section_number(section: &str) -> String {
    let number = section
        .split_once(". ")
        .map_or(section, |(number, _)| number);
    one_line(number)
}

fn goal_row(results: &Results, experiment: &ExperimentResults) -> Vec<Cell> {
    let definition = &experiment.definition;
    let candidate = definition.candidates.first();
    let compared = candidate.map_or_else(String::new, |candidate| {
        format!("{} against {}", candidate.name, definition.baseline.name)
    });
    vec![
        title(experiment),
        claim_cell(experiment),
        Cell::text(promise(definition)),
        gain_cell(experiment.on(None), results.confidence_level),
        name(&compared),
        holds_cell(results, experiment),
    ]
}

pub(super) fn title(experiment: &ExperimentResults) -> Cell {
    let definition = &experiment.definition;
    name(&definition.title).linked(&definition.id)
}

fn holds_cell(results: &Results, experiment: &ExperimentResults) -> Cell {
    let place = places::of_claim(experiment);
    Cell::text(match besides(results, experiment) {
        Some(besides) => format!("{place}; {besides}"),
        None => place,
    })
}
