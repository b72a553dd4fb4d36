//! Regressions that are accepted for a time.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::gate::results::Check;
use crate::metric::Metric;

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
    /// The metric that may be worse; any if absent.
    pub metric: Option<Metric>,
    /// By how much at most, as `8%`; by anything if absent.
    #[serde(default, deserialize_with = "per_cent")]
    pub up_to: Option<f64>,
    /// The commit that makes it worse. The waiver is valid while it is between base and head.
    pub commit: String,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is valid, in UTC, as `2026-12-31`.
    #[serde(deserialize_with = "day")]
    pub expires: NaiveDate,
}

fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| D::Error::custom(format!("{text:?} is not a day such as \"2026-12-31\"")))
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
            "{text:?} is not a share such as \"8%\""
        ))),
    }
}

impl Waivers {
    /// Reads a file of waivers.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML of this form, or a waiver has no reason.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> { Self::parse(&std::fs::read_to_string(path)?) };
        read().with_context(|| format!("in the waivers {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let waivers: Self = toml::from_str(text)?;
        for waiver in &waivers.all {
            ensure!(
                !waiver.reason.trim().is_empty(),
                "the waiver of {:?} has no reason",
                waiver.scenario
            );
            if let Some(metric) = waiver.metric {
                Metric::gated(metric.name())?;
            }
        }
        Ok(waivers)
    }

    /// Those that are no longer valid.
    pub(crate) fn expired(&self, today: NaiveDate) -> impl Iterator<Item = &Waiver> {
        self.all.iter().filter(move |one| one.has_expired(today))
    }
}

impl fmt::Display for Waiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scenario)?;
        if let Some(metric) = self.metric {
            write!(f, ", {}", metric.name())?;
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

    /// Whether it lets a `check` of `scenario` pass. The caller has checked that its commit is part of
    /// the change.
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

    fn fewer_rows() -> Check {
        example::timed(Metric::RowsPerSecond, 100.0, 90.0, Verdict::Regressed)
    }

    fn more_statements() -> Check {
        example::counted(Metric::Statements, 3.0, 4.0, Verdict::Regressed)
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
        assert_eq!(error, "the waiver of \"tuned\" has no reason");
        let mistyped = WAIVERS.replace("expires", "expiry");
        Waivers::parse(&mistyped).unwrap_err();
    }
}
