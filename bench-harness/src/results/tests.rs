//! Results of constructed samples.

use super::*;
use crate::report::example;

fn arm<'a>(results: &'a Results, name: &str) -> &'a ArmResults {
    results.scenarios[0]
        .arms
        .iter()
        .find(|arm| arm.name == name)
        .unwrap()
}

fn of(samples: Vec<Sample>) -> Results {
    Results::of(
        &example::run_record(),
        &Samples {
            samples,
            cut_line: None,
        },
        Vec::new(),
    )
}

fn wall(sample: &mut Sample) -> &mut f64 {
    match &mut sample.outcome {
        Outcome::Measured(figures) => &mut figures.wall_seconds,
        other => panic!("not measured: {other:?}"),
    }
}

#[test]
fn arms_are_sorted_by_speed_and_those_without_samples_are_last() {
    let results = example::results();
    let names: Vec<&str> = results.scenarios[0]
        .arms
        .iter()
        .map(|arm| arm.name.as_str())
        .collect();
    assert_eq!(names.first(), Some(&r"psql \copy (binary)"));
    assert_eq!(names.last(), Some(&"unnest @ 10,000"));
    assert_eq!(
        results.scenarios[0].fastest_candidate().unwrap().name,
        "copy-binary @ 10,000"
    );
}

#[test]
fn rates_follow_from_the_figures() {
    let results = example::results();
    let copy = arm(&results, "copy-binary @ 10,000");
    let wall = copy.wall_seconds.unwrap();
    assert_eq!(wall.count, 8);
    // (0.1 + 0.4 × 0.61) s for 200,000 rows.
    assert!((copy.client_cpu_seconds_per_million_rows.unwrap() - 1.72).abs() < 1e-9);
    assert!((copy.rows_per_second.unwrap() * wall.median / 200_000.0 - 1.0).abs() < 1e-3);
    assert_eq!(copy.peak_memory_bytes, Some(61_407_000));
    assert!((copy.first_run_seconds.unwrap() - 0.61 * 1.3).abs() < 1e-9);
    let psql = arm(&results, r"psql \copy (binary)");
    assert_eq!(
        (psql.peak_memory_bytes, psql.bytes_from_api_per_second),
        (None, None)
    );
}

#[test]
fn baseline_and_reference_have_no_ratio_to_themselves() {
    let results = example::results();
    assert_eq!(arm(&results, "insert @ 100").to_baseline, None);
    assert!(arm(&results, "insert @ 100").to_reference.is_some());
    assert_eq!(arm(&results, r"psql \copy (binary)").to_reference, None);
    assert!(arm(&results, r"psql \copy (binary)").to_baseline.is_some());
}

#[test]
fn a_void_sample_drops_its_block_of_its_arm_alone() {
    let results = example::results();
    let hit = arm(&results, "insert @ 10,000");
    assert_eq!(
        (hit.to_baseline.unwrap().blocks, hit.blocks_dropped),
        (7, 1)
    );
    let other = arm(&results, "copy-binary @ 10,000");
    assert_eq!(
        (other.to_baseline.unwrap().blocks, other.blocks_dropped),
        (8, 0)
    );
}

#[test]
fn a_void_sample_of_the_baseline_drops_the_block_of_every_arm() {
    let mut samples = example::samples().samples;
    let hit = samples
        .iter_mut()
        .find(|s| s.arm == "insert @ 100" && s.block == 3 && !s.warm_up)
        .unwrap();
    hit.outcome = Outcome::Void {
        reason: "steal".into(),
    };
    let results = of(samples);
    assert_eq!(
        arm(&results, "copy-binary @ 10,000")
            .to_baseline
            .unwrap()
            .blocks,
        7
    );
    assert_eq!(arm(&results, "insert @ 10,000").blocks_dropped, 2);
}

#[test]
fn a_sample_taken_again_replaces_the_void_one() {
    let mut samples = example::samples().samples;
    let void = samples
        .iter()
        .find(|s| matches!(s.outcome, Outcome::Void { .. }))
        .unwrap();
    let mut again = samples
        .iter()
        .find(|s| s.arm == void.arm && s.block == 0 && !s.warm_up)
        .unwrap()
        .clone();
    again.block = void.block;
    samples.push(again);
    let results = of(samples);
    assert_eq!(arm(&results, "insert @ 10,000").blocks_dropped, 0);
    // It still shows among what was left out.
    assert!(
        results.scenarios[0]
            .excluded
            .iter()
            .any(|excluded| excluded.cause == Exclusion::Void)
    );
}

