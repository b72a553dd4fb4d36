//! Where a scenario runs, and by which programs.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::load::{Program, Tampering};
use crate::experiment::{ArmPlan, SCRATCH};

/// The table that samples load.
pub(super) const TABLE: &str = "landed";

/// Where a scenario runs.
#[derive(Clone)]
pub(crate) struct Host {
    /// This program, which is also the worker and the mock API.
    pub(crate) program: PathBuf,
    /// Programs of other revisions, by the names of the arms that they run.
    pub(crate) revisions: BTreeMap<String, PathBuf>,
    /// The scenario's own database.
    pub(crate) database_url: String,
    /// The server's first process, if it is on this machine.
    pub(crate) postmaster: Option<u32>,
    /// Seed of the expected rows, if it differs from the workload's.
    pub(crate) expect_seed: Option<u64>,
    /// A cell to change after one sample.
    pub(crate) tampering: Option<Tampering>,
    /// Most rows of a page that the API gives, if it has such a limit.
    pub(crate) api_page_rows: Option<NonZero<u64>>,
}

/// The build that runs `arm`.
pub(super) fn program(arm: &ArmPlan, host: &Host) -> Result<Program> {
    let Some(revision) = &arm.revision else {
        return Ok(Program {
            path: host.program.clone(),
            environment: Vec::new(),
        });
    };
    let path = host.revisions.get(&arm.name);
    let path = path.with_context(|| format!("there is no build of {}", revision.commit))?;
    let variable = |set: &String| -> Result<(String, String)> {
        let (name, value) = set.split_once('=').context("expected NAME=value")?;
        Ok((name.to_owned(), value.to_owned()))
    };
    Ok(Program {
        path: path.clone(),
        environment: revision
            .environment
            .iter()
            .map(variable)
            .collect::<Result<_>>()?,
    })
}

/// `knobs` of arm number `arm`, with a folder of its own in `files` where they name one.
pub(super) fn settings(knobs: &[String], files: &Path, arm: usize) -> Result<Vec<String>> {
    let scratch = files.join(format!("scratch-{arm}"));
    std::fs::create_dir(&scratch).context("cannot make a scratch folder")?;
    let scratch = scratch.to_str().context("a path is not UTF-8")?;
    let knobs = knobs.iter();
    Ok(knobs.map(|knob| knob.replace(SCRATCH, scratch)).collect())
}
