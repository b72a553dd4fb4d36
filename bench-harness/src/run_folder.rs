//! The folder of a run and the raw data in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::run_record::{RUN_FILE, RunRecord};
use crate::samples::{Journal, SAMPLES_FILE, Samples};

/// Characters of a commit that its folder is named after, as `git log --oneline` has them.
const SHORT_COMMIT_CHARS: usize = 8;

/// `reports/runs/<utc>-<commit>/` with `run.json`, `samples.ndjson`, `results.json`, `report.md` and
/// `report.html`.
#[derive(Debug, Clone)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes a new folder in `parent`, named after the time and the commit that was built.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(parent: &Path, time: DateTime<Utc>, commit: &str) -> Result<Self> {
        let commit: String = commit.chars().take(SHORT_COMMIT_CHARS).collect();
        let name = format!("{}-{commit}", time.format("%Y%m%dT%H%M%SZ"));
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        // Two runs may begin in the same second.
        let mut path = parent.join(&name);
        for nth in 2.. {
            match fs::create_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    path = parent.join(format!("{name}-{nth}"));
                }
                made => {
                    made.with_context(|| format!("cannot make {}", path.display()))?;
                    break;
                }
            }
        }
        Ok(Self(path))
    }

    /// The folder of a run that was made before.
    #[must_use]
    pub fn existing(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether samples were to be taken for it: there are none where a run only profiles.
    #[must_use]
    pub fn has_samples(&self) -> bool {
        let journal = self.0.join(SAMPLES_FILE);
        journal.metadata().is_ok_and(|file| file.len() > 0)
            || journal.with_added_extension("gz").exists()
    }

    /// Writes `run.json`, over one that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_record(&self, record: &RunRecord) -> Result<()> {
        record.write(&self.0.join(RUN_FILE))
    }

    /// Opens `samples.ndjson` to append to.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn journal(&self) -> Result<Journal> {
        Journal::open(&self.0.join(SAMPLES_FILE))
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn record(&self) -> Result<RunRecord> {
        RunRecord::read(&self.0.join(RUN_FILE))
    }

    /// Reads `samples.ndjson`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn samples(&self) -> Result<Samples> {
        Samples::read(&self.0.join(SAMPLES_FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_same_second_have_folders_of_their_own() {
        let parent = tempfile::tempdir().unwrap();
        let time = DateTime::from_timestamp(0, 0).unwrap();
        let create = || RunFolder::create(parent.path(), time, "unknown").unwrap();
        let (first, second) = (create(), create());
        assert_ne!(first.path(), second.path());
        assert!(second.path().ends_with("19700101T000000Z-unknown-2"));
    }
}
