//! Runs beside each other: the constructed one, and changes of it.

mod refusal;
mod text;

use serde_json::json;

use super::*;
use crate::metric::Metric;
use crate::report::example;
use crate::run_record::LearnedThreshold;
use crate::samples::Outcome;
use crate::stats::{Threshold, Verdict};

type Stored = (RunRecord, Samples);

/// The constructed run, on a machine that is spelled out in full.
fn run() -> Stored {
    let record = RunRecord {
        fingerprint: json!({
            "build": {
                "git_commit": "0123456789abcdef",
                "git_dirty": false,
                "harness_version": "0.1.0",
                "profile": "release",
                "rustc": "rustc 1.95.0",
            },
            "machine": {
                "cores": 2,
                "cpu_model": "Xeon at 2.8 GHz",
                "kernel": "6.1",
                "memory_bytes": 8_000_000_000_u64,
                "os": "Debian 12",
            },
            "server": {
                "image_digest": null,
                "kind": "local",
                "settings": {"fsync": "on", "synchronous_commit": "on"},
                "storage": "disk",
                "version": "17.2",
            },
        }),
        ..example::run_record()
    };
    (record, example::samples())
}

/// The same run with only these scenarios.
fn run_of(names: &[&str]) -> Stored {
    let (mut record, samples) = run();
    let wanted = |scenario: &Scenario| names.contains(&scenario.plan.name.as_str());
    record.scenarios.retain(wanted);
    (record, samples)
}

/// The run with the figures of an arm changed.
fn changed(stored: Stored, scenario: &str, arm: &str, change: fn(&mut Measurements)) -> Stored {
    let (record, mut samples) = stored;
    for sample in &mut samples.samples {
        if let Outcome::Measured(figures) = &mut sample.outcome
            && sample.scenario == scenario
            && sample.arm == arm
        {
            change(figures);
        }
    }
    (record, samples)
}

fn slower(figures: &mut Measurements) {
    figures.wall_seconds *= 1.2;
    figures.client_cpu_seconds *= 1.2;
}

fn beside(a: &Stored, b: &Stored) -> Result<RunComparison, Refusal> {
    compare_runs((&a.0, &a.1), (&b.0, &b.1))
}

fn time(across: &RunComparison, scenario: &str, arm: &str) -> MetricComparison {
    let is_it = |one: &&ArmComparison| one.scenario == scenario && one.arm == arm;
    across.arms.iter().find(is_it).unwrap().measures[0].clone()
}

fn plan_of<'a>(stored: &'a mut Stored, name: &str) -> &'a mut Scenario {
    let mut scenarios = stored.0.scenarios.iter_mut();
    scenarios
        .find(|scenario| scenario.plan.name == name)
        .unwrap()
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let across = beside(&run(), &run()).unwrap();
    assert!(across.refused.is_empty() && across.only_in_a.is_empty());
    for arm in &across.arms {
        for measure in &arm.measures {
            let judged = measure.judged.unwrap();
            assert_eq!(judged.comparison.ratio, 1.0, "{arm:?}");
            assert!(
                matches!(judged.verdict, Verdict::Equivalent | Verdict::Inconclusive),
                "{arm:?}"
            );
        }
    }
    assert!(!across.gains.is_empty());
    for gain in &across.gains {
        assert!(!gain.differs() && gain.intervals_overlap, "{gain:?}");
        assert_eq!(gain.a, gain.b);
    }
}

