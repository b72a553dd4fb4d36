//! The five figures of the optimization report, as medians and over time.

use super::FIGURES;
use crate::format::{Bytes, Number, Percent, Seconds, one_line};
use crate::profile::results::{ProfileResults, TimelinePoint as Point};
use crate::report::document::{Cell, Chart, CourseLine, Plot, Table};
use crate::report::sections::format::figure;

/// The five figures that the optimization report asks for.
pub(super) fn figures(profile: &ProfileResults) -> Table {
    let mut table = Table::new(
        FIGURES,
        &[
            "Arm",
            ">Rows per second",
            ">HTTP p50",
            ">p95",
            ">p99",
            ">Write p50",
            ">p95",
            ">p99",
            ">Memory",
            ">Send wait",
        ],
    );
    for arm in &profile.arms {
        let figures = arm.figures;
        let mut cells = vec![
            Cell::text(one_line(&arm.name)),
            figure(figures.map(|one| one.rows_per_second), Number),
        ];
        for latency in [
            figures.map(|one| one.http_seconds),
            figures.map(|one| one.write_seconds),
        ] {
            cells.extend((0..3).map(|nth| figure(latency.map(|one| one[nth]), Seconds)));
        }
        cells.push(figure(figures.and_then(|one| one.peak_memory_bytes), Bytes));
        cells.push(figure(figures.map(|one| one.send_wait_seconds), Seconds));
        table.rows.push(cells);
    }
    table
}

/// Id, title, value and print of a figure.
type FigureOverTime = (
    &'static str,
    &'static str,
    fn(&Point) -> Option<f64>,
    fn(f64) -> String,
);

/// The same over the load of median length.
pub(super) fn courses(profile: &ProfileResults) -> Vec<Chart> {
    let charts: [FigureOverTime; 5] = [
        (
            "rows",
            "Rows per second",
            |p| Some(p.rows_per_second),
            |v| Number(v).to_string(),
        ),
        (
            "http",
            "HTTP latency, p95 of a tenth of a second",
            |p| p.http_p95_seconds,
            |v| Seconds(v).to_string(),
        ),
        (
            "write",
            "Write latency, p95 of a tenth of a second",
            |p| p.write_p95_seconds,
            |v| Seconds(v).to_string(),
        ),
        (
            "memory",
            "Memory",
            |p| p.memory_bytes.map(|bytes| bytes as f64),
            |v| Bytes(v).to_string(),
        ),
        (
            "pressure",
            "Share of time that a sender waits for room",
            |p| Some(p.send_wait_share),
            |v| Percent(v).to_string(),
        ),
    ];
    let mut drawn = Vec::new();
    for (id, title, value, print) in charts {
        let lines: Vec<CourseLine> = profile
            .arms
            .iter()
            .map(|arm| {
                let last = arm.timeline.last().map_or(1.0, |point| point.seconds);
                let points = arm.timeline.iter();
                CourseLine {
                    name: one_line(&arm.name),
                    points: points
                        .filter_map(|point| Some((point.seconds / last, value(point)?)))
                        .collect(),
                }
            })
            .filter(|line| !line.points.is_empty())
            .collect();
        let most = lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|(_, value)| *value)
            .fold(0.0, f64::max);
        // A line along the bottom shows nothing.
        if most <= 0.0 {
            continue;
        }
        let mut data = Table::new(title, &["Arm", ">Share of the load", ">Value"]);
        for line in &lines {
            data.rows.extend(line.points.iter().map(|(at, value)| {
                vec![
                    Cell::text(&line.name),
                    figure(Some(*at), Percent),
                    Cell::figure(print(*value), *value),
                ]
            }));
        }
        drawn.push(Chart {
            id: format!("{}-{id}", profile.folder),
            title: title.to_owned(),
            plot: Plot::Course {
                most: round_above(most),
                top: print(round_above(most)),
                lines,
            },
            data,
        });
    }
    drawn
}

/// The smallest round number that is at least `value`.
fn round_above(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].map(|step| step * decade);
    let fitting = steps.into_iter().find(|step| *step >= value);
    fitting.unwrap_or(value)
}
