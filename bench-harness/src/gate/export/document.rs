//! A gate as parts of a document, which Markdown and a terminal lay out.

use super::believed;
use super::text::{self, Rank};
use crate::gate::{Check, Explanation, GateOutcome, GateResults, GatedScenario};
use crate::report::document::{Block, Cell, Table, Tone};
use crate::stats::Verdict;

/// Columns of a table of checks, behind the scenario if there are several.
const COLUMNS: [&str; 6] = ["Metric", ">Base", ">Head", ">Change", ">Limit", "Finding"];

/// The verdict, what was compared, and what else there is to know.
pub(super) fn summary(results: &GateResults) -> Vec<Block> {
    let tone = match results.outcome {
        GateOutcome::Passed => Tone::Better,
        GateOutcome::Inconclusive => Tone::Open,
        GateOutcome::WrongData
        | GateOutcome::Regressed
        | GateOutcome::Missing
        | GateOutcome::Failed
        | GateOutcome::ExpiredWaiver => Tone::Worse,
    };
    let (word, sentence) = text::verdict(results.outcome);
    let mut blocks = vec![
        Block::Verdict {
            tone,
            word: word.to_owned(),
            text: sentence.to_owned(),
        },
        Block::Paragraph(format!(
            "{}. {}",
            text::sides(results),
            text::tally(results)
        )),
    ];
    let remarks = text::remarks(results);
    if !remarks.is_empty() {
        blocks.push(Block::List(remarks));
    }
    blocks
}

/// A scenario: its heading, and its reason, the checks that `shows` lets through, and why it grew.
pub(super) fn scenario(
    scenario: &GatedScenario,
    shows: fn(&Check) -> bool,
) -> (String, Tone, Vec<Block>) {
    let rank = Rank::new(scenario);
    let tone = match rank {
        Rank::Improved => Tone::Better,
        Rank::Passed => Tone::Plain,
        failure if failure.is_failure() => Tone::Worse,
        _ => Tone::Open,
    };
    let mut blocks: Vec<Block> = text::reason(scenario)
        .into_iter()
        .map(Block::Paragraph)
        .collect();
    let mut table = Table::new("Checks", &COLUMNS);
    let checks = believed(scenario).iter();
    table.rows = checks.filter(|check| shows(check)).map(cells).collect();
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    blocks.extend(scenario.explanation.iter().flat_map(explained));
    let title = format!("{}: {}", text::clean(&scenario.name), rank.word());
    (title, tone, blocks)
}

/// Checks of many scenarios in one table.
pub(super) fn figures<'a>(
    scenarios: impl IntoIterator<Item = &'a GatedScenario>,
    shown: fn(&[Check]) -> &[Check],
) -> Table {
    let columns = [&["Scenario"][..], &COLUMNS].concat();
    let mut table = Table::new("Figures", &columns);
    for scenario in scenarios {
        let name = Cell::text(text::clean(&scenario.name));
        let checks = shown(believed(scenario)).iter();
        table
            .rows
            .extend(checks.map(|check| [vec![name.clone()], cells(check)].concat()));
    }
    table
}

fn cells(check: &Check) -> Vec<Cell> {
    let tone = match check.verdict {
        Verdict::Improved => Tone::Better,
        Verdict::Regressed if check.is_hard => Tone::Worse,
        Verdict::Inconclusive | Verdict::Regressed => Tone::Open,
        Verdict::Equivalent => Tone::Same,
    };
    let value = |value| text::value(check.metric, value);
    vec![
        Cell::text(check.metric.label()),
        Cell::text(value(check.base)),
        Cell::text(value(check.head)),
        Cell::text(text::change(check)),
        Cell::text(text::limit(check)),
        Cell::text(check.verdict.to_string()).toned(tone),
    ]
}

/// The stage and the functions that grew, and where to see them.
fn explained(explanation: &Explanation) -> Vec<Block> {
    let mut blocks = vec![
        Block::Paragraph(text::stage(explanation.stage.as_ref())),
        Block::Paragraph(text::functions(explanation)),
    ];
    if !explanation.functions.is_empty() {
        let functions = explanation.functions.iter();
        blocks.push(Block::List(functions.map(text::growth).collect()));
    }
    let file = |text: &str, path: &str| Block::File {
        text: text.to_owned(),
        path: link(path),
    };
    let difference = explanation.difference.iter();
    blocks.extend(difference.map(|path| file("Difference flame graph", path)));
    blocks.push(file("Profiles", &explanation.page));
    blocks
}

/// A path without the characters that would end a link.
fn link(path: &str) -> String {
    let path = text::clean(path);
    let harmless = |c: &char| !c.is_whitespace() && !matches!(c, '<' | '>' | '(' | ')' | '\\');
    path.chars().filter(harmless).collect()
}
