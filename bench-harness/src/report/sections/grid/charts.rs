//! The gain over the grid, drawn.

use super::Grid;
use crate::experiment::{API_ROUND_TRIP, POSTGRES_ROUND_TRIP, Parameter};
use crate::format::plain;
use crate::judge::Finding;
use crate::report::document::{Cell, Chart, ClaimedRange, HeatCell, LinePoint, Plot, Table};
use crate::report::sections::format::{claim_tone, gain_cell, on, tone, valued};
use crate::stats::{Expected, Threshold};

impl Grid<'_> {
    pub(super) fn chart(&self) -> Option<Chart> {
        match self.vary.parameters.as_slice() {
            [parameter] => Some(self.line(parameter)),
            [across, down] => Some(self.heat_map(across, down)),
            _ => None,
        }
    }

    fn title(&self) -> String {
        let parameters: Vec<String> = self.vary.parameters.iter().map(axis).collect();
        format!(
            "The gain by {}{}",
            parameters.join(" and by "),
            on(self.vary.on.as_deref())
        )
    }

    fn heat_map(&self, across: &Parameter, down: &Parameter) -> Chart {
        let (columns, rows) = (self.values(0, across), self.values(1, down));
        let text = |values: &[f64]| values.iter().map(|value| plain(*value)).collect::<Vec<_>>();
        let headings: Vec<String> = std::iter::once(axis(down))
            .chain(
                columns
                    .iter()
                    .map(|value| format!(">{}", valued(&across.name, &plain(*value)))),
            )
            .collect();
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        let mut data = Table::new(self.title(), &headings);
        let mut cells = Vec::new();
        for down in &rows {
            let found: Vec<Option<&Finding>> = columns
                .iter()
                .map(|across| self.cell(*across, Some(*down)))
                .collect();
            let mut row = vec![Cell::figure(plain(*down), *down)];
            row.extend(found.iter().map(|cell| gain_cell(*cell, self.confidence)));
            data.rows.push(row);
            let drawn = found.into_iter().map(|cell| {
                let cell = cell?;
                Some(HeatCell {
                    gain: cell.gain()?,
                    tone: tone(cell.verdict),
                })
            });
            cells.push(drawn.collect());
        }
        Chart {
            id: self.id(),
            title: self.title(),
            plot: Plot::HeatMap {
                across: axis(across),
                across_values: text(&columns),
                down: axis(down),
                down_values: text(&rows),
                cells,
            },
            data,
        }
    }

    fn line(&self, parameter: &Parameter) -> Chart {
        let threshold = self.threshold();
        let expected = self.experiment.definition.expected;
        let points = self.points(parameter);
        let mut data = Table::new(self.title(), &["At", ">Gain", "Verdict", "Claim"]);
        data.rows = self
            .values(0, parameter)
            .into_iter()
            .filter_map(|value| {
                let cell = self.cell(value, None)?;
                let at = valued(&parameter.name, &plain(value));
                Some(vec![
                    Cell::figure(at, value),
                    gain_cell(Some(cell), self.confidence),
                    Cell::text(cell.verdict.to_string()).toned(tone(cell.verdict)),
                    Cell::text(cell.claim.to_string()).toned(claim_tone(cell.claim)),
                ])
            })
            .collect();
        Chart {
            id: self.id(),
            title: self.title(),
            plot: Plot::Line {
                across: axis(parameter),
                points,
                claimed: Some(claimed(expected, threshold)),
                crossover: self.experiment.crossing.as_ref().map(|one| one.at),
            },
            data,
        }
    }

    fn points(&self, parameter: &Parameter) -> Vec<LinePoint> {
        self.values(0, parameter)
            .into_iter()
            .filter_map(|value| {
                let cell = self.cell(value, None)?;
                let gain = cell.leading()?.comparison.inverted();
                Some(LinePoint {
                    at: value,
                    gain: gain.ratio,
                    low: gain.interval.low,
                    high: gain.interval.high,
                    tone: tone(cell.verdict),
                })
            })
            .collect()
    }

    fn id(&self) -> String {
        format!("{}-grid", self.experiment.definition.id)
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
        knob => knob.to_owned(),
    }
}
