//! Charts as SVG.
//!
//! Widths are shares of the plot and heights pixels: a chart is as wide as its place, and its text
//! stays as large as it is on a wide screen and on a phone. Labels stand in margins of fixed width
//! on both sides. Colours are classes of the page's style, which has them for light and dark.

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

use crate::report::document::{Chart, Plot, Tone};

/// The drawing of `chart`, without its data.
pub(super) fn draw(chart: &Chart) -> String {
    let drawing = match &chart.plot {
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
        Plot::Course { top, lines } => course::draw(top, lines),
        Plot::History {
            unit,
            runs,
            lines,
            changes,
        } => history::draw(unit, runs, lines, changes),
    };
    drawing.finish(&chart.title)
}

/// The class that colours a mark.
fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Better => "up",
        Tone::Worse => "down",
        Tone::Plain | Tone::Same | Tone::Open => "even",
    }
}

/// A gain that can stand on a logarithmic axis.
fn is_drawable(gain: f64) -> bool {
    gain.is_finite() && gain > 0.0
}
