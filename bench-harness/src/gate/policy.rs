//! What a gate lets pass: a limit for each metric, and waivers.

mod waiver;

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

pub(crate) use waiver::{Waiver, Waivers};

use crate::metric::{Metric, Tier};
use crate::stats::Threshold;

/// A limit of 0, as a threshold: anything smaller is rounding.
const NOTHING: f64 = 1e-12;

/// A time passes once it is known not to be worse by this much more than its limit: with a limit of 2%, once
/// 5% are ruled out.
///
/// What is between the two is neither found for certain nor let pass for certain; the narrower that is, the
/// more blocks a verdict takes.
pub(crate) const BEYOND_LIMIT: f64 = 0.03;

/// By how much metrics may be worse.
///
/// Those of times are a multiple of their noise (see METHODOLOGY.md), so that two gates of the same program
/// agree.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Limits(BTreeMap<Metric, f64>);

impl Limits {
    /// The limits that a caller sets; all others have their defaults.
    #[must_use]
    pub(crate) fn new(stated: &[Limit]) -> Self {
        Self(
            stated
                .iter()
                .map(|limit| (limit.metric, limit.share))
                .collect(),
        )
    }

    /// By how much `metric` may be worse: a share of what the base has.
    #[must_use]
    pub(crate) fn share(&self, metric: Metric) -> f64 {
        self.0
            .get(&metric)
            .copied()
            .unwrap_or_else(|| metric.default_limit())
    }
}

/// The limit of `metric` as a factor of its cost: 5% fewer rows per second take 1/0.95 of the time.
#[must_use]
pub(crate) fn threshold(metric: Metric, share: f64) -> Threshold {
    let of_cost = if metric.more_is_better() {
        share / (1.0 - share)
    } else {
        share
    };
    let widest = || Threshold::new(1.0).unwrap_or(crate::stats::UNCALIBRATED);
    Threshold::new(of_cost.max(NOTHING)).unwrap_or_else(|_| widest())
}

/// A limit as it is typed: `rows_per_second=-5%`, `statements=0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    /// The metric.
    pub metric: Metric,
    /// The share of the base above which it is worse.
    pub share: f64,
}

impl FromStr for Limit {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, limit) = text
            .split_once('=')
            .context("expected METRIC=LIMIT, such as rows_per_second=-5%")?;
        let metric = Metric::gated(name)?;
        let number = limit.strip_suffix('%').unwrap_or(limit);
        let share = number
            .parse::<f64>()
            .ok()
            .filter(|share| share.is_finite())
            .with_context(|| format!("{limit:?} is not a percentage"))?
            / 100.0;
        ensure!(
            share == 0.0 || limit.ends_with('%'),
            "a limit is a percentage: write {number}%"
        );
        let sign_of_worse = if metric.more_is_better() { '-' } else { '+' };
        let opposite = if metric.more_is_better() { '+' } else { '-' };
        ensure!(
            !number.starts_with(opposite),
            "{name} is worse if it is {}: write {name}={sign_of_worse}{}%",
            if metric.more_is_better() {
                "less"
            } else {
                "more"
            },
            &number[1..]
        );
        let share = share.abs();
        let most = if metric.more_is_better() { 0.5 } else { 1.0 };
        ensure!(
            share <= most,
            "a limit of {name} is at most {}%",
            most * 100.0
        );
        if metric.tier() != Tier::Counter && share == 0.0 {
            bail!("times always vary: give {name} a limit above 0%");
        }
        Ok(Self { metric, share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_in_the_direction_of_worse() {
        let share = |text: &str| text.parse::<Limit>().map(|limit| limit.share);
        assert_eq!(share("rows_per_second=-5%").unwrap(), 0.05);
        assert_eq!(share("rows_per_second=5%").unwrap(), 0.05);
        assert_eq!(
            share("client_cpu_seconds_per_million_rows=+2.5%").unwrap(),
            0.025
        );
        assert_eq!(share("statements=0").unwrap(), 0.0);
    }

    #[test]
    fn a_wrong_limit_says_what_to_write() {
        let error = |text: &str| text.parse::<Limit>().unwrap_err().to_string();
        assert!(error("rows_per_second=+5%").contains("write rows_per_second=-5%"));
        assert!(error("statements=-5%").contains("write statements=+5%"));
        assert!(error("statements=5").contains("write 5%"));
        assert!(error("rows_per_second=0%").contains("above 0%"));
        assert!(error("rows=5%").contains("it has statements, round_trips"));
        assert!(error("statements").contains("METRIC=LIMIT"));
        assert!(error("statements=NaN%").contains("not a percentage"));
        assert!(error("rows_per_second=-80%").contains("at most 50%"));
    }

    #[test]
    fn fewer_rows_per_second_are_more_time() {
        let at = threshold(Metric::RowsPerSecond, 0.05);
        assert!((at.factor() - 1.0 / 0.95).abs() < 1e-12);
        let cpu = Metric::ClientCpuSecondsPerMillionRows;
        assert!((threshold(cpu, 0.03).factor() - 1.03).abs() < 1e-12);
        assert!(threshold(Metric::Statements, 0.0).factor() < 1.0 + 1e-9);
    }

    #[test]
    fn a_stated_limit_replaces_the_default() {
        let limits = Limits::new(&["rows_per_second=-2%".parse().unwrap()]);
        assert_eq!(limits.share(Metric::RowsPerSecond), 0.02);
        assert_eq!(limits.share(Metric::Statements), 0.0);
    }
}
