//! `github-action-benchmark-*.json`: the head's figures as github-action-benchmark reads them with
//! its tools `customSmallerIsBetter` and `customBiggerIsBetter`. A file of it has one direction.

use anyhow::{Context, Result};
use serde::Serialize;

use super::{figures, text};
use crate::format::Percent;
use crate::gate::{Check, GateResults, GatedScenario};

/// Name of the file of what should be less.
pub(super) const SMALLER_FILE: &str = "github-action-benchmark-smaller.json";

/// Name of the file of what should be more.
pub(super) const BIGGER_FILE: &str = "github-action-benchmark-bigger.json";

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    SmallerIsBetter,
    BiggerIsBetter,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

/// Renders the figures of one direction.
///
/// # Errors
/// Never, as long as names are text.
pub(super) fn render(results: &GateResults, direction: Direction) -> Result<String> {
    let is_wanted =
        |check: &Check| check.metric.more_is_better() == (direction == Direction::BiggerIsBetter);
    let entries: Vec<Entry> = results
        .scenarios
        .iter()
        .flat_map(|scenario| {
            figures(scenario, move |check| {
                check.head.filter(|_| is_wanted(check))
            })
            .map(move |(check, value)| entry(scenario, check, value))
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&entries)
        .context("cannot serialise the figures for github-action-benchmark")?;
    text.push('\n');
    Ok(text)
}

fn entry(scenario: &GatedScenario, check: &Check, value: f64) -> Entry {
    Entry {
        name: format!("{}: {}", text::clean(&scenario.name), check.metric),
        unit: check.metric.unit(),
        value,
        range: range(check),
        extra: format!(
            "{} rows of {}\n{}, {}",
            scenario.rows,
            text::clean(&scenario.workload),
            text::sentence(check),
            text::finding(check)
        ),
    }
}

/// How far the figure can be believed: the wider half of the change's interval.
fn range(check: &Check) -> Option<String> {
    let change = check.change.filter(|change| change.estimate > -1.0)?;
    let half = (change.high - change.estimate).max(change.estimate - change.low);
    (half > 0.0).then(|| format!("± {}", Percent(half / (1.0 + change.estimate))))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::gate::example;

    fn entries(direction: Direction) -> Vec<Value> {
        let text = render(&example::results(), direction).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn each_direction_has_its_own_figures_and_none_is_in_both() {
        let smaller = entries(Direction::SmallerIsBetter);
        let bigger = entries(Direction::BiggerIsBetter);
        let unit = |entry: &Value| entry["unit"].as_str().unwrap().to_owned();
        assert!(bigger.iter().all(|entry| unit(entry) == "rows/s"));
        assert!(smaller.iter().all(|entry| unit(entry) != "rows/s"));
        let measured: usize = example::results()
            .scenarios
            .iter()
            .map(|scenario| figures(scenario, |check| check.head).count())
            .sum();
        assert_eq!(smaller.len() + bigger.len(), measured);
    }

    #[test]
    fn an_entry_has_the_fields_that_the_action_reads() {
        let bigger = entries(Direction::BiggerIsBetter);
        let entry = bigger
            .iter()
            .find(|entry| entry["name"] == "copy-binary: rows_per_second")
            .unwrap();
        assert_eq!(entry["value"].as_f64(), Some(288_000.0));
        assert_eq!(entry["range"], "± 2.3%");
        let extra = entry["extra"].as_str().unwrap();
        assert!(extra.contains("328,000 → 288,000"), "{extra}");
        assert!(extra.contains("regressed"), "{extra}");
    }

    #[test]
    fn counters_have_no_range() {
        let smaller = entries(Direction::SmallerIsBetter);
        let counted = smaller.iter().filter(|one| one["unit"] == "statements");
        assert!(counted.clone().count() > 0);
        assert!(
            counted
                .into_iter()
                .all(|entry| entry.get("range").is_none())
        );
    }
}
