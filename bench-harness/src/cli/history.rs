//! `apitap-bench history`.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::{say, wrong_usage};
use crate::atomic_write;
use crate::format::Count;
use crate::judge::history::entry::Entry;
use crate::judge::history::file::{Added, FILE, Stored, add};
use crate::judge::history::series::History;
use crate::report::history::{EXTENSION, json, page};
use crate::report::history_text;
use crate::run_folder::RunFolder;
use crate::stats::SIGNIFICANCE;

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench history add reports/runs/RUN            keep the results of a run
  apitap-bench history add reports/runs/*              of all runs; results kept before are skipped
  apitap-bench history show                            every series; those that became worse come first
  apitap-bench history show tuned COPY rows_per_second only series that contain all of these words
  apitap-bench history show --significance 0.001       for many series
  apitap-bench history show --json | jq '.series[] | select(.changes != [])'
  apitap-bench report reports/runs/RUN --history reports/history.ndjson";

/// What to do with a history.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    #[command(subcommand)]
    command: HistoryCommand,
}

#[derive(Debug, clap::Subcommand)]
enum HistoryCommand {
    /// Append the results of stored runs; results kept before are skipped
    Add {
        /// Folders of runs or gates, such as reports/runs/20260101T000000Z-0123abcd
        #[arg(required = true, value_name = "RUN_DIR")]
        run_dirs: Vec<PathBuf>,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Show every series with its change points, and write a page with charts
    ///
    /// This is no gate: it also succeeds when something became worse.
    Show {
        /// Only series that contain all of these in scenario, arm, metric or digest of the machine
        #[arg(value_name = "FILTER")]
        filters: Vec<String>,
        #[command(flatten)]
        file: FileArgs,
        /// Share of unchanged series in which a change is found by chance
        #[arg(long, value_name = "SHARE", default_value_t = SIGNIFICANCE, value_parser = significance)]
        significance: f64,
        /// File of the page [default: beside the history, with extension html]
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct FileArgs {
    /// File of the history, one JSON object per line
    #[arg(long, value_name = "FILE", default_value = FILE)]
    file: PathBuf,
}

/// The smallest level needs 99,999 permutations, which takes minutes for many series.
const SMALLEST_SIGNIFICANCE: f64 = 0.0001;
const LARGEST_SIGNIFICANCE: f64 = 0.2;

fn significance(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (SMALLEST_SIGNIFICANCE..=LARGEST_SIGNIFICANCE).contains(&share) {
        Ok(share)
    } else {
        Err(format!(
            "must be between {SMALLEST_SIGNIFICANCE} and {LARGEST_SIGNIFICANCE}"
        ))
    }
}

/// Adds runs, or shows what there is.
pub(super) fn run(arguments: HistoryArgs) -> Result<()> {
    match arguments.command {
        HistoryCommand::Add { run_dirs, file } => {
            let mut left_out = 0;
            for run_dir in &run_dirs {
                if let Err(error) = keep(run_dir, &file.file) {
                    eprintln!("error: cannot add {}: {error:#}", run_dir.display());
                    left_out += 1;
                }
            }
            ensure!(
                left_out == 0,
                "{left_out} of {} not added",
                Count::new(run_dirs.len(), "folder")
            );
            Ok(())
        }
        HistoryCommand::Show {
            filters,
            file,
            significance,
            html,
            json,
        } => {
            let history = History::new(&read(&file.file)?, &filters, significance);
            if history.series.is_empty() && !filters.is_empty() {
                wrong_usage(format!(
                    "no series contains {}; `apitap-bench history show` shows all",
                    filters.join(" and ")
                ));
            }
            let html = html.unwrap_or_else(|| file.file.with_extension(EXTENSION));
            show(&history, &html, json)
        }
    }
}

fn keep(run_dir: &Path, file: &Path) -> Result<()> {
    let folder = RunFolder::existing(run_dir.to_owned());
    let entries = Entry::all(&folder.record()?, &folder.samples()?)?;
    let Added { added, known } = add(file, &entries)?;
    let (run, history) = (run_dir.display(), file.display());
    match (added, known) {
        (0, _) => say(format_args!("{run} is in {history} already: nothing added")),
        (_, 0) => say(format_args!(
            "{run}: {} added to {history}",
            Count::new(added, "result")
        )),
        _ => say(format_args!(
            "{run}: {} added to {history}, {known} were there already",
            Count::new(added, "result")
        )),
    }
    Ok(())
}

/// What the history in `file` holds.
pub(super) fn read(file: &Path) -> Result<Vec<Entry>> {
    let stored = Stored::read(file)?;
    if let Some(line) = stored.cut_line {
        eprintln!(
            "warning: line {line} of {} is incomplete and ignored: add its run again",
            file.display()
        );
    }
    Ok(stored.entries)
}

fn show(history: &History, html: &Path, as_json: bool) -> Result<()> {
    atomic_write::write(html, &page(history)?)?;
    if as_json {
        say(json(history)?);
        eprintln!("{}", html.display());
    } else {
        say(history_text::render(history).trim_end());
        say(html.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_significance_is_a_small_share() {
        assert_eq!(significance("0.05"), Ok(0.05));
        for wrong in ["0", "1", "-0.01", "NaN", "small"] {
            assert!(significance(wrong).is_err(), "{wrong}");
        }
    }
}
