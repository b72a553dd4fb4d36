use super::*;
use crate::experiment::LoadPlan;
use crate::experiment::Revision;
use crate::gate::policy::{Limit, Waivers};
use crate::gate::scenario::{GateScenario, Size};
use crate::metric::Metric;
use crate::report::example;
use crate::samples::{Measurements, Timestamp};

/// Those of two sessions: nothing is worse before.
const BLOCKS: usize = 24;

fn scenario(name: &str) -> GateScenario {
    GateScenario {
        name: name.to_owned(),
        about: String::new(),
        workload: "orders".to_owned(),
        preset: "tuned".to_owned(),
        knobs: Vec::new(),
        sql: None,
        rows: 1_000_000.try_into().unwrap(),
    }
}

/// A record of `names`, each with the arms given.
fn record(names: &[&str], arms: &[&str]) -> RunRecord {
    let revision = Revision {
        commit: "c".repeat(40),
        environment: Vec::new(),
    };
    let revisions: Vec<(&str, Revision)> =
        arms.iter().map(|arm| (*arm, revision.clone())).collect();
    let size = Size {
        blocks: BLOCKS.try_into().ok(),
        ..Size::default()
    };
    RunRecord {
        scenarios: names
            .iter()
            .map(|name| Scenario::planned(scenario(name).plan(size, &revisions)))
            .collect(),
        experiments: Vec::new(),
        ..example::run_record()
    }
}

/// Noise of a per cent or so that no two blocks share; it sums up to little.
fn noise(block: usize, arm: &str) -> f64 {
    let step = (block * 7 + arm.len() * 3 + usize::from(arm == HEAD) * 5) % 11;
    1.0 + 0.002 * (step as f64 - 5.0)
}

fn measured(arm: &str, block: usize, cpu: f64, wall: f64) -> Outcome {
    Outcome::Measured(Measurements {
        wall_seconds: wall * noise(block, arm),
        process_wall_seconds: wall,
        rows: 1_000_000,
        first_row_seconds: None,
        client_cpu_seconds: cpu * noise(block + 3, arm),
        server_cpu_seconds: None,
        peak_memory_bytes: None,
        steal_share: 0.0,
        involuntary_switches: 0,
        bytes_from_api: 1_000,
        bytes_to_server: 500,
        statements: 3,
        round_trips: Some(2),
        extra: serde_json::Value::Null,
    })
}

fn sample(scenario: &str, arm: &str, block: usize, outcome: Outcome) -> Sample {
    Sample {
        scenario: scenario.to_owned(),
        arm: arm.to_owned(),
        block,
        position: 0,
        warm_up: false,
        started_at: Timestamp::now(),
        outcome,
    }
}

/// Blocks of an arm with such a cost.
fn arm(scenario: &str, arm: &str, cpu: f64, wall: f64) -> Vec<Sample> {
    (0..BLOCKS)
        .map(|block| sample(scenario, arm, block, measured(arm, block, cpu, wall)))
        .collect()
}

/// Both arms, the head with such factors of the base's costs.
fn both(scenario: &str, cpu: f64, wall: f64) -> Vec<Sample> {
    [
        arm(scenario, BASE, 2.0, 3.0),
        arm(scenario, HEAD, 2.0 * cpu, 3.0 * wall),
    ]
    .concat()
}

fn judged(record: &RunRecord, samples: Vec<Sample>, rules: &Rules) -> Vec<GatedScenario> {
    let head = Evidence {
        record,
        samples: &samples,
        counts: &rules.counts,
    };
    judge(head, None, rules.policy())
}

struct Rules {
    looks: Looks,
    limits: Limits,
    waivers: Vec<Waiver>,
    counts: Vec<Count>,
    lenient: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            looks: Size::default().looks(),
            limits: Limits::default(),
            waivers: Vec::new(),
            counts: Vec::new(),
            lenient: false,
        }
    }
}

impl Rules {
    fn policy(&self) -> Policy<'_> {
        Policy {
            looks: &self.looks,
            limits: &self.limits,
            waivers: &self.waivers,
            today: "2026-06-15".parse().unwrap(),
            lenient: self.lenient,
        }
    }
}

fn check(scenario: &GatedScenario, metric: Metric) -> &Check {
    let mut checks = scenario.checks.iter();
    checks.find(|check| check.metric == metric).unwrap()
}

const CPU: Metric = Metric::ClientCpuSecondsPerMillionRows;

