//! `junit.xml`: a test suite for each scenario, with a test case for each metric and one for the
//! loaded rows. A gate that did not finish has one more suite, with an error.
//!
//! | a check that | is a test case that |
//! |---|---|
//! | regressed and can fail the gate | failed; skipped where a waiver lets it pass |
//! | has no figure on a side, or is of a load that left wrong data | was skipped |
//! | is inconclusive, or regressed and is only shown | passed, and says so in its output |
//! | is anything else | passed |

use anyhow::{Context, Result};
use chrono::DateTime;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::text;
use crate::gate::{Check, GateOutcome, GateResults, GatedScenario, ScenarioOutcome};
use crate::stats::Verdict;

/// Name of the file in the gate's folder.
pub(super) const FILE: &str = "junit.xml";

/// Name of the test case of the loaded rows, the first in every suite.
const LOADED_ROWS: &str = "loaded_rows";

/// Renders `results` as JUnit's XML.
///
/// # Errors
/// If the XML cannot be written.
pub(super) fn render(results: &GateResults) -> Result<String> {
    let mut report = Report::new("apitap-bench gate");
    if let Ok(time) = DateTime::parse_from_rfc3339(&results.started_at.to_string()) {
        report.set_timestamp(time);
    }
    report.add_test_suites(results.scenarios.iter().map(|one| suite(results, one)));
    if results.outcome == GateOutcome::Failed {
        report.add_test_suite(unfinished(results));
    }
    if !results.expired_waivers.is_empty() {
        report.add_test_suite(expired(results));
    }
    report
        .to_string()
        .context("cannot write the gate's results as JUnit's XML")
}

fn suite(results: &GateResults, scenario: &GatedScenario) -> TestSuite {
    let mut suite = TestSuite::new(text::clean(&scenario.name));
    suite.add_property(("base", results.base.commit.as_str()));
    suite.add_property(("head", results.head.commit.as_str()));
    suite.add_property(("workload", text::clean(&scenario.workload).as_str()));
    suite.add_property(("rows", scenario.rows.to_string().as_str()));
    suite.add_test_case(case(scenario, LOADED_ROWS, loaded(scenario)));
    suite.add_test_cases(scenario.checks.iter().map(|check| judged(scenario, check)));
    suite
}

/// Where the harness failed, scenarios may all have passed, or be few.
fn unfinished(results: &GateResults) -> TestSuite {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("failed");
    let reason = results.failure.as_deref();
    let reason = reason.unwrap_or(text::verdict(GateOutcome::Failed).1);
    status.set_message(text::clean(reason));
    let mut suite = TestSuite::new("apitap-bench gate");
    suite.add_test_case(TestCase::new("finished", status));
    suite
}

/// Each waiver past its last day is a failure.
fn expired(results: &GateResults) -> TestSuite {
    let mut suite = TestSuite::new("waivers");
    for waiver in &results.expired_waivers {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("expired");
        status.set_message("it is past its last day: remove it, or renew it");
        suite.add_test_case(TestCase::new(text::clean(waiver), status));
    }
    suite
}

fn case(scenario: &GatedScenario, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(text::clean(&scenario.name));
    case
}

/// Whether both sides loaded what they should.
fn loaded(scenario: &GatedScenario) -> TestCaseStatus {
    let with = |mut status: TestCaseStatus, kind: &str, reason: &str| {
        status.set_type(kind).set_message(text::clean(reason));
        status
    };
    match &scenario.outcome {
        ScenarioOutcome::WrongData { reason } => {
            let status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            with(status, "wrong data", reason)
        }
        ScenarioOutcome::Failed { reason } => {
            let status = TestCaseStatus::non_success(NonSuccessKind::Error);
            with(status, "failed", reason)
        }
        ScenarioOutcome::Missing {
            reason,
            lenient: false,
        } => {
            let status = TestCaseStatus::non_success(NonSuccessKind::Error);
            with(status, "missing", reason)
        }
        ScenarioOutcome::Missing {
            reason,
            lenient: true,
        } => with(TestCaseStatus::skipped(), "missing", reason),
        ScenarioOutcome::Passed
        | ScenarioOutcome::Inconclusive
        | ScenarioOutcome::Regressed
        | ScenarioOutcome::Waived { .. } => TestCaseStatus::success(),
    }
}

