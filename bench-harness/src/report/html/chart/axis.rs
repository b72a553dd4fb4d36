//! Scales with their ticks.

use std::iter;

use super::is_drawable;
use super::svg::{Drawing, Path, X, text_at};
use crate::format::{Percent, plain};

/// The part of an axis left free beyond its outermost value.
const MARGIN_SHARE: f64 = 0.04;

/// Gains that every axis holds: noise of a few per cent must not look like a mountain.
const LEAST_RANGE: (f64, f64) = (0.8, 1.25);

/// The widest range that is drawn. Beyond it an interval says nothing and runs off the edge.
const WIDEST_RANGE: (f64, f64) = (1e-4, 1e6);

/// Ticks that an axis should have; their labels must fit on a phone.
const TICKS: std::ops::RangeInclusive<usize> = 3..=6;

/// Steps that an axis of seconds has at most: with medians printed, few say enough.
const MOST_TICKS_OF_SECONDS: f64 = 4.0;

/// Steps that an axis of values has at most.
const MOST_TICKS_OF_VALUES: f64 = 5.0;

/// What an axis of values holds on both sides of their middle: as with gains, noise must not look
/// like a mountain.
const LEAST_SHARE: f64 = 0.1;

/// Steps between ticks of a decade, from coarse to fine.
const LOGARITHMIC_STEPS: [&[f64]; 5] = [
    &[1.0],
    &[1.0, 3.0],
    &[1.0, 2.0, 4.0],
    &[1.0, 2.0, 5.0],
    &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
];

/// A logarithmic axis of gains.
pub(super) struct GainScale {
    low: f64,
    high: f64,
}

impl GainScale {
    /// An axis that holds `gains` and 1; what cannot be drawn is passed over.
    pub(super) fn new(gains: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = gains
            .into_iter()
            .filter(|gain| is_drawable(*gain))
            .map(|gain| gain.clamp(WIDEST_RANGE.0, WIDEST_RANGE.1))
            .fold(LEAST_RANGE, |(low, high), gain| {
                (low.min(gain), high.max(gain))
            });
        let margin = (high / low).ln() * MARGIN_SHARE;
        Self {
            low: low.ln() - margin,
            high: high.ln() + margin,
        }
    }

