//! How the gain changes with one or two parameters, and from where on the claim holds.

mod charts;
mod round_trips;

use super::words::{floor, holds, on, valued};
use super::{findings, paragraph, places};
use crate::experiment::{Parameter, Vary};
use crate::report::document::Block;
use crate::report::units::{Number, Times, plain};
use crate::results::{ExperimentResults, Finding, Results};
use crate::stats::{Threshold, UNCALIBRATED};

/// The chart of the grid with its sentences; nothing if no cell was measured.
pub(super) fn blocks(results: &Results, experiment: &ExperimentResults) -> Vec<Block> {
    let Some(vary) = &experiment.definition.vary else {
        return Vec::new();
    };
    let grid = Grid {
        experiment,
        vary,
        cells: experiment
            .cells()
            .filter(|cell| cell.leading().is_some())
            .collect(),
        confidence: results.confidence_level,
    };
    if grid.cells.is_empty() {
        return vec![paragraph("The grid of this experiment was not measured.")];
    }
    let mut blocks = vec![paragraph(grid.region())];
    if let Some(text) = round_trips::told(results, experiment) {
        blocks.push(paragraph(text));
    }
    blocks.extend(grid.chart().map(Block::Chart));
    blocks.push(Block::Details {
        summary: "Every comparison in the grid".to_owned(),
        blocks: vec![Block::Table(findings::cells(experiment, grid.confidence))],
    });
    blocks
}

struct Grid<'a> {
    experiment: &'a ExperimentResults,
    vary: &'a Vary,
    /// Those that were measured.
    cells: Vec<&'a Finding>,
    confidence: f64,
}

impl Grid<'_> {
    fn threshold(&self) -> Threshold {
        let measure = self.cells.first().and_then(|cell| cell.measures.first());
        measure.map_or(UNCALIBRATED, |measure| measure.threshold)
    }

    /// Where the claim holds, row by row if there are two parameters, and where the gain crosses
    /// what it promises.
    fn region(&self) -> String {
        let place = on(self.vary.on.as_deref());
        match self.vary.parameters.as_slice() {
            [_, down] => {
                let rows: Vec<String> = self
                    .values(1, down)
                    .into_iter()
                    .map(|value| {
                        let with = valued(&down.name, &plain(value));
                        let part = self.holding(Some(value));
                        format!("{with}: {}", part.unwrap_or_else(|| "nowhere".to_owned()))
                    })
                    .collect();
                format!(
                    "Where the claim holds{place}, by row of the grid: {}.",
                    rows.join("; ")
                )
            }
            _ => {
                let mut text = match self.holding(None) {
                    Some(part) => format!("In the grid{place} the claim holds {part}."),
                    None => format!("In the grid{place} the claim holds nowhere for certain."),
                };
                text += &self.crossing().unwrap_or_default();
                text
            }
        }
    }

    /// The values of the first parameter at which the claim holds.
    fn holding(&self, down: Option<f64>) -> Option<String> {
        let across = self.vary.parameters.first()?;
        let values: Vec<(f64, bool)> = self
            .values(0, across)
            .into_iter()
            .filter_map(|value| Some((value, holds(self.cell(value, down)?))))
            .collect();
        places::run(&across.name, &values)
    }

    fn crossing(&self) -> Option<String> {
        let parameter = self.vary.parameters.first()?;
        let floor = floor(self.experiment.definition.expected, self.threshold())?;
        let at = charts::crossover(&self.points(parameter), floor)?;
        Some(format!(
            " The gain passes {}, the least that the claim allows, at about {}.",
            Times(floor),
            valued(&parameter.name, &Number(at).to_string())
        ))
    }

    /// Values of a parameter that some cell has, in their order.
    fn values(&self, axis: usize, parameter: &Parameter) -> Vec<f64> {
        let has = |value: &f64| {
            let mut cells = self.cells.iter();
            cells.any(|cell| cell.cell.get(axis).is_some_and(|at| at.value == *value))
        };
        parameter.values.iter().copied().filter(has).collect()
    }

    fn cell(&self, across: f64, down: Option<f64>) -> Option<&Finding> {
        let is = |cell: &&&Finding| match (cell.cell.as_slice(), down) {
            ([at], None) => at.value == across,
            ([first, second], Some(down)) => first.value == across && second.value == down,
            _ => false,
        };
        self.cells.iter().find(is).copied()
    }
}
