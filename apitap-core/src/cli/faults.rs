//! Faults of the command itself: a panic, or memory that cannot be had. They fail it in the ordinary way,
//! so that whoever started it need not know two.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGABRT;
use signal_hook::flag::register_conditional_shutdown;

use super::console::Console;

/// Runs the command; a panic that ends it, or an abort for want of memory, is exit code `failed`.
///
/// The standard library has then said what happened, as `memory allocation of N bytes failed`.
pub(super) fn exit_as_failed(failed: u8, command: fn() -> ExitCode) -> ExitCode {
    let always = Arc::new(AtomicBool::new(true));
    // Where no handler can be had, an abort ends the process as it does elsewhere.
    let _ = register_conditional_shutdown(SIGABRT, failed.into(), always);
    panic::catch_unwind(command).unwrap_or(ExitCode::from(failed))
}

/// Reports panics as errors. What they say may quote data, so it is shown only to those who ask for a
/// backtrace.
pub(super) fn report_panics(console: Console) {
    panic::set_hook(Box::new(move |panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |at| format!(", at {at}"));
        let backtrace = Backtrace::capture();
        let asked = backtrace.status() == BacktraceStatus::Captured;
        let details = match asked {
            true => format!(": {}\n{backtrace}", said(panic)),
            false => String::new(),
        };
        console.failure(
            &format!("a fault of apitap{place}{details}"),
            Some("report it; with RUST_BACKTRACE=1 it says more, which may quote data"),
        );
    }));
}

fn said<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or_default()
}
