//! The report on a terminal: the tables and the warnings, within 100 columns.

use super::prose;
use super::table::{self, Align, Table, Width};
use crate::results::Results;

/// Columns that nothing exceeds, so that a report pasted into a review does not wrap.
const MAX_COLUMNS: usize = 100;

/// Narrowest that a text column is cut to before the table may become wider than the terminal.
const MIN_CUT_COLUMNS: usize = 8;

/// Whether to use ANSI colours. The caller knows whether it writes to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// Bold headings and yellow warnings.
    Always,
}

/// Renders `results` for a terminal.
#[must_use]
pub fn render(results: &Results, colour: Colour) -> String {
    let mut lines = Vec::new();
    for scenario in &results.scenarios {
        lines.push(colour.bold(&scenario.name));
        lines.extend(wrapped(
            "",
            &prose::summary(scenario, results.confidence_level),
        ));
        lines.push(String::new());
        lines.extend(laid_out(&table::arms(
            scenario,
            results.confidence_level,
            Width::Terminal,
        )));
        lines.extend(wrapped("", &prose::legend(scenario)));
        lines.push(String::new());
        if let Some(matrix) = table::matrix(scenario) {
            lines.push(colour.bold(&format!(
                "Speed to {}, by method and batch size",
                scenario.baseline
            )));
            lines.extend(laid_out(&matrix));
            lines.push(String::new());
        }
        let excluded = prose::excluded(scenario);
        if !excluded.is_empty() {
            lines.push(colour.bold("Voided or failed"));
            lines.extend(excluded.iter().flat_map(|line| wrapped("- ", line)));
            lines.push(String::new());
        }
    }
    if let Some(targets) = table::targets(&results.targets) {
        lines.push(colour.bold("Targets"));
        lines.extend(laid_out(&targets));
        lines.push(String::new());
    }
    if !results.warnings.is_empty() {
        lines.push(colour.bold("Warnings"));
        for warning in &results.warnings {
            lines.extend(
                wrapped("- ", &warning.to_string())
                    .iter()
                    .map(|line| colour.yellow(line)),
            );
        }
        lines.push(String::new());
    }
    lines.push(colour.bold("How to repeat"));
    // Not wrapped: a command must survive copying.
    lines.push(format!("  {}", prose::repeat(results)));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

impl Colour {
    fn bold(self, text: &str) -> String {
        self.painted("1", text)
    }

    fn yellow(self, text: &str) -> String {
        self.painted("33", text)
    }

    fn painted(self, code: &str, text: &str) -> String {
        match self {
            Self::Never => text.to_owned(),
            Self::Always => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// Lines of aligned cells, two spaces apart. Where they exceed the limit, the widest text column is
/// cut.
fn laid_out(table: &Table) -> Vec<String> {
    let mut widths: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .map(|(column, (name, _))| {
            let cells = table.rows.iter().map(|row| columns_of(&row[column]));
            cells.chain([columns_of(name)]).max().unwrap_or(0)
        })
        .collect();
    let gaps = 2 * widths.len();
    let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(MAX_COLUMNS);
    let widest = (0..widths.len())
        .filter(|column| table.columns[*column].1 == Align::Left)
        .max_by_key(|column| widths[*column]);
    if let Some(widest) = widest {
        widths[widest] = widths[widest]
            .saturating_sub(excess)
            .max(MIN_CUT_COLUMNS.min(widths[widest]));
    }

    let header: Vec<String> = table.columns.iter().map(|(name, _)| name.clone()).collect();
    std::iter::once(&header)
        .chain(&table.rows)
        .map(|cells| {
            let line: String = cells
                .iter()
                .zip(&widths)
                .zip(&table.columns)
                .map(|((cell, width), (_, align))| {
                    let cell = cut(cell, *width);
                    match align {
                        Align::Left => format!("  {cell:<width$}"),
                        Align::Right => format!("  {cell:>width$}"),
                    }
                })
                .collect();
            line.trim_end().to_owned()
        })
        .collect()
}

fn cut(text: &str, width: usize) -> String {
    let text = prose::one_line(text);
    if columns_of(&text) <= width {
        return text;
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Columns that `text` takes. Names and figures here hold no wide or combining characters.
fn columns_of(text: &str) -> usize {
    text.chars().count()
}

/// `text` in lines of at most the limit, indented by two; `bullet` stands before the first.
fn wrapped(bullet: &str, text: &str) -> Vec<String> {
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
        for arm in &mut results.scenarios[0].arms {
            arm.name = format!("{} with a name that goes on and on", arm.name);
        }
        results.targets[0].measured = "a very long explanation ".repeat(8);
        let report = render(&results, Colour::Never);
        let longest = report.lines().max_by_key(|line| columns_of(line)).unwrap();
        assert!(columns_of(longest) <= MAX_COLUMNS, "{longest}");
    }

    #[test]
    fn colours_are_only_there_when_asked_for() {
        let results = example::results();
        assert!(!render(&results, Colour::Never).contains('\x1b'));
        assert!(render(&results, Colour::Always).contains("\x1b[1morders\x1b[0m"));
    }
}
