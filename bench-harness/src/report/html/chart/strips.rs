//! Every sample as a point.

use super::axis::SecondsScale;
use super::label::Labels;
use super::svg::{Beside, Drawing, Path};
use crate::report::document::{Strip, StripGroup};

const NAME_HEIGHT: f64 = 24.0;
const STRIP_HEIGHT: f64 = 24.0;
const AXIS_HEIGHT: f64 = 28.0;

/// Room for half of the last number of the axis.
const RIGHT: f64 = 16.0;

/// Half the height of the mark of a median.
const MEDIAN_REACH: f64 = 9.0;

/// Points that follow each other are at different heights, to be seen one by one.
const HEIGHTS: [i32; 3] = [0, -4, 4];

/// What is drawn of all groups at once.
#[derive(Default)]
struct Marks {
    ticks: Path,
    dots: Path,
    medians: Path,
    names: String,
}

pub(super) fn draw(groups: &[StripGroup]) -> Drawing {
    let strips = || groups.iter().flat_map(|group| &group.strips);
    let labels = Labels::of_one_line(strips().map(|strip| strip.name.as_str()));
    let scale = SecondsScale::new(strips().flat_map(|strip| strip.values.iter().copied()));
    let height = |group: &StripGroup| NAME_HEIGHT + group.strips.len() as f64 * STRIP_HEIGHT;
    let bottom: f64 = groups.iter().map(height).sum();
    let mut drawing = Drawing::new(labels.margin(), RIGHT, bottom + AXIS_HEIGHT);
    let mut marks = Marks::default();
    let (mut top, mut row) = (0.0, 0);
    for group in groups {
        drawing.text(-drawing.left(), top + 15.0, "strong", &group.name);
        for (nth, strip) in group.strips.iter().enumerate() {
            let middle = top + NAME_HEIGHT + STRIP_HEIGHT * (nth as f64 + 0.5);
            marks.names += &labels.row(row, middle, None);
            marks.add(strip, &scale, middle);
            row += 1;
        }
        scale.rule_across(&mut marks.ticks, top + NAME_HEIGHT, top + height(group));
        top += height(group);
    }
    scale.label_across(&mut drawing, bottom + 15.0);
    drawing.paths(&[
        ("tick", marks.ticks),
        ("dots", marks.dots),
        ("median", marks.medians),
    ]);
    drawing.beside(Beside::Left, &marks.names);
    drawing
}

impl Marks {
    fn add(&mut self, strip: &Strip, scale: &SecondsScale, middle: f64) {
        let values = strip.values.iter().filter(|value| value.is_finite());
        let heights = HEIGHTS.into_iter().cycle();
        self.dots
            .dots(middle, values.map(|value| scale.at(*value)).zip(heights));
        if strip.median.is_finite() {
            let x = scale.at(strip.median);
            self.medians
                .vertical(x, middle - MEDIAN_REACH, middle + MEDIAN_REACH);
        }
    }
}
