//! Each change begins where the one before ended.

use minijinja::HtmlEscape;

use super::axis::GainScale;
use super::is_drawable;
use super::label::{HALF_HEIGHT, Labels};
use super::svg::{Beside, Drawing, Path, text_at};
use crate::format::Times;
use crate::report::document::{StepKind, WaterfallStep};

const AXIS_HEIGHT: f64 = 24.0;
const BAR_HEIGHT: f64 = 16.0;

/// Room for the values.
const RIGHT: f64 = 58.0;

/// A step with the gains at which it begins and ends.
struct Bar<'a> {
    step: &'a WaterfallStep,
    from: f64,
    to: f64,
}

pub(super) fn draw(id: &str, steps: &[WaterfallStep]) -> Drawing {
    let bars = bars(steps);
    let scale = GainScale::new(bars.iter().flat_map(|bar| [bar.from, bar.to]));
    let labels = Labels::new(steps.iter().map(|step| step.name.as_str()));
    let row_height = labels.row_height();
    let bottom = AXIS_HEIGHT + row_height * bars.len() as f64;
    let mut drawing = Drawing::new(labels.margin(), RIGHT, bottom + 4.0);
    let hatch = format!("{}-hatch", HtmlEscape(id));
    drawing.raw(format_args!(
        r#"<pattern id="{hatch}" width=6 height=6 patternUnits=userSpaceOnUse patternTransform="rotate(45)"><path class=hatch d="M0 3h6"/></pattern>"#
    ));
    scale.draw_across(&mut drawing, AXIS_HEIGHT, bottom);
    let (mut names, mut values, mut connections) = (String::new(), String::new(), Path::default());
    for (row, bar) in bars.iter().enumerate() {
        let middle = AXIS_HEIGHT + row_height * (row as f64 + 0.5);
        let (from, to) = (scale.at(bar.from), scale.at(bar.to));
        names += &labels.row(row, middle, bar.step.link.as_deref());
        let fill = match bar.step.kind {
            StepKind::Rest => format!(r#" fill="url(#{hatch})""#),
            StepKind::Change | StepKind::Total => String::new(),
        };
        drawing.rect(
            class(bar),
            (from, to),
            middle - BAR_HEIGHT / 2.0,
            BAR_HEIGHT,
            &fill,
        );
        // The whole is drawn from 1, and not from where the last step ended.
        if row + 2 < bars.len() {
            let gap = BAR_HEIGHT / 2.0;
            connections.vertical(to, middle + gap, middle + row_height - gap);
        }
        let value = if is_drawable(bar.step.gain) {
            Times(bar.step.gain).to_string()
        } else {
            "–".to_owned()
        };
        values += &text_at(8, middle + HALF_HEIGHT, "", &value);
    }
    drawing.paths(&[("step", connections)]);
    drawing.beside(Beside::Left, &names);
    drawing.beside(Beside::Right, &values);
    drawing
}

fn bars(steps: &[WaterfallStep]) -> Vec<Bar<'_>> {
    let mut so_far = 1.0;
    steps
        .iter()
        .map(|step| {
            let gain = if is_drawable(step.gain) {
                step.gain
            } else {
                1.0
            };
            let from = match step.kind {
                StepKind::Change | StepKind::Rest => so_far,
                StepKind::Total => 1.0,
            };
            so_far = from * gain;
            Bar {
                step,
                from,
                to: so_far,
            }
        })
        .collect()
}

fn class(bar: &Bar<'_>) -> &'static str {
    match bar.step.kind {
        StepKind::Rest => "hatched",
        StepKind::Total => "total",
        StepKind::Change if bar.to < bar.from => "down",
        StepKind::Change => "up",
    }
}
