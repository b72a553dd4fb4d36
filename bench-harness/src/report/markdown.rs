//! `report.md`: the report for people, as GitHub shows it.

use std::fmt::Write;

use super::prose;
use super::table::{self, Align, Table, Width};
use crate::results::Results;

/// Name of the file in the folder of a run.
pub const FILE: &str = "report.md";

/// Renders `results` as GitHub-flavoured Markdown.
#[must_use]
pub fn render(results: &Results) -> String {
    let mut page = Page::default();
    page.heading(1, &format!("ApiTap benchmark, {}", results.started_at));
    for scenario in &results.scenarios {
        page.paragraph(&prose::summary(scenario, results.confidence_level));
    }
    if !results.warnings.is_empty() {
        page.heading(2, "Warnings");
        page.list(
            results
                .warnings
                .iter()
                .map(|warning| prose::one_line(&warning.to_string())),
        );
    }
    if let Some(targets) = table::targets(&results.targets) {
        page.heading(2, "Targets");
        page.table(&targets);
    }
    for scenario in &results.scenarios {
        page.heading(2, &scenario.name);
        page.table(&table::arms(
            scenario,
            results.confidence_level,
            Width::Page,
        ));
        page.paragraph(&prose::legend(scenario));
        if let Some(matrix) = table::matrix(scenario) {
            page.heading(
                3,
                &format!("Speed to {}, by method and batch size", scenario.baseline),
            );
            page.table(&matrix);
        }
    }
    page.heading(2, "Environment");
    page.table(&table::environment(results));
    page.heading(2, "Method");
    page.list(prose::method(results));
    page.heading(2, "How to repeat");
    page.code(&prose::repeat(results));
    page.heading(2, "Voided or failed");
    let excluded: Vec<String> = results
        .scenarios
        .iter()
        .flat_map(|scenario| {
            prose::excluded(scenario)
                .into_iter()
                .map(|line| format!("{}: {line}", scenario.name))
        })
        .collect();
    if excluded.is_empty() {
        page.paragraph("Nothing.");
    } else {
        page.list(excluded);
    }
    page.text
}

/// Markdown as it grows: blocks with one empty line between them.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
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

    fn list(&mut self, items: impl IntoIterator<Item = String>) {
        let items: Vec<String> = items
            .into_iter()
            .map(|item| format!("- {}", escaped(&item)))
            .collect();
        self.block(&items.join("\n"));
    }

    fn code(&mut self, text: &str) {
        self.block(&format!("```sh\n{text}\n```"));
    }

    fn table(&mut self, table: &Table) {
        let row = |cells: &mut dyn Iterator<Item = String>| {
            cells.fold("|".to_owned(), |mut row, cell| {
                // Writing to a string cannot fail.
                let _ = write!(row, " {cell} |");
                row
            })
        };
        let mut lines = vec![row(&mut table
            .columns
            .iter()
            .map(|(name, _)| escaped(name)))];
        lines.push(row(&mut table.columns.iter().map(
            |(_, align)| match align {
                Align::Left => "---".to_owned(),
                Align::Right => "---:".to_owned(),
            },
        )));
        lines.extend(
            table
                .rows
                .iter()
                .map(|cells| row(&mut cells.iter().map(|cell| escaped(cell)))),
        );
        self.block(&lines.join("\n"));
    }
}

/// `text` on one line, its table and HTML characters made harmless. Code spans are left to work.
fn escaped(text: &str) -> String {
    prose::one_line(text)
        .replace('|', r"\|")
        .replace('<', "&lt;")
        .replace('*', r"\*")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn report_of_a_constructed_run() {
        insta::assert_snapshot!(render(&example::results()));
    }

    #[test]
    fn names_and_reasons_cannot_break_the_page() {
        let mut results = example::results();
        results.scenarios[0].arms[0].name = "a | b\n<script>".into();
        let report = render(&results);
        assert!(report.contains(r"| a \| b &lt;script> |"));
    }

    #[test]
    fn a_run_without_samples_still_has_a_report() {
        let report = render(&example::results_without_samples());
        assert!(report.contains("No arm of orders has a measured sample"));
        assert!(report.contains("the baseline insert @ 100 has no measured sample"));
    }
}