#[test]
fn the_same_passes_and_five_per_cent_more_processor_time_does_not() {
    let record = record(&["same", "slow", "fast"], &[BASE, HEAD]);
    let samples = [
        both("same", 1.0, 1.0),
        both("slow", 1.05, 1.0),
        both("fast", 0.9, 0.8),
    ]
    .concat();
    let found = judged(&record, samples, &Rules::default());
    let outcomes: Vec<&ScenarioOutcome> = found.iter().map(|one| &one.outcome).collect();
    use ScenarioOutcome::{Passed, Regressed};
    assert_eq!(outcomes, [&Passed, &Regressed, &Passed]);
    let slow = check(&found[1], CPU);
    assert_eq!(slow.verdict, Verdict::Regressed);
    let change = slow.change.unwrap();
    assert!(change.low < 0.05 && 0.05 < change.high, "{change:?}");
    assert!((slow.head.unwrap() / slow.base.unwrap() - 1.05).abs() < 0.01);
    assert!(found[2].has_improved());
    let rows = check(&found[2], Metric::RowsPerSecond);
    // A fifth less time is a quarter more rows.
    assert!(
        (rows.change.unwrap().estimate - 0.25).abs() < 0.01,
        "{rows:?}"
    );
    assert_eq!(outcome(&found), GateOutcome::Regressed);
}

#[test]
fn a_stated_limit_moves_the_verdict() {
    let slow = || both("slow", 1.05, 1.0);
    let record = record(&["slow"], &[BASE, HEAD]);
    let stated = Rules {
        limits: Limits::new(&["client_cpu_seconds_per_million_rows=8%"
            .parse::<Limit>()
            .unwrap()]),
        ..Rules::default()
    };
    let passed = |found: Vec<GatedScenario>| found[0].outcome == ScenarioOutcome::Passed;
    assert!(passed(judged(&record, slow(), &stated)));
    assert!(!passed(judged(&record, slow(), &Rules::default())));
}

#[test]
fn a_time_that_is_decided_stays_so_while_another_is_measured_on() {
    let mut record = record(&["slow"], &[BASE, HEAD]);
    let mut samples = both("slow", 1.0, 1.0);
    // From the second session on the head is slower, which the look at the first did not see.
    for one in samples
        .iter_mut()
        .filter(|one| one.arm == HEAD && one.block >= 12)
    {
        if let Outcome::Measured(figures) = &mut one.outcome {
            figures.client_cpu_seconds *= 1.5;
        }
    }
    let found = judged(&record, samples.clone(), &Rules::default());
    let cpu = check(&found[0], CPU);
    assert_eq!(
        (cpu.verdict, cpu.change.unwrap().blocks),
        (Verdict::Equivalent, Some(12))
    );

    // After one session nothing is worse, and before its end nothing is known.
    for (blocks, known) in [(12, Some(12)), (11, None)] {
        record.scenarios[0].plan.blocks = blocks;
        let found = judged(&record, both("slow", 1.2, 1.2), &Rules::default());
        let cpu = check(&found[0], CPU);
        assert_eq!(cpu.verdict, Verdict::Inconclusive);
        assert_eq!(cpu.change.and_then(|change| change.blocks), known);
        assert_eq!(found[0].outcome, ScenarioOutcome::Inconclusive);
    }
}

#[test]
fn one_more_statement_fails_in_however_many_loads_but_not_where_it_varies() {
    let mut record = record(&["counted"], &[BASE, HEAD]);
    let count = |samples: &mut Vec<Sample>, every: usize| {
        for one in samples
            .iter_mut()
            .filter(|one| one.arm == HEAD && one.block % every == 0)
        {
            if let Outcome::Measured(figures) = &mut one.outcome {
                figures.statements += 1;
            }
        }
    };
    let mut samples = both("counted", 1.0, 1.0);
    count(&mut samples, 1);
    let found = judged(&record, samples, &Rules::default());
    assert_eq!(found[0].outcome, ScenarioOutcome::Regressed);
    assert!(check(&found[0], Metric::Statements).is_hard);

    let mut samples = both("counted", 1.0, 1.0);
    count(&mut samples, 4);
    let found = judged(&record, samples.clone(), &Rules::default());
    assert_eq!(found[0].outcome, ScenarioOutcome::Regressed);

    // Connections share the rows out as they happen to take them.
    for arm in &mut record.scenarios[0].plan.arms {
        arm.load = LoadPlan::Engine {
            preset: "tuned".to_owned(),
            knobs: vec![
                "write.method=prepared".to_owned(),
                "write.connections=2".to_owned(),
            ],
            attach: Vec::new(),
            mode: None,
        };
    }
    let found = judged(&record, samples, &Rules::default());
    assert!(!check(&found[0], Metric::Statements).is_hard);
    assert_eq!(found[0].outcome, ScenarioOutcome::Passed);
}

