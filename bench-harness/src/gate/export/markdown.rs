//! `summary.md`: the gate for people, as GitHub shows it. What needs reading comes first, all figures
//! are folded away.
//!
//! It is both the summary of a job and a comment, so it keeps to the smaller of their limits.

use super::{document, text};
use crate::format::Percent;
use crate::gate::GateResults;
use crate::report::document::Block;
use crate::report::markdown::{block, escaped};

/// Name of the file in the gate's folder.
pub(super) const FILE: &str = "summary.md";

/// First line of the text, by which the workflow finds its own comment.
pub(crate) const MARKER: &str = "<!-- apitap-bench gate -->";

/// Most that is written, in bytes. GitHub takes a summary of 1 MiB and a comment of 65,536
/// characters, and whoever comments adds a few lines.
const MAX_BYTES: usize = 60_000;

/// Most that the scenarios take, in bytes, so that there is room for the figures.
const MAX_SCENARIOS_BYTES: usize = MAX_BYTES / 3;

/// Reserved for the lines that close the text, in bytes.
const CLOSING_BYTES: usize = 500;

/// Renders `results` as GitHub-flavoured Markdown.
#[must_use]
pub(super) fn render(results: &GateResults) -> String {
    let (significant, rest) = text::ordered(results);
    let mut parts = vec![format!("{MARKER}\n## Performance gate\n")];
    parts.extend(document::summary(results).iter().map(block));

    let scenarios = significant.iter().map(|scenario| {
        let (title, _, blocks) = document::scenario(scenario, text::is_notable);
        let mut parts = vec![format!("### {}\n", escaped(&title))];
        parts.extend(blocks.iter().map(block));
        parts.join("\n")
    });
    let (kept, left_out) = fitting(scenarios, MAX_SCENARIOS_BYTES);
    parts.extend(kept);
    parts.extend(omission(left_out, "scenarios"));

    let all = document::figures(significant.into_iter().chain(rest), |all| all);
    if !all.rows.is_empty() {
        let used: usize = parts.iter().map(|part| part.len() + 1).sum();
        let left = MAX_BYTES.saturating_sub(used + CLOSING_BYTES);
        let table = block(&Block::Table(all));
        let (kept, left_out) = fitting(table.lines().map(str::to_owned), left);
        parts.push("<details>\n<summary>All figures</summary>\n".to_owned());
        parts.push(kept.join("\n") + "\n");
        parts.extend(omission(left_out, "rows"));
        parts.push("</details>\n".to_owned());
    }
    parts.push(format!(
        "`~`: the interval includes no change. Limit: the largest change for the worse that passes. \
         All intervals hold together with {} confidence. Seed {}. Links are paths in the gate's \
         folder.\n",
        Percent(results.confidence_level),
        results.seed
    ));
    parts.join("\n")
}

/// The first of `texts` that fit into `max_bytes` with a line feed or two after each, and how many
/// do not.
fn fitting(texts: impl Iterator<Item = String>, max_bytes: usize) -> (Vec<String>, usize) {
    let texts: Vec<String> = texts.collect();
    let all = texts.len();
    let mut bytes = 0;
    let kept: Vec<String> = texts
        .into_iter()
        .take_while(|text| {
            bytes += text.len() + 2;
            bytes <= max_bytes
        })
        .collect();
    let left_out = all - kept.len();
    (kept, left_out)
}

