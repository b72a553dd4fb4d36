//! Counters that no sample carries: those that need a run of their own.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::metric::GateMetric;
use crate::whole_file;

/// Name of their file in the folder of a gate.
pub const COUNTS_FILE: &str = "counts.json";

/// A counter of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Scenario by name.
    pub scenario: String,
    /// Arm by name.
    pub arm: String,
    /// The quantity.
    pub metric: GateMetric,
    /// Its value, in the metric's unit.
    pub value: f64,
    /// Whether it is the same in every run of one program.
    pub is_hard: bool,
}

/// Reads the counts in the folder of a gate; none where there is no file.
///
/// # Errors
/// When the file is not one of counts.
pub fn read(folder: &Path) -> Result<Vec<Count>> {
    let path = folder.join(COUNTS_FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let read = || -> Result<Vec<Count>> { Ok(serde_json::from_slice(&std::fs::read(&path)?)?) };
    read().with_context(|| format!("in the counts {}", path.display()))
}

/// Writes `counts` into the folder of a gate.
///
/// # Errors
/// When the file cannot be written.
pub fn write(folder: &Path, counts: &[Count]) -> Result<()> {
    let mut text = serde_json::to_string_pretty(counts).context("cannot serialise counts")?;
    text.push('\n');
    whole_file::write(&folder.join(COUNTS_FILE), &text)
}