fn judged(scenario: &GatedScenario, check: &Check) -> TestCase {
    let is_regressed = check.verdict == Verdict::Regressed && check.is_hard;
    let status = match &scenario.outcome {
        ScenarioOutcome::WrongData { .. } => {
            let mut status = TestCaseStatus::skipped();
            status.set_type("wrong data");
            status.set_message("a load left wrong data, so its figures mean nothing");
            status
        }
        ScenarioOutcome::Waived { .. } if is_regressed => {
            let reason = text::reason(scenario).unwrap_or_default();
            let mut status = TestCaseStatus::skipped();
            status.set_type("waived");
            status.set_message(format!("waived {reason}"));
            status.set_description(text::sentence(check));
            status
        }
        _ if is_regressed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_type("regressed")
                .set_message(text::sentence(check));
            status.set_description(advice(scenario));
            status
        }
        _ if check.base.is_none() || check.head.is_none() => {
            let mut status = TestCaseStatus::skipped();
            status
                .set_type("missing")
                .set_message(text::sentence(check));
            status
        }
        _ => TestCaseStatus::success(),
    };
    let is_success = matches!(status, TestCaseStatus::Success { .. });
    let mut case = case(scenario, check.metric.name(), status);
    if is_success && text::is_notable(check) {
        case.set_system_out(format!("{}; {}", check.verdict, text::sentence(check)));
    }
    case
}

