//! `apitap-bench profile`.

use std::num::NonZero;
use std::path::PathBuf;

use anyhow::Result;

use super::ending::ended_or_refused;
use super::selection::Selection;
use super::server::ServerArgs;
use super::wrong_usage;
use crate::experiment::{IDENTICAL, ScenarioPlan};
use crate::measure::profiling::{Profiling, ROWS_TIMES, has_profile, timing};
use crate::measure::session::{self, RunOptions};
use crate::profile::record::SamplerKind;
use crate::run_folder::RunFolder;

/// Rounds of a profile. The exact interval of ten differences has 99.8% confidence.
pub(super) const ROUNDS: NonZero<usize> = NonZero::new(10).unwrap();

/// Rows of a heap profile. Recording an allocation takes a hundred times as long as making it.
const HEAP_ROWS: u64 = 5_000;

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench profile copy-vs-insert                          on every preset of the experiment
  apitap-bench profile decode-path --scenario 'on tuned' --heap
  apitap-bench profile copy-vs-insert --sampler perf --rounds 6
  apitap-bench profile before-vs-tuned --into reports/runs/RUN beside the report of that run

Name the experiments. --blocks, --full and --seed have no effect, because a profile takes no samples.
Identical arms are profiled only if you name a-a.";

/// What to profile.
#[derive(Debug, clap::Args)]
pub(super) struct ProfileArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    how: ProfilingArgs,
    /// Put the profiles into the folder of an earlier run; its report then links to them
    #[arg(long, value_name = "RUN_DIR", conflicts_with = "out")]
    into: Option<PathBuf>,
}

/// How to profile.
#[derive(Debug, clap::Args)]
pub(super) struct ProfilingArgs {
    /// Rounds; each samples and watches both arms; intervals need at least 6
    #[arg(long, default_value_t = ROUNDS)]
    rounds: NonZero<usize>,
    /// What samples the stacks: the worker itself, or Linux's perf
    #[arg(long, value_enum, default_value_t)]
    sampler: SamplerKind,
    /// Also find where memory is allocated, with dhat
    #[arg(long)]
    heap: bool,
}

impl ProfilingArgs {
    pub(super) fn profiling(&self) -> Profiling {
        Profiling {
            rounds: self.rounds.get(),
            sampler: self.sampler,
            heap_rows: self.heap.then_some(HEAP_ROWS),
        }
    }
}

/// Profiles baseline and first candidate of the experiments; returns the exit code.
pub(super) async fn run(arguments: ProfileArgs) -> Result<u8> {
    let selection = &arguments.selection;
    if !selection.names_experiments() {
        wrong_usage("name the experiments to profile; `apitap-bench list` shows the names");
    }
    let mut experiments = selection.experiments()?;
    let names_control = selection.names(IDENTICAL);
    experiments.retain(|one| one.id() != IDENTICAL || names_control);
    let mut scenarios: Vec<ScenarioPlan> = selection
        .scenarios(&experiments)
        .into_iter()
        .filter(|plan| plan.cell.is_empty() && selection.wants(&plan.name))
        .collect();
    if scenarios.is_empty() {
        wrong_usage("no scenario has such a name; a report and run.json show the names");
    }
    scenarios.retain(has_profile);
    if scenarios.is_empty() {
        wrong_usage("both arms of a profile must be the engine: psql has no stages");
    }
    if !selection.says_rows() {
        for arm in scenarios.iter_mut().flat_map(|plan| &mut plan.arms) {
            arm.rows *= ROWS_TIMES;
        }
    }
    if let Some(folder) = &arguments.into
        && RunFolder::existing(folder.clone()).record().is_err()
    {
        wrong_usage(format!(
            "--into: {} is not the folder of a run",
            folder.display()
        ));
    }
    let mut postgres = arguments.server.options();
    postgres.extra_settings.push(timing());
    let options = RunOptions {
        profiling: Some(arguments.how.profiling()),
        samples: false,
        into: arguments.into,
        ..selection.options(&experiments, scenarios, postgres)?
    };
    ended_or_refused(Box::pin(session::run(options)).await)
}