    /// Where `gain` is, from 0 to 1; what is beyond is drawn at the edge.
    pub(super) fn at(&self, gain: f64) -> f64 {
        if gain.is_nan() || gain <= 0.0 {
            return 0.0;
        }
        ((gain.ln() - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Round factors along the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        LOGARITHMIC_STEPS
            .iter()
            .map(|steps| self.in_decades(steps))
            .chain(iter::once_with(|| self.evenly()))
            .find(|ticks| ticks.len() >= *TICKS.start())
            .map(|ticks| thinned(&ticks))
            .unwrap_or_default()
    }

    fn in_decades(&self, steps: &[f64]) -> Vec<f64> {
        let decades =
            (self.low / 10_f64.ln()).floor() as i32..=(self.high / 10_f64.ln()).ceil() as i32;
        decades
            .flat_map(|decade| {
                steps
                    .iter()
                    .map(move |step| rounded(step * 10_f64.powi(decade)))
            })
            .filter(|tick| self.holds(*tick))
            .collect()
    }

    /// Where the axis is so short that it is nearly linear.
    fn evenly(&self) -> Vec<f64> {
        let (low, high) = (self.low.exp(), self.high.exp());
        let step = round_step((high - low) / *TICKS.end() as f64);
        multiples(step, low, high)
    }

    fn holds(&self, tick: f64) -> bool {
        (self.low..=self.high).contains(&tick.ln())
    }

    /// Draws the ticks as vertical lines, with their labels above `top`, and 1× stronger.
    pub(super) fn draw_across(&self, drawing: &mut Drawing, top: f64, bottom: f64) {
        let (mut rules, mut one) = (Path::default(), Path::default());
        let mut labels = String::new();
        for tick in self.ticks() {
            let x = self.at(tick);
            let is_one = tick == 1.0;
            let rule = if is_one { &mut one } else { &mut rules };
            rule.vertical(x, top, bottom);
            let class = if is_one { "strong" } else { "" };
            labels += &text_at(X(x), top - 6.0, class, &factor(tick));
        }
        drawing.texts("m ticks", &labels);
        drawing.paths(&[("tick", rules), ("one", one)]);
    }
}

/// `2×`, `0.5×`: a tick's label, without digits that say nothing.
pub(super) fn factor(tick: f64) -> String {
    format!("{}×", plain(tick))
}

/// A linear axis of seconds, from 0.
pub(super) struct SecondsScale {
    high: f64,
}

impl SecondsScale {
    pub(super) fn new(seconds: impl IntoIterator<Item = f64>) -> Self {
        let high = seconds
            .into_iter()
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        Self {
            high: if high > 0.0 {
                high * (1.0 + MARGIN_SHARE)
            } else {
                1.0
            },
        }
    }

    /// Where `seconds` is, from 0 to 1.
    pub(super) fn at(&self, seconds: f64) -> f64 {
        if seconds.is_finite() {
            (seconds / self.high).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// Adds the ticks to `rules` as vertical lines from `top` to `bottom`.
    pub(super) fn rule_across(&self, rules: &mut Path, top: f64, bottom: f64) {
        for tick in self.ticks() {
            rules.vertical(self.at(tick), top, bottom);
        }
    }

    /// Draws the labels of the ticks at `y`.
    pub(super) fn label_across(&self, drawing: &mut Drawing, y: f64) {
        let ticks = self.ticks();
        let last = ticks.last().copied().unwrap_or(self.high);
        let (scale, unit) = match last {
            _ if last < 1e-3 => (1e6, "µs"),
            _ if last < 1.0 => (1e3, "ms"),
            _ => (1.0, "s"),
        };
        let mut labels = String::new();
        for tick in ticks {
            let text = plain(rounded(tick * scale));
            let text = if tick == 0.0 {
                text
            } else {
                format!("{text} {unit}")
            };
            labels += &text_at(X(self.at(tick)), y, "", &text);
        }
        drawing.texts("m ticks", &labels);
    }

    fn ticks(&self) -> Vec<f64> {
        let step = round_step(self.high / MOST_TICKS_OF_SECONDS);
        multiples(step, 0.0, self.high)
    }
}

/// Labels of shares of a load: `0%`, `50%` of it.
pub(super) fn label_load(drawing: &mut Drawing, rules: &mut Path, top: f64, bottom: f64) {
    let mut labels = String::new();
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        rules.vertical(share, top, bottom);
        labels += &text_at(X(share), bottom + 15.0, "", &Percent(share).to_string());
    }
    drawing.texts("m ticks", &labels);
}

/// A linear axis of values above zero, which need not begin at 0.
pub(super) struct ValueScale {
    low: f64,
    high: f64,
}

impl ValueScale {
    /// An axis that holds `values`, and [`LEAST_SHARE`] around their middle.
    pub(super) fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let drawn = values.into_iter().filter(|value| is_drawable(*value));
        let bounds = drawn.fold(None, |bounds: Option<(f64, f64)>, value| {
            let (low, high) = bounds.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        });
        let (low, high) = bounds.unwrap_or((1.0, 1.0));
        let middle = low / 2.0 + high / 2.0;
        let half = (high - middle).max(middle * LEAST_SHARE) * (1.0 + 2.0 * MARGIN_SHARE);
        Self {
            low: middle - half,
            high: middle + half,
        }
    }

    /// Where `value` is, from 0 to 1; what is beyond is drawn at the edge.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        if share.is_nan() {
            return 0.0;
        }
        share.clamp(0.0, 1.0)
    }

    /// Round values along the axis, each with its label.
    pub(super) fn ticks(&self, unit: &str) -> Vec<(f64, String)> {
        let step = round_step((self.high - self.low) / MOST_TICKS_OF_VALUES);
        let (scale, unit) = match unit {
            "s" if self.high < 1e-3 => (1e6, " µs"),
            "s" if self.high < 1.0 => (1e3, " ms"),
            "s" => (1.0, " s"),
            "B" if self.high >= 1e9 => (1e-9, " GB"),
            "B" if self.high >= 1e6 => (1e-6, " MB"),
            "B" if self.high >= 1e3 => (1e-3, " kB"),
            // What is in the chart's title needs no place beside every tick.
            _ => (1.0, ""),
        };
        let ticks = multiples(step, self.low, self.high);
        let label = |tick: f64| format!("{}{unit}", plain(rounded(tick * scale)));
        ticks.into_iter().map(|tick| (tick, label(tick))).collect()
    }
}

