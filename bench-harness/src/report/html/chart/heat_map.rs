//! Gains over two parameters.

use super::is_drawable;
use super::label::{HALF_HEIGHT, LOW, Labels};
use super::svg::{Beside, Drawing, X, text_at};
use crate::format::Times;
use crate::report::document::{HeatCell, Tone};

const NAME_HEIGHT: f64 = 20.0;
const CELL_HEIGHT: f64 = 38.0;

/// Opacity of the colour of no gain, and of a tenfold one.
const FAINTEST: f64 = 0.06;
const STRONGEST: f64 = 0.55;

/// A parameter with its values.
type Parameter<'a> = (&'a str, &'a [String]);

pub(super) fn draw(
    across: Parameter<'_>,
    down: Parameter<'_>,
    cells: &[Vec<Option<HeatCell>>],
) -> Drawing {
    let labels = Labels::of_one_line(down.1.iter().map(String::as_str));
    let top = 2.0 * NAME_HEIGHT + LOW;
    let mut drawing = Drawing::new(
        labels.margin(),
        1.0,
        top + CELL_HEIGHT * cells.len() as f64 + 2.0,
    );
    let left = -drawing.left();
    drawing.text(left, NAME_HEIGHT - 6.0, "muted", &format!("→ {}", across.0));
    drawing.text(
        left,
        2.0 * NAME_HEIGHT - 6.0,
        "muted",
        &format!("↓ {}", down.0),
    );
    let width = 1.0 / across.1.len().max(1) as f64;
    let headings: String = across
        .1
        .iter()
        .enumerate()
        .map(|(nth, value)| text_at(X(width * (nth as f64 + 0.5)), top - 8.0, "", value))
        .collect();
    drawing.texts("m", &headings);
    let mut names = String::new();
    for (nth, row) in cells.iter().enumerate() {
        let top = top + CELL_HEIGHT * nth as f64;
        names += &labels.row(nth, top + CELL_HEIGHT / 2.0, None);
        for (column, cell) in row.iter().enumerate() {
            let left = width * column as f64;
            draw_cell(&mut drawing, (left, left + width), top, *cell);
        }
    }
    drawing.beside(Beside::Left, &names);
    drawing
}

fn draw_cell(drawing: &mut Drawing, across: (f64, f64), top: f64, cell: Option<HeatCell>) {
    let (class, opacity, text) = match cell.filter(|cell| is_drawable(cell.gain)) {
        Some(cell) => (
            colour(cell),
            format!(" fill-opacity={:.2}", opacity(cell.gain)),
            cell.tone.signed(&Times(cell.gain).to_string()),
        ),
        None => ("cell none", String::new(), "–".to_owned()),
    };
    drawing.rect(class, across, top, CELL_HEIGHT, &opacity);
    let middle = X((across.0 + across.1) / 2.0);
    drawing.text(middle, top + CELL_HEIGHT / 2.0 + HALF_HEIGHT, "m", &text);
}

/// By the verdict; where there is none, by the side of 1 on which the gain is.
fn colour(cell: HeatCell) -> &'static str {
    match cell.tone {
        Tone::Better => "cell up",
        Tone::Worse => "cell down",
        Tone::Plain if cell.gain < 1.0 => "cell down",
        Tone::Plain => "cell up",
        _ => "cell even",
    }
}

fn opacity(gain: f64) -> f64 {
    let share = (gain.ln().abs() / 10_f64.ln()).min(1.0);
    FAINTEST + (STRONGEST - FAINTEST) * share
}
