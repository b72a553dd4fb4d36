//! Every sample as a point.

use super::axis::SecondsScale;
use super::label::{HALF_HEIGHT, Labels};
use super::svg::{Beside, Drawing, Path, text_at};
use crate::report::document::StripGroup;
use crate::report::units::Seconds;

const NAME_HEIGHT: f64 = 24.0;
const STRIP_HEIGHT: f64 = 24.0;
const AXIS_HEIGHT: f64 = 28.0;

/// Room for the medians.
const RIGHT: f64 = 62.0;

/// Half the height of the mark of a median.
const MEDIAN_REACH: f64 = 9.0;

/// Points that follow each other stand on different heights, to be told apart.
const HEIGHTS: [i32; 3] = [0, -4, 4];

/// What is drawn of all groups at once.
#[derive(Default)]
struct Marks {
    ticks: Path,
    dots: Path,
    medians: Path,
    names: String,
    values: String,
}

pub(super) fn draw(groups: &[StripGroup]) -> Drawing {
    let strips = groups.iter().flat_map(|group| &group.strips);
    let labels = Labels::of_one_line(strips.map(|strip| strip.name.as_str()));
    let height =
        |group: &StripGroup| NAME_HEIGHT + group.strips.len() as f64 * STRIP_HEIGHT + AXIS_HEIGHT;
    let whole = groups.iter().map(height).sum();
    let mut drawing = Drawing::new(labels.margin(), RIGHT, whole);
    let mut marks = Marks::default();
    let (mut top, mut row) = (0.0, 0);
    for group in groups {
        drawing.text(-drawing.left(), top + 15.0, "strong", &group.name);
        marks.add(&mut drawing, group, top + NAME_HEIGHT, |nth, middle| {
            labels.row(row + nth, middle, None)
        });
        top += height(group);
        row += group.strips.len();
    }
    drawing.paths(&[
        ("tick", marks.ticks),
        ("dots", marks.dots),
        ("median", marks.medians),
    ]);
    drawing.beside(Beside::Left, &marks.names);
    drawing.beside(Beside::Right, &marks.values);
    drawing
}

impl Marks {
    fn add(
        &mut self,
        drawing: &mut Drawing,
        group: &StripGroup,
        top: f64,
        label: impl Fn(usize, f64) -> String,
    ) {
        let strips = &group.strips;
        let scale = SecondsScale::of(strips.iter().flat_map(|strip| strip.values.iter().copied()));
        let bottom = top + strips.len() as f64 * STRIP_HEIGHT;
        scale.draw_across(drawing, &mut self.ticks, top, bottom);
        for (nth, strip) in strips.iter().enumerate() {
            let middle = top + STRIP_HEIGHT * (nth as f64 + 0.5);
            self.names += &label(nth, middle);
            let values = strip.values.iter().filter(|value| value.is_finite());
            let heights = HEIGHTS.into_iter().cycle();
            self.dots
                .dots(middle, values.map(|value| scale.at(*value)).zip(heights));
            if strip.median.is_finite() {
                let x = scale.at(strip.median);
                self.medians
                    .vertical(x, middle - MEDIAN_REACH, middle + MEDIAN_REACH);
                let median = Seconds(strip.median).to_string();
                self.values += &text_at(8, middle + HALF_HEIGHT, "", &median);
            }
        }
    }
}
