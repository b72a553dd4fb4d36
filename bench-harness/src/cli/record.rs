//! `apitap-bench record`, and the pipeline that it and others load.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{INTERRUPTED, say, wrong_usage};
use crate::record::{Options, record};
use crate::recording::is_recording;
use crate::tune::worker::Project;

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench record -m sql -y pipelines.yaml -o orders.rec            a pipeline of one module
  apitap-bench record -m sql -y pipelines.yaml orders -o orders.rec
  apitap-bench record -m sql -y pipelines.yaml -o orders.rec --scrub-values   a file to hand to others
  apitap-bench profile --workload orders.rec                            where the time of that load goes
  apitap-bench run --workload orders.rec                                what each change would do to it

It loads your API once, through servers on 127.0.0.1 that keep pages, statuses and latencies, into the
table apitap_record_PID on your server, next to the module's table, which is not touched. Then it loads the
same from the file and compares the tables. The table is dropped at the end. Credentials are not kept:
authorization, cookies, keys in headers and queries, passwords in URLs, and the variables that they come
from. docs/record.md has the rest.

Exit codes: 0 when the recording is verified; 1 when a load failed or differs; 130 when interrupted.";

/// What to record, and where.
#[derive(Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// Folder of your SQL modules
    #[arg(short, long, value_name = "DIR")]
    modules: PathBuf,
    /// Your sources and targets
    #[arg(short, long, value_name = "FILE", default_value = "pipelines.yaml")]
    yaml_config: PathBuf,
    /// The module, as its path below the folder without .sql [default: the only one]
    module: Option<String>,
    /// The recording to write; its name ends with .rec
    #[arg(short, long, value_name = "FILE.rec")]
    out: PathBuf,
    /// Replace the values of rows by others of the same type and length, equal ones by equal ones
    #[arg(long)]
    scrub_values: bool,
}

/// Records, and prints what came of it; returns the exit code.
pub(super) async fn run(arguments: RecordArgs) -> Result<u8> {
    let out = arguments.out;
    if !out.to_str().is_some_and(is_recording) {
        wrong_usage("--out: the name of a recording ends with .rec");
    }
    let project = Project {
        modules: arguments.modules,
        pipelines: arguments.yaml_config,
        module: arguments.module,
    };
    let recorded = into_file(project, &out, arguments.scrub_values).await?;
    Ok(match recorded {
        Some(text) => {
            say(text);
            0
        }
        None => INTERRUPTED,
    })
}

/// Records `project` into `out`; returns what is said of it, or none after an interrupt.
pub(super) async fn into_file(
    project: Project,
    out: &Path,
    scrubs: bool,
) -> Result<Option<String>> {
    let options = Options {
        program: std::env::current_exe().context("cannot find this program's own path")?,
        project,
        out: out.to_owned(),
        scrubs,
    };
    let recorded = Box::pin(record(&options)).await?;
    if recorded.is_none() {
        eprintln!("interrupted: there is no recording");
    }
    Ok(recorded.map(|recorded| recorded.text()))
}