#[test]
fn counts_of_their_own_runs_are_held_against_their_limits() {
    let record = record(&["counted"], &[BASE, HEAD]);
    let count = |arm: &str, value: f64| Count {
        scenario: "counted".to_owned(),
        arm: arm.to_owned(),
        metric: Metric::DecodeInstructionsPerRow,
        value,
    };
    for (head, expected) in [
        (1_005.0, Verdict::Equivalent),
        (1_050.0, Verdict::Regressed),
        (900.0, Verdict::Improved),
    ] {
        let rules = Rules {
            counts: vec![count(BASE, 1_000.0), count(HEAD, head)],
            ..Rules::default()
        };
        let found = judged(&record, both("counted", 1.0, 1.0), &rules);
        let check = check(&found[0], Metric::DecodeInstructionsPerRow);
        assert_eq!(check.verdict, expected, "{check:?}");
    }
    // A base that is older than the counter has none, which is shown and fails nothing.
    let rules = Rules {
        counts: vec![count(HEAD, 1.0)],
        ..Rules::default()
    };
    let found = judged(&record, both("counted", 1.0, 1.0), &rules);
    assert_eq!(found[0].outcome, ScenarioOutcome::Passed);
    let shown = check(&found[0], Metric::DecodeInstructionsPerRow);
    assert_eq!(
        (shown.base, shown.head, shown.is_hard),
        (None, Some(1.0), false)
    );

    // None before and some now is worse by no share of anything.
    let rules = Rules {
        counts: vec![count(BASE, 0.0), count(HEAD, 1.0)],
        ..Rules::default()
    };
    let found = judged(&record, both("counted", 1.0, 1.0), &rules);
    assert_eq!(found[0].outcome, ScenarioOutcome::Regressed);
}

#[test]
fn a_waiver_lets_pass_what_it_names_until_its_last_day() {
    let record = record(&["slow"], &[BASE, HEAD]);
    let waiver = |metric, expires: &str| Waiver {
        scenario: "slow".to_owned(),
        metric,
        up_to: None,
        commit: "abc".to_owned(),
        reason: "checks more".to_owned(),
        expires: expires.parse().unwrap(),
    };
    let outcome = |waiver: Waiver| {
        let rules = Rules {
            waivers: Waivers { all: vec![waiver] }.all,
            ..Rules::default()
        };
        judged(&record, both("slow", 1.06, 1.0), &rules)[0]
            .outcome
            .clone()
    };
    let waived = ScenarioOutcome::Waived {
        reason: "checks more".to_owned(),
        expires: "2026-06-15".to_owned(),
    };
    assert_eq!(outcome(waiver(Some(CPU), "2026-06-15")), waived);
    assert_eq!(outcome(waiver(None, "2026-06-15")), waived);
    let regressed = ScenarioOutcome::Regressed;
    assert_eq!(outcome(waiver(Some(CPU), "2026-06-14")), regressed);
    let other = Some(Metric::Statements);
    assert_eq!(outcome(waiver(other, "2026-06-15")), regressed);
}

#[test]
fn a_side_without_figures_is_missing_and_wrong_data_is_worst() {
    let record = record(&["one"], &[BASE, HEAD]);
    let failed = Outcome::Failed {
        reason: "worker exited with 1".to_owned(),
    };
    let mut samples = arm("one", HEAD, 2.0, 3.0);
    samples.push(sample("one", BASE, 0, failed));
    let found = judged(&record, samples.clone(), &Rules::default());
    let ScenarioOutcome::Missing { reason, lenient } = &found[0].outcome else {
        panic!("{:?}", found[0].outcome);
    };
    assert_eq!(reason, "the base has no figures: worker exited with 1");
    assert!(!lenient);
    assert_eq!(outcome(&found), GateOutcome::Missing);
    let lenient = Rules {
        lenient: true,
        ..Rules::default()
    };
    let found = judged(&record, samples, &lenient);
    assert_eq!(outcome(&found), GateOutcome::Passed);

    let crashed = Outcome::Failed {
        reason: "out of memory".to_owned(),
    };
    let mut samples = both("one", 1.0, 1.0);
    samples.push(sample("one", HEAD, 0, crashed));
    let found = judged(&record, samples, &lenient);
    let failed = ScenarioOutcome::Failed {
        reason: "a load of the head failed: out of memory".to_owned(),
    };
    assert_eq!(found[0].outcome, failed);
    assert_eq!(outcome(&found), GateOutcome::Failed);

    let wrong = Outcome::WrongData {
        reason: "9 rows instead of 10".to_owned(),
    };
    let mut samples = both("one", 1.5, 1.5);
    samples.push(sample("one", HEAD, 0, wrong.clone()));
    let found = judged(&record, samples, &Rules::default());
    assert_eq!(outcome(&found), GateOutcome::WrongData);
    // A head that fixes its base can pass.
    let mut samples = both("one", 1.0, 1.0);
    samples.push(sample("one", BASE, 0, wrong));
    let found = judged(&record, samples.clone(), &Rules::default());
    let ScenarioOutcome::Missing { reason, .. } = &found[0].outcome else {
        panic!("{:?}", found[0].outcome);
    };
    assert_eq!(reason, "the base left wrong data: 9 rows instead of 10");
    assert_eq!(
        outcome(&judged(&record, samples, &lenient)),
        GateOutcome::Passed
    );
    assert_eq!(outcome(&[]), GateOutcome::Missing);
}

