//! A history as a page with charts, and its figures for programs.

use anyhow::{Context, Result};

use super::{html, sections};
use crate::judge::history::series::History;

/// Extension of the page beside a history.
pub(crate) const EXTENSION: &str = "html";

/// The page of `history`.
///
/// # Errors
/// When the template fails.
pub(crate) fn page(history: &History) -> Result<String> {
    let data = serde_json::to_string(history).context("cannot serialise the history")?;
    html::page(&sections::history(history), &html::compressed(&data)?)
}

/// The figures.
///
/// # Errors
/// When they cannot be serialised.
pub(crate) fn json(history: &History) -> Result<String> {
    serde_json::to_string_pretty(history).context("cannot serialise the history")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::history::example;
    use crate::report;

    #[test]
    fn a_page_has_a_chart_with_its_table_for_each_quantity_of_each_arm() {
        let page = page(&report::example::history()).unwrap();
        assert_eq!(page.matches("<svg class=plot role=img").count(), 12);
        assert_eq!(page.matches("<summary>Data</summary>").count(), 12);
        assert_eq!(page.matches("class=\"change down\"").count(), 2);
        assert!(page.contains("▼ +2"), "the label of a change");
        assert!(!page.contains("http://") && !page.contains("https://"));
    }

    #[test]
    fn other_places_are_other_lines_of_one_chart() {
        let mut entries = example::entries(4, 9, 1.0);
        for entry in &mut entries {
            if entry.started_at >= example::day(2) {
                entry.machine.digest = "another".to_owned();
            }
        }
        let filters = ["rows_per_second".to_owned()];
        let page = page(&History::new(&entries, &filters, 0.01)).unwrap();
        assert_eq!(page.matches("<svg class=plot role=img").count(), 2);
        assert_eq!(page.matches("class=\"mark h0\"").count(), 2);
        assert_eq!(page.matches("class=\"mark h1\"").count(), 2);
    }

    #[test]
    fn an_empty_history_is_a_page_too() {
        let page = page(&History::new(&[], &[], 0.01)).unwrap();
        assert!(page.contains("no result"), "{page}");
    }

    #[test]
    fn the_figures_come_back() {
        let history = History::new(&example::entries(14, 8, 1.25), &[], 0.01);
        let read: History = serde_json::from_str(&json(&history).unwrap()).unwrap();
        assert_eq!(read.series.len(), history.series.len());
        assert_eq!(
            read.series[0].changes[0].commit,
            history.series[0].changes[0].commit
        );
    }
}
