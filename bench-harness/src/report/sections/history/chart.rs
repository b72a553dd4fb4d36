//! The chart of a quantity, with its table.

use std::collections::BTreeSet;

use super::{Shared, change_cell, label, tone};
use crate::format::{Measured, Whole, one_line};
use crate::judge::history::series::{Point, Series};
use crate::report::document::{
    Cell, Chart, HistoryChange, HistoryLevel, HistoryLine, HistoryPoint, Plot, Table,
};
use crate::report::history_text::{day, short, words};
use crate::report::sections::format::{capitalised, moment};
use crate::samples::Timestamp;
use crate::stats::{MIN_SEGMENT, sample::median};

pub(super) fn chart(shared: &Shared<'_>) -> Chart {
    let first = shared.first();
    let points = shared.series.iter().flat_map(|series| &series.points);
    let runs: BTreeSet<Timestamp> = points.map(|point| point.started_at).collect();
    let runs: Vec<Timestamp> = runs.into_iter().collect();
    let better = if first.more_is_better { "more" } else { "less" };
    let title = format!("{}; {better} is better", capitalised(&words(&first.metric)));
    let mut changes: Vec<HistoryChange> = shared
        .series
        .iter()
        .flat_map(|series| &series.changes)
        .map(|change| HistoryChange {
            run: place_of(&runs, change.started_at),
            label: label(change),
            tone: tone(change.direction),
        })
        .collect();
    changes.sort_by_key(|change| change.run);
    Chart {
        id: shared.id.clone(),
        title,
        plot: Plot::History {
            unit: first.unit.clone(),
            runs: runs.iter().map(|run| day(*run)).collect(),
            lines: shared.series.iter().map(|one| line(one, &runs)).collect(),
            changes,
        },
        data: data(shared),
    }
}

/// Where a run is among all that a chart has.
fn place_of(runs: &[Timestamp], run: Timestamp) -> usize {
    runs.partition_point(|other| *other < run)
}

fn line(series: &Series, runs: &[Timestamp]) -> HistoryLine {
    let run = |point: &Point| place_of(runs, point.started_at);
    let points = series.points.iter().map(|point| HistoryPoint {
        run: run(point),
        value: point.value,
        lower_quartile: point.lower_quartile,
        upper_quartile: point.upper_quartile,
    });
    let cuts = || series.changes.iter().map(|change| change.index);
    let starts = std::iter::once(0).chain(cuts());
    // Where no change could be found, a median would say that there is none.
    let is_long = series.points.len() >= 2 * MIN_SEGMENT;
    let levels = starts
        .filter(|_| is_long)
        .zip(cuts().chain([series.points.len()]))
        .filter_map(|(start, end)| {
            let points = series.points.get(start..end)?;
            let values: Vec<f64> = points.iter().map(|point| point.value).collect();
            Some(HistoryLevel {
                from: run(points.first()?),
                to: run(points.last()?),
                value: median(&values)?,
            })
        });
    HistoryLine {
        name: format!(
            "{} rows in place {}",
            Whole(series.rows),
            series.machine.digest
        ),
        points: points.collect(),
        levels: levels.collect(),
    }
}

fn data(shared: &Shared<'_>) -> Table {
    let first = shared.first();
    let mut table = Table::new(
        format!(
            "{} of {}, {}",
            capitalised(&words(&first.metric)),
            one_line(&first.scenario),
            one_line(&first.arm)
        ),
        &[
            "Run",
            "Commit",
            ">Median",
            ">Quartiles",
            ">Blocks",
            "Change",
            ">Rows",
            "Machine",
        ],
    );
    for series in &shared.series {
        for (index, point) in series.points.iter().enumerate() {
            let mut changes = series.changes.iter();
            let change = changes.find(|change| change.index == index);
            let value = |value: f64| Measured(value, &series.unit).to_string();
            table.rows.push(vec![
                Cell::text(moment(point.started_at)),
                Cell::text(commit(point)),
                Cell::figure(value(point.value), point.value),
                Cell::figure(
                    format!(
                        "{} to {}",
                        value(point.lower_quartile),
                        value(point.upper_quartile)
                    ),
                    point.lower_quartile,
                ),
                Cell::figure(point.samples.to_string(), point.samples as f64),
                change.map_or_else(|| Cell::text(""), change_cell),
                Cell::figure(Whole(series.rows).to_string(), series.rows as f64),
                Cell::text(&series.machine.digest),
            ]);
        }
    }
    table
}

fn commit(point: &Point) -> String {
    let changes = match point.git_dirty {
        Some(true) => " and changes",
        Some(false) | None => "",
    };
    format!("{}{changes}", short(&point.commit))
}
