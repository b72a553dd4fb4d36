//! `apitap-bench run`.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::ending::ended_or_refused;
use super::profile::ProfilingArgs;
use super::selection::Selection;
use super::server::ServerArgs;
use super::wrong_usage;
use crate::experiment::Scale;
use crate::judge::calibration;
use crate::measure::load::Tampering;
use crate::measure::profiling::timing;
use crate::measure::session::{self, RunOptions};
use crate::stats::BLOCKS_PER_SESSION;

/// What to run.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// Add blocks to claims that are not decided, for about --minutes
    #[arg(long, requires = "minutes", conflicts_with_all = ["quick", "resume"])]
    until_decided: bool,
    /// How long --until-decided adds blocks, with the planned ones
    #[arg(long, value_name = "N", requires = "until_decided")]
    minutes: Option<NonZero<u32>>,
    /// With a server by URL: do not measure differences of the claims again
    #[arg(long)]
    no_confirmation: bool,
    /// Continue an interrupted run; the selection is that of the run
    #[arg(long, value_name = "RUN_DIR", conflicts_with_all = [
        "filters", "quick", "full", "blocks", "rows", "workload", "scenario", "seed", "no_confirmation", "calibration", "out"
    ])]
    resume: Option<PathBuf>,
    /// Noise of this machine, from `apitap-bench dev calibrate` [default: reports/calibration.json, if it exists]
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Then profile every measured scenario on a preset: takes minutes for each
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    profiling: ProfilingArgs,
    /// Expect the rows of another seed, so that every sample is wrong: a test of the verification
    #[arg(long, hide = true)]
    expect_seed: Option<u64>,
    /// `SCENARIO/ARM/BLOCK`, counted from 0: change a cell after that sample: a test of the verification
    #[arg(long, hide = true, value_parser = tampering)]
    tamper: Option<(String, Tampering)>,
}

/// Runs and reports; returns the exit code.
pub(super) async fn run(arguments: RunArgs) -> Result<u8> {
    let selection = &arguments.selection;
    let experiments = selection.experiments()?;
    let scenarios = selection.scenarios(&experiments);
    if !scenarios.iter().any(|plan| selection.wants(&plan.name)) {
        wrong_usage("no scenario has such a name; a report and run.json show the names");
    }
    let calibration = match arguments.calibration {
        Some(file) if !file.exists() => {
            let file = file.display();
            wrong_usage(format!(
                "--calibration: {file} does not exist; `apitap-bench dev calibrate` makes one"
            ));
        }
        named => named.unwrap_or_else(|| calibration::FILE.into()),
    };
    let mut postgres = arguments.server.options();
    if arguments.profile {
        postgres.extra_settings.push(timing());
    }
    let is_quick = selection.scale() == Scale::Quick;
    let options = RunOptions {
        blocks_per_session: NonZero::new(BLOCKS_PER_SESSION).filter(|_| !is_quick),
        until_decided: arguments
            .minutes
            .map(|minutes| Duration::from_secs(60) * minutes.get()),
        confirms: !arguments.no_confirmation && !is_quick,
        calibration: Some(calibration),
        expect_seed: arguments.expect_seed,
        tampering: arguments.tamper,
        profiling: arguments.profile.then(|| arguments.profiling.profiling()),
        ..selection.options(&experiments, scenarios, postgres)?
    };
    let finished = match arguments.resume {
        Some(folder) => Box::pin(session::resume(options, folder)).await,
        None => Box::pin(session::run(options)).await,
    };
    ended_or_refused(finished)
}

fn tampering(text: &str) -> Result<(String, Tampering)> {
    let mut parts = text.rsplitn(3, '/');
    let mut part = || parts.next().context("expected SCENARIO/ARM/BLOCK");
    let (block, arm, scenario) = (part()?.parse()?, part()?.parse()?, part()?);
    Ok((scenario.to_owned(), Tampering { arm, block }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_to_tamper_with_is_named_by_its_place() {
        let (scenario, tampering) = tampering("counter on tuned/1/3").unwrap();
        assert_eq!(scenario, "counter on tuned");
        assert_eq!(tampering, Tampering { arm: 1, block: 3 });
    }
}
