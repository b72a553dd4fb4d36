//! Counters taken several times, as a table and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::format::Whole;
use crate::metric::Metric;

/// A counter of one preset, taken several times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Counted {
    /// Preset of the engine.
    pub preset: String,
    /// What was counted.
    pub metric: Metric,
    /// Its values, in the order in which they were taken.
    pub values: Vec<f64>,
    /// By how much it may vary by [`Metric::tolerance`]; none where it is not reliable.
    pub tolerance: Option<f64>,
}

impl Counted {
    /// The smallest and the largest value; none where there is none.
    #[must_use]
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let least = self.values.iter().copied().reduce(f64::min)?;
        let most = self.values.iter().copied().reduce(f64::max)?;
        Some((least, most))
    }

    /// The difference of the largest and the smallest value, as a share of the smallest; 0 where
    /// nothing differs, none where there is no value.
    #[must_use]
    pub(crate) fn spread(&self) -> Option<f64> {
        let (least, most) = self.range()?;
        Some(match most > least {
            true => (most - least) / least,
            false => 0.0,
        })
    }

    /// Whether it varied by more than it may; none where it is not reliable.
    #[must_use]
    pub(crate) fn exceeds(&self) -> Option<bool> {
        Some(self.spread()? > self.tolerance?)
    }
}

/// Every counter on a line, with how much it varied and how much it may.
#[must_use]
pub(crate) fn table(counted: &[Counted]) -> String {
    let mut text = format!(
        "{:<8} {:<28} {:>12} {:>12} {:>10} {:>10}\n",
        "preset", "counter", "least", "most", "spread", "allowed"
    );
    for one in counted {
        let Some(((least, most), spread)) = one.range().zip(one.spread()) else {
            continue;
        };
        let may = one.tolerance.map_or("any".to_owned(), share);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<8} {:<28} {:>12} {:>12} {:>10} {may:>10}{}",
            one.preset,
            one.metric.name(),
            figure(least),
            figure(most),
            share(spread),
            if one.exceeds() == Some(true) {
                "  !"
            } else {
                ""
            }
        );
    }
    text
}

/// In full where it is whole, else to three decimals: the digits in which runs differ are the last.
fn figure(value: f64) -> String {
    match value.fract() == 0.0 {
        true => Whole(value as u64).to_string(),
        false => format!("{value:.3}"),
    }
}

/// In per cent, to four decimals: what these counters vary by is far below a hundredth.
fn share(share: f64) -> String {
    match share {
        0.0 => "0".to_owned(),
        share => format!("{:.4}%", share * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_more_than_it_may_is_marked() {
        let counted = |metric, values: &[f64], tolerance| Counted {
            preset: "tuned".into(),
            metric,
            values: values.to_vec(),
            tolerance,
        };
        let counted = [
            counted(Metric::Statements, &[4.0, 4.0], Some(0.0)),
            counted(Metric::RoundTrips, &[13.0, 14.0, 13.0], Some(0.0)),
            counted(Metric::BytesFromApi, &[100.0, 102.0], None),
            counted(Metric::AllocationsPerRow, &[2.0, 2.001], Some(0.001)),
            counted(Metric::AllocatedBytesPerRow, &[], None),
        ];
        insta::assert_snapshot!(table(&counted), @r"
        preset   counter                             least         most     spread    allowed
        tuned    statements                              4            4          0          0
        tuned    round_trips                            13           14    7.6923%          0  !
        tuned    bytes_from_api                        100          102    2.0000%        any
        tuned    allocations_per_row                     2        2.001    0.0500%    0.1000%
        ");
        assert_eq!(counted[1].exceeds(), Some(true));
        assert_eq!(counted[2].exceeds(), None);
        assert_eq!(counted[4].spread(), None);
    }
}
