//! The `apitap` command; see [`apitap_core::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    apitap_core::cli::main()
}
