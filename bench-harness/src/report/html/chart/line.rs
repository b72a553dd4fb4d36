//! A gain over one parameter.

use super::axis::{GainScale, factor};
use super::is_drawable;
use super::label::HALF_HEIGHT;
use super::svg::{Beside, Drawing, Path, X, text_at};
use crate::format::{Times, plain};
use crate::report::document::{ClaimedRange, LinePoint};
use crate::report::html::class;

/// Room above the plot for the note on the crossover.
const TOP: f64 = 24.0;
const HEIGHT: f64 = 200.0;
const BOTTOM: f64 = TOP + HEIGHT;
const AXIS_HEIGHT: f64 = 42.0;

/// Room for the labels of the gains.
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;

/// From the baseline of a label to the top of its letters.
const LABEL_HEIGHT: f64 = 12.0;

struct Scales<'a> {
    points: &'a [LinePoint],
    gains: GainScale,
}

pub(super) fn draw(
    across: &str,
    points: &[LinePoint],
    claimed: Option<ClaimedRange>,
    crossover: Option<f64>,
) -> Drawing {
    let bounds = claimed
        .iter()
        .flat_map(|range| [Some(range.low), range.high])
        .flatten();
    let gains = points
        .iter()
        .flat_map(|point| [point.gain, point.low, point.high]);
    let scales = Scales {
        points,
        gains: GainScale::new(gains.chain(bounds)),
    };
    let mut drawing = Drawing::new(LEFT, RIGHT, BOTTOM + AXIS_HEIGHT);
    if let Some(range) = claimed {
        band(&mut drawing, &scales, range);
    }
    axes(&mut drawing, &scales, across);
    let mut dashed = Path::default();
    if let Some((at, x)) = crossover.and_then(|at| Some((at, scales.x_of(at)?))) {
        dashed.vertical(x, TOP - 4.0, BOTTOM);
        drawing.text(
            X(x),
            TOP - 9.0,
            "m strong",
            &format!("crosses at {}", plain(short(at))),
        );
    }
    let mut course = Path::default();
    for (nth, point) in scales.drawn() {
        course.to(scales.x(nth), scales.y(point.gain));
    }
    drawing.paths(&[("crossover", dashed), ("course", course)]);
    draw_points(&mut drawing, &scales);
    drawing
}

impl Scales<'_> {
    /// Points that can be drawn, with their places.
    fn drawn(&self) -> impl Iterator<Item = (usize, &LinePoint)> {
        let points = self.points.iter().enumerate();
        points.filter(|(_, point)| is_drawable(point.gain))
    }

    /// Points are at equal distances, half of one from the edges.
    fn x(&self, nth: usize) -> f64 {
        (nth as f64 + 0.5) / self.points.len().max(1) as f64
    }

    fn y(&self, gain: f64) -> f64 {
        TOP + HEIGHT * (1.0 - self.gains.at(gain))
    }

    /// Between its neighbours where `at` is between them.
    fn x_of(&self, at: f64) -> Option<f64> {
        self.points.windows(2).enumerate().find_map(|(nth, two)| {
            let (from, to) = (two[0].at, two[1].at);
            let share = (at - from) / (to - from);
            let (left, right) = (self.x(nth), self.x(nth + 1));
            (0.0..=1.0)
                .contains(&share)
                .then_some(left + share * (right - left))
        })
    }
}

fn band(drawing: &mut Drawing, scales: &Scales<'_>, range: ClaimedRange) {
    let top = range.high.map_or(TOP, |high| scales.y(high));
    let bottom = scales.y(range.low);
    drawing.rect(
        "band",
        (0.0, 1.0),
        top.min(bottom),
        (bottom - top).abs().max(2.0),
        "",
    );
    // Above a band that is too low for a text.
    let is_high = bottom - top > 18.0;
    drawing.text(
        0,
        if is_high { top + 14.0 } else { top - 4.0 },
        "v muted",
        "promised",
    );
}

fn axes(drawing: &mut Drawing, scales: &Scales<'_>, across: &str) {
    let (mut rules, mut one, mut names) = (Path::default(), Path::default(), String::new());
    for tick in scales.gains.ticks() {
        let y = scales.y(tick);
        let is_one = tick == 1.0;
        let rule = if is_one { &mut one } else { &mut rules };
        rule.horizontal(0.0, 1.0, y);
        names += &text_at(
            0,
            y + HALF_HEIGHT,
            if is_one { "strong" } else { "muted" },
            &factor(tick),
        );
    }
    drawing.paths(&[("tick", rules), ("one", one)]);
    drawing.beside(Beside::Left, &names);
    for (nth, point) in scales.points.iter().enumerate() {
        drawing.text(X(scales.x(nth)), BOTTOM + 17.0, "m", &plain(point.at));
    }
    drawing.text(X(0.5), BOTTOM + 36.0, "m muted", across);
}

/// An interpolated value, without digits that nobody measured.
fn short(at: f64) -> f64 {
    let digits = if at.abs() < 10.0 { 2 } else { 0 };
    format!("{at:.digits$}").parse().unwrap_or(at)
}

/// The baseline of a label at `y`, or above the line at `one` where that would cross it.
fn clear_of(one: f64, y: f64) -> f64 {
    if (y - LABEL_HEIGHT..y + 4.0).contains(&one) {
        one - 5.0
    } else {
        y
    }
}

fn draw_points(drawing: &mut Drawing, scales: &Scales<'_>) {
    for colour in ["even", "up", "down"] {
        let (mut whiskers, mut discs) = (Path::default(), Path::default());
        let mut values = String::new();
        let points = scales.drawn();
        for (nth, point) in points.filter(|(_, point)| super::class(point.tone) == colour) {
            let (x, y) = (scales.x(nth), scales.y(point.gain));
            let (low, high) = (scales.y(point.low), scales.y(point.high));
            whiskers.vertical(x, high, low);
            discs.dots(y, [(x, 0)]);
            let value = point.tone.signed(&Times(point.gain).to_string());
            let above = clear_of(scales.y(1.0), high.min(y - 4.0) - 6.0);
            values += &text_at(X(x), above, class(point.tone), &value);
        }
        drawing.paths(&[
            (&format!("whisker {colour}"), whiskers),
            (&format!("disc {colour}"), discs),
        ]);
        if !values.is_empty() {
            drawing.texts("m strong", &values);
        }
    }
}