#[test]
fn a_warm_up_enters_no_estimate() {
    let mut samples = example::samples().samples;
    let before = of(samples.clone());
    let warm_up = samples
        .iter_mut()
        .find(|s| s.arm == "copy-binary @ 10,000" && s.warm_up)
        .unwrap();
    *wall(warm_up) = 1e6;
    // The block of a warm-up means nothing, so any number may stand there.
    warm_up.block = 1_000;
    let after = of(samples);
    let name = "copy-binary @ 10,000";
    assert_eq!(
        arm(&before, name).wall_seconds,
        arm(&after, name).wall_seconds
    );
    assert_eq!(
        arm(&before, name).to_baseline,
        arm(&after, name).to_baseline
    );
}

#[test]
fn ratios_are_taken_block_by_block() {
    // Every second block is a hundredfold slower for all arms alike: medians jump, ratios stay.
    let mut samples = example::samples().samples;
    let calm = of(samples.clone());
    for sample in samples
        .iter_mut()
        .filter(|s| s.block % 2 == 1 && matches!(s.outcome, Outcome::Measured(_)))
    {
        *wall(sample) *= 100.0;
    }
    let noisy = of(samples);
    let name = "copy-binary @ 10,000";
    let (calm, noisy) = (
        arm(&calm, name).to_baseline.unwrap(),
        arm(&noisy, name).to_baseline.unwrap(),
    );
    assert!((calm.ratio / noisy.ratio - 1.0).abs() < 1e-9);
}

#[test]
fn the_mock_api_is_compared_with_the_fastest_arm_that_it_feeds() {
    let headroom = example::results().scenarios.remove(0).mock_api.unwrap();
    assert_eq!(headroom.fastest_arm, "copy-binary @ 10,000");
    assert!(
        (1.3..1.5).contains(&headroom.times_fastest),
        "{}",
        headroom.times_fastest
    );
}

#[test]
fn every_warning_says_what_happened_and_what_to_do() {
    let mut run = example::run_record();
    run.build_profile = "dev".into();
    run.confidence_level = 0.99;
    let mut samples = example::samples();
    samples.cut_line = Some(55);
    let text: Vec<String> = Results::of(&run, &samples, Vec::new())
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(text.join("\n"), @r#"
    The engine was built with the dev profile: its figures say nothing about what users get. Build with `cargo build --release` and run again.
    The samples file ends within line 55: the run was interrupted while writing it. That sample is left out; run again for a complete set.
    orders: 9 samples of unnest @ 10,000 failed and count for nothing; the first: worker exited with 1: column "id" is of type bigint
    but 7 is text. Mend the cause before using the figures of this arm.
    orders: 7 blocks give an interval of 98.4% confidence only. Run at least 8 blocks.
    orders: copy-binary @ 10,000 drains 71.1% of what the mock API can serve, so part of its time may be the mock API's. Give the mock API more processors, or read its figures as a lower limit of speed.
    orders: 1 sample spoiled from outside and left out. Where blocks are missing for it, run again on a quieter machine.
    orders: the host took processor time away in 1 of 39 samples, up to 3.4%. Judge by processor time, or run again on a quieter machine.
    orders: wall times far from the others: copy-binary @ 100 (1). They are kept and widen the intervals; where these are too wide, close other programs and run again.
    "#);
}

#[test]
fn a_calm_run_has_no_warnings() {
    let mut run = example::run_record();
    run.scenarios[0]
        .arms
        .retain(|arm| arm.method.as_deref() != Some("unnest"));
    run.scenarios[0].mock_api_ceiling = None;
    run.scenarios[0].blocks = 5;
    let mut samples = example::samples();
    samples
        .samples
        .retain(|sample| sample.block != 2 && sample.block != 4 && sample.block != 6);
    samples
        .samples
        .retain(|sample| sample.arm != "unnest @ 10,000");
    run.confidence_level = 0.9;
    assert_eq!(Results::of(&run, &samples, Vec::new()).warnings, []);
}

#[test]
fn a_run_that_was_interrupted_says_so() {
    let mut samples = example::samples().samples;
    samples.retain(|sample| sample.block < 7);
    let warnings = of(samples).warnings;
    let expected = Warning::Incomplete {
        scenario: "orders".into(),
        taken: 42,
        planned: 48,
    };
    assert!(warnings.contains(&expected), "{warnings:?}");
    insta::assert_snapshot!(expected, @"orders: the run was interrupted after 42 of 48 samples. The figures are of the blocks that were taken; run again for all of them.");
}

#[test]
fn a_run_without_samples_names_the_missing_baseline() {
    let results = example::results_without_samples();
    assert_eq!(
        results.warnings,
        [
            Warning::Incomplete {
                scenario: "orders".into(),
                taken: 0,
                planned: 48,
            },
            Warning::NoBaseline {
                scenario: "orders".into(),
                arm: "insert @ 100".into()
            }
        ]
    );
    assert!(results.scenarios[0].mock_api.is_none());
}
