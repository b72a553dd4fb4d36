//! What was to be measured, where and how: `run.json`, written before the first sample, and again
//! as each scenario begins, when its mock API has been measured.
//!
//! Together with `samples.ndjson` it holds all that a report is made of.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::measurement::Timestamp;

/// Name of the record in the folder of a run.
pub const RUN_FILE: &str = "run.json";

/// Version of the layout of `run.json`, `samples.ndjson` and `results.json`; raised when a field
/// changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// A run: its question, its order and its surroundings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// When the run began.
    pub started_at: Timestamp,
    /// Seed of the order of samples. The rows have the workload's own seed, so that runs compare.
    pub seed: u64,
    /// The command as it was typed, program first. Must hold no secret: the caller redacts
    /// passwords in URLs.
    pub command: Vec<String>,
    /// Cargo profile that the engine was built with: `release`, `profiling` or `dev`.
    pub build_profile: String,
    /// Confidence asked of every interval, such as 0.95.
    pub confidence_level: f64,
    /// What is compared, in the order of reports.
    pub scenarios: Vec<Scenario>,
    /// Machine, server and versions, as `environment::fingerprint` found them.
    pub fingerprint: serde_json::Value,
}

/// One workload loaded by several arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Name, unique in the run.
    pub name: String,
    /// Workload that is loaded.
    pub workload: String,
    /// Name of the arm that every ratio is against.
    pub baseline: String,
    /// Name of the arm that is the ceiling, such as `psql \copy`.
    pub reference: Option<String>,
    /// Blocks planned.
    pub blocks: usize,
    /// The arms, in the order in which schedules number them.
    pub arms: Vec<Arm>,
    /// What the mock API can do without a pipeline behind it; absent if it was not measured.
    pub mock_api_ceiling: Option<MockApiCeiling>,
    /// What every sample had to load to count.
    pub verification: Verification,
}

/// One configuration that is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Name, unique in the scenario.
    pub name: String,
    /// Write method, for arms that belong into the table of methods by batch sizes.
    pub method: Option<String>,
    /// Rows per batch, likewise.
    pub batch_rows: Option<u64>,
    /// Everything that was set, as the worker received it.
    pub settings: serde_json::Value,
}

/// How fast the mock API serves a workload to a client that throws it away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MockApiCeiling {
    /// Rows served per second.
    pub rows_per_second: f64,
    /// Body bytes served per second.
    pub bytes_per_second: f64,
}

/// What must stand in the table after each sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Number of rows.
    pub rows: u64,
    /// Order-independent checksum of all cells of all rows.
    pub checksum: String,
}

impl RunRecord {
    /// Writes the record to `path`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text =
            serde_json::to_string_pretty(self).context("cannot serialise the run record")?;
        text.push('\n');
        std::fs::write(path, text)
            .with_context(|| format!("cannot write the run record {}", path.display()))
    }

    /// Reads a record from `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is no run record, or has another schema version than
    /// [`SCHEMA_VERSION`].
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the run record {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the run record {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        /// The version alone: a record of another version need not have the other fields.
        #[derive(Deserialize)]
        struct Versioned {
            schema_version: u32,
        }
        let found = serde_json::from_str::<Versioned>(text)
            .context("no schema_version")?
            .schema_version;
        ensure!(
            found == SCHEMA_VERSION,
            "schema version {found} is not the {SCHEMA_VERSION} that this program reads: use the version that wrote it"
        );
        serde_json::from_str(text).context("not a run record")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RUN_FILE);
        let record = example::run_record();
        record.write(&path).unwrap();
        assert_eq!(RunRecord::read(&path).unwrap(), record);
    }

    #[test]
    fn another_schema_version_is_refused_before_anything_else_is_read() {
        let error = RunRecord::parse(r#"{"schema_version": 2, "arms": 7}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("schema version 2 is not the 1"),
            "{error}"
        );
        assert_eq!(
            RunRecord::parse("{}").unwrap_err().to_string(),
            "no schema_version"
        );
    }
}
