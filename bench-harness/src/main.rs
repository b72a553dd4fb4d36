//! The `apitap-bench` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_harness::main()
}
