//! The words, signs and digits that all outputs of a gate share.

use crate::format::{Number, Percent, one_line};
use crate::gate::{
    Change, Check, Explanation, GateOutcome, GateResults, GatedClaim, GatedRevision, GatedScenario,
    Growth, ScenarioOutcome,
};
use crate::metric::Metric;
use crate::profile::results::LEAST_COVERAGE;
use crate::stats::Verdict;

/// Characters of a commit that are shown, as in the names of folders.
const SHORT_COMMIT_CHARS: usize = 8;

/// Characters of a text by users that are shown: a long sentence or two.
const MAX_CHARS: usize = 300;

/// Shown instead of a missing figure.
pub(super) const NONE: &str = "–";

/// Shown instead of a change whose interval includes none.
pub(super) const NO_DIFFERENCE: &str = "~";

/// Text by users on one line: without characters that XML forbids, that control a terminal, or that
/// change the direction of writing, and cut where it is too long.
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

/// The verdict of a gate: a word, and a sentence that explains it.
pub(super) fn verdict(outcome: GateOutcome) -> (&'static str, &'static str) {
    match outcome {
        GateOutcome::WrongData => ("Wrong data", "A load did not leave the expected rows."),
        GateOutcome::Regressed => ("Regressed", "A metric is worse by more than its limit."),
        GateOutcome::Missing => ("Missing", "A scenario has no figures on one side."),
        GateOutcome::Failed => ("Failed", "The harness or a load did not finish."),
        GateOutcome::ExpiredWaiver => ("Expired", "A waiver is past its last day."),
        GateOutcome::Inconclusive => (
            "Inconclusive",
            "No metric is clearly worse, but some are too noisy to judge.",
        ),
        GateOutcome::Passed => ("Passed", "No metric is worse by more than its limit."),
    }
}

/// Expired waivers that are named.
const EXPIRED: usize = 10;

/// What became of a promise: `rows_per_second>=1.1 on tuned is supported: +12.3% (+10.1% to +14.4%).`
fn claim(claim: &GatedClaim) -> String {
    let change = claim.change.map_or_else(|| NONE.to_owned(), interval);
    let stage = claim.stage.as_ref().map(|stage| {
        let stage = growth(stage);
        format!(" Stage that fell most: {stage}, in {GROWTH_UNIT}.")
    });
    format!(
        "The claim {} on {} is {}: {change}.{}",
        claim.claim,
        clean(&claim.scenario),
        claim.verdict,
        stage.unwrap_or_default()
    )
}

/// What became of the claims, and what keeps the gate from passing or from a verdict besides its scenarios, a
/// sentence each.
pub(super) fn remarks(results: &GateResults) -> Vec<String> {
    let claims = results.claims.iter().map(claim);
    let failure = results.failure.iter();
    let failure = failure.map(|reason| format!("The harness failed: {}.", clean(reason)));
    let expired = results.expired_waivers.iter().take(EXPIRED).map(|waiver| {
        format!(
            "A waiver is past its last day: {}. Remove it, or renew it.",
            clean(waiver)
        )
    });
    let more = results.expired_waivers.len().saturating_sub(EXPIRED);
    let more = (more > 0).then(|| format!("{more} more waivers are past their last day."));
    let alone = (!results.is_corrected).then(|| {
        "There are too few blocks to judge all scenarios together. Each is judged alone, so false \
         alarms are more frequent."
            .to_owned()
    });
    let noisy = (results.outcome == GateOutcome::Inconclusive).then(|| {
        // Blocks are never added to a comparison with stored results.
        let more = if results.is_stored {
            "more blocks (`--blocks 48`)"
        } else {
            "more time (`--minutes 20`)"
        };
        format!(
            "Differences as small as the limits are lost in noise. Use {more}, or a quieter machine. With \
             `--fail-on-inconclusive` the exit code is 4."
        )
    });
    let all = claims.chain(failure).chain(expired).chain(more);
    all.chain(alone).chain(noisy).collect()
}

/// What is compared with what, and how.
pub(super) fn sides(results: &GateResults) -> String {
    let how = if results.is_stored {
        "whose results were stored"
    } else {
        "measured alternately"
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

/// The word for a scenario, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
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

impl Rank {
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
            Self::Lenient => "missing (allowed)",
            Self::Improved => "improved",
            Self::Passed => "passed",
        }
    }

    /// Whether it makes the gate fail.
    pub(super) fn is_failure(self) -> bool {
        self <= Self::Missing
    }
}