/// The smallest of 1, 2, 5, 10 … that is at least `least`.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * decade);
    let fitting = steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9));
    fitting.unwrap_or(10.0 * decade)
}

fn multiples(step: f64, low: f64, high: f64) -> Vec<f64> {
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    iter::successors(Some(first), |nth| Some(nth + 1.0))
        .take_while(|nth| *nth <= last)
        .map(|nth| rounded(nth * step))
        .collect()
}

/// Every second tick, or every third …, of too many; 1 stays.
fn thinned(ticks: &[f64]) -> Vec<f64> {
    let every = ticks.len().div_ceil(*TICKS.end());
    let one = ticks.iter().position(|tick| *tick == 1.0).unwrap_or(0);
    let kept = ticks
        .iter()
        .enumerate()
        .filter(|(nth, _)| nth.abs_diff(one) % every == 0);
    kept.map(|(_, tick)| *tick).collect()
}

/// Without the last bits, which multiplying leaves: 0.3, not 0.30000000000000004.
fn rounded(value: f64) -> f64 {
    format!("{value:.9e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(gains: &[f64]) -> String {
        let ticks = GainScale::new(gains.iter().copied()).ticks();
        ticks
            .iter()
            .map(|tick| factor(*tick))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn ticks_are_few_and_round() {
        insta::assert_snapshot!(ticks(&[]), @"0.8× 0.9× 1× 1.1× 1.2×");
        insta::assert_snapshot!(ticks(&[0.97, 1.4]), @"0.8× 1× 1.2× 1.4×");
        insta::assert_snapshot!(ticks(&[0.5, 3.0]), @"0.5× 1× 2×");
        insta::assert_snapshot!(ticks(&[40.0]), @"1× 3× 10× 30×");
        insta::assert_snapshot!(ticks(&[0.1, 1e6]), @"1× 100× 10,000× 1,000,000×");
        insta::assert_snapshot!(ticks(&[f64::NAN, f64::INFINITY, -1.0, 0.0]), @"0.8× 0.9× 1× 1.1× 1.2×");
    }

    #[test]
    fn an_axis_of_values_is_around_them_and_its_ticks_are_round() {
        let labels = |values: &[f64], unit: &str| {
            let scale = ValueScale::new(values.iter().copied());
            let ticks = scale.ticks(unit).into_iter().map(|(_, label)| label);
            ticks.collect::<Vec<_>>().join(" ")
        };
        insta::assert_snapshot!(labels(&[1.0], "s"), @"0.9 s 0.95 s 1 s 1.05 s 1.1 s");
        insta::assert_snapshot!(labels(&[0.61, 0.64], "s"), @"600 ms 650 ms");
        insta::assert_snapshot!(labels(&[48.1e6, 61.2e6], "B"), @"50 MB 55 MB 60 MB");
        insta::assert_snapshot!(labels(&[120_000.0, 340_000.0], "rows/s"), @"150,000 200,000 250,000 300,000");
        insta::assert_snapshot!(labels(&[], "s"), @"0.9 s 0.95 s 1 s 1.05 s 1.1 s");
        let scale = ValueScale::new([f64::NAN, 0.0, f64::INFINITY, 2.0]);
        assert_eq!(scale.at(f64::NAN), 0.0);
        assert!((scale.at(2.0) - 0.5).abs() < 1e-9);
        assert_eq!((scale.at(0.0), scale.at(f64::INFINITY)), (0.0, 1.0));
        assert!(ValueScale::new([1e300, 1e-300]).ticks("s").len() < 10);
    }

    #[test]
    fn what_cannot_be_drawn_is_at_an_edge() {
        let scale = GainScale::new([2.0]);
        assert_eq!(scale.at(f64::NAN), 0.0);
        assert_eq!(scale.at(0.0), 0.0);
        assert_eq!(scale.at(f64::INFINITY), 1.0);
        let scale = SecondsScale::new([]);
        assert_eq!(
            (scale.at(f64::NAN), scale.at(0.5), scale.at(7.0)),
            (0.0, 0.5, 1.0)
        );
    }
}
