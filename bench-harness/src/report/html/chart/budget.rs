//! Where the seconds went: a bar of parts for each arm, and a legend.

use super::axis::SecondsScale;
use super::label::{HALF_HEIGHT, Labels};
use super::svg::{Beside, Drawing, Path, X};
use crate::report::document::BudgetBar;

const BAR_HEIGHT: f64 = 26.0;
const ROW_HEIGHT: f64 = 40.0;
const AXIS_HEIGHT: f64 = 28.0;
const LEGEND_LINE: f64 = 18.0;

/// Entries of the legend on one line; three fit a phone.
const LEGEND_COLUMNS: usize = 3;

/// Room for half of the last number of the axis.
const RIGHT: f64 = 16.0;

pub(super) fn draw(parts: &[String], bars: &[BudgetBar]) -> Drawing {
    let labels = Labels::of_one_line(bars.iter().map(|bar| bar.name.as_str()));
    let scale = SecondsScale::new(bars.iter().map(|bar| bar.seconds.iter().sum()));
    let bottom = ROW_HEIGHT * bars.len() as f64;
    let legend = bottom + AXIS_HEIGHT;
    let lines = parts.len().div_ceil(LEGEND_COLUMNS) as f64;
    let mut drawing = Drawing::new(labels.margin(), RIGHT, legend + LEGEND_LINE * lines + 4.0);
    let mut ticks = Path::default();
    scale.rule_across(&mut ticks, 0.0, bottom);
    scale.label_across(&mut drawing, bottom + 15.0);
    drawing.paths(&[("tick", ticks)]);
    let mut names = String::new();
    for (row, bar) in bars.iter().enumerate() {
        let middle = ROW_HEIGHT * (row as f64 + 0.5);
        names += &labels.row(row, middle, None);
        let mut so_far = 0.0;
        for (part, seconds) in bar
            .seconds
            .iter()
            .enumerate()
            .filter(|(_, one)| **one > 0.0)
        {
            let across = (scale.at(so_far), scale.at(so_far + seconds));
            so_far += seconds;
            let class = format!("k{part}");
            drawing.rect(&class, across, middle - BAR_HEIGHT / 2.0, BAR_HEIGHT, "");
        }
    }
    drawing.beside(Beside::Left, &names);
    for (part, name) in parts.iter().enumerate() {
        let x = (part % LEGEND_COLUMNS) as f64 / LEGEND_COLUMNS as f64;
        let middle = legend + LEGEND_LINE * ((part / LEGEND_COLUMNS) as f64 + 0.5);
        drawing.rect(&format!("k{part}"), (x, x + 0.02), middle - 5.0, 10.0, "");
        drawing.text(X(x + 0.03), middle + HALF_HEIGHT, "", name);
    }
    drawing
}
