//! Predicted gains over measured ones.

use super::axis::{GainScale, factor};
use super::is_drawable;
use super::label::HALF_HEIGHT;
use super::svg::{Beside, Drawing, Path, X, text_at};
use crate::report::document::AgreementPoint;

/// Room above the plot for the legend.
const TOP: f64 = 30.0;
const HEIGHT: f64 = 420.0;
const BOTTOM: f64 = TOP + HEIGHT;
const AXIS_HEIGHT: f64 = 42.0;

/// Room for the labels of the predicted gains.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;

pub(super) fn draw(points: &[AgreementPoint]) -> Drawing {
    let drawn: Vec<&AgreementPoint> = points
        .iter()
        .filter(|point| is_drawable(point.measured) && is_drawable(point.predicted))
        .collect();
    // Intervals may run off the edge: one that says nothing must not make the others small.
    let gains = drawn
        .iter()
        .flat_map(|point| [point.measured, point.predicted]);
    let scale = GainScale::new(gains);
    let mut drawing = Drawing::new(LEFT, RIGHT, BOTTOM + AXIS_HEIGHT);
    axes(&mut drawing, &scale);
    let mut diagonal = Path::default();
    diagonal.to(0.0, BOTTOM);
    diagonal.to(1.0, TOP);
    drawing.paths(&[("crossover", diagonal)]);
    for (class, agrees) in [("up", true), ("down", false)] {
        let (mut whiskers, mut discs) = (Path::default(), Path::default());
        for point in drawn.iter().filter(|point| point.agrees() == agrees) {
            let (x, y) = (scale.at(point.measured), y(&scale, point.predicted));
            whiskers.vertical(x, y_of_end(&scale, point.high), y_of_end(&scale, point.low));
            discs.dots(y, [(x, 0)]);
        }
        drawing.paths(&[
            (&format!("quartiles {class}"), whiskers),
            (&format!("mark {class}"), discs),
        ]);
    }
    legend(&mut drawing);
    drawing
}

fn y(scale: &GainScale, gain: f64) -> f64 {
    TOP + HEIGHT * (1.0 - scale.at(gain))
}

/// An end of an interval, which may be infinite.
fn y_of_end(scale: &GainScale, gain: f64) -> f64 {
    y(scale, gain.clamp(f64::MIN_POSITIVE, f64::MAX))
}

fn axes(drawing: &mut Drawing, scale: &GainScale) {
    let (mut rules, mut one) = (Path::default(), Path::default());
    let (mut down, mut across) = (String::new(), String::new());
    for tick in scale.ticks() {
        let is_one = tick == 1.0;
        let rule = if is_one { &mut one } else { &mut rules };
        let class = if is_one { "strong" } else { "muted" };
        let (x, y) = (scale.at(tick), y(scale, tick));
        rule.horizontal(0.0, 1.0, y);
        rule.vertical(x, TOP, BOTTOM);
        down += &text_at(0, y + HALF_HEIGHT, class, &factor(tick));
        across += &text_at(X(x), BOTTOM + 17.0, class, &factor(tick));
    }
    drawing.paths(&[("tick", rules), ("one", one)]);
    drawing.beside(Beside::Left, &down);
    drawing.texts("m", &across);
    drawing.text(X(0.5), BOTTOM + 36.0, "m muted", "measured gain");
}

fn legend(drawing: &mut Drawing) {
    let left = -drawing.left();
    drawing.text(left, 14.0, "muted", "predicted gain");
    for (at, class, text) in [
        (110.0, "up", "within its interval"),
        (350.0, "down", "outside"),
    ] {
        drawing.raw(format_args!(
            r#"<circle cx={at} cy=10 r=4 class="{class}"/>"#
        ));
        drawing.text(at + 11.0, 14.0, "", text);
    }
}
