//! A constructed gate with a scenario of every kind. Names and reasons hold the characters that
//! the formats of its outputs would stumble over.

use chrono::DateTime;
use serde_json::json;

use super::results::SCHEMA_VERSION;
use super::{
    Change, Check, Explanation, GateOutcome, GateResults, GatedClaim, GatedRevision, GatedScenario,
    Growth, ScenarioOutcome,
};
use crate::metric::{Metric, Tier};
use crate::stats::{ClaimVerdict, Verdict};

/// Half of the width of every interval.
const HALF_WIDTH: f64 = 0.02;

/// A check of something measured, its change following from the two values.
pub(crate) fn timed(metric: Metric, base: f64, head: f64, verdict: Verdict) -> Check {
    let estimate = head / base - 1.0;
    let change = Change {
        estimate,
        low: estimate - HALF_WIDTH,
        high: estimate + HALF_WIDTH,
        p_value: Some(0.004),
        blocks: Some(12),
    };
    let samples = |median: f64| [0.99, 1.0, 1.01].map(|times| median * times).to_vec();
    Check {
        change: Some(change),
        base_samples: samples(base),
        head_samples: samples(head),
        ..counted(metric, base, head, verdict)
    }
}

/// A check of something counted.
pub(crate) fn counted(metric: Metric, base: f64, head: f64, verdict: Verdict) -> Check {
    let estimate = head / base - 1.0;
    Check {
        metric,
        base: Some(base),
        head: Some(head),
        base_samples: Vec::new(),
        head_samples: Vec::new(),
        change: Some(Change {
            estimate,
            low: estimate,
            high: estimate,
            p_value: None,
            blocks: None,
        }),
        limit: if metric.tier() == Tier::Counter {
            0.01
        } else {
            0.05
        },
        is_hard: true,
        verdict,
    }
}

/// A promise to take a tenth less, with such a verdict.
pub(crate) fn claim(scenario: &str, metric: Metric, verdict: ClaimVerdict) -> GatedClaim {
    GatedClaim {
        claim: format!("{}<=0.9", metric.name()),
        metric,
        scenario: scenario.to_owned(),
        verdict,
        change: timed(metric, 2.0, 1.7, Verdict::Improved).change,
        stage: Some(Growth {
            name: "decode".to_owned(),
            base: 200.0,
            head: 120.0,
        }),
    }
}

pub(crate) fn scenario(name: &str, outcome: ScenarioOutcome, checks: Vec<Check>) -> GatedScenario {
    GatedScenario {
        name: name.to_owned(),
        workload: "events".to_owned(),
        rows: 200_000,
        outcome,
        checks,
        explanation: None,
    }
}

fn passed() -> GatedScenario {
    let mut soft = timed(
        Metric::ServerCpuSecondsPerMillionRows,
        2.0,
        2.4,
        Verdict::Regressed,
    );
    soft.is_hard = false;
    scenario(
        "tuned",
        ScenarioOutcome::Passed,
        vec![
            counted(Metric::Statements, 12.0, 12.0, Verdict::Equivalent),
            counted(Metric::BytesToServer, 61.4e6, 61.4e6, Verdict::Equivalent),
            soft,
            timed(
                Metric::RowsPerSecond,
                328_000.0,
                329_000.0,
                Verdict::Equivalent,
            ),
        ],
    )
}

fn improved() -> GatedScenario {
    scenario(
        "copy-vs-insert on tuned",
        ScenarioOutcome::Passed,
        vec![
            counted(Metric::RoundTrips, 2_000.0, 40.0, Verdict::Improved),
            timed(
                Metric::RowsPerSecond,
                10_500.0,
                328_000.0,
                Verdict::Improved,
            ),
        ],
    )
}

