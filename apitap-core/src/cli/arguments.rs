//! What the command line says.

use std::path::PathBuf;

use anyhow::Context;
use apitap_core::trace::{TraceGuard, chrome_trace};
use clap::Parser;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

const EXAMPLES: &str = "\
Examples:
  apitap -m sql -y pipelines.yaml                 run every module once
  apitap -m sql -y pipelines.yaml orders          run the module orders.sql
  apitap -m sql -y pipelines.yaml --dry-run       show columns, plan and table; write nothing
  apitap --preset before --report -               how the \"before\" state does, as JSON
  apitap --set write.method=copy-text --set source.concurrency=8
  apitap --schedule --metrics-addr 127.0.0.1:9464 serve http://127.0.0.1:9464/metrics meanwhile
  apitap --trace trace.json                       what ran when; open it in ui.perfetto.dev

Knobs for --set (defaults are those of the preset `tuned`):
  source.concurrency, source.page_rows, source.reuse_connections, source.pool_idle_per_host,
  source.connect_timeout, source.read_timeout, source.total_timeout,
  source.max_body_bytes
  decode.path (tape, rows), decode.batch_rows, decode.unknown_fields (refuse, ignore)
  infer.sample_rows, infer.cache (off, memory, file:FOLDER), infer.timestamps
  channel.capacity, counter (mutex, atomic)
  transform.partitions, transform.batch_rows, transform.memory_limit_bytes, transform.streaming,
  transform.table_names (source, unique)
  write.method (insert, prepared, unnest, copy-csv, copy-text, copy-binary), write.batch_rows,
  write.in_flight, write.connections, write.mode (append, replace, merge)
  observe (on, off)

Exit status: 0 when every module succeeded, 1 when one failed, 2 when nothing could be run.
A module that fails leaves its table as it was.";

/// Moves rows from HTTP JSON APIs through SQL into PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "apitap", version, about, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Folder of SQL modules; every *.sql below it
    #[arg(short, long, value_name = "DIR", default_value = "pipelines")]
    pub(crate) modules: PathBuf,

    /// Sources and targets
    #[arg(short, long, value_name = "FILE", default_value = "pipelines.yaml")]
    pub(crate) yaml_config: PathBuf,

    /// Run only these modules (paths below the folder, without .sql)
    #[arg(value_name = "MODULE")]
    only: Vec<String>,

    /// Fetch samples, show columns, plan and table, and write nothing
    #[arg(long, conflicts_with = "schedule")]
    pub(crate) dry_run: bool,

    /// After one run, go on by the modules' schedule() until interrupted
    #[arg(long)]
    pub(crate) schedule: bool,

    /// Write what each run did as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Serve what runs measure at /metrics, for Prometheus; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics_addr: Option<String>,

    /// Write the spans of the runs as a trace for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// A named configuration: before, tuned
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,

    /// Change a knob; may be given more than once
    #[arg(long = "set", value_name = "STAGE.KNOB=VALUE")]
    pub(crate) settings: Vec<String>,

    /// Log as JSON, a line per event
    #[arg(long)]
    log_json: bool,

    /// What to log: error, warn, info, debug, trace or a filter; RUST_LOG counts without it
    #[arg(long, value_name = "STR")]
    log_level: Option<String>,
}

impl Arguments {
    pub(crate) fn selects(&self, module: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == module)
    }
}

/// Logs go to standard error; standard output is for what was asked for. The trace has its file, and
/// a guard that finishes it.
///
/// # Errors
/// The file of the trace cannot be created.
pub(crate) fn init_logs(arguments: &Arguments) -> anyhow::Result<Option<TraceGuard>> {
    let filter = match &arguments.log_level {
        Some(level) => EnvFilter::new(level),
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
    };
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match arguments.log_json {
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
