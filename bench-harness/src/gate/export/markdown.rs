//! `summary.md`: the gate for people, as GitHub shows it. What is to be read comes first, all
//! figures are folded away.
//!
//! It is the summary of a job and a comment, so it keeps to the smaller of their limits.

use super::believed;
use super::text::{self, NONE, Standing};
use crate::format::Percent;
use crate::gate::{Check, Explanation, GateResults, GatedScenario};
use crate::report::markdown::escaped;
use crate::stats::Verdict;

/// Name of the file in the gate's folder.
pub(super) const FILE: &str = "summary.md";

/// First line of the text, by which a comment is found again.
pub(crate) const MARKER: &str = "<!-- apitap-bench gate -->";

/// Most that is written, in bytes. GitHub takes a summary of 1 MiB and a comment of 65,536
/// characters, and whoever comments adds a few lines.
const MAX_BYTES: usize = 60_000;

/// Most that each of the first two parts takes, in bytes: a third, so that no part crowds out
/// another.
const MAX_PART_BYTES: usize = MAX_BYTES / 3;

/// Kept for the lines that close the text, in bytes.
const CLOSING_BYTES: usize = 500;

/// What a table of checks has in its columns.
const COLUMNS: [&str; 7] = [
    "Scenario", "Quantity", "Base", "Head", "Change", "Limit", "Finding",
];

/// Renders `results` as GitHub-flavoured Markdown.
#[must_use]
pub(super) fn render(results: &GateResults) -> String {
    let (significant, rest) = text::ordered(results);
    let mut page = Page::default();
    page.block(&format!(
        "{MARKER}\n## Performance gate\n\n**{}** {}",
        text::verdict(results.outcome),
        text::tally(results)
    ));
    page.block(&escaped(&text::sides(results)));
    let remarks = text::remarks(results);
    let remarks = remarks.iter().map(|one| format!("- {}", escaped(one)));
    page.blocks(remarks.collect(), MAX_PART_BYTES, "remarks");

    let notable = significant.iter().copied().flat_map(notable_rows);
    page.table(notable.collect(), MAX_PART_BYTES, "rows");
    let reasons = significant.iter().copied().filter_map(reasons);
    page.blocks(reasons.collect(), MAX_PART_BYTES, "scenarios");

    let all: Vec<String> = significant
        .iter()
        .chain(&rest)
        .copied()
        .flat_map(|scenario| believed(scenario).iter().map(|check| row(scenario, check)))
        .collect();
    if !all.is_empty() {
        page.block("<details>\n<summary>All figures</summary>");
        let left = MAX_BYTES.saturating_sub(page.text.len() + CLOSING_BYTES);
        page.table(all, left, "rows");
        page.block("</details>");
    }
    page.block(&format!(
        "`~` is no difference. Limit: how far a change may go for the worse. Intervals hold \
         together with {} confidence. Seed {}. Links lead to files of the gate's folder.",
        Percent(results.confidence_level),
        results.seed
    ));
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

    /// As many of `rows` as `max_bytes` hold, and how many were left out.
    fn table(&mut self, rows: Vec<String>, max_bytes: usize, things: &str) {
        if rows.is_empty() {
            return;
        }
        let mut lines = vec![
            joined(COLUMNS),
            joined(["---", "---", "---:", "---:", "---:", "---:", "---"]),
        ];
        let (kept, left_out) = fitting(rows, max_bytes);
        lines.extend(kept);
        self.block(&lines.join("\n"));
        self.left_out(left_out, things);
    }

    /// As many of `blocks` as `max_bytes` hold, and how many were left out.
    fn blocks(&mut self, blocks: Vec<String>, max_bytes: usize, things: &str) {
        let (kept, left_out) = fitting(blocks, max_bytes);
        for block in kept {
            self.block(&block);
        }
        self.left_out(left_out, things);
    }

    fn left_out(&mut self, count: usize, things: &str) {
        if count > 0 {
            self.block(&format!(
                "{count} more {things} did not fit; `gate.json` has all."
            ));
        }
    }
}

