//! The findings on a terminal, as `compare.md` and as `compare.json`.

use std::path::Path;

use anyhow::{Context, Result};

use super::arm::Arm;
use super::results::{ArmFigures, CommandResults, Fault};
use crate::atomic_write;
use crate::format::{Bytes, Count, Number, Percent, Range, Seconds, Times, Whole, one_line};
use crate::report::document::{Block, Cell, Document, Section, Table, Tone};
use crate::report::terminal::{Colour, block, columns_of};
use crate::report::{markdown, place, repeated};
use crate::run_folder::RunFolder;
use crate::stats::{
    BLOCKS_PER_SESSION, Correction, Judged, LEAST_SESSIONS, SMALLEST_EFFECT, UNCALIBRATED, Verdict,
};

/// Names of the files in the folder of a run.
pub(crate) const JSON_FILE: &str = "compare.json";
pub(crate) const MARKDOWN_FILE: &str = "compare.md";

/// A longer name is no part of a column's heading, which nothing cuts.
const MOST_HEADING_COLUMNS: usize = 16;

/// The results of what `folder` holds, computed again.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn read(folder: &RunFolder) -> Result<CommandResults> {
    let path = folder.path().join(JSON_FILE);
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let written: CommandResults = serde_json::from_str(&text)
        .with_context(|| format!("{} is not of this version", path.display()))?;
    Ok(CommandResults::new(&written.record, &folder.samples()?))
}

/// Writes both files.
///
/// # Errors
/// When one cannot be written.
pub(crate) fn write(folder: &Path, results: &CommandResults) -> Result<()> {
    atomic_write::write(&folder.join(JSON_FILE), &json(results)?)?;
    atomic_write::write(&folder.join(MARKDOWN_FILE), &markdown(results))
}

/// Renders `results` as indented JSON.
///
/// # Errors
/// When the fingerprint cannot be written as JSON.
pub(crate) fn json(results: &CommandResults) -> Result<String> {
    let text = serde_json::to_string_pretty(results).context("cannot serialise the results")?;
    Ok(text + "\n")
}

/// Renders `results` as GitHub-flavoured Markdown.
#[must_use]
pub(crate) fn markdown(results: &CommandResults) -> String {
    let record = &results.record;
    let build_profile = record.fingerprint.pointer("/build/profile");
    let build_profile = build_profile.and_then(|profile| profile.as_str());
    let mut section = Section::new("times", "Times");
    section.blocks.extend(warnings(results));
    section.push(Block::Table(figures(
        &results.arms,
        results.confidence_level,
    )));
    let mut commands = Section::new("commands", "Commands");
    commands.push(Block::Table(tables(&record.arms)));
    commands
        .blocks
        .extend(record.prepare.as_ref().map(|prepare| {
            Block::Paragraph(format!(
                "Before each of them ran, untimed: {}",
                one_line(prepare)
            ))
        }));
    if !record.notes.is_empty() {
        commands.push(Block::List(record.notes.clone()));
    }
    let mut method = Section::new("method", "Method");
    method.push(Block::List(how(results)));
    method.push(Block::Code(repeated(&record.command, record.seed)));
    markdown::page(&Document {
        title: title(results),
        subtitle: place(
            &record.fingerprint,
            record.started_at,
            build_profile.unwrap_or("unknown"),
        ),
        sections: vec![section, commands, method],
    })
}

/// Renders the figures and what weakens them, within 100 columns.
#[must_use]
pub(crate) fn terminal(results: &CommandResults, colour: Colour) -> String {
    let mut lines = vec![title(results), String::new()];
    let table = figures(&results.arms, results.confidence_level);
    lines.extend(block(&Block::Table(table), colour));
    let warnings = warnings(results);
    if !warnings.is_empty() {
        lines.push(String::new());
    }
    lines.extend(warnings.iter().flat_map(|warning| block(warning, colour)));
    lines.join("\n")
}

fn title(results: &CommandResults) -> String {
    let record = &results.record;
    format!(
        "{} rows of {}, loaded by {}",
        Whole(record.rows),
        one_line(&record.workload),
        Count::new(record.arms.len(), "command")
    )
}

