//! What a gate lets pass: limits by quantity, and waivers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use chrono::NaiveDate;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::results::Check;
use crate::metric::{GateMetric, Tier};
use crate::stats::Threshold;

/// A limit of nothing, as a threshold: less than one part in a million millions is rounding.
const NOTHING: f64 = 1e-12;

/// By how much quantities may be worse.
///
/// Those of times are a multiple of their noise at the gate's number of blocks (METHODOLOGY.md has
/// it), so that two gates of the same program agree.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Limits(BTreeMap<GateMetric, f64>);

impl Limits {
    /// Those that a caller states, over the defaults.
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
    pub(crate) fn share(&self, metric: GateMetric) -> f64 {
        self.0
            .get(&metric)
            .copied()
            .unwrap_or_else(|| default_limit(metric))
    }
}

/// Allocations and instructions move a little with any update of compiler or dependencies: 1% lets
/// that pass. What is counted on the wire does not move by itself.
fn default_limit(metric: GateMetric) -> f64 {
    match metric {
        GateMetric::Statements
        | GateMetric::RoundTrips
        | GateMetric::BytesToServer
        | GateMetric::BytesFromApi => 0.0,
        GateMetric::AllocationsPerRow
        | GateMetric::AllocatedBytesPerRow
        | GateMetric::DecodeInstructionsPerRow
        | GateMetric::EncodeInstructionsPerRow => 0.01,
        GateMetric::ClientCpuSecondsPerMillionRows => 0.02,
        GateMetric::ServerCpuSecondsPerMillionRows => 0.10,
        GateMetric::RowsPerSecond => 0.05,
    }
}

/// The factor of costs that lies at the limit of `metric`: a twentieth fewer rows per second are
/// 1/0.95 of the time.
#[must_use]
pub(crate) fn threshold(metric: GateMetric, share: f64) -> Threshold {
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
    /// Of which quantity.
    pub metric: GateMetric,
    /// Above which share of the base it is worse.
    pub share: f64,
}

impl FromStr for Limit {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, limit) = text
            .split_once('=')
            .context("expected METRIC=LIMIT, such as rows_per_second=-5%")?;
        let metric: GateMetric = name.parse()?;
        let number = limit.strip_suffix('%').unwrap_or(limit);
        let share = number
            .parse::<f64>()
            .ok()
            .filter(|share| share.is_finite())
            .with_context(|| format!("{limit:?} is no number of per cent"))?
            / 100.0;
        ensure!(
            share == 0.0 || limit.ends_with('%'),
            "write {number}% for {number} per cent"
        );
        let sign_of_worse = if metric.more_is_better() { '-' } else { '+' };
        let opposite = if metric.more_is_better() { '+' } else { '-' };
        ensure!(
            !number.starts_with(opposite),
            "{metric} is worse if it is {}: write {name}={sign_of_worse}{}%",
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
            "a limit of {metric} is at most {}%",
            most * 100.0
        );
        if metric.tier() != Tier::Counter && share == 0.0 {
            bail!("times are never the same twice: give {metric} a limit above 0%");
        }
        Ok(Self { metric, share })
    }
}

/// Regressions that are accepted, for a time. A file of the repository, reviewed like code.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waivers {
    /// Each.
    #[serde(default, rename = "waiver")]
    pub all: Vec<Waiver>,
}

/// A regression that is accepted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waiver {
    /// The scenario that may be worse.
    pub scenario: String,
    /// The quantity that may; any if absent.
    pub metric: Option<GateMetric>,
    /// By how much it may be worse at most, as `8%`; by anything if absent.
    #[serde(default, deserialize_with = "per_cent")]
    pub up_to: Option<f64>,
    /// The commit that makes it worse. The waiver counts while that lies between base and head.
    pub commit: String,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it counts, in UTC, as `2026-12-31`.
    #[serde(deserialize_with = "day")]
    pub expires: NaiveDate,
}

fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| D::Error::custom(format!("{text:?} is no day such as \"2026-12-31\"")))
}

fn per_cent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.parse().ok());
    let share = number.filter(|share: &f64| share.is_finite() && *share > 0.0);
    match share {
        Some(share) => Ok(Some(share / 100.0)),
        None => Err(D::Error::custom(format!(
            "{text:?} is no share such as \"8%\""
        ))),
    }
}

impl Waivers {
    /// Reads a file of waivers.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML of this form, or a waiver says no reason.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> { Self::parse(&std::fs::read_to_string(path)?) };
        read().with_context(|| format!("in the waivers {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let waivers: Self = toml::from_str(text)?;
        for waiver in &waivers.all {
            ensure!(
                !waiver.reason.trim().is_empty(),
                "the waiver of {:?} says no reason",
                waiver.scenario
            );
        }
        Ok(waivers)
    }

    /// Those that count no more.
    pub(crate) fn expired(&self, today: NaiveDate) -> impl Iterator<Item = &Waiver> {
        self.all.iter().filter(move |one| one.has_expired(today))
    }
}

impl fmt::Display for Waiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scenario)?;
        if let Some(metric) = self.metric {
            write!(f, ", {metric}")?;
        }
        write!(f, ": {} (until {})", self.reason, self.expires)
    }
}

