//! Where the seconds went: a bar of parts for each arm, labelled, and a legend for the small ones.

use minijinja::HtmlEscape;

use super::axis::SecondsScale;
use super::label::{HALF_HEIGHT, Labels};
use super::svg::{Beside, Drawing, Path, X};
use crate::format::Percent;
use crate::report::document::BudgetBar;

const BAR_HEIGHT: f64 = 26.0;
const ROW_HEIGHT: f64 = 40.0;
const AXIS_HEIGHT: f64 = 28.0;
const LEGEND_LINE: f64 = 18.0;

/// Entries of the legend on one line; so many fit a phone.
const LEGEND_COLUMNS: usize = 2;

/// Room for half of the last number of the axis.
const RIGHT: f64 = 16.0;

/// Smallest share of the axis that a label fits into.
const LEAST_LABELLED: f64 = 0.07;

/// The same with its share of the load.
const LEAST_WITH_SHARE: f64 = 0.15;

pub(super) fn draw(parts: &[String], bars: &[BudgetBar]) -> Drawing {
    let labels = Labels::of_one_line(bars.iter().map(|bar| bar.name.as_str()));
    let scale = SecondsScale::new(bars.iter().map(|bar| bar.seconds.iter().sum()));
    let bottom = ROW_HEIGHT * bars.len() as f64;
    let legend = bottom + AXIS_HEIGHT;
    // What no bar has needs no entry.
    let is_there = |part: &usize| bars.iter().any(|bar| bar.seconds[*part] > 0.0);
    let shown: Vec<usize> = (0..parts.len()).filter(is_there).collect();
    let lines = shown.len().div_ceil(LEGEND_COLUMNS) as f64;
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
        let total: f64 = bar.seconds.iter().sum();
        for (part, seconds) in bar
            .seconds
            .iter()
            .enumerate()
            .filter(|(_, one)| **one > 0.0)
        {
            let across = (scale.at(so_far), scale.at(so_far + seconds));
            so_far += seconds;
            let class = format!("k{part}");
            let top = middle - BAR_HEIGHT / 2.0;
            drawing.rect(&class, across, top, BAR_HEIGHT, "");
            if across.1 - across.0 >= LEAST_LABELLED {
                let share = Percent((seconds / total).clamp(0.0, 1.0));
                let name = HtmlEscape(&parts[part]);
                let label = if across.1 - across.0 >= LEAST_WITH_SHARE {
                    format!("{name} {share}")
                } else {
                    name.to_string()
                };
                drawing.raw(format_args!(
                    r#"<foreignObject x={} y={top} width={} height={BAR_HEIGHT}><div class="part l{part}">{label}</div></foreignObject>"#,
                    X(across.0),
                    X(across.1 - across.0)
                ));
            }
        }
    }
    drawing.beside(Beside::Left, &names);
    for (nth, part) in shown.into_iter().enumerate() {
        let x = (nth % LEGEND_COLUMNS) as f64 / LEGEND_COLUMNS as f64;
        let middle = legend + LEGEND_LINE * ((nth / LEGEND_COLUMNS) as f64 + 0.5);
        drawing.rect(&format!("k{part}"), (x, x + 0.02), middle - 5.0, 10.0, "");
        drawing.text(X(x + 0.03), middle + HALF_HEIGHT, "", &parts[part]);
    }
    drawing
}