/// Where to look, and what to do.
fn advice(scenario: &GatedScenario) -> String {
    let mut lines = Vec::new();
    if let Some(explanation) = &scenario.explanation {
        lines.push(text::stage(explanation.stage.as_ref()));
        lines.push(text::functions(explanation));
        let functions = explanation.functions.iter();
        lines.extend(functions.map(|one| format!("- {}", text::growth(one))));
        let difference = explanation.difference.iter();
        lines.extend(
            difference.map(|path| format!("Difference flame graph: {}", text::clean(path))),
        );
        lines.push(format!("Profiles: {}", text::clean(&explanation.page)));
    }
    lines.push("Fix it, or, if it is intended, waive it with a reason and a last day.".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use junit_parser::TestStatus;

    use super::*;
    use crate::gate::example;

    fn written() -> String {
        render(&example::results()).unwrap()
    }

    #[test]
    fn the_report_comes_back_as_it_was_written() {
        let report = Report::deserialize_from_str(&written()).unwrap();
        assert_eq!(
            (report.tests, report.failures, report.errors, report.skipped),
            (23, 4, 1, 3)
        );
        let suites = &report.test_suites;
        assert_eq!(suites.len(), 7);
        assert_eq!(suites[3].name.as_str(), "pages | of 50 <&> \"rows\"");
        let TestCaseStatus::Skipped { message, .. } = &suites[3].test_cases[1].status else {
            panic!("a waived check is skipped");
        };
        assert_eq!(
            message.as_ref().unwrap().as_str(),
            "waived until 2026-12-31: checks | of <every> \"page\" & 'row' ]]> cost *that*, see [1](x) and `a|b`"
        );
    }

    #[test]
    fn a_failure_says_by_how_much_and_where_to_look() {
        let report = Report::deserialize_from_str(&written()).unwrap();
        let case = report.test_suites[2].test_cases.last().unwrap();
        assert_eq!(case.name.as_str(), "rows_per_second");
        let TestCaseStatus::NonSuccess {
            message,
            description,
            ..
        } = &case.status
        else {
            panic!("a regressed check failed");
        };
        assert_eq!(
            message.as_ref().unwrap().as_str(),
            "rows/s: 328,000 → 288,000, -12.2% (-14.2% to -10.2%), limit -5%"
        );
        let advice = description.as_ref().unwrap().as_str();
        assert!(advice.contains("encode 120 → 240 (+100%)"), "{advice}");
        assert!(
            advice.contains("profiles/copy-binary/index.html"),
            "{advice}"
        );
    }

    #[test]
    fn what_cannot_fail_the_gate_passes_and_says_so() {
        let report = Report::deserialize_from_str(&written()).unwrap();
        let out = |suite: usize, metric: &str| {
            let cases = &report.test_suites[suite].test_cases;
            let case = cases
                .iter()
                .find(|case| case.name.as_str() == metric)
                .unwrap();
            assert!(
                matches!(case.status, TestCaseStatus::Success { .. }),
                "{metric}"
            );
            case.system_out.as_ref().unwrap().as_str().to_owned()
        };
        assert!(out(4, "rows_per_second").starts_with("inconclusive; "));
        assert!(out(4, "client_cpu_seconds_per_million_rows").starts_with("inconclusive; "));
        assert!(out(0, "server_cpu_seconds_per_million_rows").ends_with("limit none"));
    }

    /// By a reader that many tools are made of, and that knows nothing of the writer.
    #[test]
    fn a_consumer_counts_what_the_elements_claim() {
        let read = junit_parser::from_reader(written().as_bytes()).unwrap();
        let mut totals = [0; 4];
        for suite in &read.suites {
            let of_status = |is: fn(&TestStatus) -> bool| {
                suite.cases.iter().filter(|case| is(&case.status)).count() as u64
            };
            let counted = [
                suite.cases.len() as u64,
                of_status(TestStatus::is_failure),
                of_status(TestStatus::is_error),
                of_status(TestStatus::is_skipped),
            ];
            let claimed = [suite.tests, suite.failures, suite.errors, suite.skipped];
            assert_eq!(claimed, counted, "{}", suite.name);
            for (total, count) in totals.iter_mut().zip(counted) {
                *total += count;
            }
        }
        assert_eq!(
            [read.tests, read.failures, read.errors, read.skipped],
            totals
        );
        assert_eq!(totals, [23, 4, 1, 3]);
        let failed = read.suites[2].cases.last().unwrap();
        let message = &failed.status.failure_as_ref().message;
        assert!(
            message.starts_with("rows/s: 328,000 → 288,000, -12.2%"),
            "{message}"
        );
        let name = &read.suites[3].name;
        assert_eq!(name, "pages | of 50 <&> \"rows\"");
    }

    #[test]
    fn every_metric_of_every_scenario_is_a_case() {
        let results = example::results();
        let report = Report::deserialize_from_str(&written()).unwrap();
        for (scenario, suite) in results.scenarios.iter().zip(&report.test_suites) {
            let names = suite.test_cases.iter().map(|case| case.name.as_str());
            let wanted = scenario.checks.iter().map(|check| check.metric.name());
            assert!(
                names.eq(std::iter::once(LOADED_ROWS).chain(wanted)),
                "{}",
                scenario.name
            );
        }
    }

    #[test]
    fn a_gate_that_passed_has_no_failure() {
        let text = render(&example::results_that_passed()).unwrap();
        let report = Report::deserialize_from_str(&text).unwrap();
        assert_eq!(
            (report.tests, report.failures, report.errors, report.skipped),
            (5, 0, 0, 0)
        );
    }

    #[test]
    fn a_gate_that_did_not_finish_has_an_error_though_every_scenario_passed() {
        let mut results = example::results_that_passed();
        results.outcome = GateOutcome::Failed;
        let report = Report::deserialize_from_str(&render(&results).unwrap()).unwrap();
        assert_eq!((report.failures, report.errors), (0, 1));
    }
}