impl Waiver {
    /// Whether its last day is over.
    #[must_use]
    pub(crate) fn has_expired(&self, today: NaiveDate) -> bool {
        self.expires < today
    }

    /// Whether it lets a `check` of `scenario` pass. Whether its commit is of the change, the caller has
    /// seen to.
    #[must_use]
    pub(crate) fn covers(&self, scenario: &str, check: &Check, today: NaiveDate) -> bool {
        let is_within = |up_to: f64| {
            let worse = check
                .change
                .map(|change| match check.metric.more_is_better() {
                    true => -change.estimate,
                    false => change.estimate,
                });
            worse.is_some_and(|worse| worse <= up_to)
        };
        self.scenario == scenario
            && self.metric.is_none_or(|only| only == check.metric)
            && self.up_to.is_none_or(is_within)
            && !self.has_expired(today)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::example;
    use crate::stats::Verdict;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

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
        assert!(error("rows=5%").contains("there are statements, round_trips"));
        assert!(error("statements").contains("METRIC=LIMIT"));
        assert!(error("statements=NaN%").contains("no number"));
        assert!(error("rows_per_second=-80%").contains("at most 50%"));
    }

    #[test]
    fn fewer_rows_per_second_are_more_time() {
        let at = threshold(GateMetric::RowsPerSecond, 0.05);
        assert!((at.factor() - 1.0 / 0.95).abs() < 1e-12);
        let cpu = GateMetric::ClientCpuSecondsPerMillionRows;
        assert!((threshold(cpu, 0.03).factor() - 1.03).abs() < 1e-12);
        assert!(threshold(GateMetric::Statements, 0.0).factor() < 1.0 + 1e-9);
    }

    #[test]
    fn a_stated_limit_stands_before_the_default() {
        let limits = Limits::new(&["rows_per_second=-2%".parse().unwrap()]);
        assert_eq!(limits.share(GateMetric::RowsPerSecond), 0.02);
        assert_eq!(limits.share(GateMetric::Statements), 0.0);
    }

    fn fewer_rows() -> Check {
        example::timed(GateMetric::RowsPerSecond, 100.0, 90.0, Verdict::Regressed)
    }

    fn more_statements() -> Check {
        example::counted(GateMetric::Statements, 3.0, 4.0, Verdict::Regressed)
    }

    const WAIVERS: &str = r#"
        [[waiver]]
        scenario = "tuned"
        metric = "rows_per_second"
        commit = "0123abcd"
        reason = "checks every cell now"
        expires = "2026-06-30"
    "#;

    #[test]
    fn a_waiver_covers_its_scenario_and_metric_to_its_last_day() {
        let waivers = Waivers::parse(WAIVERS).unwrap();
        let waiver = &waivers.all[0];
        let (last, after) = (day("2026-06-30"), day("2026-07-01"));
        let (rows, statements) = (fewer_rows(), more_statements());
        assert!(waiver.covers("tuned", &rows, last));
        assert!(!waiver.covers("tuned", &rows, after));
        assert!(!waiver.covers("tuned", &statements, last));
        assert!(!waiver.covers("before", &rows, last));
        // A tenth fewer is more than it lets pass, or less.
        for (up_to, covered) in [(0.08, false), (0.12, true)] {
            let waiver = Waiver {
                up_to: Some(up_to),
                ..waiver.clone()
            };
            assert_eq!(waiver.covers("tuned", &rows, last), covered);
        }
        assert_eq!(waivers.expired(last).count(), 0);
        assert_eq!(waivers.expired(after).count(), 1);
    }

    #[test]
    fn a_waiver_without_a_metric_covers_all_and_one_without_a_reason_is_refused() {
        let any = WAIVERS.replace("metric = \"rows_per_second\"", "");
        let any = Waivers::parse(&any).unwrap();
        assert!(any.all[0].covers("tuned", &more_statements(), day("2026-01-01")));
        let bounded = WAIVERS.replace("commit =", "up_to = \"8%\"\ncommit =");
        assert_eq!(Waivers::parse(&bounded).unwrap().all[0].up_to, Some(0.08));
        Waivers::parse(&bounded.replace("8%", "8")).unwrap_err();
        let silent = WAIVERS.replace("checks every cell now", " ");
        let error = Waivers::parse(&silent).unwrap_err().to_string();
        assert_eq!(error, "the waiver of \"tuned\" says no reason");
        let mistyped = WAIVERS.replace("expires", "expiry");
        Waivers::parse(&mistyped).unwrap_err();
    }
}
