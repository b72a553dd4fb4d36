//! `apitap-bench soak`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::{FAILED, say, wrong_usage};
use crate::soak::session::{self, Options};

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench soak --minutes 30             as before a release
  apitap-bench soak --minutes 5 --seed 42    the same loads again

One process holds the engine and loads all the time, mostly one load after the other and sometimes some at
once. Each load meets a random fault, and is checked as a cell of `apitap-bench faults` is; the load after it
meets none. Whenever nothing is loaded, the memory, the descriptors and the threads of the process are read,
and the sessions of the server.

The second half of the run must not grow. A quantity grows if its trend (Theil and Sen, over medians of 20
blocks) adds more than the limit even at the lower end of its 95 % interval: 8 MiB of memory, or 2 descriptors,
threads or sessions.

Writes soak.json, memory.svg and counts.svg.

Exit codes: 0 when every load is right and nothing grows; 1 otherwise, or if the run is too short to tell.";

#[derive(Debug, clap::Args)]
pub(super) struct SoakArgs {
    /// How long to load
    #[arg(long, value_name = "MINUTES")]
    minutes: f64,
    /// Seed of the order of the faults [default: a random one, which is printed]
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Folder for the results
    #[arg(long, value_name = "FOLDER", default_value = "reports/soak")]
    out: PathBuf,
    /// Folder of `postgres` and `initdb` [default: APITAP_PG_BIN, or the newest installed one]
    #[arg(long, value_name = "FOLDER")]
    pg_bin: Option<PathBuf>,
}

/// Loads for so long; returns the exit code.
pub(super) async fn run(arguments: SoakArgs) -> Result<u8> {
    let duration = Duration::try_from_secs_f64(arguments.minutes * 60.0);
    let duration =
        duration.unwrap_or_else(|_| wrong_usage("--minutes: expected a positive number"));
    let options = Options {
        duration,
        seed: arguments
            .seed
            .unwrap_or_else(|| u64::from(rand::random::<u32>())),
        bin_dir: arguments.pg_bin,
    };
    eprintln!("seed {}", options.seed);
    let outcome = session::run(&options).await?;
    say(outcome.text());
    for path in outcome.write(&arguments.out)? {
        say(path.display());
    }
    Ok(if outcome.is_right() { 0 } else { FAILED })
}
