//! What a change promises: an improvement of a metric.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};

use crate::metric::Metric;
use crate::stats::Expected;

/// A promise as it is typed: `rows_per_second>=1.10`, or `statements<=0.5` where less is better. A range,
/// `rows_per_second>=1.10..1.30`, also says how much it is at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Claim {
    /// The metric.
    pub metric: Metric,
    /// Head ÷ base of it, at least this good.
    ratio: f64,
    /// And at most this good.
    best: Option<f64>,
}

impl Claim {
    /// The promise as a gain: the cost of the base ÷ that of the head.
    #[must_use]
    pub(crate) fn expected(&self) -> Expected {
        Expected::Factor {
            low: self.gain(self.ratio),
            high: self.best.map(|best| self.gain(best)),
        }
    }

    fn gain(&self, ratio: f64) -> f64 {
        if self.metric.more_is_better() {
            ratio
        } else {
            1.0 / ratio
        }
    }
}

/// The sign of better, and a promise for an example.
fn direction(metric: Metric) -> (&'static str, &'static str) {
    if metric.more_is_better() {
        (">=", "1.10")
    } else {
        ("<=", "0.90")
    }
}

impl FromStr for Claim {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let at = text.find(['<', '>', '=']).with_context(|| {
            format!("expected METRIC>=RATIO, such as rows_per_second>=1.10, and not {text:?}")
        })?;
        let (name, rest) = text.split_at(at);
        let metric = Metric::gated(name)?;
        let (sign, example) = direction(metric);
        let write = || format!("write {name}{sign}{example} for an improvement by 10%");
        let ratios = rest.strip_prefix(sign).with_context(|| {
            let better = if metric.more_is_better() {
                "more"
            } else {
                "less"
            };
            format!("{name} is better if it is {better}: {}", write())
        })?;
        let number = |text: &str| {
            let number = text.parse::<f64>().ok();
            let number = number.filter(|ratio| ratio.is_finite() && *ratio > 0.0);
            number.with_context(|| format!("{text:?} is not a ratio of head to base: {}", write()))
        };
        let (ratio, best) = match ratios.split_once("..") {
            Some((ratio, best)) => (number(ratio)?, Some(number(best)?)),
            None => (number(ratios)?, None),
        };
        let claim = Self {
            metric,
            ratio,
            best,
        };
        ensure!(
            claim.gain(ratio) > 1.0,
            "a claim is an improvement, and {ratio} is none: {}",
            write()
        );
        ensure!(
            best.is_none_or(|best| claim.gain(best) >= claim.gain(ratio)),
            "a range begins with its smaller improvement: {}",
            write()
        );
        Ok(claim)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, _) = direction(self.metric);
        write!(f, "{}{sign}{}", self.metric.name(), self.ratio)?;
        match self.best {
            Some(best) => write!(f, "..{best}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_written_in_the_direction_of_better() {
        for text in [
            "rows_per_second>=1.1",
            "rows_per_second>=1.1..1.3",
            "client_cpu_seconds_per_million_rows<=0.9",
            "statements<=0.5..0.25",
        ] {
            assert_eq!(text.parse::<Claim>().unwrap().to_string(), text);
        }
        let expected = |text: &str| text.parse::<Claim>().unwrap().expected();
        let factor = |low, high| Expected::Factor { low, high };
        assert_eq!(expected("rows_per_second>=1.10"), factor(1.1, None));
        assert_eq!(expected("statements<=0.5..0.25"), factor(2.0, Some(4.0)));
    }

    #[test]
    fn a_wrong_claim_says_what_to_write() {
        let error = |text: &str| text.parse::<Claim>().unwrap_err().to_string();
        let rows = "write rows_per_second>=1.10 for an improvement by 10%";
        for (text, expected) in [
            ("rows_per_second", "expected METRIC>=RATIO"),
            ("rows>=1.1", "it has statements, round_trips"),
            ("rows_per_second<=1.1", rows),
            ("rows_per_second=1.1", rows),
            ("rows_per_second>1.1", rows),
            ("rows_per_second>=10%", rows),
            ("rows_per_second>=0.9", "0.9 is none"),
            ("rows_per_second>=-1", "not a ratio"),
            ("rows_per_second>=1.3..1.1", "begins with its smaller"),
            ("statements>=1.1", "write statements<=0.90"),
            ("statements<=1.1", "1.1 is none"),
        ] {
            assert!(error(text).contains(expected), "{text}: {}", error(text));
        }
    }
}
