//! Something over a load, a line for each arm.

use super::axis::label_load;
use super::svg::{Drawing, Path, X};
use crate::report::document::CourseLine;

const LEFT: f64 = 72.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 22.0;
const HEIGHT: f64 = 96.0;
const AXIS_HEIGHT: f64 = 24.0;

/// Classes of the lines, and between their names in the legend.
const CLASSES: [&str; 2] = ["even", "up"];
const LEGEND_STEP: f64 = 0.5;

pub(super) fn draw((most, top): (f64, &str), lines: &[CourseLine]) -> Drawing {
    let bottom = TOP + HEIGHT;
    let mut drawing = Drawing::new(LEFT, RIGHT, bottom + AXIS_HEIGHT);
    let mut rules = Path::default();
    rules.horizontal(0.0, 1.0, TOP);
    rules.horizontal(0.0, 1.0, bottom);
    label_load(&mut drawing, &mut rules, TOP, bottom);
    drawing.text(-LEFT, TOP + 4.0, "muted", top);
    drawing.text(-LEFT, bottom + 4.0, "muted", "0");
    let mut paths = vec![("tick", rules)];
    for (nth, line) in lines.iter().enumerate() {
        let class = CLASSES[nth % CLASSES.len()];
        let mut path = Path::default();
        for (at, value) in &line.points {
            let share = if most > 0.0 { value / most } else { 0.0 };
            path.to(at.clamp(0.0, 1.0), bottom - share.clamp(0.0, 1.0) * HEIGHT);
        }
        paths.push((class, path));
        let x = nth as f64 * LEGEND_STEP;
        drawing.rect(class, (x, x + 0.02), 4.0, 4.0, "");
        drawing.text(X(x + 0.03), 10.0, "", &line.name);
    }
    drawing.paths(&paths);
    drawing
}
