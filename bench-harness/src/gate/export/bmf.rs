//! `bmf.json`: the head's figures in the Bencher Metric Format, by benchmark and measure.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

use super::{figures, text};
use crate::gate::{Check, GateResults};
use crate::metric::Metric;

/// Name of the file in the gate's folder.
pub(super) const FILE: &str = "bmf.json";

#[derive(Debug, Serialize)]
struct Figure {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

/// Renders the head's figures. Its bounds are the uncertainty of the change, laid about the head's
/// figure: wider than its own, as the base's is in it too.
///
/// # Errors
/// Never, as long as names are text.
pub(super) fn render(results: &GateResults) -> Result<String> {
    let benchmarks: BTreeMap<String, BTreeMap<String, Figure>> = results
        .scenarios
        .iter()
        .map(|scenario| {
            let measures = figures(scenario, |check| check.head)
                .map(|(check, value)| (slug(check.metric), figure(check, value)));
            (text::clean(&scenario.name), measures.collect())
        })
        .filter(|(_, measures): &(_, BTreeMap<_, _>)| !measures.is_empty())
        .collect();
    let mut text = serde_json::to_string_pretty(&benchmarks)
        .context("cannot serialise the figures for Bencher")?;
    text.push('\n');
    Ok(text)
}

/// The name of a measure as Bencher's slugs are written.
fn slug(metric: Metric) -> String {
    metric.name().replace('_', "-")
}

fn figure(check: &Check, value: f64) -> Figure {
    let bounds = check.change.filter(|change| change.estimate > -1.0);
    let bound = |end: f64, estimate: f64| value * (1.0 + end) / (1.0 + estimate);
    Figure {
        value,
        lower_value: bounds.map(|change| bound(change.low, change.estimate)),
        upper_value: bounds.map(|change| bound(change.high, change.estimate)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::gate::example;

    fn written() -> Value {
        serde_json::from_str(&render(&example::results()).unwrap()).unwrap()
    }

    #[test]
    fn figures_are_the_heads_by_benchmark_and_slug() {
        let written = written();
        let figure = &written["copy-binary"]["rows-per-second"];
        assert_eq!(figure["value"].as_f64(), Some(288_000.0));
        let bound = |name: &str| figure[name].as_f64().unwrap();
        assert!(bound("lower_value") < 288_000.0 && bound("upper_value") > 288_000.0);
        assert_eq!(
            written["copy-binary"]["statements"],
            serde_json::json!({"value": 12.0, "lower_value": 12.0, "upper_value": 12.0})
        );
    }

    #[test]
    fn what_was_not_measured_or_loaded_wrong_data_is_left_out() {
        let written = written();
        let names: Vec<&String> = written.as_object().unwrap().keys().collect();
        assert!(
            !names
                .iter()
                .any(|name| *name == "unnest" || *name == "replace")
        );
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn measures_are_slugs() {
        for metric in Metric::GATED {
            let slug = slug(metric);
            assert!(
                slug.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                "{slug}"
            );
        }
    }
}
