//! The five figures of the optimization report, as medians and over time.

use super::FIGURES;
use crate::format::{Bytes, Number, Percent, Seconds, one_line};
use crate::profile::results::{ProfileResults, TimelinePoint as Point};
use crate::report::document::{Cell, Chart, CourseLine, Plot, Table};
use crate::report::sections::words::figure;

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

/// The same over the time of the load of median length.
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
            "Write latency, likewise",
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
            .map(|arm| CourseLine {
                name: one_line(&arm.name),
                points: arm
                    .timeline
                    .iter()
                    .filter_map(|point| Some((point.seconds, value(point)?)))
                    .collect(),
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
        let mut data = Table::new(title, &["Arm", ">Second", ">Value"]);
        for line in &lines {
            data.rows.extend(line.points.iter().map(|(at, value)| {
                vec![
                    Cell::text(&line.name),
                    figure(Some(*at), Seconds),
                    Cell::figure(print(*value), *value),
                ]
            }));
        }
        drawn.push(Chart {
            id: format!("{}-{id}", profile.folder),
            title: title.to_owned(),
            plot: Plot::Course {
                top: print(most),
                lines,
            },
            data,
        });
    }
    drawn
}
