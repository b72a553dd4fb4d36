//! What a tuning came to, as text and as the block for `pipelines.yaml`.

use std::fmt::Write as _;

use apitap_core::pipeline_file::EngineBlock;

use super::confirm::{Confirmation, Finalist, Reason};
use super::search::{Trial, TriedValue};
use super::session::Tuned;
use crate::format::{Count, Percent, Range, Seconds, Times, Whole};
use crate::measure::progress::spoken;
use crate::stats::{CONFIDENCE_LEVEL, UNCALIBRATED};

/// The whole text, without a line feed at its end.
#[must_use]
pub(crate) fn text(tuned: &Tuned) -> String {
    let first = tuned.found.first;
    let mut text = format!(
        "{}: tuned for {}; a load of tuned sends {} requests for {} rows\n",
        tuned.subject,
        spoken(tuned.elapsed),
        Whole(first.requests),
        Whole(first.rows)
    );
    trials(&mut text, &tuned.found.trials);
    if tuned.found.cut_short {
        text += "The time was too short to try everything: more --minutes may find more.\n";
    }
    if let Some(left_out) = tuned.left_out {
        let _ = writeln!(text, "{left_out}.");
    }
    finalists(&mut text, &tuned.confirmation);
    let _ = writeln!(text, "\n{}\n", sentence(&tuned.confirmation));
    text += yaml(tuned).trim_end();
    text
}

/// The block `engine` of `pipelines.yaml` for what is recommended.
#[must_use]
pub(crate) fn yaml(tuned: &Tuned) -> String {
    let confirmation = &tuned.confirmation;
    let recommended = &confirmation.finalists[confirmation.recommended].candidate;
    let settings = [&tuned.kept[..], &recommended.settings()].concat();
    EngineBlock::new("tuned", &settings).to_string()
}

fn trials(text: &mut String, trials: &[Trial]) {
    if trials.is_empty() {
        return;
    }
    *text += "\nWhat was tried, in this order: times as multiples of the value before\n";
    let rows: Vec<Vec<String>> = trials
        .iter()
        .map(|trial| {
            let tried: Vec<String> = trial.tried.iter().map(tried).collect();
            let step = match trial.taken == trial.before {
                true => trial.before.clone(),
                false => format!("{} → {}", trial.before, trial.taken),
            };
            vec![trial.knob.to_owned(), step, tried.join(", ")]
        })
        .collect();
    table(text, &rows);
}

fn tried(one: &TriedValue) -> String {
    match (&one.ratio, &one.given_up) {
        (Some(ratio), _) => format!("{} {}", one.value, Times(*ratio)),
        (None, Some(reason)) => format!("{} {reason}", one.value),
        (None, None) => format!("{} not measured", one.value),
    }
}

fn finalists(text: &mut String, confirmation: &Confirmation) {
    let finalists = &confirmation.finalists;
    if finalists.len() < 2 {
        return;
    }
    *text += "\nThe confirmation, in fresh blocks: times as multiples of that of tuned\n";
    let head = ["configuration", "median", "ratio", "interval", "loads", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (index, finalist) in finalists.iter().enumerate() {
        rows.push(finalist_row(index, finalist, confirmation));
    }
    table(text, &rows);
    if confirmation.spoiled > 0 {
        let _ = writeln!(
            text,
            "The host took the processor away from {}, which {} left out.",
            Count::new(confirmation.spoiled, "load"),
            if confirmation.spoiled == 1 {
                "is"
            } else {
                "are"
            }
        );
    }
}

fn finalist_row(index: usize, finalist: &Finalist, confirmation: &Confirmation) -> Vec<String> {
    let is_current = index == confirmation.current;
    let name = match is_current {
        true => format!("{} (as now)", finalist.candidate),
        false => finalist.candidate.to_string(),
    };
    let seconds = finalist.seconds.as_ref();
    let comparison = finalist.against_tuned.as_ref().map(|one| &one.comparison);
    let mark = match (&finalist.given_up, index == confirmation.recommended) {
        (Some(reason), _) => reason.clone(),
        (None, true) => "recommended".to_owned(),
        (None, false) => String::new(),
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        name,
        or_none(seconds.map(|one| Seconds(one.median).to_string())),
        or_none(comparison.map(|one| Times(one.ratio).to_string())),
        or_none(comparison.map(|one| Range::new(one, CONFIDENCE_LEVEL).to_string())),
        seconds.map_or(0, |one| one.count).to_string(),
        mark,
    ]
}

/// The recommendation.
fn sentence(confirmation: &Confirmation) -> String {
    let recommended = &confirmation.finalists[confirmation.recommended];
    let keep = match confirmation.recommended == confirmation.current {
        true => format!("Keep what you have ({})", recommended.candidate),
        false => format!("Use {}", recommended.candidate),
    };
    let limit = Percent(UNCALIBRATED.share());
    let why = match (confirmation.reason, &recommended.against_tuned) {
        (Reason::Faster, Some(judged)) => format!(
            "it takes {} the time of tuned ({}, {} blocks)",
            Times(judged.comparison.ratio),
            Range::new(&judged.comparison, CONFIDENCE_LEVEL),
            judged.comparison.blocks
        ),
        (Reason::Faster, None) => "it is faster than what you have".to_owned(),
        (Reason::NothingFaster, _) => "nothing that was tried is faster".to_owned(),
        (Reason::NotDistinguished, _) => {
            format!("nothing that was found is certainly faster, and by more than {limit}")
        }
        (Reason::TooFewBlocks, _) => {
            "there was no time to try and confirm anything else; give more --minutes".to_owned()
        }
    };
    format!("{keep}: {why}.")
}

/// Rows whose columns stand below each other.
fn table(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests;
