//! The report on a terminal: the first screen, what became of every claim, and the warnings.

use super::document::{Align, Block, Cell, Section, Table, Tone};
use super::sections;
use crate::format::one_line;
use crate::judge::Results;

/// Columns that nothing exceeds on a terminal, so that a report pasted into a review does not wrap.
const MAX_COLUMNS: usize = 100;

/// Narrowest that a column of texts is cut to: a verdict is whole, and the table may become wider
/// than the terminal.
const MIN_CUT_COLUMNS: usize = 12;

/// Sections that are shown whole; of the others their warnings and commands are.
const SHOWN: [&str; 3] = ["summary", "claims", "ceiling"];

/// Whether to use ANSI colours. The caller knows whether it writes to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Plain text.
    Never,
    /// Bold headings, yellow warnings, green gains and red losses.
    Always,
}

/// Renders `results`. Tables are as wide as their texts where `is_cut` is false, as in a file.
#[must_use]
pub(crate) fn render(results: &Results, colour: Colour, is_cut: bool) -> String {
    let document = sections::report(results, None);
    let limit = if is_cut { MAX_COLUMNS } else { usize::MAX };
    let mut lines = vec![colour.bold(&document.title), String::new()];
    let (mut warnings, mut commands) = (Vec::new(), Vec::new());
    for section in document.sections.iter().flat_map(with_parts) {
        let is_shown = SHOWN.contains(&section.id.as_str());
        for block in &section.blocks {
            match block {
                Block::Warning(_) => warnings.extend(shown(block, colour, limit)),
                Block::Code(_) => commands.extend(shown(block, colour, limit)),
                Block::Table(table) if is_shown => {
                    lines.push(colour.bold(&table.caption));
                    lines.extend(shown(block, colour, limit));
                    lines.push(String::new());
                }
                Block::Tiles(_) | Block::Lists(_) if is_shown => {
                    lines.extend(shown(block, colour, limit));
                    lines.push(String::new());
                }
                _ => {}
            }
        }
    }
    if !warnings.is_empty() {
        lines.push(colour.bold("Warnings"));
        lines.extend(warnings);
        lines.push(String::new());
    }
    lines.push(colour.bold("How to repeat"));
    lines.extend(commands);
    lines.join("\n") + "\n"
}

fn with_parts(section: &Section) -> Vec<&Section> {
    let parts = section.parts.iter().flat_map(with_parts);
    std::iter::once(section).chain(parts).collect()
}

/// The lines of a block, tables at most `limit` columns wide.
fn shown(block: &Block, colour: Colour, limit: usize) -> Vec<String> {
    match block {
        Block::Paragraph(text) => wrapped("", text),
        Block::List(items) => items.iter().flat_map(|item| wrapped("- ", item)).collect(),
        Block::Code(text) => text.lines().map(|line| format!("  {line}")).collect(),
        Block::File { text, path } => wrapped("", &format!("{text}: {path}")),
        Block::Warning(text) => {
            let lines = wrapped("- ", text).into_iter();
            lines.map(|line| colour.painted("33", &line)).collect()
        }
        Block::Tiles(tiles) => {
            let tiles = tiles.iter();
            let lines =
                tiles.flat_map(|tile| wrapped("- ", &format!("{} {}", tile.figure, tile.text)));
            lines.collect()
        }
        Block::Lists(lists) => {
            let lists = lists.iter().flat_map(|list| {
                let items = list.items.iter();
                let items =
                    items.flat_map(|(name, text)| wrapped("- ", &format!("{}: {text}", name.text)));
                std::iter::once(colour.bold(&list.title)).chain(items)
            });
            lists.collect()
        }
        Block::Verdict { tone, word, text } => {
            vec![colour.toned(*tone, &format!("{word}. {text}"))]
        }
        Block::Table(table) => laid_out(table, colour, limit),
        Block::Chart(chart) => laid_out(&chart.data, colour, limit),
        // A terminal shows no drawings.
        Block::Frames(_) => Vec::new(),
    }
}

