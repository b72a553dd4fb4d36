//! What profiling leaves behind: one line of `runs.ndjson` for each load, raw.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use apitap_core::RunReport;
use apitap_core::budget::Seen;
use apitap_core::timeline::Moment;
use flate2::read::GzDecoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::heap::HeapProfile;
use super::sampler::Sampled;
use super::statistics::ServerStatistics;
use crate::atomic_write;
use crate::samples::Timestamp;

/// Folder of profiles in that of a run; each scenario has one in it.
pub(crate) const PROFILES_FOLDER: &str = "profiles";

/// The page in that folder.
pub(crate) const PAGE_FILE: &str = "index.html";

/// What was profiled, in the folder of a scenario.
const SUBJECT_FILE: &str = "profile.json";

/// The loads, in the same folder.
const RUNS_FILE: &str = "runs.ndjson";

/// What is profiled: two arms of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The experiment.
    pub experiment: String,
    /// The scenario, by name.
    pub scenario: String,
    /// Baseline and candidate, by name.
    pub arms: [String; 2],
    /// Rows of each load of an arm.
    pub rows: [u64; 2],
    /// How stacks are sampled.
    pub sampler: SamplerKind,
    /// Processors that engine, API and server share.
    pub cores: usize,
    /// When profiling began.
    pub started_at: Timestamp,
    /// Rounds that were asked for.
    pub rounds: usize,
    /// Machine, build and server.
    pub fingerprint: serde_json::Value,
}

/// What samples stacks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum SamplerKind {
    /// The worker itself, by SIGPROF.
    #[default]
    Pprof,
    /// Linux's perf, around the worker.
    Perf,
}

/// One load of one arm, profiled in one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfiledLoad {
    /// Rounds count from 0; both arms are loaded in each.
    pub round: usize,
    /// 0 for the baseline, 1 for the candidate.
    pub arm: usize,
    /// When it began.
    pub started_at: Timestamp,
    /// Processor time of the worker, from its start to its exit.
    pub client_cpu_seconds: f64,
    /// Of the server; absent where it cannot be seen.
    pub server_cpu_seconds: Option<f64>,
    /// Share of the processors' time that the host gave to others.
    pub steal_share: f64,
    /// The engine's report.
    pub report: RunReport,
    /// What was seen.
    pub seen: Observed,
}

/// What one way of profiling saw.
///
/// Externally tagged, for the reason given at [`crate::samples::Outcome`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// Stacks.
    Sampled(Sampled),
    /// The server beside the engine, and the load over time.
    Watched(WatchedLoad),
    /// Allocations.
    Heap(HeapLoad),
}

/// The allocations of a load, and how many rows made them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeapLoad {
    /// Rows that were read.
    pub rows: u64,
    /// Where memory was allocated.
    pub profile: HeapProfile,
}

/// What watching a load without sampling it saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedLoad {
    /// Looks at the server.
    pub looks: Vec<Seen>,
    /// The load over time.
    pub timeline: Vec<Moment>,
    /// What the server counted meanwhile.
    pub server: ServerStatistics,
}

/// Everything that is known of one scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileRecord {
    /// What was profiled.
    pub subject: Subject,
    /// Its loads, in the order in which they ran.
    pub loads: Vec<ProfiledLoad>,
}

/// The name of a scenario's folder: its own, with `-` for everything but letters and digits.
#[must_use]
pub(crate) fn folder_name(scenario: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    scenario.chars().map(plain).collect()
}

impl Subject {
    /// Makes the folder of its scenario in that of a run, in place of one that is there, and
    /// returns its path.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self, run_folder: &Path) -> Result<PathBuf> {
        let parent = run_folder.join(PROFILES_FOLDER);
        let folder = parent.join(folder_name(&self.scenario));
        if folder.exists() {
            let removed = fs::remove_dir_all(&folder);
            removed.with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let text = serde_json::to_string_pretty(self).context("cannot serialise the profile")?;
        atomic_write::write(&folder.join(SUBJECT_FILE), &(text + "\n"))?;
        // A profile that ends before its first load is one without loads.
        atomic_write::write(&folder.join(RUNS_FILE), "")?;
        Ok(folder)
    }

