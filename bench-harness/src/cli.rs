//! The command line of `apitap-bench`.

mod bisect;
mod calibrate;
mod compare;
mod counters;
mod dev;
mod ending;
mod faults;
mod flamegraph;
mod gate;
mod gate_selftest;
mod history;
mod kernel;
mod list;
mod profile;
mod record;
mod run;
mod selection;
mod server;
mod slowdown;
mod soak;
mod tune;
mod what_if;

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::commands;
use crate::measure::doctor::{self, Outcome};
use crate::measure::{supervise, worker};
use crate::recording::replay;
use crate::report::files::{write_chart, write_profiles, write_report};
use crate::report::terminal::Colour;
use crate::run_folder::RunFolder;
use bisect::BisectArgs;
use compare::CompareArgs;
use dev::DevCommand;
use faults::FaultsArgs;
use gate::GateArgs;
use history::HistoryArgs;
use kernel::KernelArgs;
use list::ListArgs;
use profile::ProfileArgs;
use record::RecordArgs;
use run::RunArgs;
use soak::SoakArgs;
use testkit::mock_api::{self, MockApiOptions};
use tune::TuneArgs;
use what_if::WhatIfArgs;

/// The harness failed, or a sample did not finish.
const FAILED: u8 = 1;

/// As clap ends the process for a wrong argument.
const WRONG_USAGE: u8 = 2;

/// A scenario is worse by more than its limit.
const REGRESSED: u8 = 3;

/// The results are of another machine, program or data, so no figure is comparable.
const INCOMPARABLE: u8 = 5;

/// A sample loaded wrong data.
const WRONG_DATA: u8 = 6;

/// SIGINT, as shells report it.
const INTERRUPTED: u8 = 130;

const EXAMPLES: &str = "\
Examples:
  apitap-bench doctor                              check this machine, and say what to fix
  apitap-bench list                                every claim that can be tested
  apitap-bench run --quick                         five key experiments in five minutes
  apitap-bench run prepared pipelining             only these experiments
  apitap-bench run --full --postgres docker        for a claim, on a container
  apitap-bench run --resume reports/runs/RUN       continue an interrupted run
  apitap-bench tune --workload orders              which configuration is fastest
  apitap-bench profile copy-vs-insert              why it is faster, and what to try next
  apitap-bench record -m sql -o orders.rec         a load of your pipeline, to be replayed as a workload
  apitap-bench gate --base main                    whether the working tree is slower than main
  apitap-bench bisect --good v1.0 --bad main       which commit made it slower
  apitap-bench faults                              whether nothing is lost when something goes wrong
  apitap-bench soak --minutes 30                   whether a process that loads for long grows
  apitap-bench report reports/runs/RUN             render a report again from its samples
  apitap-bench compare RUN_A RUN_B                 two stored runs side by side
  apitap-bench compare --arm 'apitap …' --arm 'python load.py'
                                                   commands of your own that load the same API
  apitap-bench what-if reports/runs/RUN            what a change would gain, before it is measured
  apitap-bench history add reports/runs/RUN        keep the results of a run
  apitap-bench history show                        results over time, and when they changed
  apitap-bench dev calibrate                       learn the noise of this machine

Exit codes:
  0    success
  1    the harness failed, or a sample did not finish
  2    wrong usage
  3    gate: a scenario is worse than its limit
  4    gate: inconclusive, a scenario only with --fail-on-inconclusive; bisect: several are left
  5    not comparable: another machine, server, program or data
  6    a sample loaded wrong data
  7    gate: a claim is refuted
  130  interrupted; the report holds what was measured";

