//! `report.md`: the report for people, as GitHub shows it.

use std::fmt::Write;

use super::document::{Align, Block, Cell, Chart, Document, Plot, Section, Table, Tile};
use super::sections;
use crate::format::one_line;
use crate::judge::Results;
use crate::judge::history::series::History;

/// Name of the file in the folder of a run.
pub(crate) const FILE: &str = "report.md";

/// Renders `results`, and the `history` that they end, as GitHub-flavoured Markdown.
#[must_use]
pub(crate) fn render(results: &Results, history: Option<&History>) -> String {
    page(&sections::report(results, history))
}

/// Lays `document` out.
pub(crate) fn page(document: &Document) -> String {
    let mut page = Page::default();
    page.heading(1, &document.title);
    page.paragraph(&document.subtitle);
    for section in &document.sections {
        page.section(2, section);
    }
    page.text
}

/// One block by itself.
pub(crate) fn block(block: &Block) -> String {
    let mut page = Page::default();
    page.element(block);
    page.text
}

/// Markdown as it grows: blocks with one empty line between them.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn section(&mut self, level: usize, section: &Section) {
        // GitHub makes an anchor of a heading's words; links name the id.
        self.anchor(&section.id);
        self.heading(level, &section.title);
        for block in &section.blocks {
            self.element(block);
        }
        for part in &section.parts {
            self.section(level + 1, part);
        }
    }

    fn element(&mut self, block: &Block) {
        match block {
            Block::Paragraph(text) => self.paragraph(text),
            Block::List(items) => self.list(items),
            Block::Code(text) => self.code(text),
            Block::File { text, path } => self.block(&format!("[{}]({path})", escaped(text))),
            Block::Warning(text) => self.block(&format!("> **Warning:** {}", escaped(text))),
            Block::Tiles(tiles) => {
                let tile = |tile: &Tile| format!("{} {}", bold(&tile.figure), escaped(&tile.text));
                self.items(tiles.iter().map(tile));
            }
            Block::Lists(lists) => {
                for list in lists {
                    self.block(&bold(&list.title));
                    let item = |(name, text): &(Cell, String)| {
                        format!("{}: {}", cell(name), escaped(text))
                    };
                    self.items(list.items.iter().map(item));
                }
            }
            // The files are in a table too.
            Block::Frames(_) => {}
            Block::Verdict { tone, word, text } => {
                let word = escaped(&tone.signed(word));
                self.block(&format!("**{word}.** {}", escaped(text)));
            }
            Block::Table(table) => self.table(table),
            Block::Chart(chart) => self.chart(chart),
        }
    }

    fn block(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn heading(&mut self, level: usize, text: &str) {
        self.block(&format!("{} {}", "#".repeat(level), escaped(text)));
    }

    fn paragraph(&mut self, text: &str) {
        self.block(&escaped(text));
    }

    fn list(&mut self, items: &[String]) {
        self.items(items.iter().map(|item| escaped(item)));
    }

    fn items(&mut self, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.map(|item| format!("- {item}")).collect();
        self.block(&items.join("\n"));
    }

    fn code(&mut self, text: &str) {
        // A fence longer than any run of backticks within ends where it must.
        let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat((longest + 1).max(3));
        self.block(&format!("{fence}sh\n{text}\n{fence}"));
    }

    /// Where links to `id` lead.
    fn anchor(&mut self, id: &str) {
        self.block(&format!("<a id=\"{id}\"></a>"));
    }

    /// The data of a chart. Where another table has them too, they are folded away.
    fn chart(&mut self, chart: &Chart) {
        if let Plot::History { .. } = chart.plot {
            // What changed leads to it.
            self.anchor(&chart.id);
        }
        match chart.plot {
            // Of the samples themselves a table would say less than their medians do.
            Plot::Gains { .. }
            | Plot::Strips { .. }
            | Plot::Course { .. }
            | Plot::History { .. }
            | Plot::Agreement { .. } => {
                self.details(&chart.data.caption, |page| page.table(&chart.data));
            }
            Plot::Waterfall { .. }
            | Plot::HeatMap { .. }
            | Plot::Line { .. }
            | Plot::Budget { .. } => {
                self.paragraph(&format!("{}:", chart.title));
                self.table(&chart.data);
            }
        }
    }

    fn details(&mut self, summary: &str, content: impl FnOnce(&mut Self)) {
        self.block(&format!(
            "<details>\n<summary>{}</summary>",
            html_escaped(&one_line(summary))
        ));
        content(self);
        self.block("</details>");
    }

    fn table(&mut self, table: &Table) {
        let row = |cells: &mut dyn Iterator<Item = String>| {
            cells.fold("|".to_owned(), |mut row, cell| {
                // Writing to a string cannot fail.
                let _ = write!(row, " {} |", cell.replace('|', r"\|"));
                row
            })
        };
        let names = table.columns.iter().map(|column| escaped(&column.name));
        let rules = table.columns.iter().map(|column| match column.align {
            Align::Left => "---".to_owned(),
            Align::Right => "---:".to_owned(),
        });
        let mut lines = vec![row(&mut { names }), row(&mut { rules })];
        let rows = table.rows.iter();
        lines.extend(rows.map(|cells| row(&mut cells.iter().map(cell))));
        self.block(&lines.join("\n"));
    }
}