    /// What was profiled in a run, without its loads, by the names of their folders.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn all(run_folder: &Path) -> Result<Vec<Self>> {
        let folders = profile_folders(run_folder)?;
        folders.iter().map(|folder| Self::read(folder)).collect()
    }

    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(SUBJECT_FILE);
        let text = fs::read_to_string(&path);
        text.context("cannot be read")
            .and_then(|text| Ok(serde_json::from_str(&text)?))
            .with_context(|| format!("the profile {}", path.display()))
    }
}

impl ProfiledLoad {
    /// Appends it to the loads of a scenario's folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&self, folder: &Path) -> Result<()> {
        let path = folder.join(RUNS_FILE);
        let mut line = serde_json::to_string(self).context("cannot serialise a load")?;
        line.push('\n');
        let file = File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl ProfileRecord {
    /// Every profile of a run, by the names of their folders; none where there is no profile.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn all(run_folder: &Path) -> Result<Vec<Self>> {
        let folders = profile_folders(run_folder)?;
        folders.iter().map(|folder| Self::read(folder)).collect()
    }

    /// The profile in the folder of a scenario.
    ///
    /// # Errors
    /// When a file cannot be read. A last line that was cut short is passed over.
    pub fn read(folder: &Path) -> Result<Self> {
        let subject = Subject::read(folder)?;
        let path = folder.join(RUNS_FILE);
        let mut lines = BufReader::new(opened(&path)?);
        let mut loads = Vec::new();
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            if line.ends_with('\n') {
                let load = serde_json::from_str(&line);
                loads.push(load.with_context(|| format!("a load in {}", path.display()))?);
            }
            line.clear();
        }
        Ok(Self { subject, loads })
    }
}

/// The folders of a run's profiles, in order; none where there is no profile.
fn profile_folders(run_folder: &Path) -> Result<Vec<PathBuf>> {
    let parent = run_folder.join(PROFILES_FOLDER);
    if !parent.is_dir() {
        return Ok(Vec::new());
    }
    let entries =
        fs::read_dir(&parent).with_context(|| format!("cannot read {}", parent.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.join(SUBJECT_FILE).exists() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// A file, or the one beside it compressed, as in published runs.
fn opened(path: &Path) -> Result<Box<dyn Read>> {
    let compressed = path.with_added_extension("gz");
    let open =
        |path: &Path| File::open(path).with_context(|| format!("cannot open {}", path.display()));
    Ok(if compressed.exists() {
        Box::new(GzDecoder::new(open(&compressed)?))
    } else {
        Box::new(open(path)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::example;

    #[test]
    fn a_profile_comes_back_from_its_folder_whole_or_compressed() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(ProfileRecord::all(run.path()).unwrap(), []);
        let record = example::record();
        let folder = record.subject.create(run.path()).unwrap();
        for load in &record.loads {
            load.append(&folder).unwrap();
        }
        let path = folder.join(RUNS_FILE);
        // A line that was cut short was never a load.
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"{\"round\": 9").unwrap();
        assert_eq!(
            ProfileRecord::all(run.path()).unwrap(),
            std::slice::from_ref(&record)
        );

        let packed = std::process::Command::new("gzip").arg(&path).status();
        assert!(packed.unwrap().success());
        assert_eq!(ProfileRecord::read(&folder).unwrap(), record);
        // A second profile of the scenario takes the place of the first.
        record.subject.create(run.path()).unwrap();
        assert_eq!(ProfileRecord::read(&folder).unwrap().loads, []);
    }

    #[test]
    fn a_folder_has_a_plain_name() {
        assert_eq!(folder_name("a-a at x=1, y=0.5"), "a-a-at-x-1--y-0-5");
    }
}
