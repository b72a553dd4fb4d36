//! How the gain changes with one or two parameters, and from where on the claim holds. Numbers are drawn, texts are in
//! a table.

mod charts;

use super::format::valued;
use super::paragraph;
use crate::experiment::{Parameter, Value, Vary};
use crate::format::{Number, Times};
use crate::judge::{ExperimentResults, Finding, Results};
use crate::report::document::Block;
use crate::stats::{Threshold, UNCALIBRATED};

/// The grid with its sentences; nothing if no cell was measured.
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
    let crossing = grid.crossing().map(paragraph);
    grid.drawn_or_listed().into_iter().chain(crossing).collect()
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

    /// Where the gain crosses the least that the claim allows.
    fn crossing(&self) -> Option<String> {
        let crossing = self.experiment.crossing.as_ref()?;
        Some(format!(
            "The gain crosses {}, the least that the claim allows, at about {}.",
            Times(crossing.gain),
            valued(&crossing.parameter, &Number(crossing.at).to_string())
        ))
    }

    /// Values of a parameter that some cell has, in their order.
    fn values<'a>(&self, axis: usize, parameter: &'a Parameter) -> Vec<&'a Value> {
        let has = |value: &&Value| {
            let mut cells = self.cells.iter();
            cells.any(|cell| cell.cell.get(axis).is_some_and(|at| at.value == **value))
        };
        parameter.values.iter().filter(has).collect()
    }

    fn cell(&self, across: &Value, down: Option<&Value>) -> Option<&Finding> {
        let is = |cell: &&&Finding| match (cell.cell.as_slice(), down) {
            ([at], None) => at.value == *across,
            ([first, second], Some(down)) => first.value == *across && second.value == *down,
            _ => false,
        };
        self.cells.iter().find(is).copied()
    }
}
