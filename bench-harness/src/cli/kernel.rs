//! `apitap-bench kernel`.

use anyhow::Result;

use super::say;
use crate::measure::counters::Kernel;
use crate::measure::worker;
use testkit::workload::Workload;

/// What to do, and how.
#[derive(Debug, clap::Args)]
pub(super) struct KernelArgs {
    /// Which work
    kernel: Kernel,
    /// Workload by name
    #[arg(long, value_name = "NAME")]
    workload: String,
    /// Rows, at least
    #[arg(long)]
    rows: u64,
    /// Preset of the engine
    #[arg(long, value_name = "PRESET", default_value = "tuned")]
    preset: String,
    /// A change to it, as stage.knob=value; may be repeated
    #[arg(long, value_name = "SETTING")]
    set: Vec<String>,
}

/// Runs the kernel, and prints how many rows it did.
pub(super) fn run(arguments: &KernelArgs) -> Result<u8> {
    let workload = Workload::named(&arguments.workload)?;
    let config = worker::config(&arguments.preset, &arguments.set)?;
    say(arguments.kernel.run(&workload, &config, arguments.rows)?);
    Ok(0)
}
