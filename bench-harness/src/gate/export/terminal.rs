//! The gate on a terminal, within 100 columns.

use super::{document, text};
use crate::gate::GateResults;
use crate::report::document::Block;
use crate::report::terminal::{Colour, block, wrapped};

/// Renders `results` for a terminal. It shows every check of a scenario that did not pass, and the
/// last check, rows per second, of one that passed.
#[must_use]
pub(crate) fn render(results: &GateResults, colour: Colour) -> String {
    let (significant, rest) = text::ordered(results);
    let summary = document::summary(results);
    let mut lines: Vec<String> = summary.iter().flat_map(|one| block(one, colour)).collect();
    for scenario in significant {
        let (title, tone, blocks) = document::scenario(scenario, |_| true);
        lines.push(String::new());
        for line in wrapped("", &title) {
            lines.push(colour.toned(tone, line.trim_start()));
        }
        lines.extend(blocks.iter().flat_map(|one| block(one, colour)));
    }
    let passed = document::figures(rest, |checks| {
        checks.last().map_or(&[], std::slice::from_ref)
    });
    if !passed.rows.is_empty() {
        lines.extend([String::new(), "Passed".to_owned()]);
        lines.extend(block(&Block::Table(passed), colour));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::example;
    use crate::metric::Metric;
    use crate::report::terminal::columns_of;
    use crate::stats::Verdict;

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
            Some("Passed. No metric is worse by more than its limit.")
        );
    }

    #[test]
    fn no_line_is_wider_than_100_columns_with_every_metric_at_its_widest() {
        let mut results = example::results();
        let scenario = &mut results.scenarios[4];
        scenario.name = "a scenario with a name ".repeat(20);
        scenario.checks = Metric::GATED
            .map(|metric| example::timed(metric, 999_999.0, 1_234_567.0, Verdict::Inconclusive))
            .to_vec();
        let report = render(&results, Colour::Never);
        let longest = report.lines().max_by_key(|line| columns_of(line)).unwrap();
        assert!(columns_of(longest) <= 100, "{longest}");
    }

    #[test]
    fn every_metric_of_a_scenario_that_did_not_pass_is_shown() {
        let results = example::results();
        let report = render(&results, Colour::Never);
        for check in &results.scenarios[2].checks {
            assert!(report.contains(check.metric.label()));
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
