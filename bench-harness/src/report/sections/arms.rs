//! What each arm did by itself: every sample, and the medians.

use super::format::{figure, name, scenario_place};
use crate::experiment::Definition;
use crate::format::{Bytes, Number, Seconds, one_line};
use crate::judge::{ArmResults, ScenarioResults};
use crate::metric::Metric;
use crate::report::document::{Cell, Chart, Plot, Strip, StripGroup, Table};

/// Every wall time outside of the grid, and the medians of its arms behind them; none if there is
/// none.
///
/// The arms of a grid are left out, and combinations of changes: a page of all of them would be twice as large, and
/// they are in `results.json`.
pub(super) fn samples(definition: &Definition, scenarios: &[&ScenarioResults]) -> Option<Chart> {
    let mut columns = vec!["Where", "Arm", ">Time", ">Client CPU", ">Server CPU"];
    columns.extend(match definition.metric {
        Metric::FirstRowSeconds => Some(">First row"),
        Metric::PeakMemoryBytes => Some(">Memory"),
        _ => None,
    });
    let mut data = Table::new("Medians of every arm", &columns);
    let mut groups: Vec<StripGroup> = Vec::new();
    let on_presets = scenarios.iter().map(|scenario| (scenario, &scenario.plan));
    for (scenario, plan) in
        on_presets.filter(|(_, plan)| plan.cell.is_empty() && plan.confirms.is_none())
    {
        let place = scenario_place(plan);
        let shown = if definition.changes.is_empty() {
            usize::MAX
        } else {
            2
        };
        let arms = || scenario.arms.iter().take(shown);
        data.rows
            .extend(arms().map(|arm| row(&place, arm, definition.metric)));
        let strips: Vec<Strip> = arms().filter_map(strip).collect();
        if !strips.is_empty() {
            groups.push(StripGroup {
                name: place,
                strips,
            });
        }
    }
    (!groups.is_empty()).then(|| Chart {
        id: format!("{}-samples", definition.id),
        title: "Time of every sample".to_owned(),
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

fn row(place: &str, arm: &ArmResults, metric: Metric) -> Vec<Cell> {
    let mut cells = vec![
        Cell::text(place),
        name(&arm.name),
        figure(arm.wall_seconds.map(|wall| wall.median), Seconds),
        figure(arm.client_cpu_seconds_per_million_rows, Number),
        figure(arm.server_cpu_seconds_per_million_rows, Number),
    ];
    cells.extend(match metric {
        Metric::FirstRowSeconds => Some(figure(arm.first_row_seconds, Seconds)),
        Metric::PeakMemoryBytes => Some(figure(
            arm.peak_memory_bytes.map(|bytes| bytes as f64),
            Bytes,
        )),
        _ => None,
    });
    cells
}
