//! The `apitap` command: runs SQL modules over HTTP APIs into PostgreSQL.
//!
//! It is in the library so that the engine is compiled once. The feature `cli` turns it on; without it
//! a user of the library gets none of the command's dependencies.

mod arguments;
mod console;
mod dry_run;
mod faults;
mod interrupt;
mod metrics_server;
mod plan;
mod printable;
mod progress;
mod report_file;
mod runs;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use self::arguments::{Arguments, Command};
use self::console::Console;
use self::interrupt::Interrupt;
use self::plan::Plan;
use self::report_file::ReportFile;
use self::runs::Service;
use crate::trace::TraceGuard;

/// A module failed.
const FAILED: u8 = 1;
/// The command line, a file or a setting is wrong; nothing was run.
const USAGE: u8 = 2;

/// How long tasks that do not end by themselves may hold the command: a name that is looked up, for one.
const TASKS_END_WITHIN: Duration = Duration::from_secs(1);

/// Parses the arguments, runs the command, and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    faults::exit_as_failed(FAILED, start)
}

fn start() -> ExitCode {
    // A missing file is no fault. An unreadable one shows when a variable is missing.
    let _ = dotenvy::dotenv();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && arguments::wants_json() => {
            Console::new(true).failure(error.render().to_string().trim_end(), None);
            return ExitCode::from(USAGE);
        }
        Err(error) => error.exit(),
    };
    let console = Console::new(arguments.log_json);
    faults::report_panics(console);
    if let Some(command) = arguments.command {
        return print_command(command, console);
    }
    let trace = match arguments::init_logs(&arguments, console) {
        Ok(trace) => trace,
        Err(error) => {
            console.failure(&format!("{error:#}"), None);
            return ExitCode::from(USAGE);
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            console.failure(&format!("cannot start: {error}"), None);
            return ExitCode::from(FAILED);
        }
    };
    let code = runtime.block_on(run(&arguments, console));
    // Ends the tasks, and so their spans, before the trace ends.
    runtime.shutdown_timeout(TASKS_END_WITHIN);
    if let Err(error) = trace.map_or(Ok(()), TraceGuard::finish) {
        console.warning(&format!("the trace is not complete: {error}"));
    }
    ExitCode::from(code)
}

/// The command line as clap sees it, to document it.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

fn print_command(printed: Command, console: Console) -> ExitCode {
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
            console.failure(&format!("cannot write to standard output: {error}"), None);
            ExitCode::from(FAILED)
        }
    }
}

async fn run(arguments: &Arguments, console: Console) -> u8 {
    let mut plan = match Plan::new(arguments) {
        Ok(plan) => plan,
        Err(error) => {
            console.error(&error);
            return USAGE;
        }
    };
    let report = match arguments
        .report
        .as_deref()
        .map(ReportFile::open)
        .transpose()
    {
        Ok(report) => report,
        Err(error) => {
            console.failure(&format!("cannot write the report: {error}"), None);
            return USAGE;
        }
    };
    if let Some(address) = &arguments.metrics_addr {
        match metrics_server::serve(address, plan.exposition.clone()).await {
            Ok(bound) => console.info(&format!("metrics: http://{bound}/metrics")),
            Err(error) => {
                console.failure(&format!("cannot serve metrics at {address}: {error}"), None);
                return USAGE;
            }
        }
    }
    let interrupt = match Interrupt::listen(console) {
        Ok(interrupt) => interrupt,
        Err(error) => {
            console.failure(&format!("cannot listen for signals: {error}"), None);
            return FAILED;
        }
    };
    let mut service = Service {
        console,
        interrupt: interrupt.clone(),
        report,
        explains: arguments.explain,
    };
    let runs = async {
        match arguments.dry_run {
            true => tokio::select! {
                ok = plan.dry_run(console) => ok,
                () = interrupt.wait() => false,
            },
            false => service.run(&mut plan, arguments).await,
        }
    };
    exit_code(runs.await, &plan, &interrupt, arguments)
}

fn exit_code(ok: bool, plan: &Plan, interrupt: &Interrupt, arguments: &Arguments) -> u8 {
    match interrupt.signal() {
        // Whatever came after the last commit changed nothing.
        Some(signal) if !ok || arguments.schedule => signal.exit_code(),
        _ if ok => 0,
        _ if plan.modules.iter().all(|module| module.job.is_err()) => USAGE,
        _ => FAILED,
    }
}
