//! `apitap-bench compare`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use super::{INCOMPARABLE, say};
use crate::judge::compare::compare_runs;
use crate::report::compare::render;
use crate::run_folder::RunFolder;
use crate::run_record::RunRecord;
use crate::samples::Samples;

/// Prints both runs side by side, or why they do not compare; returns the exit code.
pub(super) fn run(run_a: PathBuf, run_b: PathBuf, json: bool) -> Result<u8> {
    let (record_a, samples_a) = read(run_a)?;
    let (record_b, samples_b) = read(run_b)?;
    match compare_runs((&record_a, &samples_a), (&record_b, &samples_b)) {
        Ok(comparison) if json => print_json(&comparison)?,
        Ok(comparison) => say(render(&comparison).trim_end()),
        Err(refusal) => {
            if json {
                print_json(&refusal)?;
            }
            eprintln!("error: {refusal}");
            return Ok(INCOMPARABLE);
        }
    }
    Ok(0)
}

fn read(path: PathBuf) -> Result<(RunRecord, Samples)> {
    let folder = RunFolder::existing(path);
    Ok((folder.record()?, folder.samples()?))
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot serialise the comparison")?;
    say(text);
    Ok(())
}
