//! `apitap-bench faults`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use apitap_core::config::{WriteMethod, WriteMode};

use super::{FAILED, say, wrong_usage};
use crate::faults::catalogue::FAULTS;
use crate::faults::cell::World;
use crate::faults::fault::{Cell, Fault, Group, mode_name};
use crate::faults::loader::Program;
use crate::faults::matrix::{self, Ran};
use crate::faults::{report, server};
use crate::format::{Count, Seconds};

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench faults                       every fault once, with methods and modes in turn: a minute
  apitap-bench faults --list                the faults, and what each of them does
  apitap-bench faults sigterm disk-full     those whose names contain one of these
  apitap-bench faults --group postgres      those of the database
  apitap-bench faults --full                every fault with every method, mode and number of connections
  apitap-bench faults --full --exact sigkill --method copy-csv --mode append
  apitap-bench faults --json > faults.json

A cell is a load with a fault and, after it, the same load without one. It passes if
  - the table is as before or complete, by checksum: never half of it
  - exit code and message are right: the message names the cause, and the table of the user
  - neither a session, nor an advisory lock, nor a table of the engine's own is left
  - no secret is in the log, the messages, the report or the trace, or got to another host
  - the next load completes exactly once

Exit codes: 0 when every cell passes, 1 when one fails.";

/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct FaultsArgs {
    /// Parts of the names of faults [default: all]
    #[arg(value_name = "FAULT")]
    faults: Vec<String>,
    /// Take the names as whole ones
    #[arg(long, requires = "faults")]
    exact: bool,
    /// Only faults of this kind
    #[arg(long, value_name = "GROUP")]
    group: Option<Group>,
    /// Every fault with every method, mode and number of connections
    #[arg(long)]
    full: bool,
    /// Only cells with this method
    #[arg(long, value_name = "METHOD")]
    method: Option<WriteMethod>,
    /// Only cells with this mode: append, replace or merge
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<WriteMode>,
    /// Only cells with so many connections: 1 or 2
    #[arg(long, value_name = "COUNT")]
    connections: Option<usize>,
    /// List the faults
    #[arg(long)]
    list: bool,
    /// Print the cells as JSON
    #[arg(long)]
    json: bool,
    /// Cells that run at the same time [default: twice the processors]
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    /// The program to test [default: the apitap beside this one]
    #[arg(long, value_name = "FILE")]
    apitap: Option<PathBuf>,
    /// Folder of `postgres` and `initdb` [default: APITAP_PG_BIN, or the newest installed one]
    #[arg(long, value_name = "FOLDER")]
    pg_bin: Option<PathBuf>,
}

fn mode(name: &str) -> Result<WriteMode> {
    let modes = [WriteMode::Append, WriteMode::Replace, WriteMode::Merge];
    let found = modes.into_iter().find(|mode| mode_name(*mode) == name);
    found.context("expected append, replace or merge")
}

/// Runs the matrix, or lists it; returns the exit code.
pub(super) async fn run(arguments: FaultsArgs) -> Result<u8> {
    let faults: Vec<&'static Fault> = FAULTS.iter().filter(|one| arguments.selects(one)).collect();
    if faults.is_empty() {
        wrong_usage("no fault has such a name; apitap-bench faults --list shows them");
    }
    if arguments.list {
        list(&faults);
        return Ok(0);
    }
    let mut cells = matrix::cells(&faults, arguments.full);
    cells.retain(|cell| arguments.includes(cell));
    if !rustix::process::geteuid().is_root() {
        skip_what_needs_root(&mut cells);
    }
    if cells.is_empty() {
        wrong_usage(
            "no cell has this method, mode and number of connections; with --full there are more",
        );
    }
    let world = World {
        loader: Program::find(arguments.apitap)?,
        server: server::start(arguments.pg_bin.as_deref()).await?,
        bin_dir: arguments.pg_bin,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.unwrap_or(2 * cores);
    let begin = Instant::now();
    let mut progress = Progress::new(cells.len());
    let all = matrix::run(&cells, &world, jobs, |ran| progress.ended(ran)).await;
    if arguments.json {
        say(report::json(&all).context("cannot write the cells as JSON")?);
    } else {
        say(report::text(&all, begin.elapsed()));
    }
    let is_right = all.iter().all(Ran::is_right);
    Ok(if is_right { 0 } else { FAILED })
}

impl FaultsArgs {
    fn selects(&self, fault: &Fault) -> bool {
        let is_named = |part: &String| match self.exact {
            true => fault.name == part,
            false => fault.name.contains(part.as_str()),
        };
        let is_of_group = self.group.is_none_or(|group| group == fault.group());
        is_of_group && (self.faults.is_empty() || self.faults.iter().any(is_named))
    }

    fn includes(&self, cell: &Cell) -> bool {
        self.method.is_none_or(|method| method == cell.method)
            && self.mode.is_none_or(|mode| mode == cell.mode)
            && self
                .connections
                .is_none_or(|count| count == cell.connections)
    }
}

fn skip_what_needs_root(cells: &mut Vec<Cell>) {
    let mut skipped: Vec<&str> = Vec::new();
    cells.retain(|cell| {
        if cell.fault.needs_root() {
            skipped.push(cell.fault.name);
        }
        !cell.fault.needs_root()
    });
    if let Some(name) = skipped.first() {
        let cells = Count::new(skipped.len(), "cell");
        eprintln!("skipped: {cells} with {name}, which needs root");
    }
}

fn list(faults: &[&Fault]) {
    let width = faults.iter().map(|one| one.name.len()).max().unwrap_or(0);
    for fault in faults {
        say(format_args!("{:width$}  {}", fault.name, fault.about));
    }
}

/// What fails as soon as it does, and now and then how far it is, on standard error.
struct Progress {
    cells: usize,
    ended: usize,
    failed: usize,
    begin: Instant,
    shown: Instant,
}

impl Progress {
    fn new(cells: usize) -> Self {
        let now = Instant::now();
        Self {
            cells,
            ended: 0,
            failed: 0,
            begin: now,
            shown: now,
        }
    }

    fn ended(&mut self, ran: &Ran) {
        self.ended += 1;
        if !ran.is_right() {
            self.failed += 1;
            eprint!("{}", report::failure(ran));
        }
        if self.shown.elapsed() > PROGRESS_INTERVAL {
            self.shown = Instant::now();
            let left = (self.cells - self.ended) as f64 / self.ended as f64;
            eprintln!(
                "{} of {} cells, {} failed, about {} left",
                self.ended,
                self.cells,
                self.failed,
                Seconds(self.begin.elapsed().as_secs_f64() * left)
            );
        }
    }
}