#[test]
fn an_arm_that_became_slower_is_found_and_no_other() {
    let b = changed(run(), "counter on tuned", "atomic", slower);
    let across = beside(&run(), &b).unwrap();
    for arm in &across.arms {
        let is_slower = arm.scenario == "counter on tuned" && arm.arm == "atomic";
        for measure in &arm.measures {
            let judged = measure.judged.unwrap();
            assert_eq!(judged.verdict == Verdict::Regressed, is_slower, "{arm:?}");
        }
    }
    let judged = time(&across, "counter on tuned", "atomic").judged.unwrap();
    assert!((judged.comparison.ratio - 1.2).abs() < 0.005, "{judged:?}");
    let back = beside(&b, &run()).unwrap();
    let judged = time(&back, "counter on tuned", "atomic").judged.unwrap();
    assert_eq!(judged.verdict, Verdict::Improved);

    let differing: Vec<&GainComparison> =
        across.gains.iter().filter(|gain| gain.differs()).collect();
    assert_eq!(differing.len(), 1, "{differing:?}");
    let gain = differing[0];
    assert_eq!(gain.scenario, "counter on tuned");
    assert_eq!(
        (gain.a.verdict, gain.b.verdict, gain.intervals_overlap),
        (Verdict::Equivalent, Verdict::Regressed, false)
    );
}

#[test]
fn confirmations_are_left_out() {
    let across = beside(&run(), &run()).unwrap();
    assert!(
        !across
            .arms
            .iter()
            .any(|arm| arm.scenario.ends_with(" again"))
    );
    let (mut record, samples) = run();
    record
        .scenarios
        .retain(|scenario| scenario.plan.confirms.is_none());
    let across = beside(&run(), &(record, samples)).unwrap();
    assert!(across.only_in_a.is_empty());
}

#[test]
fn another_commit_compares() {
    let (mut record, samples) = run();
    record.fingerprint["build"]["git_commit"] = "fedcba9876543210".into();
    record.fingerprint["build"]["git_dirty"] = true.into();
    let across = beside(&run(), &(record, samples)).unwrap();
    assert_eq!(across.b.git_commit, "fedcba9876543210");
    assert_eq!(
        (across.a.git_dirty, across.b.git_dirty),
        (Some(false), Some(true))
    );
}

#[test]
fn the_number_of_blocks_may_differ() {
    let (mut record, mut samples) = run_of(&["counter on before", "counter on tuned"]);
    for scenario in &mut record.scenarios {
        scenario.plan.blocks = 8;
    }
    samples.samples.retain(|sample| sample.block < 8);
    let across = beside(&run_of(&["counter on before"]), &(record, samples)).unwrap();
    assert_eq!(across.only_in_b, ["counter on tuned"]);
    let judged = time(&across, "counter on before", "mutex").judged.unwrap();
    // One of them is void.
    assert_eq!(judged.comparison.blocks, 7);
    assert_eq!(judged.verdict, Verdict::Equivalent);
}

#[test]
fn the_last_sample_of_a_block_decides() {
    // The example's block 2 of `atomic` is void and was not taken again.
    let a = run_of(&["counter on before"]);
    let blocks = |stored: &Stored| {
        let side = Side::new((&stored.0, &stored.1));
        side.figures("counter on before", "atomic").len()
    };
    assert_eq!(blocks(&a), 9);
    let (record, mut samples) = a;
    let again = samples.samples.iter().find(|sample| {
        sample.scenario == "counter on before" && sample.arm == "atomic" && sample.block == 3
    });
    let again = crate::samples::Sample {
        block: 2,
        ..again.unwrap().clone()
    };
    samples.samples.push(again);
    assert_eq!(blocks(&(record, samples)), 10);
}

#[test]
fn the_larger_threshold_of_the_two_applies() {
    let mut b = run();
    let learned = |share| LearnedThreshold {
        metric: Metric::WallSeconds,
        threshold: Threshold::new(share).unwrap(),
    };
    plan_of(&mut b, "counter on before").thresholds = vec![learned(0.03)];
    plan_of(&mut b, "counter on tuned").thresholds = vec![learned(0.25)];
    let b = changed(b, "counter on tuned", "atomic", slower);
    let across = beside(&run(), &b).unwrap();
    // Of the example: 1.8%, learned.
    let measure = time(&across, "counter on before", "atomic");
    assert_eq!(measure.threshold.share(), 0.03);
    // Of the example: 5%, not learned.
    let measure = time(&across, "counter on tuned", "atomic");
    assert_eq!(measure.threshold.share(), 0.25);
    assert_eq!(measure.judged.unwrap().verdict, Verdict::Equivalent);
}
