//! `apitap-bench-heap [--totals] OUTPUT.json < JOB.json`: one job of [`bench_harness::worker`] under
//! dhat.
//!
//! Prints the engine's report as the worker does, and writes every allocation with its stack to
//! OUTPUT.json, for [`bench_harness::heap`] and
//! [dh_view.html](https://nnethercote.github.io/dh_view/dh_view.html). With `--totals` it writes only
//! how much was allocated, for [`bench_harness::Allocations`], walks only the innermost
//! frames of a stack, and runs on one thread.
//!
//! A program of its own: dhat's allocator takes a lock and a backtrace for each allocation, which
//! must not be in a program that is timed.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use bench_harness::{Allocations, worker};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Runs one job from standard input and writes what it allocated
#[derive(Debug, Parser)]
#[command(name = "apitap-bench-heap", version)]
struct Cli {
    /// Where dhat's file goes, or the totals
    output: PathBuf,
    /// Write how much was allocated, and not where
    #[arg(long)]
    totals: bool,
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

fn run(Cli { output, totals }: &Cli) -> Result<()> {
    // dhat says only on standard error, at the end, that it cannot write a file.
    File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
    let profiler = dhat::Profiler::builder().file_name(output);
    let profiler = match totals {
        // It raises 0 to the fewest frames that it takes.
        true => profiler.testing().trim_backtraces(Some(0)),
        // The stage of an allocation is far out.
        false => profiler.trim_backtraces(None),
    };
    let profiler = profiler.build();
    let mut runtime = match totals {
        // How threads take turns changes what is allocated.
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let ran = worker::run(&mut runtime);
    let allocated = dhat::HeapStats::get();
    drop(profiler);
    ran?;
    if *totals {
        let allocations = Allocations {
            blocks: allocated.total_blocks,
            bytes: allocated.total_bytes,
        };
        let text = serde_json::to_string(&allocations)?;
        return std::fs::write(output, text)
            .with_context(|| format!("cannot write {}", output.display()));
    }
    let written = std::fs::metadata(output).context("dhat's file has gone")?;
    ensure!(
        written.len() > 0,
        "dhat could not write {}",
        output.display()
    );
    Ok(())
}
