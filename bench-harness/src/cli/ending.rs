//! What a command prints of a run that has ended, and the exit code that follows.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Result;

use super::{FAILED, INCOMPARABLE, INTERRUPTED, WRONG_DATA, colour, say};
use crate::format::Count;
use crate::measure::profiling::WrongData;
use crate::measure::session::{EndedBy, Finished, Incomparable, NothingTaken};
use crate::report::files::{Profiles, Report, write_profiles, write_report};
use crate::report::profile::in_short;
use crate::report::terminal;

/// The exit code of a run, with or without a report.
pub(super) fn ended_or_refused(finished: Result<Finished>) -> Result<u8> {
    match finished {
        Ok(finished) => {
            let (code, _) = ended(&finished, |folder| match finished.has_samples {
                true => format!("continue with --resume {}", folder.display()),
                false => "profile again".to_owned(),
            })?;
            Ok(code)
        }
        Err(error) if error.is::<Incomparable>() => {
            eprintln!(
                "error: the run cannot continue here: {error:#}; use the same server and the same --postgres options \
                 as the run"
            );
            Ok(INCOMPARABLE)
        }
        Err(error) if error.is::<NothingTaken>() => {
            eprintln!("{error:#}");
            Ok(INTERRUPTED)
        }
        Err(error) => Err(error),
    }
}

/// Writes and shows the report and the errors; returns the exit code and the report. `next` says what
/// to do after an interrupt, given the run's folder.
pub(super) fn ended(
    finished: &Finished,
    next: impl Fn(&Path) -> String,
) -> Result<(u8, Option<Report>)> {
    let report = match finished.has_samples {
        true => Some(write_report(&finished.folder, None)?),
        false => None,
    };
    if let Some(report) = &report {
        show(report);
    }
    let steps = report.as_ref().map(|report| &report.results.steps[..]);
    if let Some(profiles) = write_profiles(&finished.folder, steps)? {
        show_profiles(&profiles);
    }
    let code = report.as_ref().map_or(0, verdict);
    let code = match &finished.ended_by {
        Some(EndedBy::Error(error)) => {
            eprintln!("error: {error:#}; the report holds what was measured before");
            if error.is::<WrongData>() {
                WRONG_DATA
            } else {
                code.max(FAILED)
            }
        }
        Some(EndedBy::Interrupt) => {
            let next = next(finished.folder.path());
            eprintln!("interrupted: the report holds what was measured; {next}");
            if code == WRONG_DATA {
                code
            } else {
                INTERRUPTED
            }
        }
        None => code,
    };
    Ok((code, report))
}

/// Prints the tables, and where the whole report is.
pub(super) fn show(report: &Report) {
    let is_cut = std::io::stdout().is_terminal();
    say(terminal::render(&report.results, colour(), is_cut));
    say(format_args!("Report: {}", report.page.display()));
}

/// Prints where the time went, and where the pictures are.
pub(super) fn show_profiles(profiles: &Profiles) {
    for sentence in in_short(&profiles.results) {
        say(sentence);
    }
    say(format_args!("Profiles: {}", profiles.page.display()));
}

/// Names the samples that went wrong, and says with which code to exit for them.
fn verdict(report: &Report) -> u8 {
    let (wrong, failed) = (report.wrong_data(), report.failures());
    for (samples, what) in [(&wrong, "loaded wrong data"), (&failed, "failed")] {
        if let Some(first) = samples.first() {
            eprintln!(
                "error: {} {what}; the first: {first}",
                Count::new(samples.len(), "sample")
            );
        }
    }
    match (wrong.is_empty(), failed.is_empty()) {
        (false, _) => WRONG_DATA,
        (true, false) => FAILED,
        (true, true) => 0,
    }
}
