//! The `apitap-bench` command; see [`bench_harness::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_harness::main()
}
