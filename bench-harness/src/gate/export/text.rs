//! What every output says of a gate, in words: one place for signs, digits and names.

use crate::format::{Bytes, Number, Percent, Whole, one_line};
use crate::gate::{
    Change, Check, Explanation, GateOutcome, GateResults, GatedRevision, GatedScenario, Growth,
    ScenarioOutcome,
};
use crate::metric::{GateMetric, Tier};
use crate::profile::results::LEAST_COVERAGE;
use crate::stats::Verdict;

/// Characters of a commit that are shown, as in the names of folders.
const SHORT_COMMIT_CHARS: usize = 8;

/// Characters of a text by users that are shown: a long sentence or two.
const MAX_CHARS: usize = 300;

/// Stands for a figure that nobody has.
pub(super) const NONE: &str = "–";

/// Stands for a change that may as well be none.
pub(super) const NO_DIFFERENCE: &str = "~";

/// Text by users on one line, without characters that XML forbids, that steer a terminal, or that
/// change the direction of writing, and cut where it is too long to be read here.
pub(super) fn clean(text: &str) -> String {
    let harmless = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    let text: String = one_line(text).chars().filter(harmless).collect();
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What a gate comes to, in a sentence.
pub(super) fn verdict(outcome: GateOutcome) -> &'static str {
    match outcome {
        GateOutcome::WrongData => "Wrong data: a load left other rows than it should.",
        GateOutcome::Regressed => "Regressed: something is worse by more than its limit.",
        GateOutcome::Missing => "Missing: a scenario has no figures on one side.",
        GateOutcome::Failed => "Failed: the harness or a load did not finish.",
        GateOutcome::ExpiredWaiver => "Expired: a waiver is past its last day.",
        GateOutcome::Inconclusive => {
            "Inconclusive: nothing is worse for certain, and of something it cannot be told."
        }
        GateOutcome::Passed => "Passed: nothing is worse by more than its limit.",
    }
}

/// What keeps the gate from passing, or from telling, besides its scenarios, a sentence each.
pub(super) fn remarks(results: &GateResults) -> Vec<String> {
    let failure = results.failure.iter();
    let failure = failure.map(|reason| format!("The harness failed: {}.", clean(reason)));
    let expired = results.expired_waivers.iter().map(|waiver| {
        format!(
            "A waiver is past its last day: {}. Remove it, or renew it.",
            clean(waiver)
        )
    });
    let alone = (!results.is_corrected).then(|| {
        "There are too few blocks to judge the scenarios as a family: each is judged alone, so that false alarms add \
         up."
        .to_owned()
    });
    let noisy = (results.outcome == GateOutcome::Inconclusive).then(|| {
        // Of stored results no blocks are added.
        let time = if results.is_stored { "" } else { "more time (`--minutes 20`), " };
        format!(
            "Noise hides what the limits ask for: take {time}more blocks at first (`--blocks 48`), or a quieter \
             machine. Exit code 4 says so with `--fail-on-inconclusive`."
        )
    });
    failure.chain(expired).chain(alone).chain(noisy).collect()
}

/// What is held against what, and how.
pub(super) fn sides(results: &GateResults) -> String {
    let how = if results.is_stored {
        "whose figures were stored"
    } else {
        "measured in turns"
    };
    format!(
        "{} against {}, {how}",
        revision(&results.head),
        revision(&results.base)
    )
}

fn revision(revision: &GatedRevision) -> String {
    let commit: String = clean(&revision.commit)
        .chars()
        .take(SHORT_COMMIT_CHARS)
        .collect();
    format!("{} ({commit})", clean(&revision.named))
}

/// What a scenario comes to, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    WrongData,
    Failed,
    Regressed,
    Missing,
    Inconclusive,
    Waived,
    Lenient,
    Improved,
    Passed,
}

impl Standing {
    const ALL: [Self; 9] = [
        Self::WrongData,
        Self::Failed,
        Self::Regressed,
        Self::Missing,
        Self::Inconclusive,
        Self::Waived,
        Self::Lenient,
        Self::Improved,
        Self::Passed,
    ];

    pub(super) fn new(scenario: &GatedScenario) -> Self {
        match &scenario.outcome {
            ScenarioOutcome::WrongData { .. } => Self::WrongData,
            ScenarioOutcome::Failed { .. } => Self::Failed,
            ScenarioOutcome::Regressed => Self::Regressed,
            ScenarioOutcome::Missing { lenient: false, .. } => Self::Missing,
            ScenarioOutcome::Missing { lenient: true, .. } => Self::Lenient,
            ScenarioOutcome::Inconclusive => Self::Inconclusive,
            ScenarioOutcome::Waived { .. } => Self::Waived,
            ScenarioOutcome::Passed if scenario.has_improved() => Self::Improved,
            ScenarioOutcome::Passed => Self::Passed,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::WrongData => "wrong data",
            Self::Failed => "failed",
            Self::Regressed => "regressed",
            Self::Missing => "missing",
            Self::Inconclusive => "inconclusive",
            Self::Waived => "waived",
            Self::Lenient => "missing, let pass",
            Self::Improved => "improved",
            Self::Passed => "passed",
        }
    }