#[test]
fn stored_results_are_the_base() {
    let stored = record(&["one", "gone"], &[HEAD]);
    let of_base = [arm("one", HEAD, 2.0, 3.0), arm("gone", HEAD, 2.0, 3.0)].concat();
    let here = record(&["one", "new"], &[HEAD]);
    let of_head = [arm("one", HEAD, 2.2, 3.0), arm("new", HEAD, 2.0, 3.0)].concat();
    fn evidence<'a>(record: &'a RunRecord, samples: &'a [Sample]) -> Evidence<'a> {
        Evidence {
            record,
            samples,
            counts: &[],
        }
    }
    let rules = Rules::default();
    let found = judge(
        evidence(&here, &of_head),
        Some(evidence(&stored, &of_base)),
        rules.policy(),
    );
    assert_eq!(found[0].outcome, ScenarioOutcome::Regressed);
    let change = check(&found[0], CPU).change.unwrap();
    assert!((change.estimate - 0.1).abs() < 0.01, "{change:?}");
    let missing = |reason: &str| ScenarioOutcome::Missing {
        reason: reason.to_owned(),
        lenient: false,
    };
    assert_eq!(found[1].outcome, missing("it is not in the baseline"));
    assert_eq!(found[2].name, "gone");
    assert_eq!(
        found[2].outcome,
        missing("it is in the baseline, and the gate no longer has it")
    );
}

#[test]
fn claims_are_judged_in_every_scenario_by_the_direction_of_their_metric() {
    use crate::gate::claim::Claim;
    use crate::stats::ClaimVerdict::{Exceeded, Inconclusive, Refuted, Supported};

    let mut record = record(&["same", "fast"], &[BASE, HEAD]);
    let samples = [both("same", 1.0, 1.0), both("fast", 0.8, 0.8)].concat();
    let typed = [
        // A fifth less time is a quarter more rows.
        ("rows_per_second>=1.20", [Refuted, Supported]),
        ("rows_per_second>=1.05..1.10", [Refuted, Exceeded]),
        ("rows_per_second>=1.25", [Refuted, Inconclusive]),
        (
            "client_cpu_seconds_per_million_rows<=0.85",
            [Refuted, Supported],
        ),
        (
            "client_cpu_seconds_per_million_rows<=0.70",
            [Refuted, Refuted],
        ),
        ("statements<=0.9", [Refuted, Refuted]),
    ];
    let all: Vec<Claim> = typed
        .iter()
        .map(|(text, _)| text.parse().unwrap())
        .collect();
    let rules = Rules::default();
    let found = |record: &RunRecord| {
        let evidence = Evidence {
            record,
            samples: &samples,
            counts: &[],
        };
        claims(evidence, &all, rules.policy())
    };
    let judged = found(&record);
    for (nth, (text, expected)) in typed.into_iter().enumerate() {
        let verdicts = [&judged[nth], &judged[typed.len() + nth]].map(|one| one.verdict);
        assert_eq!(verdicts, expected, "{text}");
    }
    let change = judged[typed.len()].change.unwrap();
    assert_eq!(
        (judged[typed.len()].scenario.as_str(), change.blocks),
        ("fast", Some(24))
    );
    assert!((change.estimate - 0.25).abs() < 0.01, "{change:?}");

    // One start of the server decides no time.
    for scenario in &mut record.scenarios {
        scenario.plan.blocks = 12;
    }
    assert_eq!(found(&record)[0].verdict, Inconclusive);
}
