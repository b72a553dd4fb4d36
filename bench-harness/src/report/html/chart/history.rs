//! A quantity over runs, with the points at which it changed.

use super::axis::ValueScale;
use super::label::{HALF_HEIGHT, Labels};
use super::svg::{Beside, Drawing, Path, X};
use super::{class, is_drawable};
use crate::report::document::{HistoryChange, HistoryLine};

/// Room above the plot for the labels of changes, in turn on two lines: neighbours do not collide.
const TOP: f64 = 34.0;
const LABEL_LINE: f64 = 14.0;
const LABEL_LINES: usize = 2;

const HEIGHT: f64 = 170.0;
const BOTTOM: f64 = TOP + HEIGHT;
const AXIS_HEIGHT: f64 = 26.0;
const LEGEND_LINE: f64 = 18.0;

/// Room for half of the last day.
const RIGHT: f64 = 34.0;

/// Days that are printed at most: so many fit a phone.
const MOST_DAYS: usize = 4;

/// Classes of the lines.
const CLASSES: [&str; 4] = ["h0", "h1", "h2", "h3"];

struct Scales {
    runs: usize,
    values: ValueScale,
}

pub(super) fn draw(
    unit: &str,
    runs: &[String],
    lines: &[HistoryLine],
    changes: &[HistoryChange],
) -> Drawing {
    let points = lines.iter().flat_map(|line| &line.points);
    let values = points.flat_map(|point| [point.value, point.lower_quartile, point.upper_quartile]);
    let scales = Scales {
        runs: runs.len().max(1),
        values: ValueScale::new(values),
    };
    let ticks = scales.values.ticks(unit);
    let labels = Labels::of_one_line(ticks.iter().map(|(_, label)| label.as_str()));
    let legend = if lines.len() > 1 { lines } else { &[] };
    let height = BOTTOM + AXIS_HEIGHT + LEGEND_LINE * legend.len() as f64;
    let mut drawing = Drawing::new(labels.margin(), RIGHT, height);

    let (mut rules, mut names) = (Path::default(), String::new());
    for (nth, (tick, _)) in ticks.iter().enumerate() {
        let y = scales.y(*tick);
        rules.horizontal(0.0, 1.0, y);
        names += &labels.row(nth, y, None);
    }
    drawing.paths(&[("tick", rules)]);
    drawing.beside(Beside::Left, &names);
    for (nth, day) in runs
        .iter()
        .enumerate()
        .step_by(scales.runs.div_ceil(MOST_DAYS))
    {
        drawing.text(X(scales.x(nth)), BOTTOM + 17.0, "m muted", day);
    }
    draw_changes(&mut drawing, &scales, changes);
    for (nth, line) in lines.iter().enumerate() {
        draw_line(&mut drawing, &scales, line, CLASSES[nth % CLASSES.len()]);
    }
    for (nth, line) in legend.iter().enumerate() {
        let middle = BOTTOM + AXIS_HEIGHT + LEGEND_LINE * (nth as f64 + 0.5);
        let class = CLASSES[nth % CLASSES.len()];
        drawing.rect(class, (0.0, 0.02), middle - 2.0, 4.0, "");
        drawing.text(X(0.03), middle + HALF_HEIGHT, "", &line.name);
    }
    drawing
}

impl Scales {
    /// Runs are at equal distances, half of one from the edges.
    fn x(&self, run: usize) -> f64 {
        (run as f64 + 0.5) / self.runs as f64
    }

    /// Between a run and the one before.
    fn before(&self, run: usize) -> f64 {
        run as f64 / self.runs as f64
    }

    fn y(&self, value: f64) -> f64 {
        TOP + HEIGHT * (1.0 - self.values.at(value))
    }
}

fn draw_changes(drawing: &mut Drawing, scales: &Scales, changes: &[HistoryChange]) {
    for (nth, change) in changes.iter().enumerate() {
        let x = scales.before(change.run);
        let up = (nth % LABEL_LINES) as f64 * LABEL_LINE;
        let mut line = Path::default();
        line.vertical(x, TOP - 4.0 - up, BOTTOM);
        let colour = class(change.tone);
        drawing.paths(&[(&format!("change {colour}"), line)]);
        let label = format!("m strong {colour}");
        drawing.text(X(x), TOP - 8.0 - up, &label, &change.label);
    }
}

fn draw_line(drawing: &mut Drawing, scales: &Scales, line: &HistoryLine, class: &str) {
    let (mut quartiles, mut levels, mut marks) =
        (Path::default(), Path::default(), Path::default());
    for level in line.levels.iter().filter(|level| is_drawable(level.value)) {
        let (from, to) = (scales.before(level.from), scales.before(level.to + 1));
        levels.horizontal(from, to, scales.y(level.value));
    }
    for point in line.points.iter().filter(|point| is_drawable(point.value)) {
        let (x, y) = (scales.x(point.run), scales.y(point.value));
        let (top, bottom) = (
            scales.y(point.upper_quartile),
            scales.y(point.lower_quartile),
        );
        quartiles.vertical(x, top, bottom);
        marks.dots(y, [(x, 0)]);
    }
    drawing.paths(&[
        (&format!("quartiles {class}"), quartiles),
        (&format!("level {class}"), levels),
        (&format!("mark {class}"), marks),
    ]);
}
