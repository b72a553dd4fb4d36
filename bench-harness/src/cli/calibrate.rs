//! `apitap-bench calibrate`.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::run::{Selection, ended};
use super::server::ServerArgs;
use crate::calibration::{self, Calibration};
use crate::experiment::{IDENTICAL, ScenarioPlan};
use crate::report::units::{Count, Percent};
use crate::runner::output::RunFolder;
use crate::runner::session;

/// What to measure, and where the noise is kept.
#[derive(Debug, clap::Args)]
pub(super) struct CalibrateArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    server: ServerArgs,
    /// Where the noise of this machine is kept; `run` looks there
    #[arg(long, value_name = "FILE", default_value = calibration::FILE)]
    calibration: PathBuf,
}

/// Runs the baseline of every scenario against itself, and keeps how much it differs.
pub(super) async fn run(arguments: CalibrateArgs) -> Result<u8> {
    let selection = &arguments.selection;
    let experiments = selection.experiments()?;
    // A grid has too many cells to measure each of them twice over.
    let plans: Vec<ScenarioPlan> = selection
        .scenarios(&experiments)
        .into_iter()
        .filter(|plan| plan.cell.is_empty())
        .collect();
    let control = experiments
        .iter()
        .find(|one| one.id() == IDENTICAL)
        .context("there are no identical arms")?;
    let identical = calibration::identical(&plans, &control.definition);
    eprintln!(
        "{} stand for {}",
        Count::of(identical.len(), "distinct baseline"),
        Count::of(plans.len(), "scenario")
    );
    let postgres = arguments.server.options();
    let options = selection.options(std::slice::from_ref(control), identical, postgres)?;
    let finished = Box::pin(session::run(options)).await?;
    let code = ended(&finished);
    if code != 0 {
        return Ok(code);
    }
    let folder = finished
        .report
        .page
        .parent()
        .context("the report has no folder")?;
    let record = RunFolder::existing(folder.to_owned()).record()?;
    let calibration = Calibration::of(&record, &finished.report.samples, &plans)?;
    calibration.write(&arguments.calibration)?;
    for plan in &plans {
        for learned in calibration.thresholds(plan).iter().take(1) {
            println!(
                "{}: differences of {} below {} are noise at {}",
                plan.name,
                learned.metric,
                Percent(learned.threshold.share()),
                Count::of(plan.blocks, "block")
            );
        }
    }
    println!("Calibration: {}", arguments.calibration.display());
    Ok(code)
}
