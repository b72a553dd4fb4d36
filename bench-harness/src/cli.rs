//! The command line of `apitap-bench`.

mod calibrate;
mod compare;
mod counters;
mod ending;
mod flamegraph;
mod gate;
mod gate_selftest;
mod history;
mod kernel;
mod profile;
mod run;
mod selection;
mod server;
mod slowdown;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::experiment::{Experiment, Scale};
use crate::format::{Count, Promise};
use crate::measure::doctor::{self, Outcome};
use crate::measure::worker;
use crate::report::files::{write_chart, write_profiles, write_report};
use crate::report::terminal::Colour;
use crate::run_folder::RunFolder;
use calibrate::CalibrateArgs;
use counters::CountersArgs;
use flamegraph::FlamegraphArgs;
use gate::GateArgs;
use gate_selftest::SelftestArgs;
use history::HistoryArgs;
use kernel::KernelArgs;
use profile::ProfileArgs;
use run::RunArgs;
use server::ServerArgs;
use testkit::mock_api::{self, MockApiOptions};
use testkit::with_postgres;
use testkit::workload::Workload;

/// The harness failed, or a sample did not finish.
const FAILED: u8 = 1;

/// As clap ends the process for a wrong argument.
const WRONG_USAGE: u8 = 2;

/// Something is worse by more than its limit.
const REGRESSED: u8 = 3;

/// Results of another place, program or data: no figure could compare.
const INCOMPARABLE: u8 = 5;

/// A sample loaded wrong data.
const WRONG_DATA: u8 = 6;

/// SIGINT, as shells say it.
const INTERRUPTED: u8 = 130;

const EXAMPLES: &str = "\
Examples:
  apitap-bench doctor                              what to mend before measuring
  apitap-bench list                                every claim that can be put to the test
  apitap-bench run --quick                         all of them, in minutes
  apitap-bench run prepared pipelining             just these
  apitap-bench run --full --postgres docker        against a container, for a claim
  apitap-bench run --resume reports/runs/RUN       go on with an interrupted run
  apitap-bench profile copy-vs-insert              why it is faster, and what to try next
  apitap-bench calibrate                           learn the noise of this machine
  apitap-bench gate --base main                    whether the working tree is slower than main
  apitap-bench report reports/runs/RUN             the report of stored samples again
  apitap-bench compare RUN_A RUN_B                 two stored runs side by side
  apitap-bench history add reports/runs/RUN        keep its results beside those of other runs
  apitap-bench history show                        all of them over time, and where they changed

