//! What was to be measured, where and how: `run.json`, written before the first sample, and again
//! as each scenario begins, when its surroundings have been measured.
//!
//! Together with `samples.ndjson` it holds all that a report is made of, and all that an
//! interrupted run needs to go on.

use std::num::NonZero;
use std::path::Path;

use anyhow::{Context, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::{Definition, Scale, ScenarioPlan};
use crate::metric::Metric;
use crate::samples::Timestamp;
use crate::stats::{self, Threshold};
use crate::{atomic_write, schema_version};

/// Name of the record in the folder of a run.
pub const RUN_FILE: &str = "run.json";

/// Version of the layout of `run.json`, `samples.ndjson` and `results.json`; raised when a field
/// changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 2;

/// A run: its questions, its order and its surroundings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
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
    /// How much time the run was given.
    pub scale: Scale,
    /// Confidence asked of every family of intervals, such as 0.95.
    pub confidence_level: f64,
    /// Blocks after which the server is started anew: a session. Absent where the whole run is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_per_session: Option<NonZero<usize>>,
    /// How often the claims are judged while blocks are added; `confidence_level` is that of each time. Absent where
    /// they are judged once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<NonZero<usize>>,
    /// Whether flagged comparisons are measured once more, on a new server where that is possible.
    pub confirms: bool,
    /// When the noise of this machine was measured; absent where no calibration fits.
    pub calibrated_at: Option<Timestamp>,
    /// What is claimed, in the order of reports.
    pub experiments: Vec<Definition>,
    /// What is compared, in the order in which it runs.
    pub scenarios: Vec<Scenario>,
    /// Machine, server and versions, as `environment::fingerprint` found them.
    pub fingerprint: serde_json::Value,
}

/// A scenario, and what was found out about it before its first sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What is run.
    pub plan: ScenarioPlan,
    /// What each arm must load to count, in the order of the arms.
    pub verification: Vec<Verification>,
    /// Practical thresholds that were learned on this machine; the others are uncalibrated.
    pub thresholds: Vec<LearnedThreshold>,
    /// Why nothing could be measured; absent if it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unprepared: Option<String>,
    /// What the mock API can do without a pipeline behind it; absent if it was not measured.
    pub mock_api_ceiling: Option<MockApiCeiling>,
    /// To PostgreSQL through the relay; absent without one.
    pub postgres_round_trip: Option<RoundTrip>,
    /// To the API through the relay; absent without one.
    pub api_round_trip: Option<RoundTrip>,
}

impl Scenario {
    /// A scenario that was not prepared yet.
    #[must_use]
    pub fn planned(plan: ScenarioPlan) -> Self {
        Self {
            plan,
            verification: Vec::new(),
            thresholds: Vec::new(),
            unprepared: None,
            mock_api_ceiling: None,
            postgres_round_trip: None,
            api_round_trip: None,
        }
    }

    /// The same under `plan`, not prepared yet.
    #[must_use]
    pub fn repeated(&self, plan: ScenarioPlan) -> Self {
        Self {
            thresholds: self.thresholds.clone(),
            ..Self::planned(plan)
        }
    }

    /// Below what difference of `metric` nobody needs to care.
    #[must_use]
    pub fn threshold(&self, metric: Metric) -> Threshold {
        let mut thresholds = self.thresholds.iter();
        let learned = thresholds.find(|learned| learned.metric == metric);
        stats::threshold(learned.map(|learned| learned.threshold), None)
    }
}

/// A practical threshold from the noise of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnedThreshold {
    /// The metric.
    pub metric: Metric,
    /// The threshold.
    pub threshold: Threshold,
}

/// A round trip to a server, as measured: the median of some small requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoundTrip {
    /// Without the relay, milliseconds.
    pub direct_ms: f64,
    /// Through the relay, milliseconds.
    pub relayed_ms: f64,
}

/// How fast the mock API serves a workload to a client that throws it away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MockApiCeiling {
    /// Rows served per second.
    pub rows_per_second: f64,
    /// Body bytes served per second.
    pub bytes_per_second: f64,
}

/// What must be in the table after each sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// Number of rows.
    pub rows: u64,
    /// Order-independent checksum of all cells of all rows.
    pub checksum: String,
}

impl RunRecord {
    /// Blocks of a session; more than there are where the whole run is one.
    pub(crate) fn session_blocks(&self) -> usize {
        self.blocks_per_session.map_or(usize::MAX, NonZero::get)
    }

    /// Writes the record to `path`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text =
            serde_json::to_string_pretty(self).context("cannot serialise the run record")?;
        text.push('\n');
        atomic_write::write(path, &text)
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
        let found = schema_version::read(text)?;
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
        let error = RunRecord::parse(r#"{"schema_version": 1, "arms": 7}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("schema version 1 is not the 2"),
            "{error}"
        );
        assert_eq!(
            RunRecord::parse("{}").unwrap_err().to_string(),
            "no schema_version"
        );
    }
}
