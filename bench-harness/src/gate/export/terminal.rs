//! The gate on a terminal: the verdict, then one table, within 100 columns.

use super::believed;
use super::text::{self, Standing};
use crate::gate::{Check, Explanation, GateOutcome, GateResults, GatedScenario};
use crate::report::terminal::{Colour, columns_of, wrapped};
use crate::stats::Verdict;

/// What the columns of the table hold: the first and the last are words, the others figures.
const HEADINGS: [&str; 6] = ["", "base", "head", "change", "limit", "finding"];

const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";

/// A line of the report.
enum Line {
    /// A check in the cells of the table.
    Cells([String; 6], Tone),
    /// Something else, as it is.
    Text(String),
}

/// What a line means, for its colour.
#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Better,
    Worse,
    Open,
}

/// Renders `results` for a terminal. Of a scenario that passed it shows what users wait for alone;
/// of any other every quantity.
#[must_use]
pub(crate) fn render(results: &GateResults, colour: Colour) -> String {
    let (significant, rest) = text::ordered(results);
    let code = match results.outcome {
        GateOutcome::Passed => GREEN,
        GateOutcome::Inconclusive => YELLOW,
        _ => RED,
    };
    let verdict = colour.painted(code, text::verdict(results.outcome));
    let mut lines = vec![Line::Text(verdict)];
    lines.extend(paragraph("", &text::sides(results)));
    lines.extend(paragraph("", &text::tally(results)));
    for remark in text::remarks(results) {
        lines.extend(paragraph("- ", &remark));
    }
    if !results.scenarios.is_empty() {
        lines.push(Line::Text(String::new()));
        lines.push(Line::Cells(HEADINGS.map(str::to_owned), Tone::Plain));
    }
    for scenario in significant {
        lines.extend(heading(scenario, colour));
        lines.extend(believed(scenario).iter().map(cells));
        lines.extend(scenario.explanation.iter().flat_map(explained));
    }
    for scenario in rest {
        lines.extend(heading(scenario, colour));
        lines.extend(believed(scenario).last().map(cells));
    }
    aligned(&lines, colour)
}

/// The name of a scenario, what it comes to, and why.
fn heading(scenario: &GatedScenario, colour: Colour) -> Vec<Line> {
    let standing = Standing::new(scenario);
    let mut lines = wrapped("", &text::clean(&scenario.name));
    let word = match standing {
        Standing::Improved => colour.painted(GREEN, standing.word()),
        Standing::Passed => standing.word().to_owned(),
        _ if standing.is_failure() => colour.painted(RED, standing.word()),
        _ => colour.painted(YELLOW, standing.word()),
    };
    if let Some(last) = lines.last_mut() {
        *last = format!("{last}: {word}");
    }
    let mut lines: Vec<Line> = lines.into_iter().map(Line::Text).collect();
    if let Some(reason) = text::reason(scenario) {
        lines.extend(paragraph("  ", &reason));
    }
    lines
}

fn paragraph(bullet: &str, text: &str) -> impl Iterator<Item = Line> {
    wrapped(bullet, text).into_iter().map(Line::Text)
}

fn cells(check: &Check) -> Line {
    let tone = match check.verdict {
        Verdict::Improved => Tone::Better,
        Verdict::Regressed if check.is_hard => Tone::Worse,
        Verdict::Inconclusive | Verdict::Regressed => Tone::Open,
        Verdict::Equivalent => Tone::Plain,
    };
    let cells = [
        text::label(check.metric),
        text::value(check.metric, check.base),
        text::value(check.metric, check.head),
        text::change(check),
        text::limit(check),
        text::finding(check),
    ];
    Line::Cells(cells, tone)
}

/// The stage and the functions that grew, and where to see them.
fn explained(explanation: &Explanation) -> Vec<Line> {
    let mut lines: Vec<Line> = paragraph("  ", &text::stage(explanation.stage.as_ref())).collect();
    lines.extend(paragraph("  ", &text::functions(explanation)));
    for function in &explanation.functions {
        lines.extend(paragraph("  - ", &text::growth(function)));
    }
    let page = explanation.difference.as_ref().unwrap_or(&explanation.page);
    lines.extend(paragraph(
        "  ",
        &format!("See {} in the gate's folder.", text::clean(page)),
    ));
    lines
}

/// The lines with the cells of the table below each other.
fn aligned(lines: &[Line], colour: Colour) -> String {
    let mut widths = [0; 6];
    for line in lines {
        if let Line::Cells(cells, _) = line {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = columns_of(cell).max(*width);
            }
        }
    }
    let mut page = String::new();
    for line in lines {
        match line {
            Line::Text(text) => page.push_str(text),
            Line::Cells(cells, tone) => page.push_str(&row(cells, &widths, *tone, colour)),
        }
        page.push('\n');
    }
    page
}

fn row(cells: &[String; 6], widths: &[usize; 6], tone: Tone, colour: Colour) -> String {
    let [quantity, figures @ .., finding] = cells;
    let mut row = format!("    {quantity}{}", blanks(quantity, widths[0]));
    for (cell, width) in figures.iter().zip(&widths[1..]) {
        row += &format!("  {}{cell}", blanks(cell, *width));
    }
    let finding = match tone {
        Tone::Plain => finding.clone(),
        Tone::Better => colour.painted(GREEN, finding),
        Tone::Worse => colour.painted(RED, finding),
        Tone::Open => colour.painted(YELLOW, finding),
    };
    format!("{row}  {finding}")
}

fn blanks(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(columns_of(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::example;
    use crate::metric::GateMetric;

    #[test]
    fn report_of_a_constructed_gate() {
        insta::assert_snapshot!(render(&example::results(), Colour::Never));
    }

    #[test]
    fn the_verdict_is_the_first_line() {
        let report = render(&example::results_that_passed(), Colour::Never);
        let first = report.lines().next();
        assert_eq!(
            first,
            Some("Passed: nothing is worse by more than its limit.")
        );
    }

    #[test]
    fn no_line_is_wider_than_100_columns_with_every_quantity_at_its_widest() {
        let mut results = example::results();
        let scenario = &mut results.scenarios[4];
        scenario.name = "a scenario with a name ".repeat(20);
        scenario.checks = GateMetric::ALL
            .map(|metric| example::timed(metric, 999_999.0, 1_234_567.0, Verdict::Inconclusive))
            .to_vec();
        let report = render(&results, Colour::Never);
        let longest = report.lines().max_by_key(|line| columns_of(line)).unwrap();
        assert!(columns_of(longest) <= 100, "{longest}");
    }

    #[test]
    fn every_quantity_of_a_scenario_that_did_not_pass_is_shown() {
        let results = example::results();
        let report = render(&results, Colour::Never);
        for check in &results.scenarios[2].checks {
            assert!(report.contains(&text::label(check.metric)));
        }
        assert!(report.contains("encode 120 → 240 (+100%)"), "{report}");
        assert!(
            report.contains("alloc::fmt::format 0 → 44.0 (new)"),
            "{report}"
        );
    }

    #[test]
    fn escapes_are_there_when_asked_for_and_never_those_of_users() {
        let mut results = example::results();
        results.scenarios[0].name = "\u{1b}[2Jtuned".to_owned();
        assert!(!render(&results, Colour::Never).contains('\u{1b}'));
        let report = render(&results, Colour::Always);
        assert!(report.contains("\u{1b}[31mregressed\u{1b}[0m"), "{report}");
        assert!(!report.contains("\u{1b}[2J"), "{report}");
    }
}