/// What every arm took, the first as the measure of the others, at that `confidence` of intervals. Figures that no
/// arm has are left out.
pub(crate) fn figures(arms: &[ArmFigures], confidence: f64) -> Table {
    let first = arms.first().map(|arm| arm.name.as_str());
    let is_short = |name: &&str| columns_of(name) <= MOST_HEADING_COLUMNS;
    let first = first.filter(is_short).unwrap_or("first");
    let (time, cpu) = (format!(">Time ÷ {first}"), format!("+>CPU ÷ {first}"));
    let columns = [
        "Arm",
        ">Time",
        ">Rows/s",
        &time,
        "Verdict",
        ">CPU",
        &cpu,
        "+>Server CPU",
        ">Memory",
        "+>Read",
        "+>Written",
    ];
    let mut table = Table::new("What every arm took", &columns);
    let arms = arms.iter().enumerate();
    table.rows = arms
        .map(|(index, arm)| row(arm, index == 0, confidence))
        .collect();
    table.without_absent_columns()
}

fn row(arm: &ArmFigures, is_first: bool, confidence: f64) -> Vec<Cell> {
    let ratio = |judged: Option<&Judged>| match judged {
        _ if is_first => Cell::text("1"),
        Some(judged) => compared(judged, confidence),
        None => Cell::absent(),
    };
    let bytes = |value: Option<f64>| figure(value, |value| Bytes(value).to_string());
    let seconds = |value: Option<f64>| figure(value, |value| Seconds(value).to_string());
    vec![
        Cell::text(one_line(&arm.name)),
        seconds(arm.wall_seconds.map(|wall| wall.median)),
        figure(arm.rows_per_second, |value| Number(value).to_string()),
        ratio(arm.time_against_first.as_ref()),
        verdict(arm.time_against_first.as_ref()),
        seconds(arm.cpu_seconds),
        ratio(arm.cpu_against_first.as_ref()),
        seconds(arm.server_cpu_seconds),
        bytes(arm.peak_memory_bytes.map(|bytes| bytes as f64)),
        bytes(arm.disk_read_bytes),
        bytes(arm.disk_written_bytes),
    ]
}

fn figure(value: Option<f64>, shown: impl Fn(f64) -> String) -> Cell {
    value.map_or_else(Cell::absent, |value| Cell::figure(shown(value), value))
}

/// `18.4× (17.7–19.1)`
fn compared(judged: &Judged, confidence: f64) -> Cell {
    let comparison = &judged.comparison;
    let range = Range::new(comparison, confidence);
    let text = format!("{} ({range})", Times(comparison.ratio));
    Cell::figure(text, comparison.ratio)
}

fn verdict(judged: Option<&Judged>) -> Cell {
    let Some(judged) = judged else {
        return Cell::text("");
    };
    let (word, tone) = match judged.verdict {
        Verdict::Improved => ("faster", Tone::Better),
        Verdict::Regressed => ("slower", Tone::Worse),
        Verdict::Equivalent => ("equivalent", Tone::Same),
        Verdict::Inconclusive => ("inconclusive", Tone::Open),
    };
    Cell::text(word).toned(tone)
}

/// What each arm ran, and what its table was like.
fn tables(arms: &[Arm]) -> Table {
    let mut table = Table::new("Arms", &["Arm", "Command", "Table"]);
    table.rows = arms
        .iter()
        .map(|arm| {
            let same = match arm.empty_text_is_null {
                true => "the same rows, with an empty text as NULL",
                false => "the same rows",
            };
            let differences = arm.differences.iter().map(String::as_str);
            let landed: Vec<&str> = std::iter::once(same).chain(differences).collect();
            vec![
                Cell::text(one_line(&arm.name)),
                Cell::text(one_line(&arm.command)),
                Cell::text(landed.join("; ")),
            ]
        })
        .collect();
    table
}

fn warnings(results: &CommandResults) -> Vec<Block> {
    let mut texts = Vec::new();
    for (is_wrong, what) in [(true, "loaded wrong data"), (false, "failed")] {
        let mut faults = results
            .faults
            .iter()
            .filter(|one| one.is_wrong_data == is_wrong);
        if let Some(Fault {
            arm, block, reason, ..
        }) = faults.next()
        {
            let count = Count::new(1 + faults.count(), "sample");
            let block = block + 1;
            texts.push(format!(
                "{count} {what}; the first, of {arm} in block {block}: {reason}"
            ));
        }
    }
    if results.void_blocks > 0 {
        texts.push(format!(
            "{} left out, in which the host took the processors away or the server did other work",
            Count::new(results.void_blocks, "block")
        ));
    }
    if results.record.blocks_per_session.is_none() {
        texts.push(format!(
            "One server ran all blocks, so the intervals hold for one start of it. From {} blocks on it is started \
             anew, except one by URL.",
            LEAST_SESSIONS * BLOCKS_PER_SESSION
        ));
    }
    texts.extend(judged_alone(results.correction));
    texts.into_iter().map(Block::Warning).collect()
}

