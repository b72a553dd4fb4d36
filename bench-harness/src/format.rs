//! How figures are printed: every unit is a type, and its `Display` the only place that decides on
//! digits.
//!
//! Three significant digits throughout. A fourth would be noise in any of these figures, and
//! readers compare by the first two.

use std::fmt;

use crate::stats::{Comparison, Expected, Interval, Location};

const SIGNIFICANT_DIGITS: usize = 3;

/// A duration: `12.3 s`, `612 ms`, `45.0 µs`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds(pub f64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")])
    }
}

/// A size in decimal units: `61.4 MB`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(
            f,
            self.0,
            &[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")],
        )
    }
}

/// A rate or another plain number: `328,000`, `3.14`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = decimals(self.0);
        f.write_str(&fixed(round_significant(self.0), decimals))
    }
}

/// A whole number in full, its thousands set apart: `200,000`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole(pub u64);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&grouped(&self.0.to_string()))
    }
}

/// A share of 1 in per cent: `12.5%`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percent(pub f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.1}", self.0 * 100.0);
        write!(f, "{}%", text.strip_suffix(".0").unwrap_or(&text))
    }
}

/// A relative change, with its sign: `+12.5%`, `-3.1%`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change(pub f64);

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = Percent(self.0);
        match share.to_string().as_str() {
            "0%" | "-0%" => f.write_str("0%"),
            text if text.starts_with('-') => f.write_str(text),
            text => write!(f, "+{text}"),
        }
    }
}

/// A value in a unit that is known by name only: `612 ms` of seconds, `61.4 MB` of bytes, and else
/// the number before its unit, `328,000 rows/s`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured<'a>(pub f64, pub &'a str);

impl fmt::Display for Measured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            "s" => Seconds(self.0).fmt(f),
            "B" => Bytes(self.0).fmt(f),
            // A count of few has no fraction to round.
            unit if self.0.fract() == 0.0 && (0.0..1e3).contains(&self.0) => {
                write!(f, "{} {unit}", self.0)
            }
            unit => write!(f, "{} {unit}", Number(self.0)),
        }
    }
}

/// A number of things: `1 sample`, `12 samples`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    count: usize,
    noun: &'static str,
}

impl Count {
    /// `count` of what `noun` names in the singular; its plural takes an `s`.
    #[must_use]
    pub(crate) fn new(count: usize, noun: &'static str) -> Self {
        Self { count, noun }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", Whole(self.count as u64), self.noun)
    }
}

/// How many times: `31.2×`, and close to 1 a digit more, `1.042×`, as there the difference from 1
/// is the finding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times(pub f64);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×", fixed(self.0, ratio_decimals(self.0)))
    }
}

/// What a claim promises, as it was written: `10×–100×`, `at least 30×`, `no figure`, `no difference`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise(pub Expected);

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expected::Factor {
                low,
                high: Some(high),
            } => write!(f, "{}×–{}×", plain(low), plain(high)),
            Expected::Factor { low, high: None } if low < 1.0 => {
                write!(f, "at most {} the cost", Times(1.0 / low))
            }
            Expected::Factor { low, high: None } => write!(f, "at least {}×", plain(low)),
            Expected::Better => f.write_str("no figure"),
            Expected::Negligible => f.write_str("no difference"),
        }
    }
}

/// The interval of an estimate, with the digits of that: `29.8–33.0`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    interval: Interval,
    confidence: f64,
    wanted: f64,
    decimals: usize,
}

impl Range {
    /// The interval of `comparison`. Its level is printed with it if below the `wanted` one; an interval below
    /// [`LEAST_CONFIDENCE`] is not printed at all.
    #[must_use]
    pub(crate) fn new(comparison: &Comparison, wanted: f64) -> Self {
        Self {
            interval: comparison.interval,
            confidence: comparison.confidence,
            wanted,
            decimals: ratio_decimals(comparison.ratio),
        }
    }

    /// The interval of `location`, likewise.
    #[must_use]
    pub(crate) fn of_location(location: &Location, wanted: f64) -> Self {
        Self {
            interval: location.interval,
            confidence: location.confidence,
            wanted,
            decimals: decimals(location.estimate),
        }
    }
}

/// An interval with less says too little to be shown: five blocks have 93.75%, four 87.5%.
pub(crate) const LEAST_CONFIDENCE: f64 = 0.9;

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.confidence < LEAST_CONFIDENCE {
            return f.write_str("too few blocks");
        }
        let Interval { low, high } = self.interval;
        write!(
            f,
            "{}–{}",
            fixed(low, self.decimals),
            fixed(high, self.decimals)
        )?;
        if self.confidence < self.wanted {
            write!(f, " at {}", Percent(self.confidence))?;
        }
        Ok(())
    }
}

/// A value of a parameter in full: `0.5`, `10,000`.
pub(crate) fn plain(value: f64) -> String {
    let text = value.to_string();
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", grouped(whole)),
        None => grouped(&text),
    }
}

/// `text` with every run of white space, line feeds too, as one space.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn scaled(f: &mut fmt::Formatter<'_>, value: f64, units: &[(f64, &str)]) -> fmt::Result {
    let rounded = round_significant(value);
    let fitting = units
        .iter()
        .find(|(scale, _)| rounded >= *scale)
        .or(units.last());
    let (scale, unit) = fitting.copied().unwrap_or((1.0, ""));
    write!(f, "{} {unit}", Number(value / scale))
}

