//! Charts as SVG.
//!
//! Widths are shares of the plot and heights pixels: a chart is as wide as its place, and its text
//! stays as large as it is on a wide screen and on a phone. Labels are in margins of fixed width
//! on both sides. Colours are classes of `chart.css`, which has them for light and dark.

mod agreement;
mod axis;
mod budget;
mod course;
mod gains;
mod heat_map;
mod history;
mod label;
mod line;
mod strips;
mod svg;
mod waterfall;

#[cfg(test)]
mod tests;

use self::svg::Drawing;
use crate::report::document::{Chart, Plot, Tone};

/// Width of a drawing that is a file of its own.
const ALONE_WIDTH: f64 = 800.0;

/// The drawing of `chart`, without its data.
pub(super) fn draw(chart: &Chart) -> String {
    drawing(chart).finish(&chart.title)
}

/// The same as a file of its own, in the colours of a light page or a dark one.
pub(in crate::report) fn standalone(chart: &Chart, is_dark: bool) -> String {
    let style = svg::in_one_theme(include_str!("../chart.css"), is_dark);
    drawing(chart).finish_alone(&chart.title, ALONE_WIDTH, &style)
}

fn drawing(chart: &Chart) -> Drawing {
    match &chart.plot {
        Plot::Waterfall { steps } => waterfall::draw(&chart.id, steps),
        Plot::Gains { rows } => gains::draw(rows),
        Plot::Strips { groups } => strips::draw(groups),
        Plot::HeatMap {
            across,
            across_values,
            down,
            down_values,
            cells,
        } => heat_map::draw((across, across_values), (down, down_values), cells),
        Plot::Line {
            across,
            points,
            claimed,
            crossover,
        } => line::draw(across, points, *claimed, *crossover),
        Plot::Budget { parts, bars } => budget::draw(parts, bars),
        Plot::Course { most, top, lines } => course::draw((*most, top), lines),
        Plot::History {
            unit,
            runs,
            lines,
            changes,
        } => history::draw(unit, runs, lines, changes),
        Plot::Agreement { points } => agreement::draw(points),
    }
}

/// The class that colours a mark.
fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Better => "up",
        Tone::Worse => "down",
        _ => "even",
    }
}

/// A gain that a logarithmic axis can show.
fn is_drawable(gain: f64) -> bool {
    gain.is_finite() && gain > 0.0
}