/// What weakens verdicts that were not corrected for their number.
pub(crate) fn judged_alone(correction: Correction) -> Option<String> {
    matches!(correction, Correction::None { family } if family > 1).then(|| {
        "There are too few blocks to judge so many arms together. Each was judged alone, so about one in twenty \
         equal arms may seem to differ."
            .to_owned()
    })
}

/// How the figures came about.
fn how(results: &CommandResults) -> Vec<String> {
    let record = &results.record;
    let sessions = match record.blocks_per_session {
        Some(blocks) => format!("; the server was started anew after every {blocks}"),
        None => String::new(),
    };
    let over = match record.blocks_per_session {
        Some(_) => "over these sessions",
        None => "over blocks",
    };
    vec![
        format!(
            "{}, each with every arm once in random order{sessions}. API, commands and server share the machine.",
            Count::new(record.blocks, "block")
        ),
        "Before each sample the database was emptied. After it, the server computed the number of rows and a checksum \
         over all columns, found by name and cast to the workload's types; a sample that differs is no figure."
            .to_owned(),
        "Time is that of the whole command, its start included. CPU is that of its process tree, and server CPU that \
         of PostgreSQL. Both are medians, as are the bytes that the tree read from a disk and wrote for one."
            .to_owned(),
        "Memory is the largest of all samples: what the processes of the tree held at once, polled, where pages that \
         they share count for each; or what one of them held at any time, where that is more."
            .to_owned(),
        format!(
            "A ratio has its {} interval {over}. An arm is faster or slower where the difference is significant and \
             above {}, and equivalent where it is certainly below {}.",
            Percent(results.confidence_level),
            Percent(UNCALIBRATED.share()),
            Percent(match record.blocks_per_session {
                Some(_) => SMALLEST_EFFECT.share(),
                None => UNCALIBRATED.share(),
            })
        ),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::example;
    use super::super::results::SCHEMA_VERSION;
    use super::*;
    use crate::report::schema::tests::{Validator, committed};
    use crate::report::schema::titled;
    use crate::samples::Samples;

    fn schema() -> Value {
        titled(
            schemars::schema_for!(CommandResults),
            "Commands compared by ApiTap's suite",
            SCHEMA_VERSION,
        )
    }

    #[test]
    fn a_constructed_comparison_on_a_terminal() {
        insta::assert_snapshot!(terminal(&example::results(), Colour::Never));
    }

    #[test]
    fn a_constructed_comparison_as_markdown() {
        insta::assert_snapshot!(markdown(&example::results()));
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let mut results = example::results();
        for arm in &mut results.arms {
            arm.name = arm.name.repeat(20);
        }
        let text = terminal(&results, Colour::Never);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
    }

    #[test]
    fn one_session_and_few_blocks_say_so() {
        let mut record = example::record();
        (record.blocks, record.blocks_per_session) = (2, None);
        let mut samples = example::samples();
        samples.samples.retain(|sample| sample.block < 2);
        let text = terminal(&CommandResults::new(&record, &samples), Colour::Never);
        for part in ["(too few blocks)", "one start of it", "judged alone"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_is_written_fits_the_committed_schema_and_comes_back() {
        committed("compare.schema.json", &schema());
        let folder = tempfile::tempdir().unwrap();
        let folder = RunFolder::existing(folder.path().to_owned());
        let results = example::results();
        write(folder.path(), &results).unwrap();
        let mut journal = folder.journal().unwrap();
        for sample in &example::samples().samples {
            journal.append(sample).unwrap();
        }
        let again = read(&folder).unwrap();
        assert_eq!(
            (&again.record, &again.faults),
            (&results.record, &results.faults)
        );
        let ratio =
            |results: &CommandResults| results.arms[2].time_against_first.unwrap().comparison.ratio;
        assert!((ratio(&again) - ratio(&results)).abs() < 1e-9);
        let written: Value = serde_json::from_str(&json(&results).unwrap()).unwrap();
        let validator = Validator::new(&schema());
        assert_eq!(validator.errors(&written), "");
        let empty = CommandResults::new(&example::record(), &Samples::default());
        let empty = serde_json::to_value(empty).unwrap();
        assert_eq!(validator.errors(&empty), "");
    }
}
