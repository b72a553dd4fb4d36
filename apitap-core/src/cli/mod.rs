//! The `apitap` command: runs SQL modules over HTTP APIs into PostgreSQL.
//!
//! It is in the library so that the engine is compiled once. The feature `cli` turns it on; without it
//! a user of the library gets none of the command's dependencies.

mod arguments;
mod metrics_server;
mod plan;
mod progress;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use chrono::Utc;
use clap::{CommandFactory as _, Parser as _};

use self::arguments::{Arguments, Command};
use self::plan::{Plan, Round};
use self::progress::Progress;
use crate::infer::Columns;
use crate::job::Job;
use crate::metrics::Metrics;
use crate::pipeline::DryRun;
use crate::trace::TraceGuard;
use crate::{Error, RunReport};

/// A module failed, or could not be run.
const FAILED: u8 = 1;
/// The command line, a file or a setting is wrong; nothing was run.
const USAGE: u8 = 2;

/// Parses the arguments, runs the command, and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    // A missing file is no fault. An unreadable one shows when a variable is missing.
    let _ = dotenvy::dotenv();
    let arguments = Arguments::parse();
    if let Some(command) = arguments.command {
        return print_command(command);
    }
    let trace = match arguments::init_logs(&arguments) {
        Ok(trace) => trace,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(USAGE);
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let code = runtime.block_on(run(&arguments));
    // Ends the tasks, and so their spans, before the trace ends.
    drop(runtime);
    match trace.map_or(Ok(()), TraceGuard::finish) {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: writing the trace: {error}");
            ExitCode::from(code.max(FAILED))
        }
    }
}

/// The command line as clap sees it, to document it.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

fn print_command(printed: Command) -> ExitCode {
    let mut command = command();
    let mut text = Vec::new();
    let rendered = match printed {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut command, "apitap", &mut text);
            Ok(())
        }
        Command::Man => clap_mangen::Man::new(command).render(&mut text),
    };
    match rendered.and_then(|()| std::io::stdout().write_all(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write to standard output: {error}");
            ExitCode::from(FAILED)
        }
    }
}

async fn run(arguments: &Arguments) -> u8 {
    let mut plan = match Plan::new(arguments) {
        Ok(plan) => plan,
        Err(error) => {
            print_error(&error);
            return USAGE;
        }
    };
    if let Some(address) = &arguments.metrics_addr {
        match metrics_server::serve(address, plan.exposition.clone()).await {
            Ok(bound) => eprintln!("metrics: http://{bound}/metrics"),
            Err(error) => {
                eprintln!("error: cannot serve metrics at {address}: {error}");
                return USAGE;
            }
        }
    }
    let succeeded = tokio::select! {
        result = plan.execute(arguments) => result,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("interrupted: the server rolls back what was not committed");
            false
        }
    };
    if succeeded { 0 } else { FAILED }
}

impl Plan {
    /// True when everything succeeded.
    async fn execute(&mut self, arguments: &Arguments) -> bool {
        if arguments.dry_run {
            return self.dry_run().await;
        }
        let (ok, reports) = self.run_once().await;
        let written = match &arguments.report {
            Some(path) => write_reports(path, &reports),
            None => Ok(()),
        };
        if let Err(error) = &written {
            eprintln!("error: {error:#}");
        }
        if arguments.schedule {
            self.run_on_schedule(arguments).await;
        }
        ok && written.is_ok()
    }

    async fn dry_run(&self) -> bool {
        let mut ok = true;
        for (job, _) in &self.jobs {
            match self.engine.dry_run(job).await {
                Ok(plan) => print!("{}", describe(job, &plan)),
                Err(error) => {
                    ok = false;
                    print_error(&error);
                }
            }
        }
        ok
    }

    /// Runs every module. When one fails, the next one still runs.
    async fn run_once(&self) -> (bool, Vec<RunReport>) {
        let mut reports = Vec::new();
        for (job, _) in &self.jobs {
            reports.extend(self.run(job).await);
        }
        (reports.len() == self.jobs.len(), reports)
    }

    async fn run(&self, job: &Job) -> Option<RunReport> {
        let metrics = Arc::new(Metrics::default());
        let watched = self.exposition.watch(&job.name, metrics.clone());
        let progress = Progress::start(&job.name, metrics.clone());
        let result = self.engine.run(job, metrics).await;
        progress.stop();
        match result {
            Ok(report) => {
                watched.succeeded();
                eprintln!(
                    "{}: {} rows into {} in {:.2} s ({:.0} rows/s)",
                    report.module,
                    report.rows_written,
                    report.table,
                    report.wall_seconds,
                    report.rows_per_second
                );
                Some(report)
            }
            Err(error) => {
                print_error(&error);
                None
            }
        }
    }

    /// Runs modules by their schedules, one after the other, until interrupted. A module that fails
    /// does not end it. When a file has become wrong, the round is skipped.
    async fn run_on_schedule(&mut self, arguments: &Arguments) {
        let mut last = Utc::now();
        while let Some(round) = self.next_round(Utc::now(), last) {
            last = round.moment;
            let wait = (round.moment - Utc::now()).to_std().unwrap_or_default();
            tokio::time::sleep(wait).await;
            match self.reload(arguments) {
                Ok(()) => self.run_round(&round).await,
                Err(error) => print_error(&error),
            }
        }
        eprintln!("no module has a schedule");
    }

    async fn run_round(&self, round: &Round) {
        for (job, _) in &self.jobs {
            if round.modules.contains(&job.name) {
                self.run(job).await;
            }
        }
    }
}

/// Prints an error and what to do about it.
fn print_error(error: &Error) {
    eprintln!("error: {}", error.chain());
    if let Some(hint) = error.next_step() {
        eprintln!("  help: {hint}");
    }
}

fn describe(job: &Job, plan: &DryRun) -> String {
    let mut text = format!("module {}\n", job.name);
    for (source, columns) in &plan.sources {
        text.push_str(&format!("  source {source}\n"));
        text.push_str(&columns_text(columns));
    }
    text.push_str("  plan\n");
    for line in plan.plan.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    let (state, mode) = (
        if plan.load.exists {
            "exists"
        } else {
            "would be created"
        },
        job.sink.mode,
    );
    text.push_str(&format!(
        "  table {} ({state}, mode {})\n",
        plan.load.table,
        format!("{mode:?}").to_lowercase()
    ));
    for column in &plan.load.columns {
        text.push_str(&format!("    {} {}\n", column.name, column.pg_type.sql()));
    }
    text
}

fn columns_text(columns: &Columns) -> String {
    columns
        .iter()
        .map(|(name, column_type)| format!("    {name} {column_type}\n"))
        .collect()
}

fn write_reports(path: &Path, reports: &[RunReport]) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(reports)?;
    if path.as_os_str() == "-" {
        writeln!(std::io::stdout(), "{json}").context("writing the report")
    } else {
        std::fs::write(path, json + "\n")
            .with_context(|| format!("writing the report to {}", path.display()))
    }
}
