//! `apitap-bench what-if`.

use std::num::NonZero;
use std::path::PathBuf;

use anyhow::Result;

use super::{colour, say, wrong_usage};
use crate::atomic_write;
use crate::judge::prediction::{Change, Latency, Predictions, Rows};
use crate::report::what_if::{
    DARK_FILE, JSON_FILE, LIGHT_FILE, MARKDOWN_FILE, answer, drawing, json, markdown, short,
};
use crate::run_folder::RunFolder;
use crate::run_record::RunRecord;

pub(super) const EXAMPLES: &str = "\
Examples:
  apitap-bench what-if RUN_DIR                     how well predictions agree with what was measured
  apitap-bench what-if RUN_DIR --experiment copy-vs-insert --set write.method=copy-binary
  apitap-bench what-if RUN_DIR --experiment page-size --api-latency 20ms --rows 10x
  apitap-bench what-if RUN_DIR --experiment prepared --postgres-latency 0.5x --cores 4";

/// What to predict, and from which run.
#[derive(Debug, clap::Args)]
pub(super) struct WhatIfArgs {
    /// Folder of the run, such as reports/runs/20260101T000000Z-0123abcd
    run_dir: PathBuf,
    /// Predict a change of this experiment's baselines, instead of all changes that were measured
    #[arg(long, value_name = "ID")]
    experiment: Option<String>,
    /// Round trip to the API: 2ms, or 0.5x of what it is
    #[arg(long, value_name = "LATENCY", requires = "experiment")]
    api_latency: Option<Latency>,
    /// Round trip to PostgreSQL: 2ms, or 0.5x of what it is
    #[arg(long, value_name = "LATENCY", requires = "experiment")]
    postgres_latency: Option<Latency>,
    /// Rows of the load: 1000000, or 10x of what it is
    #[arg(long, requires = "experiment")]
    rows: Option<Rows>,
    /// Processors of the machine
    #[arg(long, value_name = "N", requires = "experiment")]
    cores: Option<NonZero<usize>>,
    /// Change a knob, such as write.method=copy-binary; may be given several times
    #[arg(long, value_name = "KNOB=VALUE", requires = "experiment")]
    set: Vec<String>,
}

/// Predicts what was measured and writes how well that agrees, or predicts one change.
pub(super) fn run(arguments: WhatIfArgs) -> Result<()> {
    let folder = RunFolder::existing(arguments.run_dir);
    let (record, samples) = (folder.record()?, folder.samples()?);
    if let Some(experiment) = arguments.experiment {
        let change = Change {
            api_round_trip: arguments.api_latency,
            postgres_round_trip: arguments.postgres_latency,
            rows: arguments.rows,
            cores: arguments.cores,
            knobs: arguments.set,
        };
        if change.is_nothing() {
            wrong_usage("name what is changed, for example --set write.method=copy-binary");
        }
        let predictions = Predictions::of_change(&record, &samples, &experiment, &change)?;
        say(answer(&predictions, colour()).trim_end());
        return Ok(());
    }
    let predictions = Predictions::new(&record, &samples);
    say(short(&predictions, colour()).trim_end());
    for (file, text) in [
        (MARKDOWN_FILE, markdown(&predictions, &in_one_line(&record))),
        (JSON_FILE, json(&predictions)?),
        (LIGHT_FILE, drawing(&predictions, false)),
        (DARK_FILE, drawing(&predictions, true)),
    ] {
        atomic_write::write(&folder.path().join(file), &text)?;
    }
    say(format_args!(
        "\n{} has all predictions, and {LIGHT_FILE} the plot",
        folder.path().join(MARKDOWN_FILE).display()
    ));
    Ok(())
}

/// Of which run a report is.
fn in_one_line(record: &RunRecord) -> String {
    let text = |pointer: &str| {
        let found = record.fingerprint.pointer(pointer);
        found
            .and_then(|one| one.as_str())
            .unwrap_or("unknown")
            .to_owned()
    };
    format!(
        "The run of {}, commit {}, on {}",
        record.started_at,
        text("/build/git_commit"),
        text("/machine/cpu_model")
    )
}
