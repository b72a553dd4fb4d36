//! The recommendations in the order of the evidence.

use super::words::{gain_cell, holds, part_of, promise, why_open};
use super::{chosen, claims, paragraph, places};
use crate::format::Count;
use crate::judge::{ExperimentResults, Finding, Results};
use crate::report::document::{Block, Cell, Section, Table};
use crate::stats::{ClaimVerdict, Verdict};

/// What the evidence says of a change, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evidence {
    /// It gains on `before`, or where it was measured instead.
    First,
    /// It gains elsewhere: on the other preset, or in a part of its grid.
    Elsewhere,
    /// It gains nothing that matters, or loses.
    Nothing,
    /// The run does not tell.
    Open,
}

impl Evidence {
    const ALL: [Self; 4] = [Self::First, Self::Elsewhere, Self::Nothing, Self::Open];

    fn new(experiment: &ExperimentResults) -> Self {
        let improves = |finding: &Finding| finding.verdict == Verdict::Improved;
        match experiment.deciding() {
            Some(deciding) if improves(deciding) => Self::First,
            _ if chosen::stands(experiment).any(improves) || in_grid(experiment).is_some() => {
                Self::Elsewhere
            }
            Some(deciding)
                if matches!(deciding.verdict, Verdict::Equivalent | Verdict::Regressed)
                    || experiment.verdict == ClaimVerdict::Refuted
                    || holds(deciding) =>
            {
                Self::Nothing
            }
            _ => Self::Open,
        }
    }

    fn section(self) -> Section {
        match self {
            Self::First => Section::new("first-gain", "A gain on before"),
            Self::Elsewhere => Section::new("first-elsewhere", "A gain elsewhere only"),
            Self::Nothing => Section::new("first-nothing", "No gain"),
            Self::Open => Section::new("first-open", "Inconclusive"),
        }
    }

    fn evidence(self, experiment: &ExperimentResults) -> String {
        match self {
            Self::First | Self::Elsewhere => places::of_gain(experiment),
            Self::Nothing => match experiment.deciding().map(|finding| finding.verdict) {
                Some(Verdict::Regressed) => "a loss".to_owned(),
                Some(Verdict::Equivalent) => "no difference that matters".to_owned(),
                _ => "less than promised".to_owned(),
            },
            Self::Open => match experiment.deciding() {
                Some(finding) => why_open(&experiment.definition, finding),
                None => "not measured".to_owned(),
            },
        }
    }
}

fn in_grid(experiment: &ExperimentResults) -> Option<String> {
    places::in_grid(experiment, &|finding| finding.verdict == Verdict::Improved)
}

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("first", "What to do first");
    let changes: Vec<(Evidence, &ExperimentResults)> = chosen::changes(results)
        .into_iter()
        .map(|experiment| (Evidence::new(experiment), experiment))
        .collect();
    if changes.is_empty() {
        section.push(paragraph("No change was part of this run."));
        return section;
    }
    section.push(paragraph(
        "The recommendations of the optimization report, ordered by what was measured on before instead of by its phases.",
    ));
    section.push(paragraph(phases(&changes)));
    for evidence in Evidence::ALL {
        let mut of_it: Vec<&ExperimentResults> = changes
            .iter()
            .filter(|(one, _)| *one == evidence)
            .map(|(_, experiment)| *experiment)
            .collect();
        if of_it.is_empty() {
            continue;
        }
        of_it.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
        let mut part = evidence.section();
        let table = table(&part.title, evidence, &of_it, results);
        part.push(Block::Table(table));
        section.parts.push(part);
    }
    section
}

fn gain(experiment: &ExperimentResults) -> f64 {
    experiment.deciding().and_then(Finding::gain).unwrap_or(0.0)
}

/// How far the report's phases and the evidence agree.
fn phases(changes: &[(Evidence, &ExperimentResults)]) -> String {
    let phase_of = |experiment: &ExperimentResults| experiment.definition.phase;
    let mut phases: Vec<Option<u8>> = changes.iter().map(|(_, one)| phase_of(one)).collect();
    phases.sort_by_key(|phase| phase.unwrap_or(u8::MAX));
    phases.dedup();
    let told: Vec<String> = phases
        .into_iter()
        .map(|phase| {
            let of_it = || changes.iter().filter(|(_, one)| phase_of(one) == phase);
            let gaining = of_it()
                .filter(|(evidence, _)| *evidence == Evidence::First)
                .count();
            let count = Count::new(of_it().count(), "change");
            match phase {
                Some(phase) => format!("phase {phase}: {gaining} of {count}"),
                None => format!("no phase: {gaining} of {count}"),
            }
        })
        .collect();
    format!(
        "Changes with a gain on before, by the phases of the report: {}.",
        told.join("; ")
    )
}

fn table(
    caption: &str,
    evidence: Evidence,
    experiments: &[&ExperimentResults],
    results: &Results,
) -> Table {
    let mut table = Table::new(
        caption,
        &[
            "Change",
            ">Promised",
            ">Measured",
            "Evidence",
            "Part of",
            ">Phase of the report",
        ],
    );
    table.rows = experiments
        .iter()
        .map(|experiment| {
            let phase = experiment.definition.phase;
            vec![
                claims::title(experiment),
                Cell::text(promise(&experiment.definition)),
                gain_cell(experiment.deciding(), results.confidence_level),
                Cell::text(evidence.evidence(experiment)),
                chosen::step(results, experiment).map_or_else(Cell::absent, part_of),
                phase.map_or_else(Cell::absent, |phase| {
                    Cell::figure(phase.to_string(), f64::from(phase))
                }),
            ]
        })
        .collect();
    table
}
