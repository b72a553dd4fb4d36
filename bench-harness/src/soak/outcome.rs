//! What came of it: text, JSON, charts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::growth::Growth;
use super::readings::Reading;
use crate::atomic_write;
use crate::faults::matrix::Ran;
use crate::faults::report;
use crate::format::{Bytes, Count, Number};
use crate::report::document::{Chart, CourseLine, Plot, Table};
use crate::report::files::write_drawing;

/// The file of everything that was read.
const FILE: &str = "soak.json";

/// What came of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    seed: u64,
    /// How often each fault was met.
    faults: BTreeMap<&'static str, usize>,
    /// Cells that failed, in words.
    pub(super) failures: Vec<String>,
    /// None where there are too few readings to tell.
    pub(super) growth: Option<Vec<Growth>>,
    pub(super) readings: Vec<Reading>,
}

impl Outcome {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            faults: BTreeMap::new(),
            failures: Vec::new(),
            growth: None,
            readings: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, ran: &Ran) {
        *self.faults.entry(ran.cell.fault.name).or_default() += 1;
        if !ran.is_right() {
            self.failures.push(report::failure(ran));
        }
    }

    /// Loads that have ended: each cell is one with a fault and one without.
    pub(super) fn loads(&self) -> usize {
        2 * self.faults.values().sum::<usize>()
    }

    /// Whether every load did what it must, and nothing grows.
    pub(crate) fn is_right(&self) -> bool {
        let is_steady = |all: &Vec<Growth>| !all.iter().any(Growth::is_growing);
        self.failures.is_empty() && self.growth.as_ref().is_some_and(is_steady)
    }

    /// The figures, a line each.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{} with {} in turn, seed {}: {}\n",
            Count::new(self.loads(), "load"),
            Count::new(self.faults.len(), "fault"),
            self.seed,
            match self.failures.len() {
                0 => "all right".to_owned(),
                wrong => format!("{wrong} WRONG"),
            }
        );
        let Some(growth) = &self.growth else {
            text += "too short to tell whether anything grows: take more minutes";
            return text;
        };
        for one in growth {
            let shown = |value: f64| match one.quantity {
                "memory" => format!("{} MiB", Number(value / (1024.0 * 1024.0))),
                _ => Number(value).to_string(),
            };
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "{:11}  median {}; the second half adds {} ({} to {}), and may add {}: {}",
                one.quantity,
                shown(one.median),
                shown(one.added),
                shown(one.low),
                shown(one.high),
                shown(one.limit),
                if one.is_growing() { "GROWS" } else { "steady" }
            );
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Writes `soak.json`, `memory.svg` and `counts.svg` into a folder; returns their paths.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let json = serde_json::to_string_pretty(self).context("cannot write the readings")?;
        let path = folder.join(FILE);
        atomic_write::write(&path, &(json + "\n"))?;
        let mut paths = vec![path];
        for (name, chart) in self.charts() {
            let path = folder.join(name);
            write_drawing(&chart, &path, false)?;
            paths.push(path);
        }
        Ok(paths)
    }

    fn charts(&self) -> [(&'static str, Chart); 2] {
        let end = self.readings.last().map_or(1.0, |last| last.seconds);
        let line = |name: &str, value: fn(&Reading) -> u64| CourseLine {
            name: name.to_owned(),
            points: self
                .readings
                .iter()
                .map(|one| (one.seconds / end, value(one) as f64))
                .collect(),
        };
        let chart = |title: &str, lines: Vec<CourseLine>, top: fn(f64) -> String| {
            let values = lines.iter().flat_map(|line| &line.points);
            let most = values.map(|(_, value)| *value).fold(1.0, f64::max);
            Chart {
                id: "soak".to_owned(),
                title: title.to_owned(),
                plot: Plot::Course {
                    most,
                    top: top(most),
                    lines,
                },
                data: Table::new(title, &[]),
            }
        };
        [
            (
                "memory.svg",
                chart(
                    "Resident memory of the worker over the run",
                    vec![line("memory", |one| one.memory_bytes)],
                    |most| Bytes(most).to_string(),
                ),
            ),
            (
                "counts.svg",
                chart(
                    "Descriptors of the worker and sessions of the server over the run",
                    vec![
                        line("descriptors", |one| one.descriptors),
                        line("sessions", |one| one.sessions),
                    ],
                    |most| Number(most).to_string(),
                ),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(growth: Option<Vec<Growth>>) -> Outcome {
        let mut outcome = Outcome::new(7);
        outcome.faults.insert("api-500", 4);
        outcome.growth = growth;
        for nth in 0..5_u32 {
            outcome.readings.push(Reading {
                seconds: f64::from(nth),
                loads: 2,
                memory_bytes: 50 << 20,
                descriptors: 12,
                threads: 4,
                sessions: 0,
            });
        }
        outcome
    }

    fn memory(low: f64) -> Growth {
        Growth {
            quantity: "memory",
            median: 50.0 * 1024.0 * 1024.0,
            added: low,
            low,
            high: low,
            limit: 1024.0 * 1024.0,
        }
    }

    #[test]
    fn growth_failures_and_too_few_readings_are_not_right() {
        assert!(outcome(Some(vec![memory(0.0)])).is_right());
        let grown = outcome(Some(vec![memory(2.0 * 1024.0 * 1024.0)]));
        assert!(
            !grown.is_right() && grown.text().contains("GROWS"),
            "{}",
            grown.text()
        );
        let short = outcome(None);
        assert!(!short.is_right() && short.text().contains("take more minutes"));
        let mut failed = outcome(Some(vec![memory(0.0)]));
        failed.failures.push("x".into());
        assert!(!failed.is_right() && failed.text().contains("1 WRONG"));
    }

    #[test]
    fn files_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let paths = outcome(None).write(&folder.path().join("new")).unwrap();
        assert_eq!(paths.len(), 3);
        let text = std::fs::read_to_string(&paths[0]).unwrap();
        assert!(text.contains("\"seed\": 7"), "{text}");
        for chart in &paths[1..] {
            assert!(
                std::fs::read_to_string(chart)
                    .unwrap()
                    .starts_with("<svg xmlns=")
            );
        }
    }
}