/// How many scenarios have which word: `3 scenarios: 1 regressed, 2 passed.`
pub(super) fn tally(results: &GateResults) -> String {
    let ranks: Vec<Rank> = results.scenarios.iter().map(Rank::new).collect();
    let counts: Vec<String> = Rank::ALL
        .into_iter()
        .filter_map(|one| {
            let count = ranks.iter().filter(|other| **other == one).count();
            (count > 0).then(|| format!("{count} {}", one.word()))
        })
        .collect();
    match ranks.len() {
        0 => "There is no scenario.".to_owned(),
        1 => format!("1 scenario: {}.", counts.join(", ")),
        all => format!("{all} scenarios: {}.", counts.join(", ")),
    }
}

/// The scenarios to read, the worst first, and the others.
pub(super) fn ordered(results: &GateResults) -> (Vec<&GatedScenario>, Vec<&GatedScenario>) {
    let (mut significant, rest) = results.significant();
    significant.sort_by_key(|scenario| Rank::new(scenario));
    (significant, rest)
}

/// The reason for what became of a scenario, where there is one.
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

/// A value of a metric, as it is shown beside the label.
pub(super) fn value(metric: Metric, value: Option<f64>) -> String {
    let value = value.filter(|value| value.is_finite());
    value.map_or_else(|| NONE.to_owned(), |value| metric.shown(value))
}

/// The change, and its interval where it was measured: `-12.3% (-14.4% to -10.1%)`.
pub(super) fn change(check: &Check) -> String {
    check.change.map_or_else(|| NONE.to_owned(), interval)
}

fn interval(change: Change) -> String {
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

/// The largest change for the worse that passes: `+5%`, or `-5%` where more is better.
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

/// Whether a check is worth reading: it differs, or is not certain.
pub(super) fn is_notable(check: &Check) -> bool {
    check.verdict != Verdict::Equivalent
}

/// A check in a line: `rows/s: 328,000 → 288,000, -12.3% (-14.4% to -10.1%), limit -5%`.
pub(super) fn sentence(check: &Check) -> String {
    let Check {
        metric, base, head, ..
    } = *check;
    format!(
        "{}: {} → {}, {}, limit {}",
        metric.label(),
        value(metric, base),
        value(metric, head),
        change(check),
        limit(check)
    )
}

/// By how much a stage or function grew: `encode 120 → 240 (+100%)`.
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
const GROWTH_UNIT: &str = "µs of CPU time per 1,000 rows";

/// A sentence on the stage that grew most.
pub(super) fn stage(stage: Option<&Growth>) -> String {
    match stage {
        Some(stage) => format!("Stage that grew most: {}, in {GROWTH_UNIT}.", growth(stage)),
        None => "No stage clearly grew.".to_owned(),
    }
}

/// The line above the functions that grew, or why there are none.
pub(super) fn functions(explanation: &Explanation) -> String {
    match explanation.coverage {
        _ if !explanation.functions.is_empty() => {
            format!("Functions whose own cost grew, in {GROWTH_UNIT}:")
        }
        Some(coverage) if coverage < LEAST_COVERAGE => format!(
            "Functions are not ranked: only {} of the CPU time was sampled, {} is needed.",
            Percent(coverage),
            Percent(LEAST_COVERAGE)
        ),
        _ => "No function clearly grew by itself.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::example;
    use crate::stats::ClaimVerdict;

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
            "Functions are not ranked: only 85% of the CPU time was sampled, 90% is needed."
        );
        let none = "No function clearly grew by itself.";
        assert_eq!(functions(&explanation(Some(0.95))), none);
    }

    #[test]
    fn a_change_is_a_tilde_where_its_interval_holds_none() {
        let text = |low, estimate, high| {
            let mut check = example::timed(Metric::RowsPerSecond, 100.0, 90.0, Verdict::Regressed);
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
    fn claims_say_what_became_of_them_and_what_moved() {
        let mut results = example::results_that_passed();
        let metric = Metric::ClientCpuSecondsPerMillionRows;
        results.claims = vec![example::claim("tuned", metric, ClaimVerdict::Supported)];
        assert_eq!(
            remarks(&results),
            [
                "The claim client_cpu_seconds_per_million_rows<=0.9 on tuned is supported: -15% (-17% to -13%). \
                 Stage that fell most: decode 200 → 120 (-40%), in µs of CPU time per 1,000 rows."
            ]
        );
    }

    #[test]
    fn limits_point_the_way_that_is_worse() {
        let mut check = example::timed(Metric::RowsPerSecond, 1.0, 1.0, Verdict::Equivalent);
        assert_eq!(limit(&check), "-5%");
        check.metric = Metric::Statements;
        assert_eq!(limit(&check), "+5%");
        check.is_hard = false;
        assert_eq!(limit(&check), "none");
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
            .map(|one| Rank::new(one).word())
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
            "7 scenarios: 1 wrong data, 1 regressed, 1 missing, 1 inconclusive, 1 waived, 1 improved, 1 passed."
        );
    }
}