/// The first of `texts` that fit into `max_bytes` with a line feed or two after each, and how many
/// do not.
fn fitting(texts: Vec<String>, max_bytes: usize) -> (Vec<String>, usize) {
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

fn joined<const N: usize>(cells: [&str; N]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    escaped(text).replace('|', r"\|")
}

fn row(scenario: &GatedScenario, check: &Check) -> String {
    let sign = match check.verdict {
        Verdict::Improved => "▲ ",
        Verdict::Regressed => "▼ ",
        Verdict::Equivalent | Verdict::Inconclusive => "",
    };
    let figures = [
        text::label(check.metric),
        text::value(check.metric, check.base),
        text::value(check.metric, check.head),
        text::change(check),
        text::limit(check),
    ];
    let [quantity, base, head, change, limit] = figures.each_ref().map(String::as_str);
    let name = cell(&text::clean(&scenario.name));
    let finding = format!("{sign}{}", text::finding(check));
    joined([&name, quantity, base, head, change, limit, &finding])
}

/// What is to be read of a scenario, in rows; of one without figures to believe, that it has none.
fn notable_rows(scenario: &GatedScenario) -> Vec<String> {
    if believed(scenario).is_empty() {
        let name = cell(&text::clean(&scenario.name));
        return vec![joined([
            &name,
            NONE,
            NONE,
            NONE,
            NONE,
            NONE,
            Standing::new(scenario).word(),
        ])];
    }
    let notable = believed(scenario)
        .iter()
        .filter(|check| text::is_notable(check));
    notable.map(|check| row(scenario, check)).collect()
}

/// Why a scenario stands as it does: a reason that was given, or what profiles say.
fn reasons(scenario: &GatedScenario) -> Option<String> {
    let reason = text::reason(scenario).map(|reason| escaped(&reason));
    let explanation = scenario.explanation.as_ref().map(explained);
    let parts: Vec<String> = [reason, explanation].into_iter().flatten().collect();
    let head = format!(
        "**{}**, {}: ",
        escaped(&text::clean(&scenario.name)),
        Standing::new(scenario).word()
    );
    (!parts.is_empty()).then(|| head + &parts.join("\n"))
}

fn explained(explanation: &Explanation) -> String {
    let mut text = escaped(&text::stage(explanation.stage.as_ref()));
    if let Some(path) = &explanation.difference {
        text += &format!(" {}", link("difference flame graph", path));
    }
    text += &format!(" {}", link("profiles", &explanation.page));
    text += &format!("\n{}\n", text::functions(explanation));
    for function in &explanation.functions {
        text += &format!("\n- {}", escaped(&text::growth(function)));
    }
    text
}

/// In angle brackets a path may hold blanks and parentheses.
fn link(text: &str, path: &str) -> String {
    let path: String = text::clean(path)
        .chars()
        .filter(|c| !matches!(c, '<' | '>' | '\\'))
        .collect();
    format!("[{text}](<{path}>)")
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;
    use crate::gate::{ScenarioOutcome, example};
    use crate::metric::GateMetric;

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
        let [notable, all] = tables.as_slice() else {
            panic!("{} tables", tables.len());
        };
        assert_eq!(notable[0], COLUMNS);
        let row = |cells: [&str; 7]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            notable[1..4],
            [
                row(["replace", "–", "–", "–", "–", "–", "wrong data"]),
                row([
                    "copy-binary",
                    "allocations/row",
                    "3",
                    "5.50",
                    "+83.3%",
                    "+1%",
                    "▼ regressed"
                ]),
                row([
                    "copy-binary",
                    "client cpu s/M rows",
                    "2.10",
                    "2.60",
                    "+23.8% (+21.8% to +25.8%)",
                    "+5%",
                    "▼ regressed"
                ]),
            ]
        );
        let waived = "pages | of 50 <&> \"rows\"";
        assert!(notable.contains(&row([
            waived,
            "statements",
            "12",
            "14",
            "+16.7%",
            "+1%",
            "▼ regressed"
        ])));
        let results = example::results();
        let checks = results.scenarios.iter().map(|one| believed(one).len());
        assert_eq!(all.len() - 1, checks.sum::<usize>());
        assert!(all.iter().all(|row| row.len() == COLUMNS.len()));
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
            3
        );
        let tables = tables(&page);
        assert_eq!(tables.len(), 2);
        assert!(
            tables
                .iter()
                .flatten()
                .all(|row| row.len() == COLUMNS.len())
        );
        assert!(page.contains("</details>"));
    }

    #[test]
    fn a_gate_that_passed_shows_no_table_but_the_folded_one() {
        let page = render(&example::results_that_passed());
        assert_eq!(tables(&page).len(), 1);
        assert!(page.contains(
            "**Passed: nothing is worse by more than its limit.** Of 1 scenario: 1 passed."
        ));
    }

    #[test]
    fn a_gate_without_scenarios_still_has_a_summary() {
        let mut results = example::results_that_passed();
        results.scenarios.clear();
        assert!(render(&results).contains("There was no scenario."));
        assert!(tables(&render(&results)).is_empty());
    }

    #[test]
    fn an_equivalent_check_is_folded_away() {
        let page = render(&example::results());
        let [notable, all] = &tables(&page)[..] else {
            panic!("two tables");
        };
        let quantity = text::label(GateMetric::Statements);
        let has = |table: &[Vec<String>]| {
            table
                .iter()
                .any(|row| row[0] == "copy-binary" && row[1] == quantity)
        };
        assert!(!has(notable) && has(all));
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