/// Measures how ApiTap moves rows from an HTTP API into PostgreSQL, on real servers
#[derive(Debug, Parser)]
#[command(name = "apitap-bench", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run experiments and write a report
    Run(Box<RunArgs>),
    /// Check whether a change made anything slower: two revisions, or one and stored results
    ///
    /// Both revisions are built in worktrees of their own, and their loads alternate on this machine.
    /// The gate judges counters first, then processor time, then wall time. It measures until times are
    /// decided, and profiles what is worse. It writes gate.json, junit.xml, summary.md and more into a new
    /// folder.
    #[command(after_help = gate::EXAMPLES)]
    Gate(Box<GateArgs>),
    /// Find the first commit that makes the gate fail
    ///
    /// Halves the commits between a good and a bad revision, of merges only the merge itself. A gate compares
    /// each with the good one. Programs of eight revisions are kept.
    #[command(after_help = bisect::EXAMPLES)]
    Bisect(BisectArgs),
    /// Find out why one arm is faster: flame graphs, a time budget, and what grew or shrank
    ///
    /// Loads the baseline and the first candidate of each experiment in rounds, samples and watches them,
    /// on the experiment's presets. Writes profiles/index.html into a new run folder.
    #[command(after_help = profile::EXAMPLES)]
    Profile(Box<ProfileArgs>),
    /// Find the fastest configuration for a workload, or for a pipeline of your own
    ///
    /// Tries the engine's knobs within a given time, confirms what it found in fresh loads, and prints the
    /// configuration to use with its evidence.
    #[command(after_help = tune::EXAMPLES)]
    Tune(Box<TuneArgs>),
    /// Record a load of a pipeline of your own, to be replayed as a workload
    ///
    /// Keeps what the API answers, with its latencies and refusals and without credentials. `run`, `profile`,
    /// `tune` and `gate` take the file as --workload and replay it, verified by checksum.
    #[command(after_help = record::EXAMPLES)]
    Record(RecordArgs),
    /// Serve a recording over HTTP until interrupted
    ///
    /// Prints one line of JSON with the URL of each source when it is ready.
    Replay {
        /// The recording
        #[arg(value_name = "FILE.rec")]
        file: PathBuf,
        /// Exit when standard input ends, which it does when the parent dies, however it dies
        #[arg(long, hide = true)]
        exit_with_stdin: bool,
    },
    /// Load with injected faults, and check that nothing is lost
    ///
    /// Each fault of the API, of PostgreSQL and of the loading process meets write methods and modes, on a
    /// throw-away server from local binaries.
    #[command(after_help = faults::EXAMPLES)]
    Faults(Box<FaultsArgs>),
    /// Load for long with random faults, and check that the process does not grow
    #[command(after_help = soak::EXAMPLES)]
    Soak(SoakArgs),
    /// Compare commands that load the same API, whatever they are, or two stored runs
    ///
    /// Commands run interleaved in blocks, each run is verified, and CPU, memory and I/O are those of
    /// its process tree. Of stored runs it says so if they are not comparable. This is no gate: it also
    /// succeeds when something is slower.
    #[command(override_usage = compare::USAGE, after_help = compare::EXAMPLES)]
    Compare(Box<CompareArgs>),
    /// Predict what a change would gain, from the budget of a stored run
    ///
    /// Without an experiment it predicts every change that the run measured, as if it had not been, shows how well
    /// predictions agree, and writes what-if.md, what-if.json and a plot into the folder.
    #[command(after_help = what_if::EXAMPLES)]
    WhatIf(WhatIfArgs),
    /// Render the report of a run again, from its stored samples
    Report {
        /// Folder of the run, such as reports/runs/20260101T000000Z-0123abcd
        run_dir: PathBuf,
        /// Also show how its quantities changed over earlier runs: a history, such as reports/history.ndjson
        #[arg(long, value_name = "FILE")]
        history: Option<PathBuf>,
        /// Write a chart of the largest gains and losses as an SVG file instead
        #[arg(long, value_name = "FILE.svg", conflicts_with = "history")]
        chart: Option<PathBuf>,
        /// Draw the chart for a dark page
        #[arg(long, requires = "chart")]
        dark: bool,
    },
    /// Check whether this machine can measure, and say what to fix
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the experiments with their claims, and the workloads
    List(ListArgs),
    /// Keep the results of runs in one file, and find when they changed
    #[command(after_help = history::EXAMPLES)]
    History(HistoryArgs),
    /// Serve a workload over HTTP until interrupted
    MockApi(MockApiOptions),
    /// Commands for the development of the suite
    #[command(subcommand)]
    Dev(DevCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page
    Man,
    /// Run a command from standard input, and say what its process tree used
    #[command(hide = true)]
    Supervise,
    // A gate starts these two in programs of older revisions too, so their names must not change.
    /// Run one job from standard input
    #[command(hide = true)]
    Worker,
    /// Run orders from standard input, one per line
    #[command(hide = true)]
    SoakWorker,
    /// Run one load of a pipeline, by an order from standard input
    #[command(hide = true)]
    TuneWorker,
    /// Decode or encode rows in one thread, to be counted from outside
    #[command(hide = true)]
    Kernel(KernelArgs),
}

impl Command {
    /// Whether it loads a pipeline of the user's, whose file may name variables of the environment.
    fn loads_a_pipeline(&self) -> bool {
        match self {
            Self::Record(_) => true,
            Self::Tune(arguments) => arguments.loads_a_pipeline(),
            Self::Profile(arguments) => arguments.loads_a_pipeline(),
            _ => false,
        }
    }
}

