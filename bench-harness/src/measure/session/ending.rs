//! How a run ends.

use anyhow::{Result, ensure};

use crate::run_folder::RunFolder;

/// A run that can be reported, complete or not.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its folder.
    pub folder: RunFolder,
    /// Whether it holds samples to report.
    pub has_samples: bool,
    /// What ended the run early: the user, or an error.
    pub ended_by: Option<EndedBy>,
}

/// Why a run ended before its last sample.
#[derive(Debug)]
pub(crate) enum EndedBy {
    /// Ctrl-C or SIGTERM.
    Interrupt,
    /// The harness could not continue.
    Error(anyhow::Error),
}

/// This machine, its server or the build differs from those of the earlier samples.
#[derive(Debug)]
pub(crate) struct Incomparable(String);

impl Incomparable {
    /// Refuses samples when something `differing` prevents a comparison.
    ///
    /// # Errors
    /// This error, if anything differs.
    pub(crate) fn unless_none(differing: Vec<String>) -> Result<()> {
        ensure!(differing.is_empty(), Self(differing.join("; ")));
        Ok(())
    }
}

impl std::fmt::Display for Incomparable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(differing) = self;
        write!(f, "its figures would not compare: {differing}")
    }
}

impl std::error::Error for Incomparable {}

/// The user stopped the run before there was anything to report.
#[derive(Debug)]
pub(crate) struct NothingTaken;

impl std::fmt::Display for NothingTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted before the first sample")
    }
}

impl std::error::Error for NothingTaken {}
