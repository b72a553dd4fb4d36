//! `apitap-bench-heap OUTPUT.json < JOB.json`: one job of [`bench_harness::worker`] under dhat.
//!
//! Prints the engine's report as the worker does, and writes every allocation with its stack to
//! OUTPUT.json, for [`bench_harness::profile::heap`] and
//! [dh_view.html](https://nnethercote.github.io/dh_view/dh_view.html).
//!
//! A program of its own: dhat's allocator takes a lock and a backtrace for each allocation, which
//! must not be in a program that is timed.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use bench_harness::worker;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Runs one job from standard input and writes what it allocated
#[derive(Debug, Parser)]
#[command(name = "apitap-bench-heap", version)]
struct Cli {
    /// Where dhat's file goes
    output: PathBuf,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { output }: &Cli) -> Result<()> {
    // dhat tells of a file that it cannot write on standard error alone, and at the end.
    File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
    let profiler = dhat::Profiler::builder()
        .file_name(output)
        // The stage of an allocation is far out.
        .trim_backtraces(None)
        .build();
    let ran = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(worker::run()));
    drop(profiler);
    ran?;
    let written = std::fs::metadata(output).context("dhat's file has gone")?;
    ensure!(
        written.len() > 0,
        "dhat could not write {}",
        output.display()
    );
    Ok(())
}
