//! `apitap-bench profile`.

use std::num::NonZero;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::ending::ended_or_refused;
use super::record::into_file;
use super::selection::Selection;
use super::server::ServerArgs;
use super::{INTERRUPTED, wrong_usage};
use crate::experiment::{ArmPlan, Experiment, IDENTICAL, LoadPlan, ScenarioPlan};
use crate::measure::profiling::{Profiling, ROWS_TIMES, has_profile, timing};
use crate::measure::session::{self, RunOptions};
use crate::measure::worker::config;
use crate::profile::record::SamplerKind;
use crate::recording::Header;
use crate::run_folder::RunFolder;
use crate::tune::worker::Project;

/// Rounds of a profile. The exact interval of ten differences has 99.8% confidence.
pub(super) const ROUNDS: NonZero<usize> = NonZero::new(10).unwrap();

/// Rows of a heap profile. Recording an allocation takes a hundred times as long as making it.
const HEAP_ROWS: u64 = 5_000;

/// The id that a recorded load has in place of an experiment's.
const OWN: &str = "recording";

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench profile copy-vs-insert                          on every preset of the experiment
  apitap-bench profile decode-path --scenario 'on tuned' --heap
  apitap-bench profile copy-vs-insert --sampler perf --rounds 6
  apitap-bench profile before-vs-tuned --into reports/runs/RUN beside the report of that run
  apitap-bench profile -m sql -y pipelines.yaml                a pipeline of your own
  apitap-bench profile --workload orders.rec                   a recording of one

A pipeline of your own is recorded first, as `apitap-bench record` does it, into a temporary file: one load
from your API into a scratch table on your server. What is profiled is the replay, on a server of the
suite, with the latencies and refusals of the API: as you configured it, compared with `tuned`, or
with `before` if it is `tuned`.

Otherwise name the experiments. --blocks, --full and --seed have no effect, because a profile takes no samples.
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
    /// Folder of your SQL modules: records a load of your pipeline, and profiles its replay
    #[arg(short, long, value_name = "DIR", conflicts_with = "workload")]
    modules: Option<PathBuf>,
    /// Your sources and targets
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "pipelines.yaml",
        requires = "modules"
    )]
    yaml_config: PathBuf,
    /// The module, as its path below the folder without .sql [default: the only one]
    #[arg(long, value_name = "NAME", requires = "modules")]
    module: Option<String>,
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

impl ProfileArgs {
    pub(super) fn loads_a_pipeline(&self) -> bool {
        self.modules.is_some()
    }
}

/// Profiles baseline and first candidate of the experiments; returns the exit code.
pub(super) async fn run(mut arguments: ProfileArgs) -> Result<u8> {
    if let Some(folder) = &arguments.into
        && RunFolder::existing(folder.clone()).record().is_err()
    {
        wrong_usage(format!(
            "--into: {} is not the folder of a run",
            folder.display()
        ));
    }
    let mut postgres = arguments.server.options();
    // The recording is there as long as it is replayed.
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    if let Some(modules) = arguments.modules.take() {
        let project = Project {
            modules,
            pipelines: arguments.yaml_config.clone(),
            module: arguments.module.take(),
        };
        let file = folder.path().join("pipeline.rec");
        let Some(text) = into_file(project, &file, false).await? else {
            return Ok(INTERRUPTED);
        };
        // Its last line names the file, which will be gone.
        let lines: Vec<&str> = text.lines().collect();
        eprintln!("{}", lines[..lines.len() - 1].join("\n"));
        let file = file.to_str().context("the temporary folder is not UTF-8")?;
        arguments.selection.workload = Some(file.to_owned());
    }
    let selection = &arguments.selection;
    let recorded = selection.recording();
    let (experiments, mut scenarios) = match &recorded {
        Some(header) if !selection.names_experiments() => {
            (Vec::new(), vec![own(header, selection)?])
        }
        _ => selected(selection)?,
    };
    scenarios.retain(has_profile);
    if scenarios.is_empty() {
        wrong_usage("both arms of a profile must be the engine: psql has no stages");
    }
    if !selection.says_rows() && recorded.is_none() {
        for arm in scenarios.iter_mut().flat_map(|plan| &mut plan.arms) {
            arm.rows *= ROWS_TIMES;
        }
    }
    postgres.extra_settings.push(timing());
    let options = RunOptions {
        profiling: Some(arguments.how.profiling()),
        samples: false,
        into: arguments.into,
        ..selection.options(&experiments, scenarios, postgres)?
    };
    ended_or_refused(Box::pin(session::run(options)).await)
}

/// The experiments that the command names, and their scenarios.
fn selected(selection: &Selection) -> Result<(Vec<Experiment>, Vec<ScenarioPlan>)> {
    if !selection.names_experiments() {
        wrong_usage(
            "name the experiments to profile, a recording as --workload, or the folder of your --modules; \
             `apitap-bench list` shows the names",
        );
    }
    let mut experiments = selection.experiments()?;
    let names_control = selection.names(IDENTICAL);
    experiments.retain(|one| one.id() != IDENTICAL || names_control);
    let scenarios: Vec<ScenarioPlan> = selection
        .scenarios(&experiments)
        .into_iter()
        .filter(|plan| plan.cell.is_empty() && selection.wants(&plan.name))
        .collect();
    if scenarios.is_empty() {
        wrong_usage("no scenario has such a name; a report and run.json show the names");
    }
    Ok((experiments, scenarios))
}

/// A recorded load with the configuration that it has, compared with `tuned`, or with `before` where it is `tuned`.
fn own(header: &Header, selection: &Selection) -> Result<ScenarioPlan> {
    let is_tuned = config(&header.preset, &header.settings)? == config("tuned", &header.pinned)?;
    let arm = |name: &str, preset: &str, knobs: &[String]| ArmPlan {
        name: name.to_owned(),
        rows: header.rows_read,
        sql: None,
        load: LoadPlan::Engine {
            preset: preset.to_owned(),
            knobs: knobs.to_vec(),
            attach: Vec::new(),
            mode: None,
        },
        revision: None,
    };
    let baseline = if is_tuned { "before" } else { "tuned" };
    Ok(ScenarioPlan {
        name: header.module.clone(),
        experiment: OWN.to_owned(),
        on: None,
        cell: Vec::new(),
        workload: selection.workload.clone().unwrap_or_default(),
        sql: None,
        key: Vec::new(),
        existing: None,
        table: None,
        postgres_round_trip_ms: None,
        api_round_trip_ms: None,
        blocks: 0,
        arms: vec![
            arm(baseline, baseline, &[]),
            arm("as configured", &header.preset, &header.settings),
        ],
        confirms: None,
    })
}
