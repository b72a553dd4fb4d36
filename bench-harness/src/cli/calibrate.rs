//! `apitap-bench dev calibrate`.

use std::num::NonZero;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::ending::{ended, ended_or_refused};
use super::selection::Selection;
use super::server::ServerArgs;
use super::{say, wrong_usage};
use crate::experiment::{IDENTICAL, ScenarioPlan};
use crate::format::{Count, Percent};
use crate::judge::calibration::{self, Calibration};
use crate::measure::session;
use crate::metric::Metric;
use crate::stats::CONFIDENCE_LEVEL;
use crate::stats::noise::LEAST_RATIOS;
use crate::stats::{blocks_for, scale};

/// A regression that a user would notice. The output says how many blocks it takes to find it.
const EFFECT: f64 = 0.05;

/// What to measure, and where to keep the noise.
#[derive(Debug, clap::Args)]
pub(super) struct CalibrateArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    server: ServerArgs,
    /// File for the noise of this machine; `run` reads it
    #[arg(long, value_name = "FILE", default_value = calibration::FILE)]
    calibration: PathBuf,
}

/// Runs the baseline of every scenario against itself, and keeps how much it differs.
pub(super) async fn run(arguments: CalibrateArgs) -> Result<u8> {
    let selection = &arguments.selection;
    let experiments = selection.experiments()?;
    // A grid has too many cells to measure each twice.
    let plans: Vec<ScenarioPlan> = selection
        .scenarios(&experiments)
        .into_iter()
        .filter(|plan| plan.cell.is_empty())
        .collect();
    let control = experiments
        .iter()
        .find(|one| one.id() == IDENTICAL)
        .context("there is no experiment with identical arms")?;
    let blocks = selection.blocks.map_or(calibration::BLOCKS, NonZero::get);
    if blocks < LEAST_RATIOS {
        wrong_usage(format!(
            "--blocks: calibration needs {LEAST_RATIOS} blocks or more"
        ));
    }
    let identical = calibration::identical(&plans, blocks);
    eprintln!(
        "measuring {} for {}",
        Count::new(identical.len(), "distinct baseline"),
        Count::new(plans.len(), "scenario")
    );
    let postgres = arguments.server.options();
    let options = selection.options(std::slice::from_ref(control), identical, postgres)?;
    let finished = match Box::pin(session::run(options)).await {
        Ok(finished) => finished,
        refused => return ended_or_refused(refused),
    };
    let (code, report) = ended(&finished, |_| {
        "calibrate again: calibration needs a whole run".to_owned()
    })?;
    if code != 0 {
        return Ok(code);
    }
    let report = report.context("the run has no report")?;
    let record = finished.folder.record()?;
    let mut calibration = Calibration::new(&record, &report.samples)?;
    match Calibration::fitting(&arguments.calibration, &calibration.fingerprint) {
        Ok(Some(earlier)) => calibration.keep(earlier),
        Ok(None) => {}
        Err(error) => eprintln!("warning: {error:#}; the file is replaced"),
    }
    calibration.write(&arguments.calibration)?;
    for plan in &plans {
        let of_claim = experiments.iter().find(|one| one.id() == plan.experiment);
        let metric = of_claim.map_or(Metric::WallSeconds, |one| one.definition.metric);
        say(format_args!(
            "{}: {}",
            plan.name,
            learned(&calibration, plan, metric)
        ));
    }
    say(format_args!(
        "Calibration: {}",
        arguments.calibration.display()
    ));
    Ok(code)
}

/// What is known about the noise of a scenario.
fn learned(calibration: &Calibration, plan: &ScenarioPlan, metric: Metric) -> String {
    let noise = calibration.noise(plan).unwrap_or_default();
    let noise = noise.iter().find(|noise| noise.metric == metric);
    let thresholds = calibration.thresholds(plan);
    let threshold = thresholds.iter().find(|one| one.metric == metric);
    let (Some(noise), Some(threshold)) = (noise, threshold) else {
        let blocks = noise.map_or(0, |noise| noise.log_ratios.len());
        return format!(
            "only {} of identical arms, too few to calibrate",
            Count::new(blocks, "block")
        );
    };
    let mut text = format!(
        "differences of {metric} below {} are noise with {}",
        Percent(threshold.threshold.share()),
        Count::new(plan.blocks, "block")
    );
    let scale = scale(&noise.log_ratios);
    if let Some(blocks) = scale.and_then(|scale| blocks_for(EFFECT, scale, CONFIDENCE_LEVEL)) {
        text += &format!(
            "; to find a difference of {} takes {}",
            Percent(EFFECT),
            Count::new(blocks, "block")
        );
    }
    text
}
