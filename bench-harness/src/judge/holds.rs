//! Where something is true, as far as it was measured: on which presets, in which part of a grid.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExperimentResults, Finding};
use crate::experiment::{Parameter, Setting, Value};

/// Rows of a grid of two parameters that are listed one by one; with more, a count says enough.
const MOST_ROWS: usize = 2;

/// Where something is true of an experiment's own candidate.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// The presets on which it is true; null where the arms name their own.
    pub on: Vec<Option<String>>,
    /// Comparisons outside the grid that were measured.
    pub measured: usize,
    /// The part of the grid in which it is true; absent if there is none.
    pub grid: Option<GridPart>,
}

/// A part of a grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridPart {
    /// The preset of both arms; null where they name their own.
    pub on: Option<String>,
    /// Its cells.
    pub cells: usize,
    /// Cells of the grid that were measured.
    pub measured: usize,
    /// The same as ranges of parameters; empty for all cells of two parameters, and where ranges
    /// would not make it clearer.
    pub ranges: Vec<GridRange>,
}

/// Values of one parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridRange {
    /// The parameter, by name.
    pub parameter: String,
    /// Its values.
    pub values: Values,
    /// The other parameter's value; absent if it does not matter.
    pub with: Option<Setting>,
}

/// Some of the measured values of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// These. Texts are always listed, because they have no order.
    At(Vec<Value>),
    /// This one and all that follow it.
    From(f64),
    /// All up to this one.
    UpTo(f64),
    /// All of them: the first and the last.
    All(f64, f64),
}

impl Holds {
    /// Where `is_true` of the findings of an experiment.
    pub(super) fn new(experiment: &ExperimentResults, is_true: &dyn Fn(&Finding) -> bool) -> Self {
        Self {
            on: experiment
                .outside_grid()
                .filter(|finding| is_true(finding))
                .map(|finding| finding.on.clone())
                .collect(),
            measured: experiment.outside_grid().count(),
            grid: GridPart::new(experiment, is_true),
        }
    }

    /// Whether it is true nowhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.on.is_empty() && self.grid.is_none()
    }
}

impl GridPart {
    fn new(experiment: &ExperimentResults, is_true: &dyn Fn(&Finding) -> bool) -> Option<Self> {
        let vary = experiment.definition.vary.as_ref()?;
        let cells: Vec<(&Finding, bool)> = experiment
            .cells()
            .filter(|finding| finding.is_headline && finding.leading().is_some())
            .map(|finding| (finding, is_true(finding)))
            .collect();
        let count = cells.iter().filter(|(_, is_true)| *is_true).count();
        let is_whole = count == cells.len() && vary.parameters.len() > 1;
        let ranges = || {
            let along = vary.parameters.iter().enumerate();
            let mut alone = along.filter_map(|(axis, one)| along_one(&cells, axis, one));
            alone.next().map(|range| vec![range])
        };
        (count > 0).then(|| Self {
            on: vary.on.clone(),
            cells: count,
            measured: cells.len(),
            ranges: if is_whole {
                Vec::new()
            } else {
                ranges()
                    .or_else(|| row_by_row(&cells, &vary.parameters))
                    .unwrap_or_default()
            },
        })
    }
}

/// The part of the grid, if one parameter alone decides.
fn along_one(cells: &[(&Finding, bool)], axis: usize, parameter: &Parameter) -> Option<GridRange> {
    let mut values: Vec<(&Value, bool)> = Vec::new();
    for (cell, is_true) in cells {
        let at = &cell.cell.get(axis)?.value;
        match values.iter().find(|(value, _)| *value == at) {
            Some((_, before)) if before != is_true => return None,
            Some(_) => {}
            None => values.push((at, *is_true)),
        }
    }
    Some(GridRange {
        parameter: parameter.name.clone(),
        values: Values::new(&values)?,
        with: None,
    })
}

/// The part of the grid as values of the first parameter for each value of the second one.
fn row_by_row(cells: &[(&Finding, bool)], parameters: &[Parameter]) -> Option<Vec<GridRange>> {
    let [across, down] = parameters else {
        return None;
    };
    let in_row = |value: &Value| {
        let row = cells
            .iter()
            .filter(|(cell, _)| cell.cell.get(1).is_some_and(|at| at.value == *value));
        let values: Vec<(&Value, bool)> = row
            .filter_map(|(cell, is_true)| Some((&cell.cell.first()?.value, *is_true)))
            .collect();
        Some(GridRange {
            parameter: across.name.clone(),
            values: Values::new(&values)?,
            with: Some(Setting {
                parameter: down.name.clone(),
                value: value.clone(),
            }),
        })
    };
    let rows: Vec<GridRange> = down.values.iter().filter_map(in_row).collect();
    (rows.len() <= MOST_ROWS).then_some(rows)
}

impl Values {
    /// The marked ones of the values of a parameter, in their order; none if none is marked.
    fn new(values: &[(&Value, bool)]) -> Option<Self> {
        let marked = values.iter().filter(|(_, marked)| *marked);
        let marked: Vec<Value> = marked.map(|(value, _)| (*value).clone()).collect();
        let (first, last) = (marked.first()?.number(), marked.last()?.number());
        let (Some(first), Some(last)) = (first, last) else {
            return Some(Self::At(marked));
        };
        let ends_marked = values.last().is_some_and(|(_, marked)| *marked);
        let switches = values.windows(2).filter(|two| two[0].1 != two[1].1).count();
        Some(match switches {
            // Two points say nothing of what is between them.
            _ if marked.len() == 1 || values.len() == 2 => Self::At(marked),
            0 => Self::All(first, last),
            1 if ends_marked => Self::From(first),
            1 => Self::UpTo(last),
            _ => Self::At(marked),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_values_become_ranges() {
        let found = |marked: [bool; 4]| {
            let values = [0.0, 0.5, 2.0, 10.0].map(Value::Number);
            let values: Vec<(&Value, bool)> = values.iter().zip(marked).collect();
            Values::new(&values)
        };
        let at = |values: &[f64]| Values::At(values.iter().copied().map(Value::Number).collect());
        for (marked, expected) in [
            ([false, false, true, true], Values::From(2.0)),
            ([false, false, false, true], at(&[10.0])),
            ([true, true, false, false], Values::UpTo(0.5)),
            ([true, true, true, true], Values::All(0.0, 10.0)),
            ([false, true, true, false], at(&[0.5, 2.0])),
            ([true, false, true, true], at(&[0.0, 2.0, 10.0])),
        ] {
            assert_eq!(found(marked), Some(expected));
        }
        assert_eq!(found([false; 4]), None);
        let (zero, ten) = (Value::Number(0.0), Value::Number(10.0));
        let ends = [(&zero, true), (&ten, true)];
        assert_eq!(Values::new(&ends), Some(at(&[0.0, 10.0])));

        let modes = ["append", "replace", "merge"].map(|mode| Value::Text(mode.to_owned()));
        let marked: Vec<(&Value, bool)> = modes.iter().zip([false, true, true]).collect();
        let last_two = Values::At(modes[1..].to_vec());
        assert_eq!(Values::new(&marked), Some(last_two));
    }
}
