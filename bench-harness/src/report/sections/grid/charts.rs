//! The gain over the grid, drawn or in a table.

use super::Grid;
use crate::experiment::{API_ROUND_TRIP, POSTGRES_ROUND_TRIP, Parameter, TABLE, Value};
use crate::judge::Finding;
use crate::report::document::{Block, Cell, Chart, ClaimedRange, HeatCell, LinePoint, Plot, Table};
use crate::report::sections::format::{claim_tone, gain_cell, on, shown, tone, valued};
use crate::report::sections::paragraph;
use crate::stats::{Expected, Threshold};

impl Grid<'_> {
    /// A chart of numbers with its table behind it, or the table alone. Between texts there is nothing to draw.
    pub(super) fn drawn_or_listed(&self) -> Vec<Block> {
        let parameters = self.vary.parameters.as_slice();
        let (plot, data) = match parameters {
            [parameter] => (self.line(parameter), self.list(parameter)),
            [across, down] => (self.heat_map(across, down), self.table(across, down)),
            _ => return Vec::new(),
        };
        if parameters.iter().all(Parameter::is_numeric) {
            return vec![Block::Chart(Chart {
                id: format!("{}-grid", self.experiment.definition.id),
                title: self.title(),
                plot,
                data,
            })];
        }
        vec![paragraph(format!("{}:", self.title())), Block::Table(data)]
    }

    fn title(&self) -> String {
        let parameters: Vec<String> = self.vary.parameters.iter().map(axis).collect();
        format!(
            "The gain by {}{}",
            parameters.join(" and by "),
            on(self.vary.on.as_deref())
        )
    }

    fn heat_map(&self, across: &Parameter, down: &Parameter) -> Plot {
        let (columns, rows) = (self.values(0, across), self.values(1, down));
        let texts = |values: &[&Value]| values.iter().map(|value| shown(value)).collect();
        let drawn = |finding: &Finding| {
            Some(HeatCell {
                gain: finding.gain()?,
                tone: tone(finding.verdict),
            })
        };
        let row = |down: &&Value| {
            let columns = columns.iter();
            let found = columns.map(|across| self.cell(across, Some(*down)));
            found.map(|cell| cell.and_then(drawn)).collect()
        };
        Plot::HeatMap {
            across: axis(across),
            across_values: texts(&columns),
            down: axis(down),
            down_values: texts(&rows),
            cells: rows.iter().map(row).collect(),
        }
    }

    fn table(&self, across: &Parameter, down: &Parameter) -> Table {
        let columns = self.values(0, across);
        let values = columns.iter();
        let values = values.map(|value| format!(">{}", valued(&across.name, &shown(value))));
        let headings: Vec<String> = std::iter::once(axis(down)).chain(values).collect();
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        let mut data = Table::new(self.title(), &headings);
        for down in self.values(1, down) {
            let mut row = vec![value_cell(shown(down), down)];
            let cells = columns.iter().map(|across| self.cell(across, Some(down)));
            row.extend(cells.map(|cell| gain_cell(cell, self.confidence)));
            data.rows.push(row);
        }
        data
    }

    fn line(&self, parameter: &Parameter) -> Plot {
        Plot::Line {
            across: axis(parameter),
            points: self.points(parameter),
            claimed: Some(claimed(
                self.experiment.definition.expected,
                self.threshold(),
            )),
            crossover: self.experiment.crossing.as_ref().map(|one| one.at),
        }
    }

    fn list(&self, parameter: &Parameter) -> Table {
        let mut data = Table::new(self.title(), &["At", ">Gain", "Verdict", "Claim"]);
        let values = self.values(0, parameter).into_iter();
        let rows = values.filter_map(|value| {
            let cell = self.cell(value, None)?;
            let at = valued(&parameter.name, &shown(value));
            Some(vec![
                value_cell(at, value),
                gain_cell(Some(cell), self.confidence),
                Cell::text(cell.verdict.to_string()).toned(tone(cell.verdict)),
                Cell::text(cell.claim.to_string()).toned(claim_tone(cell.claim)),
            ])
        });
        data.rows = rows.collect();
        data
    }

    fn points(&self, parameter: &Parameter) -> Vec<LinePoint> {
        self.values(0, parameter)
            .into_iter()
            .filter_map(|value| {
                let cell = self.cell(value, None)?;
                let gain = cell.leading()?.comparison.inverted();
                Some(LinePoint {
                    at: value.number()?,
                    gain: gain.ratio,
                    low: gain.interval.low,
                    high: gain.interval.high,
                    tone: tone(cell.verdict),
                })
            })
            .collect()
    }
}

/// Numbers are sorted as numbers.
fn value_cell(text: String, value: &Value) -> Cell {
    match value.number() {
        Some(number) => Cell::figure(text, number),
        None => Cell::text(text),
    }
}

fn claimed(expected: Expected, threshold: Threshold) -> ClaimedRange {
    let equal = threshold.range();
    match expected {
        Expected::Factor { low, high } => ClaimedRange { low, high },
        Expected::Better => ClaimedRange {
            low: equal.high,
            high: None,
        },
        Expected::Negligible => ClaimedRange {
            low: equal.low,
            high: Some(equal.high),
        },
    }
}

fn axis(parameter: &Parameter) -> String {
    match parameter.name.as_str() {
        POSTGRES_ROUND_TRIP => "ms added between engine and PostgreSQL".to_owned(),
        API_ROUND_TRIP => "ms added between engine and API".to_owned(),
        TABLE => "table before the load".to_owned(),
        knob => knob.to_owned(),
    }
}