/// Decimals that show [`SIGNIFICANT_DIGITS`] of `value`.
fn decimals(value: f64) -> usize {
    let rounded = round_significant(value);
    if rounded == 0.0 {
        return 0;
    }
    let exponent = rounded.abs().log10().floor() as i32;
    (SIGNIFICANT_DIGITS as i32 - 1 - exponent).max(0) as usize
}

fn ratio_decimals(ratio: f64) -> usize {
    if (1.0..1.1).contains(&ratio) {
        SIGNIFICANT_DIGITS
    } else {
        decimals(ratio)
    }
}

/// `value` rounded, so that 9.996 counts as the 10.0 that it prints as.
fn round_significant(value: f64) -> f64 {
    format!("{value:.*e}", SIGNIFICANT_DIGITS - 1)
        .parse()
        .unwrap_or(value)
}

fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", grouped(whole)),
        None => grouped(&text),
    }
}

fn grouped(whole: &str) -> String {
    let (sign, digits) = whole
        .strip_prefix('-')
        .map_or(("", whole), |digits| ("-", digits));
    let groups: Vec<&str> = {
        let first = digits.len() % 3;
        let (head, tail) = digits.split_at(first);
        let head = (!head.is_empty()).then_some(head);
        head.into_iter()
            .chain((0..tail.len() / 3).map(|group| &tail[3 * group..3 * group + 3]))
            .collect()
    };
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Interval;

    fn all<T: fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
        values
            .into_iter()
            .map(|value| value.to_string())
            .collect::<Vec<_>>()
            .join(" | ")
    }

    #[test]
    fn durations() {
        let values = [
            0.0, 0.000_045, 0.0614, 0.6125, 0.9996, 1.0, 9.996, 12.34, 1234.6,
        ];
        insta::assert_snapshot!(all(values.map(Seconds)), @"0 µs | 45.0 µs | 61.4 ms | 612 ms | 1.00 s | 1.00 s | 10.0 s | 12.3 s | 1,230 s");
    }

    #[test]
    fn sizes() {
        insta::assert_snapshot!(all([0.0, 999.0, 1e3, 61.4e6, 999.9e6, 1.5e9].map(Bytes)), @"0 B | 999 B | 1.00 kB | 61.4 MB | 1.00 GB | 1.50 GB");
    }

    #[test]
    fn numbers() {
        insta::assert_snapshot!(all([0.0, 0.001_234, 3.456, 99.96, 328_412.0, 1_234_567.0].map(Number)), @"0 | 0.00123 | 3.46 | 100 | 328,000 | 1,230,000");
        insta::assert_snapshot!(all([0, 999, 1_000, 200_000, 12_345_678].map(Whole)), @"0 | 999 | 1,000 | 200,000 | 12,345,678");
        insta::assert_snapshot!(all([0.0, 0.005, 0.875, 0.96875, 1.0].map(Percent)), @"0% | 0.5% | 87.5% | 96.9% | 100%");
        assert_eq!(
            all([Count::new(1, "block"), Count::new(1_200, "row")]),
            "1 block | 1,200 rows"
        );
        assert_eq!(grouped("-1234"), "-1,234");
    }

    #[test]
    fn changes_and_values_in_units() {
        insta::assert_snapshot!(all([0.125, -0.0312, 1.0, 0.0001, -0.0001].map(Change)), @"+12.5% | -3.1% | +100% | 0% | 0%");
        insta::assert_snapshot!(all([Measured(0.6125, "s"), Measured(61.4e6, "B"), Measured(328_412.0, "rows/s"), Measured(4.0, "statements")]), @"612 ms | 61.4 MB | 328,000 rows/s | 4 statements");
    }

    #[test]
    fn values_of_parameters_are_not_rounded() {
        insta::assert_snapshot!([0.0, 0.5, 100.0, 5_041.0, 1_234.5].map(plain).join(" | "), @"0 | 0.5 | 100 | 5,041 | 1,234.5");
    }

    #[test]
    fn ratios() {
        insta::assert_snapshot!(all([0.0321, 0.875, 0.998, 1.0, 1.0421, 1.25, 31.24, 312.4, 4_321.0].map(Times)), @"0.0321× | 0.875× | 0.998× | 1.000× | 1.042× | 1.25× | 31.2× | 312× | 4,321×");
    }

    #[test]
    fn a_range_has_the_digits_of_its_estimate_and_owns_up_to_its_level() {
        let five_blocks = Comparison {
            ratio: 31.24,
            interval: Interval {
                low: 9.876,
                high: 104.2,
            },
            confidence: 0.9375,
            asked_confidence: 0.95,
            p_value: 0.0625,
            blocks: 5,
        };
        let range = |comparison, wanted| Range::new(comparison, wanted).to_string();
        assert_eq!(range(&five_blocks, 0.95), "9.9–104.2 at 93.8%");
        assert_eq!(range(&five_blocks, 0.8), "9.9–104.2");
        let four_blocks = Comparison {
            confidence: 0.875,
            p_value: 0.125,
            blocks: 4,
            ..five_blocks
        };
        assert_eq!(range(&four_blocks, 0.95), "too few blocks");
    }
}