fn regressed() -> GatedScenario {
    let growth = |name: &str, base, head| Growth {
        name: name.to_owned(),
        base,
        head,
    };
    GatedScenario {
        explanation: Some(Explanation {
            page: "profiles/copy-binary/index.html".to_owned(),
            difference: Some("profiles/copy-binary/difference.svg".to_owned()),
            stage: Some(growth("encode", 120.0, 240.0)),
            coverage: Some(0.97),
            functions: vec![
                growth("<apitap_core::encode::Numeric as Column>::put", 31.0, 96.0),
                growth("alloc::fmt::format", 0.0, 44.0),
            ],
        }),
        ..scenario(
            "copy-binary",
            ScenarioOutcome::Regressed,
            vec![
                counted(Metric::Statements, 12.0, 12.0, Verdict::Equivalent),
                counted(Metric::AllocationsPerRow, 3.0, 5.5, Verdict::Regressed),
                timed(
                    Metric::ClientCpuSecondsPerMillionRows,
                    2.1,
                    2.6,
                    Verdict::Regressed,
                ),
                timed(
                    Metric::RowsPerSecond,
                    328_000.0,
                    288_000.0,
                    Verdict::Regressed,
                ),
            ],
        )
    }
}

fn waived() -> GatedScenario {
    let outcome = ScenarioOutcome::Waived {
        reason: "checks | of <every> \"page\" & 'row'\n]]> cost *that*, see [1](x) and `a|b`"
            .to_owned(),
        expires: "2026-12-31".to_owned(),
    };
    scenario(
        "pages | of 50 <&> \"rows\"",
        outcome,
        vec![
            counted(Metric::Statements, 12.0, 14.0, Verdict::Regressed),
            timed(
                Metric::RowsPerSecond,
                328_000.0,
                327_000.0,
                Verdict::Equivalent,
            ),
        ],
    )
}

fn inconclusive() -> GatedScenario {
    let mut no_base = timed(
        Metric::ServerCpuSecondsPerMillionRows,
        1.0,
        1.0,
        Verdict::Inconclusive,
    );
    no_base.change = None;
    no_base.base = None;
    scenario(
        "merge",
        ScenarioOutcome::Inconclusive,
        vec![
            timed(
                Metric::ClientCpuSecondsPerMillionRows,
                2.1,
                2.2,
                Verdict::Inconclusive,
            ),
            no_base,
            timed(
                Metric::RowsPerSecond,
                100_000.0,
                99_000.0,
                Verdict::Inconclusive,
            ),
        ],
    )
}

fn missing() -> GatedScenario {
    let reason = "the base does not know `write.method = \"unnest\"`".to_owned();
    let outcome = ScenarioOutcome::Missing {
        reason,
        lenient: false,
    };
    scenario("unnest", outcome, Vec::new())
}

fn wrong_data() -> GatedScenario {
    let outcome = ScenarioOutcome::WrongData {
        reason: "the table should hold 200,000 rows and holds 199,999".to_owned(),
    };
    let check = timed(
        Metric::RowsPerSecond,
        328_000.0,
        400_000.0,
        Verdict::Improved,
    );
    scenario("replace", outcome, vec![check])
}

/// One of each: passed, improved, regressed with its explanation, waived, inconclusive, missing,
/// and with wrong data.
pub(crate) fn results() -> GateResults {
    gated(
        GateOutcome::WrongData,
        vec![
            passed(),
            improved(),
            regressed(),
            waived(),
            inconclusive(),
            missing(),
            wrong_data(),
        ],
    )
}

/// A gate with nothing to say.
pub(crate) fn results_that_passed() -> GateResults {
    gated(GateOutcome::Passed, vec![passed()])
}

fn gated(outcome: GateOutcome, scenarios: Vec<GatedScenario>) -> GateResults {
    let revision = |named: &str, commit: &str| GatedRevision {
        named: named.to_owned(),
        commit: commit.repeat(5),
    };
    let time = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
    GateResults {
        schema_version: SCHEMA_VERSION,
        started_at: time.into(),
        is_corrected: true,
        failure: None,
        expired_waivers: Vec::new(),
        command: ["apitap-bench", "gate", "--base", "main"]
            .map(str::to_owned)
            .to_vec(),
        seed: 7,
        confidence_level: 0.95,
        base: revision("main", "89abcdef"),
        head: revision("fix/<b>|\"é\"", "01234567"),
        is_stored: false,
        outcome,
        scenarios,
        claims: Vec::new(),
        fingerprint: json!({"machine": {"cores": 2, "cpu_model": "Example"}}),
    }
}