Exit codes:
  0    all is well
  1    the harness failed, or a sample did not finish
  2    wrong usage
  3    gate: something is worse than it may be
  4    gate: it cannot be told (only with --fail-on-inconclusive)
  5    incomparable: another machine, server, program or data
  6    a sample loaded wrong data
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
    /// List experiments with their claims, and the workloads
    List {
        /// Folder of experiments [default: fixtures/experiments]
        #[arg(long, value_name = "DIR", env = "APITAP_EXPERIMENTS")]
        experiments: Option<PathBuf>,
    },
    /// Run experiments and write a report
    Run(Box<RunArgs>),
    /// Measure the noise of this machine with identical arms, for the thresholds of later runs
    Calibrate(Box<CalibrateArgs>),
    /// Find out why one arm is faster: flame graphs, a time budget, and what grew or shrank
    ///
    /// Baseline and first candidate of each experiment are loaded in rounds, sampled and watched, on
    /// the experiment's presets. Writes profiles/index.html into a run's folder of its own.
    #[command(after_help = profile::EXAMPLES)]
    Profile(Box<ProfileArgs>),
    /// Tell whether a change made anything slower: two revisions, or one and stored results
    ///
    /// Both revisions are built in worktrees of their own, and their loads alternate on this machine.
    /// Counters are judged first, then processor time, then wall time; what is worse is measured once
    /// more, and profiled. Writes gate.json, junit.xml, summary.md and more into a folder of its own.
    #[command(after_help = gate::EXAMPLES)]
    Gate(Box<GateArgs>),
    /// Tell how often the gate is wrong: many gates of a head that is as its base, and of slowed ones
    #[command(after_help = gate_selftest::EXAMPLES)]
    GateSelftest(SelftestArgs),
    /// Render the report of a run again, from its stored samples
    Report {
        /// Folder of the run, such as reports/runs/20260101T000000Z-0123abcd
        run_dir: PathBuf,
        /// Add how its quantities changed over the earlier runs of a history, such as reports/history.ndjson
        #[arg(long, value_name = "FILE")]
        history: Option<PathBuf>,
        /// Write the largest gains and losses as an SVG file instead
        #[arg(long, value_name = "FILE.svg", conflicts_with = "history")]
        chart: Option<PathBuf>,
        /// Draw that for a dark page
        #[arg(long, requires = "chart")]
        dark: bool,
    },
    /// Show two stored runs side by side, or why they do not compare
    ///
    /// It is no gate: it succeeds also where something regressed.
    Compare {
        /// Folder of the run that ratios are against
        run_a: PathBuf,
        /// Folder of the other one
        run_b: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep the results of runs in one file, and find when they changed
    #[command(after_help = history::EXAMPLES)]
    History(HistoryArgs),
    /// Take every counter again and again, and show by how much it varies
    Counters(CountersArgs),
    /// Check whether this machine can measure, and say what to mend
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Serve a workload over HTTP until interrupted
    MockApi(MockApiOptions),
    /// Run a command beside a throw-away server, named in APITAP_TEST_DATABASE_URL
    WithPostgres {
        #[command(flatten)]
        server: ServerArgs,
        /// The command with its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run a command under perf, and draw where its processor time goes
    Flamegraph(FlamegraphArgs),
    /// Run one job from standard input
    #[command(hide = true)]
    Worker,
    /// Decode or encode rows in one thread, to be counted from outside
    #[command(hide = true)]
    Kernel(KernelArgs),
}

/// Parses the arguments, runs the command, and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Without log and runtime, whose threads would be counted too.
    if let Command::Kernel(arguments) = cli.command {
        return ended(kernel::run(&arguments));
    }
    // The worker's job may ask for a trace beside the log.
    if !matches!(cli.command, Command::Worker) {
        tracing_subscriber::registry().with(worker::log()).init();
    }
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(dispatch(cli.command)));
    ended(done)
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
        Command::List { experiments } => list(experiments)?,
        Command::Run(arguments) => return Box::pin(run::run(*arguments)).await,
        Command::Profile(arguments) => return Box::pin(profile::run(*arguments)).await,
        Command::Gate(arguments) => return Box::pin(gate::run(*arguments)).await,
        Command::GateSelftest(arguments) => return gate_selftest::run(&arguments),
        Command::Calibrate(arguments) => return Box::pin(calibrate::run(*arguments)).await,
        Command::Report {
            run_dir,
            chart: Some(file),
            dark,
            ..
        } => write_chart(&RunFolder::existing(run_dir), &file, dark)?,
        Command::Report {
            run_dir,
            history: file,
            ..
        } => {
            let folder = RunFolder::existing(run_dir);
            let earlier = file.as_deref().map(history::read).transpose()?;
            let profiles = write_profiles(&folder)?;
            if folder.has_samples() || profiles.is_none() {
                ending::show(&write_report(&folder, earlier.as_deref())?);
            } else if let Some(file) = file {
                eprintln!(
                    "warning: profiles alone have no place in {}",
                    file.display()
                );
            }
            if let Some(profiles) = &profiles {
                ending::show_profiles(profiles);
            }
        }
        Command::Compare { run_a, run_b, json } => return compare::run(run_a, run_b, json),
        Command::History(arguments) => history::run(arguments)?,
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
        Command::Counters(arguments) => return Box::pin(counters::run(arguments)).await,
        Command::MockApi(options) => mock_api::run(&options).await?,
        Command::WithPostgres { server, command } => {
            let mut options = server.options();
            // The command's data ends with the server, so nothing needs to reach the disk.
            options.durable = false;
            let code = Box::pin(with_postgres::run(&options, &command)).await?;
            return Ok(u8::try_from(code).unwrap_or(FAILED));
        }
        Command::Flamegraph(arguments) => {
            let code = Box::pin(flamegraph::run(arguments)).await?;
            return Ok(u8::try_from(code).unwrap_or(FAILED));
        }
        Command::Worker => worker::run().await?,
        Command::Kernel(arguments) => return kernel::run(&arguments),
    }
    Ok(0)
}

/// Ends the process as clap does for a wrong argument.
fn wrong_usage(message: impl std::fmt::Display) -> ! {
    Cli::command()
        .error(clap::error::ErrorKind::ValueValidation, message)
        .exit()
}

/// Writes a line to standard output. That its reader has gone, as `head` does, is no error.
fn say(line: impl Display) {
    let written = writeln!(std::io::stdout(), "{line}");
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("error: cannot write to standard output: {error}");
    }
}

/// Colours where standard output is a terminal.
fn colour() -> Colour {
    if std::io::stdout().is_terminal() {
        Colour::Always
    } else {
        Colour::Never
    }
}

fn list(experiments: Option<PathBuf>) -> Result<()> {
    for experiment in Experiment::all(&Experiment::folder(experiments)?)? {
        let definition = &experiment.definition;
        say(format_args!("{}: {}", definition.id, definition.title));
        say(format_args!(
            "  claim     {} ({})",
            definition.claim, definition.section
        ));
        say(format_args!(
            "  expected  {} in {}",
            Promise(definition.expected),
            definition.metric
        ));
        let arms: Vec<&str> = definition.arms().map(|arm| arm.name.as_str()).collect();
        say(format_args!("  arms      {}", arms.join(", ")));
        let scenarios = experiment.scenarios(Scale::Default);
        let cells = scenarios
            .iter()
            .filter(|plan| !plan.cell.is_empty())
            .count();
        let on: Vec<&str> = definition.on.keys().map(String::as_str).collect();
        let mut places = vec![if on.is_empty() {
            "presets of their own".to_owned()
        } else {
            format!("on {}", on.join(" and "))
        }];
        if let Some(vary) = &definition.vary {
            let names: Vec<&str> = vary
                .parameters
                .iter()
                .map(|one| one.name.as_str())
                .collect();
            places.push(format!(
                "{} of {}",
                Count::new(cells, "cell"),
                names.join(" × ")
            ));
        }
        say(format_args!("  runs      {}", places.join(", ")));
    }
    say(format_args!("\nworkloads:"));
    for name in Workload::names() {
        if let Ok(workload) = Workload::named(name) {
            say(format_args!("  {name:<12} {}", workload.description()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
