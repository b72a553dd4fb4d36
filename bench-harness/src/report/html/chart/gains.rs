//! Two gains for each change, with their intervals.

use super::axis::GainScale;
use super::is_drawable;
use super::label::{HALF_HEIGHT, Labels, TALL};
use super::svg::{Beside, Drawing, Path, text_at};
use crate::format::Times;
use crate::report::document::{GainBar, GainRow, Tone};
use crate::report::html::class;

const LEGEND_HEIGHT: f64 = 26.0;
const AXIS_HEIGHT: f64 = 24.0;

/// Between the middle of a row and either of its gains: added above, taken out below.
const OFFSET: f64 = 7.0;

/// Room for the values, one above the other.
const RIGHT: f64 = 62.0;

/// How much of a promised range is on the axis, as a factor of its low end. Its high end would make
/// what was measured too small to see.
const PROMISED_SHOWN: f64 = 1.5;

/// Height of a promised range.
const BAND_HEIGHT: f64 = 28.0;

/// Marks of one colour: discs for changes added, rings for changes taken out.
#[derive(Default)]
struct Marks {
    whiskers: Path,
    discs: Path,
    rings: Path,
}

pub(super) fn draw(rows: &[GainRow]) -> Drawing {
    let bars = rows
        .iter()
        .flat_map(|row| [row.added, row.taken_out])
        .flatten();
    let measured = bars.flat_map(|bar| [bar.gain, bar.low, bar.high]);
    let promised = rows
        .iter()
        .filter_map(|row| Some(row.promised?.low * PROMISED_SHOWN));
    let scale = GainScale::new(measured.chain(promised));
    let labels = Labels::new(rows.iter().map(|row| row.name.as_str()));
    let top = LEGEND_HEIGHT + AXIS_HEIGHT;
    let bottom = top + TALL * rows.len() as f64;
    let mut drawing = Drawing::new(labels.margin(), RIGHT, bottom + 4.0);
    for (nth, row) in rows.iter().enumerate() {
        if let Some(range) = row.promised {
            let middle = top + TALL * (nth as f64 + 0.5);
            let across = (
                scale.at(range.low),
                scale.at(range.high.unwrap_or(f64::MAX)),
            );
            drawing.rect("band", across, middle - BAND_HEIGHT / 2.0, BAND_HEIGHT, "");
        }
    }
    scale.draw_across(&mut drawing, top, bottom);
    let [mut up, mut down, mut even] = [Marks::default(), Marks::default(), Marks::default()];
    let (mut names, mut values, mut rules) = (String::new(), String::new(), Path::default());
    for (nth, row) in rows.iter().enumerate() {
        let middle = top + TALL * (nth as f64 + 0.5);
        rules.horizontal(0.0, 1.0, middle + TALL / 2.0);
        names += &labels.row(nth, middle, row.link.as_deref());
        for (bar, is_added) in [(row.added, true), (row.taken_out, false)] {
            let Some(bar) = bar.filter(|bar| is_drawable(bar.gain)) else {
                continue;
            };
            let y = if is_added {
                middle - OFFSET
            } else {
                middle + OFFSET
            };
            let marks = match bar.tone {
                Tone::Better => &mut up,
                Tone::Worse => &mut down,
                _ => &mut even,
            };
            marks.add(&scale, bar, y, is_added);
            let value = bar.tone.signed(&Times(bar.gain).to_string());
            values += &text_at(8, y + HALF_HEIGHT, class(bar.tone), &value);
        }
    }
    drawing.paths(&[("tick", rules)]);
    for (class, marks) in [("even", even), ("up", up), ("down", down)] {
        marks.draw(&mut drawing, class);
    }
    drawing.beside(Beside::Left, &names);
    drawing.beside(Beside::Right, &values);
    legend(&mut drawing);
    drawing
}

impl Marks {
    fn add(&mut self, scale: &GainScale, bar: GainBar, y: f64, is_added: bool) {
        self.whiskers
            .horizontal(scale.at(bar.low), scale.at(bar.high), y);
        let marks = if is_added {
            &mut self.discs
        } else {
            &mut self.rings
        };
        marks.dots(y, [(scale.at(bar.gain), 0)]);
    }

    /// A ring is a disc with a smaller one of the page's colour on it.
    fn draw(self, drawing: &mut Drawing, class: &str) {
        let holes = self.rings.clone();
        drawing.paths(&[
            (&format!("whisker {class}"), self.whiskers),
            (&format!("disc {class}"), self.discs),
            (&format!("disc {class}"), self.rings),
            ("hole", holes),
        ]);
    }
}

fn legend(drawing: &mut Drawing) {
    let left = -drawing.left();
    let middle = LEGEND_HEIGHT / 2.0;
    for (at, class, text) in [
        (left + 5.0, "legend", "added to before"),
        (left + 125.0, "legend ring", "taken out of tuned"),
    ] {
        drawing.raw(format_args!(
            r#"<circle cx={at} cy={middle} r=4 class="{class}"/>"#
        ));
        drawing.text(at + 11.0, middle + HALF_HEIGHT, "", text);
    }
    let at = left + 262.0;
    drawing.raw(format_args!(
        r#"<rect x={at} y={} width=14 height=14 class="band"/>"#,
        middle - 7.0
    ));
    drawing.text(at + 20.0, middle + HALF_HEIGHT, "", "promised");
}
