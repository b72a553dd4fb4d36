//! What each arm did by itself: every sample, and the medians.

use super::words::{figure, name, place_of};
use crate::report::document::{Block, Cell, Chart, Plot, Strip, StripGroup, Table};
use crate::report::units::{Bytes, Number, Seconds, Whole, one_line};
use crate::results::{ArmResults, ScenarioResults};

/// Every wall time outside of the grid; none if there is none.
pub(super) fn samples(experiment: &str, scenarios: &[&ScenarioResults]) -> Option<Chart> {
    let mut data = Table::new(
        "Seconds of every sample",
        &["Where", "Arm", ">Median", ">Samples"],
    );
    let mut groups: Vec<StripGroup> = Vec::new();
    for scenario in scenarios.iter().filter(|one| one.plan.cell.is_empty()) {
        let place = place_of(&scenario.plan);
        let strips: Vec<Strip> = scenario.arms.iter().filter_map(strip).collect();
        data.rows.extend(strips.iter().map(|strip| {
            let values: Vec<String> = strip
                .values
                .iter()
                .map(|value| Number(*value).to_string())
                .collect();
            vec![
                Cell::text(&place),
                Cell::text(&strip.name),
                Cell::figure(Number(strip.median).to_string(), strip.median),
                Cell::text(values.join(", ")),
            ]
        }));
        if !strips.is_empty() {
            groups.push(StripGroup {
                name: place,
                strips,
            });
        }
    }
    (!groups.is_empty()).then(|| Chart {
        id: format!("{experiment}-samples"),
        title: "Seconds of every sample, in the order of the blocks".to_owned(),
        plot: Plot::Strips { groups },
        data,
    })
}

fn strip(arm: &ArmResults) -> Option<Strip> {
    let values = arm.wall_seconds_by_block.iter();
    Some(Strip {
        name: one_line(&arm.name),
        values: values.map(|sample| sample.value).collect(),
        median: arm.wall_seconds?.median,
    })
}

/// The figures of every arm, the grid's too; none if there are no scenarios.
pub(super) fn details(scenarios: &[&ScenarioResults]) -> Option<Block> {
    if scenarios.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "Medians of every arm",
        &[
            "Where",
            "Arm",
            ">Rows",
            ">Time",
            ">Rows/s",
            ">Client CPU, s per M rows",
            ">Server CPU, s per M rows",
            ">First row",
            ">Peak memory",
            ">Statements",
            ">First run",
            ">Samples",
        ],
    );
    for scenario in scenarios {
        let place = place_of(&scenario.plan);
        let arms = scenario.arms.iter();
        table.rows.extend(arms.map(|arm| row(&place, arm)));
    }
    Some(Block::Details {
        summary: "Figures of every arm".to_owned(),
        blocks: vec![Block::Table(table)],
    })
}

fn row(place: &str, arm: &ArmResults) -> Vec<Cell> {
    let count = arm.wall_seconds.map_or(0, |wall| wall.count);
    vec![
        Cell::text(place),
        name(&arm.name),
        Cell::figure(Whole(arm.rows).to_string(), arm.rows as f64),
        figure(arm.wall_seconds.map(|wall| wall.median), Seconds),
        figure(arm.rows_per_second, Number),
        figure(arm.client_cpu_seconds_per_million_rows, Number),
        figure(arm.server_cpu_seconds_per_million_rows, Number),
        figure(arm.first_row_seconds, Seconds),
        figure(arm.peak_memory_bytes.map(|bytes| bytes as f64), Bytes),
        figure(arm.statements, Number),
        figure(arm.first_run_seconds, Seconds),
        Cell::figure(count.to_string(), count as f64),
    ]
}
