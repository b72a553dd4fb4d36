//! The report on a terminal: what became of every claim, within 100 columns.

use super::document::{Align, Block, Cell, Column, Table, Tone};
use super::sections;
use crate::format::one_line;
use crate::judge::Results;

/// Columns that nothing exceeds, so that a report pasted into a review does not wrap.
const MAX_COLUMNS: usize = 100;

/// Narrowest that a text column is cut to before the table may become wider than the terminal.
const MIN_CUT_COLUMNS: usize = 8;

/// Whether to use ANSI colours. The caller knows whether it writes to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Plain text.
    Never,
    /// Bold headings, yellow warnings, green gains and red losses.
    Always,
}

/// Renders `results` for a terminal.
#[must_use]
pub(crate) fn render(results: &Results, colour: Colour) -> String {
    let mut lines = Vec::new();
    for (title, table) in tables(results) {
        lines.push(colour.bold(title));
        lines.extend(laid_out(&table, colour));
        lines.push(String::new());
    }
    lines.extend(in_short(results, colour));
    if !results.warnings.is_empty() {
        lines.push(colour.bold("Warnings"));
        for warning in &results.warnings {
            let text = wrapped("- ", &warning.to_string());
            lines.extend(text.iter().map(|line| colour.painted("33", line)));
        }
        lines.push(String::new());
    }
    lines.push(colour.bold("How to repeat"));
    // Not wrapped: a command must survive copying.
    lines.push(format!("  {}", sections::repeat(results)));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// The claims in the words of the report, one line each.
fn tables(results: &Results) -> Vec<(&'static str, Table)> {
    let (changes, whole) = sections::claims(results);
    let changes = narrowed(
        &changes,
        &[
            ("Promised", "Promised"),
            ("On before", "Added to before"),
            ("On tuned", "Taken out of tuned"),
            ("Verdict", "Verdict"),
        ],
    );
    let goals = ["Promised", "Measured", "Verdict"].map(|name| (name, name));
    let goals = narrowed(&whole, &goals);
    [("Changes", changes), ("Whole configurations", goals)]
        .into_iter()
        .filter(|(_, table)| !table.rows.is_empty())
        .collect()
}

/// The id of every row and some of its other columns, each under a shorter name and by its own.
fn narrowed(table: &Table, columns: &[(&str, &str)]) -> Table {
    let columns: Vec<(&str, usize)> = columns
        .iter()
        .filter_map(|(name, own)| {
            let at = table.columns.iter().position(|one| one.name == *own)?;
            Some((*name, at))
        })
        .collect();
    let id = |row: &[Cell]| Cell::text(row[0].link.clone().unwrap_or_default());
    Table {
        caption: table.caption.clone(),
        columns: std::iter::once(Column {
            name: "Experiment".to_owned(),
            align: Align::Left,
        })
        .chain(columns.iter().map(|(name, at)| Column {
            name: (*name).to_owned(),
            align: table.columns[*at].align,
        }))
        .collect(),
        rows: table
            .rows
            .iter()
            .map(|row| {
                let others = columns.iter().map(|(_, at)| first_words(&row[*at]));
                std::iter::once(id(row)).chain(others).collect()
            })
            .collect(),
    }
}

/// A cell without its explanation, which the summary gives, and without a word for what a factor
/// below 1 says.
fn first_words(cell: &Cell) -> Cell {
    let words = cell.text.split(": ").next().unwrap_or_default();
    let words = words.trim_end_matches(" slower").trim_end_matches(" more");
    Cell {
        text: words.to_owned(),
        ..cell.clone()
    }
}

/// The paragraphs and items of the summary, without its warnings.
fn in_short(results: &Results, colour: Colour) -> Vec<String> {
    let document = sections::report(results, None);
    let Some(summary) = document.sections.iter().find(|one| one.id == "summary") else {
        return Vec::new();
    };
    let mut lines = vec![colour.bold(&summary.title)];
    for block in &summary.blocks {
        match block {
            Block::Paragraph(_) | Block::List(_) => lines.extend(self::block(block, colour)),
            _ => {}
        }
    }
    lines.push(String::new());
    lines
}

/// The lines of one block.
pub(crate) fn block(block: &Block, colour: Colour) -> Vec<String> {
    let list = |items: &[String]| items.iter().flat_map(|item| wrapped("- ", item)).collect();
    match block {
        Block::Paragraph(text) => wrapped("", text),
        Block::List(items) => list(items),
        Block::Code(text) => text.lines().map(|line| format!("  {line}")).collect(),
        Block::File { text, path } => wrapped("", &format!("{text}: {path}")),
        Block::Warning(text) => {
            let lines = wrapped("- ", text).into_iter();
            lines.map(|line| colour.painted("33", &line)).collect()
        }
        Block::Verdict { tone, word, text } => {
            vec![colour.toned(*tone, &format!("{word}. {text}"))]
        }
        Block::Table(table) => laid_out(table, colour),
        Block::Chart(chart) => laid_out(&chart.data, colour),
    }
}

impl Colour {
    fn bold(self, text: &str) -> String {
        self.painted("1", text)
    }

    pub(crate) fn toned(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Better => self.painted("32", text),
            Tone::Worse => self.painted("31", text),
            Tone::Plain | Tone::Same | Tone::Open => text.to_owned(),
        }
    }

    /// `text` between the escape of this code and the one that ends it, if there are colours.
    pub(crate) fn painted(self, code: &str, text: &str) -> String {
        match self {
            Self::Never => text.to_owned(),
            Self::Always => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// Lines of aligned cells, two spaces apart. Where they exceed the limit, the widest text column is
/// cut.
fn laid_out(table: &Table, colour: Colour) -> Vec<String> {
    let mut widths: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .map(|(column, heading)| {
            let cells = table.rows.iter().map(|row| columns_of(&row[column].text));
            cells.chain([columns_of(&heading.name)]).max().unwrap_or(0)
        })
        .collect();
    let gaps = 2 * widths.len();
    let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(MAX_COLUMNS);
    let widest = (0..widths.len())
        .filter(|column| table.columns[*column].align == Align::Left)
        .max_by_key(|column| widths[*column]);
    if let Some(widest) = widest {
        widths[widest] = widths[widest]
            .saturating_sub(excess)
            .max(MIN_CUT_COLUMNS.min(widths[widest]));
    }

    let header: Vec<Cell> = table
        .columns
        .iter()
        .map(|column| Cell::text(&column.name))
        .collect();
    std::iter::once(&header)
        .chain(&table.rows)
        .map(|cells| {
            let line: String = cells
                .iter()
                .zip(&widths)
                .zip(&table.columns)
                .map(|((cell, width), column)| {
                    let text = cut(&cell.text, *width);
                    let blank = " ".repeat(width.saturating_sub(columns_of(&text)));
                    let text = colour.toned(cell.tone, &text);
                    match column.align {
                        Align::Left => format!("  {text}{blank}"),
                        Align::Right => format!("  {blank}{text}"),
                    }
                })
                .collect();
            line.trim_end().to_owned()
        })
        .collect()
}

fn cut(text: &str, width: usize) -> String {
    let text = one_line(text);
    if columns_of(&text) <= width {
        return text;
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Columns that `text` takes. Names and figures here hold no wide or combining characters.
pub(crate) fn columns_of(text: &str) -> usize {
    text.chars().count()
}

/// `text` in lines of at most the limit, indented by two; `bullet` stands before the first.
pub(crate) fn wrapped(bullet: &str, text: &str) -> Vec<String> {
    let indent = " ".repeat(2 + columns_of(bullet));
    let mut lines = Vec::new();
    let mut line = format!("  {bullet}");
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && columns_of(&line) + 1 + columns_of(word) > MAX_COLUMNS {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn report_of_a_constructed_run() {
        insta::assert_snapshot!(render(&example::results(), Colour::Never));
    }

    #[test]
    fn no_line_is_wider_than_the_limit_however_long_the_names() {
        let mut results = example::results();
        for experiment in &mut results.experiments {
            let definition = &mut experiment.definition;
            definition.title = format!("{} with a title that goes on and on", definition.title);
            definition.id = format!("{}-that-goes-on-and-on-and-on", definition.id);
        }
        let report = render(&results, Colour::Never);
        let longest = report.lines().max_by_key(|line| columns_of(line)).unwrap();
        assert!(columns_of(longest) <= MAX_COLUMNS, "{longest}");
    }

    #[test]
    fn colours_are_only_there_when_asked_for() {
        let results = example::results();
        assert!(!render(&results, Colour::Never).contains('\x1b'));
        let report = render(&results, Colour::Always);
        assert!(
            report.contains("\x1b[1mWhole configurations\x1b[0m"),
            "{report}"
        );
    }

    #[test]
    fn a_run_without_samples_still_has_a_report() {
        let report = render(&example::results_without_samples(), Colour::Never);
        assert!(report.contains("not measured"), "{report}");
    }
}