/// The lines of one block, within 100 columns.
pub(crate) fn block(block: &Block, colour: Colour) -> Vec<String> {
    shown(block, colour, MAX_COLUMNS)
}

impl Colour {
    fn bold(self, text: &str) -> String {
        self.painted("1", text)
    }

    pub(crate) fn toned(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Better => self.painted("32", text),
            Tone::Worse => self.painted("31", text),
            _ => text.to_owned(),
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

/// Lines of aligned cells, two spaces apart, without the columns that are details. What leads to an
/// experiment has its id, by which it can be run. Where lines exceed `limit`, columns of texts are
/// cut, the first one last: it says what a row is.
fn laid_out(table: &Table, colour: Colour, limit: usize) -> Vec<String> {
    let columns: Vec<usize> = (0..table.columns.len())
        .filter(|column| !table.columns[*column].is_detail)
        .collect();
    let header: Vec<Cell> = table
        .columns
        .iter()
        .map(|column| Cell::text(&column.name))
        .collect();
    let rows: Vec<&Vec<Cell>> = std::iter::once(&header).chain(&table.rows).collect();
    let is_figure = |column: usize| table.rows.iter().any(|row| row[column].order.is_some());
    let mut widths: Vec<usize> = columns
        .iter()
        .map(|column| {
            let cells = rows.iter().map(|row| columns_of(text_of(&row[*column])));
            cells.max().unwrap_or(0)
        })
        .collect();
    let mut excess = (widths.iter().sum::<usize>() + 2 * widths.len()).saturating_sub(limit);
    for (width, column) in widths.iter_mut().zip(&columns).rev() {
        if !is_figure(*column) {
            let cut = excess.min(width.saturating_sub(MIN_CUT_COLUMNS));
            *width -= cut;
            excess -= cut;
        }
    }
    let line = |cells: &&Vec<Cell>| {
        let cells = columns.iter().zip(&widths).map(|(column, width)| {
            let cell = &cells[*column];
            let text = cut(text_of(cell), *width);
            let blank = " ".repeat(width.saturating_sub(columns_of(&text)));
            let text = colour.toned(cell.tone, &text);
            match table.columns[*column].align {
                Align::Left => format!("  {text}{blank}"),
                Align::Right => format!("  {blank}{text}"),
            }
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn text_of(cell: &Cell) -> &str {
    cell.link.as_ref().unwrap_or(&cell.text)
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

/// `text` in lines of at most the limit, indented by two; `bullet` is before the first.
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
        insta::assert_snapshot!(render(&example::results(), Colour::Never, true));
    }

    #[test]
    fn no_line_is_wider_than_the_limit_however_long_the_names() {
        let mut results = example::results();
        for experiment in &mut results.experiments {
            let definition = &mut experiment.definition;
            definition.title = format!("{} with a title that goes on and on", definition.title);
            definition.id = format!("{}-that-goes-on-and-on-and-on", definition.id);
        }
        let report = render(&results, Colour::Never, true);
        let longest = |report: &str| report.lines().map(columns_of).max().unwrap();
        assert!(longest(&report) <= MAX_COLUMNS, "{report}");
        let uncut = render(&results, Colour::Never, false);
        assert!(uncut.contains("COPY instead of INSERT with a title that goes on and on"));
        assert!(!uncut.contains('…'), "{uncut}");
    }

    #[test]
    fn colours_are_only_there_when_asked_for() {
        let results = example::results();
        assert!(!render(&results, Colour::Never, true).contains('\x1b'));
        let report = render(&results, Colour::Always, true);
        assert!(
            report.contains("\x1b[1mClaims about whole configurations\x1b[0m"),
            "{report}"
        );
    }

    #[test]
    fn a_run_without_samples_still_has_a_report() {
        let report = render(&example::results_without_samples(), Colour::Never, true);
        assert!(report.contains("not measured"), "{report}");
    }
}
