//! What the command line says.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::console::Console;
use crate::config::knobs;
use crate::module::Module;
use crate::trace::{TraceGuard, chrome_trace};

const EXAMPLES: &str = "\
Examples:
  apitap -m sql -y pipelines.yaml                 run every module once
  apitap -m sql -y pipelines.yaml orders          run the module orders.sql
  apitap -m sql -y pipelines.yaml --dry-run       show columns, plan and table; write nothing
  apitap --preset before --report -               run with the preset `before`; print JSON
  apitap --set write.method=copy-text --set source.concurrency=8
  apitap --schedule --metrics-addr 127.0.0.1:9464 serve http://127.0.0.1:9464/metrics meanwhile
  apitap --explain                                what bounds a run, and what would help most
  apitap --trace trace.json                       what ran when; open it in ui.perfetto.dev";

const EXIT_STATUS: &str = "\
Exit status: 0 when every module succeeded, 1 when one failed, 2 when nothing could be run,
130 after SIGINT and 143 after SIGTERM. A module that fails leaves its table as it was.

A module named `completions` or `man` runs after an option, as in `apitap -m DIR man`.";

/// Examples, knobs and exit status.
fn after_help() -> String {
    format!(
        "{EXAMPLES}\n\nKnobs for --set, with the defaults of the preset `tuned`:\n{}\n{EXIT_STATUS}",
        knobs::help()
    )
}

/// Moves rows from HTTP JSON APIs through SQL into PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    name = "apitap",
    version,
    after_help = after_help(),
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// Folder of SQL modules; every *.sql below it
    #[arg(short, long, value_name = "DIR", default_value = "pipelines")]
    pub(super) modules: PathBuf,

    /// Sources and targets
    #[arg(short, long, value_name = "FILE", default_value = "pipelines.yaml")]
    pub(super) yaml_config: PathBuf,

    /// Modules to run, as paths below the folder without .sql [default: all]
    #[arg(value_name = "MODULE")]
    only: Vec<String>,

    /// Fetch samples; show columns, plan and table; write nothing to PostgreSQL
    #[arg(long, conflicts_with = "schedule")]
    pub(super) dry_run: bool,

    /// Run once, then by the modules' schedule() until interrupted
    #[arg(long)]
    pub(super) schedule: bool,

    /// A module whose load has no rows fails, and its table stays as it was
    #[arg(long)]
    pub(super) fail_on_empty: bool,

    /// Write how each module ended and what it did, as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,

    /// Say where the time of each run went, what bounds it, and which change of the configuration
    /// would help most; looks at the server ten times a second
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) explain: bool,

    /// Serve /metrics for Prometheus during the runs; a port alone is on 127.0.0.1, and port 0
    /// takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(super) metrics_addr: Option<String>,

    /// Write a trace of the runs, for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,

    /// A named configuration: before or tuned [default: that of the pipeline file, or tuned]
    #[arg(long, value_name = "NAME")]
    pub(super) preset: Option<String>,

    /// Change a knob; may be repeated
    #[arg(long = "set", value_name = "STAGE.KNOB=VALUE")]
    pub(super) settings: Vec<String>,

    /// Write JSON to standard error, one line per event, message or error
    #[arg(long)]
    pub(super) log_json: bool,

    /// What to log: error, warn, info, debug, trace or a filter [default: RUST_LOG, or warn]
    #[arg(long, value_name = "STR")]
    log_level: Option<String>,
}

/// Prints something about the command itself.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page
    Man,
}

impl Arguments {
    pub(super) fn selects(&self, module: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == module)
    }

    /// The first name that no module has.
    pub(super) fn unknown(&self, modules: &[Module]) -> Option<&str> {
        let unknown = |name: &&String| modules.iter().all(|module| module.name != **name);
        self.only.iter().find(unknown).map(String::as_str)
    }
}

/// Whether JSON was asked for. Asked before the arguments are known to be right.
pub(super) fn wants_json() -> bool {
    let mut options = std::env::args_os()
        .skip(1)
        .take_while(|argument| argument != "--");
    options.any(|argument| argument == "--log-json")
}

/// Starts the log, on standard error, and the trace. The guard ends the trace's file.
///
/// # Errors
/// The file of the trace cannot be created, or the level of the log is none.
pub(super) fn init_logs(
    arguments: &Arguments,
    console: Console,
) -> anyhow::Result<Option<TraceGuard>> {
    let filter = match &arguments.log_level {
        Some(level) => EnvFilter::try_new(level)
            .with_context(|| format!("--log-level `{level}` is no level or filter"))?,
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
    };
    // The client logs what it binds to statements, which is the data, and notices, which may quote it.
    let filter = filter.and(filter_fn(|event| {
        *event.level() <= Level::WARN || !event.target().starts_with("tokio_postgres")
    }));
    let logs = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        // It would write them to standard error, and panic where that cannot be written.
        .log_internal_errors(false)
        .with_writer(console);
    let logs = match console.is_json() {
        true => logs.json().boxed(),
        false => logs.boxed(),
    };
    let (trace, guard) = match &arguments.trace {
        Some(path) => {
            let (trace, guard) = chrome_trace(path)
                .with_context(|| format!("cannot write a trace to {}", path.display()))?;
            (Some(trace), Some(guard))
        }
        None => (None, None),
    };
    tracing_subscriber::registry()
        .with(logs.with_filter(filter))
        .with(trace)
        .init();
    Ok(guard)
}