fn cell(cell: &Cell) -> String {
    let text = escaped(&cell.tone.signed(&cell.text));
    match (&cell.link, &cell.file) {
        (Some(id), _) => format!("[{text}](#{id})"),
        (None, Some(path)) => format!("[{text}]({path})"),
        (None, None) => text,
    }
}

fn bold(text: &str) -> String {
    format!("**{}**", escaped(text))
}

/// `text` on one line with the characters of Markdown and HTML made harmless. Code spans are left
/// to work.
pub(crate) fn escaped(text: &str) -> String {
    let text = one_line(text);
    let parts: Vec<&str> = text.split('`').collect();
    // Backticks come in pairs, or are no code.
    if parts.len().is_multiple_of(2) {
        return prose(&text).replace('`', r"\`");
    }
    let part = |(index, part): (usize, &&str)| {
        if index % 2 == 0 {
            prose(part)
        } else {
            format!("`{part}`")
        }
    };
    parts.iter().enumerate().map(part).collect()
}

fn prose(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let after = characters.peek().copied();
        let in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        match character {
            // They would begin a heading, a quotation or a list.
            '#' | '>' | '+' | '-' if before.is_none() => escaped.extend(['\\', character]),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '*' | '[' | ']' => escaped.extend(['\\', character]),
            // Within a word an underscore is one; before a blank a tilde strikes nothing through.
            '_' if !(in_word(before) && in_word(after)) => escaped.push_str(r"\_"),
            '~' if after != Some(' ') => escaped.push_str(r"\~"),
            '\\' if after.is_none_or(|c| c.is_ascii_punctuation()) => escaped.push_str(r"\\"),
            other => escaped.push(other),
        }
        before = Some(character);
    }
    escaped
}

fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn report_of_a_constructed_run() {
        insta::assert_snapshot!(render(&example::results(), None));
    }

    #[test]
    fn names_and_reasons_cannot_break_the_page() {
        let mut results = example::results();
        let experiment = &mut results.experiments[1];
        experiment.definition.title = "a | b\n<script> *c* [d](e) `f".into();
        experiment.findings[0].candidate = "x\\|y".into();
        let report = render(&results, None);
        let title = r"a \| b &lt;script> \*c\* \[d\](e) \`f";
        assert!(
            report.contains(&format!("| [{title}](#copy-vs-insert) |")),
            "{report}"
        );
        assert!(report.contains(r"| x\\\|y |"), "{report}");
        let columns = |line: &str| line.replace(r"\|", "").matches('|').count();
        let mut lines = report.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(next) = lines.peek().filter(|next| next.starts_with('|'))
                && line.starts_with('|')
            {
                assert_eq!(columns(line), columns(next), "{line}\n{next}");
            }
        }
    }

    #[test]
    fn a_run_without_samples_still_has_a_report() {
        let report = render(&example::results_without_samples(), None);
        assert!(
            report.contains("Before against tuned was not measured"),
            "{report}"
        );
        assert!(report.contains("The run ended after 0 of"), "{report}");
    }

    #[test]
    fn every_link_leads_to_a_section_and_no_id_is_there_twice() {
        let history = example::history();
        let report = render(&example::results(), Some(&history));
        assert!(report.contains("](#history-"), "{report}");
        let ids: Vec<&str> = report
            .split("<a id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len());
        for link in report.split("](#").skip(1) {
            let id = link.split(')').next().unwrap();
            assert!(ids.contains(&id), "{id}");
        }
    }

    #[test]
    fn every_warning_is_in_the_report() {
        let results = example::results();
        let report = render(&results, None);
        for warning in &results.warnings {
            let text = escaped(&warning.to_string());
            assert!(report.contains(&text), "{text}");
        }
        assert!(!results.warnings.is_empty());
    }
}
