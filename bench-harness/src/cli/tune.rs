//! `apitap-bench tune`.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::selection::recording_or_workload;
use super::server::ServerArgs;
use super::{INTERRUPTED, WRONG_DATA, say, wrong_usage};
use crate::atomic_write;
use crate::measure::profiling::WrongData;
use crate::tune::session::{self, Options, Workload};
use crate::tune::worker::Project;
use crate::tune::{text, yaml};

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench tune --workload orders --minutes 5
  apitap-bench tune --workload orders --latency-ms 20 --api-page-rows 100
                                                 an API that is far away and gives small pages
  apitap-bench tune --workload orders.rec        a recording of a load of your own
  apitap-bench tune -m sql -y pipelines.yaml     a pipeline of your own, if it has one module
  apitap-bench tune -m sql -y pipelines.yaml --module orders --minutes 10 --out engine.yaml

It changes one knob at a time, beginning with those of the API, and keeps what is faster. Candidates
run interleaved, a process per load; half of them go after each round, and the rest runs twice as
often. A third of the time is left to confirm the result beside `tuned`, and beside what you have, in
fresh loads. What is not faster for certain, by more than 5%, is not recommended. docs/tuning.md has
the method.

A pipeline of your own loads from your API into the table apitap_tune_PID on your server, beside the
module's table, which is not touched. The table is dropped at the end. After the first load the
command says how many requests a load makes. All loads must have the same number of rows.

Prints what was tried, the finalists, a recommendation, and the block `engine` for pipelines.yaml.

Exit codes: 0 when there is a recommendation, be it to change nothing; 1 when a load failed or the
rows differ; 6 when a load of a workload is wrong; 130 when interrupted.";

/// Rows of a load: a load takes a fraction of a second, so that the time suffices for many.
const ROWS: NonZero<u64> = NonZero::new(100_000).unwrap();

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["workload", "modules"]))]
pub(super) struct TuneArgs {
    /// A workload of the suite or a recording, on a server of the suite
    #[arg(long, value_name = "NAME|FILE.rec")]
    workload: Option<String>,
    /// Rows of a load of the suite [default: 100000]
    #[arg(long, conflicts_with = "modules")]
    rows: Option<NonZero<u64>>,
    /// Round trip to add between engine and API, in milliseconds
    #[arg(long, value_name = "MS", conflicts_with = "modules")]
    latency_ms: Option<f64>,
    /// Most rows of a page that the API gives, whatever is asked for
    #[arg(long, value_name = "ROWS", conflicts_with = "modules")]
    api_page_rows: Option<NonZero<u64>>,
    /// Folder of your SQL modules
    #[arg(short, long, value_name = "DIR", conflicts_with = "ServerArgs")]
    modules: Option<PathBuf>,
    /// Your sources and targets
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "pipelines.yaml",
        conflicts_with = "workload"
    )]
    yaml_config: PathBuf,
    /// The module to tune, as its path below the folder without .sql [default: the only one]
    #[arg(long, value_name = "NAME", requires = "modules")]
    module: Option<String>,
    /// How long to tune
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    minutes: f64,
    /// Seed of the order of loads [default: a random one, which is printed]
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Also write the block for pipelines.yaml to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

impl TuneArgs {
    pub(super) fn loads_a_pipeline(&self) -> bool {
        self.modules.is_some()
    }
}

/// Tunes, and prints what came of it; returns the exit code.
pub(super) async fn run(arguments: TuneArgs) -> Result<u8> {
    let budget = Duration::try_from_secs_f64(arguments.minutes * 60.0);
    let budget = budget.ok().filter(|budget| !budget.is_zero());
    let options = Options {
        program: std::env::current_exe().context("cannot find this program's own path")?,
        budget: budget.unwrap_or_else(|| wrong_usage("--minutes: expected a positive number")),
        seed: arguments
            .seed
            .unwrap_or_else(|| u64::from(rand::random::<u32>())),
    };
    let latency_ms = arguments.latency_ms;
    if latency_ms.is_some_and(|latency| !(0.0..=10_000.0).contains(&latency)) {
        wrong_usage("--latency-ms: expected milliseconds, at most 10000");
    }
    eprintln!("seed {}", options.seed);
    let tuned = match (arguments.workload, arguments.modules) {
        (Some(name), _) => {
            let header = recording_or_workload(&name);
            let is_other = arguments.rows.is_some()
                || latency_ms.is_some()
                || arguments.api_page_rows.is_some();
            if header.is_some() && is_other {
                wrong_usage(
                    "a recording has rows, pages and latencies of its own: leave out --rows, --latency-ms and \
                     --api-page-rows",
                );
            }
            let rows = header.as_ref().map(|header| header.rows_read);
            let workload = Workload {
                recorded: header.map(Box::new),
                name,
                rows: rows.unwrap_or(arguments.rows.unwrap_or(ROWS).get()),
                latency_ms: latency_ms.filter(|latency| *latency > 0.0),
                api_page_rows: arguments.api_page_rows,
                postgres: arguments.server.options(),
            };
            Box::pin(session::workload(&options, &workload)).await
        }
        (None, Some(modules)) => {
            let project = Project {
                modules,
                pipelines: arguments.yaml_config,
                module: arguments.module,
            };
            Box::pin(session::pipeline(&options, project)).await
        }
        (None, None) => wrong_usage("name a --workload, or the folder of your --modules"),
    };
    match tuned {
        Ok(Some(tuned)) => {
            say(text(&tuned));
            if let Some(file) = &arguments.out {
                atomic_write::write(file, &yaml(&tuned))?;
            }
            Ok(0)
        }
        Ok(None) => {
            eprintln!("interrupted: there is no recommendation");
            Ok(INTERRUPTED)
        }
        Err(error) if error.is::<WrongData>() => {
            eprintln!("error: {error:#}");
            Ok(WRONG_DATA)
        }
        Err(error) => Err(error),
    }
}