/// Parses the arguments, runs the command, and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.command.loads_a_pipeline() {
        // As `apitap` does. A missing file is no fault; an unreadable one shows when a variable is missing.
        let _ = dotenvy::dotenv();
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let done = match cli.command {
        // Without log and runtime, whose threads would be counted too.
        Command::Kernel(arguments) => kernel::run(&arguments),
        Command::Supervise => supervise::run().map(|()| 0),
        // It starts its own log: the job may ask for a trace beside it.
        Command::Worker => worker::run(&mut runtime).map(|()| 0),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command(), "apitap-bench", &mut text);
            say(String::from_utf8_lossy(&text).trim_end());
            Ok(0)
        }
        Command::Man => man(),
        command => {
            tracing_subscriber::registry().with(worker::log()).init();
            let runtime = runtime.enable_all().build();
            runtime
                .context("cannot start the runtime")
                .and_then(|runtime| runtime.block_on(dispatch(command)))
        }
    };
    ended(done)
}

/// The command line as clap sees it, to document it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

fn man() -> Result<u8> {
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(command()).render(&mut text);
    rendered.context("cannot render the man page")?;
    say(String::from_utf8_lossy(&text).trim_end());
    Ok(0)
}

fn ended(done: Result<u8>) -> ExitCode {
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

async fn dispatch(command: Command) -> Result<u8> {
    match command {
        Command::Run(arguments) => return Box::pin(run::run(*arguments)).await,
        Command::Gate(arguments) => return Box::pin(gate::run(*arguments)).await,
        Command::Bisect(arguments) => return bisect::run(&arguments),
        Command::Profile(arguments) => return Box::pin(profile::run(*arguments)).await,
        Command::Faults(arguments) => return Box::pin(faults::run(*arguments)).await,
        Command::Soak(arguments) => return Box::pin(soak::run(arguments)).await,
        Command::Tune(arguments) => return Box::pin(tune::run(*arguments)).await,
        Command::Record(arguments) => return Box::pin(record::run(arguments)).await,
        Command::Replay {
            file,
            exit_with_stdin,
        } => replay::run(&file, exit_with_stdin).await?,
        Command::TuneWorker => crate::tune::worker::run().await?,
        Command::SoakWorker => crate::soak::worker::run().await?,
        Command::Compare(arguments) => return Box::pin(compare::run(*arguments)).await,
        Command::WhatIf(arguments) => what_if::run(arguments)?,
        Command::Report {
            run_dir,
            chart: Some(file),
            dark,
            ..
        } => write_chart(&RunFolder::existing(run_dir), &file, dark)?,
        Command::Report {
            run_dir, history, ..
        } => report(run_dir, history)?,
        Command::Doctor { json } => {
            let checks = doctor::checks().await;
            if json {
                say(doctor::render_json(&checks)?);
            } else {
                say(doctor::render_text(&checks).trim_end());
            }
            let failed = checks.iter().any(|check| check.outcome == Outcome::Fail);
            return Ok(if failed { FAILED } else { 0 });
        }
        Command::List(arguments) => list::run(arguments)?,
        Command::History(arguments) => history::run(arguments)?,
        Command::MockApi(options) => mock_api::run(&options).await?,
        Command::Dev(command) => return Box::pin(dev::run(command)).await,
        Command::Completions { .. }
        | Command::Man
        | Command::Worker
        | Command::Supervise
        | Command::Kernel(_) => {
            unreachable!("these run without a runtime")
        }
    }
    Ok(0)
}

fn report(run_dir: PathBuf, history: Option<PathBuf>) -> Result<()> {
    let folder = RunFolder::existing(run_dir);
    if folder.path().join(commands::report::JSON_FILE).exists() {
        let results = commands::report::read(&folder)?;
        commands::report::write(folder.path(), &results)?;
        return compare::show(&folder, &results, false);
    }
    let earlier = history.as_deref().map(history::read).transpose()?;
    let mut report = None;
    if folder.has_samples() {
        report = Some(write_report(&folder, earlier.as_deref())?);
    }
    let steps = report.as_ref().map(|report| &report.results.steps[..]);
    let profiles = write_profiles(&folder, steps)?;
    match (&report, &profiles, history) {
        (None, None, _) => report = Some(write_report(&folder, earlier.as_deref())?),
        (None, Some(_), Some(file)) => eprintln!(
            "warning: this folder holds only profiles, so {} is not used",
            file.display()
        ),
        _ => {}
    }
    if let Some(report) = &report {
        ending::show(report);
    }
    if let Some(profiles) = &profiles {
        ending::show_profiles(profiles);
    }
    Ok(())
}

/// Ends the process as clap does for a wrong argument.
fn wrong_usage(message: impl std::fmt::Display) -> ! {
    Cli::command()
        .error(clap::error::ErrorKind::ValueValidation, message)
        .exit()
}

/// Writes a line to standard output. A reader that has gone, such as `head`, is no error.
fn say(line: impl Display) {
    let written = writeln!(std::io::stdout(), "{line}");
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("error: cannot write to standard output: {error}");
    }
}

/// Colours if standard output is a terminal.
fn colour() -> Colour {
    if std::io::stdout().is_terminal() {
        Colour::Always
    } else {
        Colour::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