fn omission(count: usize, things: &str) -> Option<String> {
    (count > 0).then(|| format!("{count} more {things} did not fit; `gate.json` has all.\n"))
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;
    use crate::gate::export::believed;
    use crate::gate::{ScenarioOutcome, example};
    use crate::metric::Metric;

    /// The cells of every table as a reader sees them, row by row with the heading.
    fn tables(page: &str) -> Vec<Vec<Vec<String>>> {
        let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
        let mut is_in_cell = false;
        for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Table(_)) => tables.push(Vec::new()),
                Event::Start(Tag::TableHead | Tag::TableRow) => {
                    tables.last_mut().unwrap().push(Vec::new());
                }
                Event::Start(Tag::TableCell) => {
                    is_in_cell = true;
                    let row = tables.last_mut().unwrap().last_mut().unwrap();
                    row.push(String::new());
                }
                Event::End(TagEnd::TableCell) => is_in_cell = false,
                Event::Text(text) | Event::Code(text) if is_in_cell => {
                    let row = tables.last_mut().unwrap().last_mut().unwrap();
                    row.last_mut().unwrap().push_str(&text);
                }
                Event::Html(html) | Event::InlineHtml(html) if is_in_cell => {
                    panic!("a cell holds HTML: {html}");
                }
                _ => {}
            }
        }
        tables
    }

    #[test]
    fn summary_of_a_constructed_gate() {
        insta::assert_snapshot!(render(&example::results()));
    }

    #[test]
    fn the_tables_say_what_the_results_do() {
        let page = render(&example::results());
        let tables = tables(&page);
        let Some((all, scenarios)) = tables.split_last() else {
            panic!("no table");
        };
        let row = |cells: [&str; 6]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            scenarios[0],
            [
                row(["Metric", "Base", "Head", "Change", "Limit", "Finding"]),
                row([
                    "allocations/row",
                    "3",
                    "5.50",
                    "+83.3%",
                    "+1%",
                    "▼ regressed"
                ]),
                row([
                    "client CPU s/M rows",
                    "2.10",
                    "2.60",
                    "+23.8% (+21.8% to +25.8%)",
                    "+5%",
                    "▼ regressed"
                ]),
                row([
                    "rows/s",
                    "328,000",
                    "288,000",
                    "-12.2% (-14.2% to -10.2%)",
                    "-5%",
                    "▼ regressed"
                ]),
            ]
        );
        let waived = "pages | of 50 <&> \"rows\"";
        assert!(all.iter().any(|row| row[0] == waived));
        let results = example::results();
        let checks = results.scenarios.iter().map(|one| believed(one).len());
        assert_eq!(all.len() - 1, checks.sum::<usize>());
        assert!(all.iter().all(|row| row.len() == all[0].len()));
    }

    #[test]
    fn the_marker_comes_first_and_no_text_by_users_makes_html_or_a_link() {
        let page = render(&example::results());
        assert!(page.starts_with(MARKER));
        let mut html = Vec::new();
        let mut links = Vec::new();
        for event in Parser::new_ext(&page, Options::ENABLE_TABLES) {
            match event {
                Event::Html(text) | Event::InlineHtml(text) => {
                    html.push(text.trim().to_owned());
                }
                Event::Start(Tag::Link { dest_url, .. }) => links.push(dest_url.to_string()),
                _ => {}
            }
        }
        let wanted = [
            MARKER,
            "<details>",
            "<summary>All figures</summary>",
            "</details>",
        ];
        assert_eq!(html, wanted);
        assert_eq!(
            links,
            [
                "profiles/copy-binary/difference.svg",
                "profiles/copy-binary/index.html"
            ]
        );
    }

    #[test]
    fn it_fits_however_much_there_is_and_says_what_it_left_out() {
        let mut results = example::results();
        let explained = results.scenarios[2].clone();
        results.scenarios = (0..3_000)
            .map(|number| {
                let mut scenario = explained.clone();
                scenario.name = format!("{number} {}", "|é".repeat(200));
                if number % 2 == 0 {
                    scenario.outcome = ScenarioOutcome::WrongData {
                        reason: "*".repeat(100_000),
                    };
                }
                scenario
            })
            .collect();
        results.head.named = "x".repeat(1_000_000);
        let page = render(&results);
        assert!(page.len() <= MAX_BYTES, "{}", page.len());
        assert!(page.len() > MAX_BYTES / 2, "{}", page.len());
        assert_eq!(
            page.matches(" did not fit; `gate.json` has all.").count(),
            2
        );
        for table in tables(&page) {
            assert!(table.iter().all(|row| row.len() == table[0].len()));
        }
        assert!(page.contains("</details>"));
    }

    #[test]
    fn a_gate_that_passed_shows_no_table_but_the_folded_one() {
        let page = render(&example::results_that_passed());
        assert_eq!(tables(&page).len(), 1);
        assert!(page.contains("**▲ Passed.** No metric is worse by more than its limit."));
    }

    #[test]
    fn a_gate_without_scenarios_still_has_a_summary() {
        let mut results = example::results_that_passed();
        results.scenarios.clear();
        assert!(render(&results).contains("There is no scenario."));
        assert!(tables(&render(&results)).is_empty());
    }

    #[test]
    fn an_equivalent_check_is_folded_away() {
        let page = render(&example::results());
        let tables = tables(&page);
        let (all, scenarios) = tables.split_last().unwrap();
        let label = Metric::Statements.label();
        let has = |table: &[Vec<String>], at: usize| table.iter().any(|row| row[at] == label);
        assert!(!has(&scenarios[0], 0) && has(all, 1));
    }

    #[test]
    fn the_script_that_comments_knows_the_marker_and_takes_all_of_it() {
        let script = include_str!("../../../../scripts/gate-comment");
        assert!(script.contains(&format!("marker='{MARKER}'")));
        let taken = script
            .lines()
            .find_map(|line| line.strip_prefix("max_summary_bytes="))
            .unwrap();
        assert!(taken.parse::<usize>().unwrap() > MAX_BYTES);
    }
}