    /// Whether it lets the gate fail.
    pub(super) fn is_failure(self) -> bool {
        self <= Self::Missing
    }
}

/// How many scenarios came to what: `Of 3 scenarios: 1 regressed, 2 passed.`
pub(super) fn tally(results: &GateResults) -> String {
    let standings: Vec<Standing> = results.scenarios.iter().map(Standing::new).collect();
    let counts: Vec<String> = Standing::ALL
        .into_iter()
        .filter_map(|one| {
            let count = standings.iter().filter(|other| **other == one).count();
            (count > 0).then(|| format!("{count} {}", one.word()))
        })
        .collect();
    match standings.len() {
        0 => "There was no scenario.".to_owned(),
        1 => format!("Of 1 scenario: {}.", counts.join(", ")),
        all => format!("Of {all} scenarios: {}.", counts.join(", ")),
    }
}

/// Those to read and the others, each the worst first and otherwise as they ran.
pub(super) fn ordered(results: &GateResults) -> (Vec<&GatedScenario>, Vec<&GatedScenario>) {
    let (mut significant, rest) = results.significant();
    significant.sort_by_key(|scenario| Standing::new(scenario));
    (significant, rest)
}

/// Why a scenario stands as it does, where somebody or something gave a reason.
pub(super) fn reason(scenario: &GatedScenario) -> Option<String> {
    match &scenario.outcome {
        ScenarioOutcome::Waived { reason, expires } => {
            Some(format!("until {}: {}", clean(expires), clean(reason)))
        }
        ScenarioOutcome::Missing { reason, .. }
        | ScenarioOutcome::Failed { reason }
        | ScenarioOutcome::WrongData { reason } => Some(clean(reason)),
        ScenarioOutcome::Passed | ScenarioOutcome::Inconclusive | ScenarioOutcome::Regressed => {
            None
        }
    }
}

/// A quantity with its unit, in less space than its name takes: `client cpu s/M rows`.
pub(super) fn label(metric: GateMetric) -> String {
    metric
        .name()
        .replace("_seconds_per_million_rows", " s/M rows")
        .replace("_per_row", "/row")
        .replace("_per_second", "/s")
        .replace('_', " ")
}

/// A value beside its [`label`].
pub(super) fn value(metric: GateMetric, value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return NONE.to_owned();
    };
    if metric.unit().starts_with('B') {
        return Bytes(value).to_string();
    }
    // What is counted differs in its last digit, which rounding would hide.
    let is_count = metric.tier() == Tier::Counter && value.fract() == 0.0;
    if is_count && (0.0..1e12).contains(&value) {
        return Whole(value as u64).to_string();
    }
    Number(value).to_string()
}

/// By how much it changed, and the interval of what is measured: `-12.3% (-14.4% to -10.1%)`.
pub(super) fn change(check: &Check) -> String {
    let Some(change) = check.change else {
        return NONE.to_owned();
    };
    let estimate = if is_none(change) {
        NO_DIFFERENCE.to_owned()
    } else {
        signed(change.estimate)
    };
    if change.low == change.high {
        return estimate;
    }
    format!(
        "{estimate} ({} to {})",
        signed(change.low),
        signed(change.high)
    )
}

fn is_none(change: Change) -> bool {
    change.low <= 0.0 && change.high >= 0.0
}

/// By how much it may change for the worse: `+5%`, and of what should be more `-5%`.
pub(super) fn limit(check: &Check) -> String {
    match (check.is_hard, check.metric.more_is_better()) {
        (false, _) => "none".to_owned(),
        (true, false) => signed(check.limit),
        (true, true) => signed(-check.limit),
    }
}

fn signed(share: f64) -> String {
    let sign = if share < 0.0 { '-' } else { '+' };
    // Twice as much and more needs no tenths.
    let digits = if share.abs() < 1.0 { 1_000.0 } else { 100.0 };
    let size = Percent((share.abs() * digits).round() / digits).to_string();
    if size == "0%" && share != 0.0 {
        return format!("{sign}<0.1%");
    }
    format!("{sign}{size}")
}

/// What a check amounts to.
pub(super) fn finding(check: &Check) -> String {
    if check.is_unconfirmed() {
        "unconfirmed".to_owned()
    } else {
        check.verdict.to_string()
    }
}

/// Whether there is anything to read in a check: a difference, or a doubt.
pub(super) fn is_notable(check: &Check) -> bool {
    check.verdict != Verdict::Equivalent || check.is_unconfirmed()
}

/// A check in a line: `rows/s: 328,000 → 288,000, -12.3% (-14.4% to -10.1%), limit -5%`.
pub(super) fn sentence(check: &Check) -> String {
    let Check {
        metric, base, head, ..
    } = *check;
    format!(
        "{}: {} → {}, {}, limit {}",
        label(metric),
        value(metric, base),
        value(metric, head),
        change(check),
        limit(check)
    )
}

/// What a stage or function costs more: `encode 120 → 240 (+100%)`.
pub(super) fn growth(growth: &Growth) -> String {
    let Growth { name, base, head } = growth;
    let by = if *base > 0.0 {
        signed(head / base - 1.0)
    } else {
        "new".to_owned()
    };
    format!(
        "{} {} → {} ({by})",
        clean(name),
        Number(*base),
        Number(*head)
    )
}

/// Unit of every [`growth`].
const GROWTH_UNIT: &str = "µs of processor time per 1,000 rows";

/// The worst for people who fix it: a sentence on the stage that grew, if one did.
pub(super) fn stage(stage: Option<&Growth>) -> String {
    match stage {
        Some(stage) => format!("Stage that grew: {}, in {GROWTH_UNIT}.", growth(stage)),
        None => "No stage grew beyond doubt.".to_owned(),
    }
}

/// What stands above the functions that grew, or in their place.
pub(super) fn functions(explanation: &Explanation) -> String {
    match explanation.coverage {
        _ if !explanation.functions.is_empty() => {
            format!("Functions whose own cost grew, in {GROWTH_UNIT}:")
        }
        Some(coverage) if coverage < LEAST_COVERAGE => format!(
            "Functions are not ranked: {} of the processor time was sampled, and {} are needed.",
            Percent(coverage),
            Percent(LEAST_COVERAGE)
        ),
        _ => "No function grew beyond doubt by itself.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::example;

    #[test]
    fn functions_that_are_not_ranked_say_why() {
        let explanation = |coverage| Explanation {
            page: "profiles/index.html".to_owned(),
            difference: None,
            stage: None,
            coverage,
            functions: Vec::new(),
        };
        assert_eq!(
            functions(&explanation(Some(0.85))),
            "Functions are not ranked: 85% of the processor time was sampled, and 90% are needed."
        );
        let none = "No function grew beyond doubt by itself.";
        assert_eq!(functions(&explanation(Some(0.95))), none);
    }

    #[test]
    fn a_change_is_a_tilde_where_its_interval_holds_none() {
        let text = |low, estimate, high| {
            let mut check =
                example::timed(GateMetric::RowsPerSecond, 100.0, 90.0, Verdict::Regressed);
            check.change = Some(Change {
                estimate,
                low,
                high,
                p_value: None,
                blocks: None,
            });
            change(&check)
        };
        assert_eq!(text(-0.144, -0.123, -0.101), "-12.3% (-14.4% to -10.1%)");
        assert_eq!(text(-0.02, 0.01, 0.03), "~ (-2% to +3%)");
        assert_eq!(text(0.0, 0.0, 0.0), "~");
        assert_eq!(text(0.000_01, 0.000_01, 0.000_01), "+<0.1%");
        assert_eq!(text(30.218, 30.238, 30.258), "+3024% (+3022% to +3026%)");
    }

    #[test]
    fn limits_point_the_way_that_is_worse() {
        let mut check = example::timed(GateMetric::RowsPerSecond, 1.0, 1.0, Verdict::Equivalent);
        assert_eq!(limit(&check), "-5%");
        check.metric = GateMetric::Statements;
        assert_eq!(limit(&check), "+5%");
        check.is_hard = false;
        assert_eq!(limit(&check), "none");
    }

    #[test]
    fn counts_keep_their_last_digit_and_measures_three() {
        let text = |metric, number| value(metric, Some(number));
        assert_eq!(text(GateMetric::Statements, 200_017.0), "200,017");
        assert_eq!(text(GateMetric::AllocationsPerRow, 3.2468), "3.25");
        assert_eq!(text(GateMetric::RowsPerSecond, 328_412.0), "328,000");
        assert_eq!(text(GateMetric::BytesToServer, 61_400_000.0), "61.4 MB");
        assert_eq!(text(GateMetric::RowsPerSecond, f64::NAN), NONE);
    }

    #[test]
    fn every_label_is_short_and_its_own() {
        let mut labels = GateMetric::ALL.map(label).to_vec();
        assert!(labels.iter().all(|label| label.len() <= 23), "{labels:?}");
        labels.sort();
        labels.dedup();
        assert_eq!(labels.len(), GateMetric::ALL.len());
    }

    #[test]
    fn text_by_users_is_one_harmless_line() {
        assert_eq!(clean("a\n\u{1b}[31mb\u{202e}\u{ffff}"), "a [31mb");
        assert_eq!(clean(&"é".repeat(1_000)).chars().count(), MAX_CHARS + 1);
    }

    #[test]
    fn the_worst_scenario_comes_first() {
        let results = example::results();
        let (significant, rest) = ordered(&results);
        let words: Vec<&str> = significant
            .iter()
            .chain(&rest)
            .map(|one| Standing::new(one).word())
            .collect();
        assert_eq!(
            words,
            [
                "wrong data",
                "regressed",
                "missing",
                "inconclusive",
                "waived",
                "improved",
                "passed"
            ]
        );
        assert_eq!(
            tally(&results),
            "Of 7 scenarios: 1 wrong data, 1 regressed, 1 missing, 1 inconclusive, 1 waived, 1 improved, 1 passed."
        );
    }
}
