//! What each arm did, and which samples count.

use super::*;

#[test]
fn a_quantity_that_no_sample_has_is_not_judged() {
    let results = with(is("a-a on before", "a"), |figures| {
        figures.server_cpu_seconds = None
    });
    let control = finding(&results, IDENTICAL, "before");
    assert!(control.judged(Metric::ServerCpuSeconds).is_none());
    assert!(control.judged(Metric::ClientCpuSeconds).is_some());
    let arm = results
        .scenario("a-a on before")
        .unwrap()
        .arm("a")
        .unwrap()
        .clone();
    assert_eq!(arm.server_cpu_seconds_per_million_rows, None);
}

#[test]
fn a_warm_up_enters_no_estimate() {
    let before = example::results();
    let is_warm_up = |sample: &Sample| sample.warm_up && sample.scenario == "counter on tuned";
    let after = with(is_warm_up, |figures| figures.wall_seconds = 1e6);
    assert_eq!(
        finding(&before, "counter", "tuned"),
        finding(&after, "counter", "tuned")
    );
    let arm = |results: &Results| results.scenario("counter on tuned").unwrap().arms[0].clone();
    assert_eq!(arm(&before).wall_seconds, arm(&after).wall_seconds);
    assert_eq!(arm(&after).first_run_seconds, Some(1e6));
}

#[test]
fn ratios_are_taken_block_by_block() {
    // Every second block is a hundredfold slower for all arms alike: medians jump, ratios stay.
    let calm = example::results();
    let noisy = with(
        |sample| sample.block % 2 == 1 && !sample.warm_up,
        |figures| figures.wall_seconds *= 100.0,
    );
    let ratio = |results: &Results| finding(results, COPY, "before").gain().unwrap();
    assert!((ratio(&calm) / ratio(&noisy) - 1.0).abs() < 1e-9);
}

#[test]
fn figures_of_an_arm_follow_from_its_samples() {
    let results = example::results();
    let arm = results
        .scenario("copy-vs-insert on before")
        .unwrap()
        .arm("insert")
        .unwrap();
    let wall = arm.wall_seconds.unwrap();
    assert_eq!((wall.count, arm.wall_seconds_by_block.len()), (10, 10));
    assert!((arm.rows_per_second.unwrap() * wall.median / 50_000.0 - 1.0).abs() < 1e-3);
    assert!(
        (arm.client_cpu_seconds_per_million_rows.unwrap() / (0.6 * wall.median * 20.0) - 1.0).abs()
            < 1e-9
    );
    assert_eq!(arm.peak_memory_bytes, Some(61_409_000));
    assert!((arm.first_run_seconds.unwrap() - 0.95 * 1.3).abs() < 1e-9);
}

#[test]
fn the_mock_api_is_compared_with_the_fastest_arm_that_it_feeds() {
    let results = example::results();
    let scenario = results.scenario("before-vs-tuned").unwrap();
    let headroom = scenario.mock_api.as_ref().unwrap();
    assert_eq!(headroom.fastest_arm, "tuned");
    // 3.6 million rows a second against 1,000 in 3.6 ms.
    assert!(
        (12.8..13.2).contains(&headroom.times_fastest),
        "{}",
        headroom.times_fastest
    );
    // Through a relay its own speed says nothing.
    assert!(
        results
            .scenario("page-size at api_round_trip_ms=2")
            .unwrap()
            .mock_api
            .is_none()
    );
}

#[test]
fn samples_of_nothing_that_was_planned_are_ignored() {
    let mut samples = example::samples().samples;
    let mut strange = samples[3].clone();
    strange.scenario = "nothing".into();
    samples.push(strange.clone());
    strange.scenario.clone_from(&samples[3].scenario);
    strange.arm = "nobody".into();
    samples.push(strange);
    let (strange, usual) = (results_of(samples), example::results());
    assert_eq!(strange.experiments, usual.experiments);
    assert_eq!(strange.scenarios, usual.scenarios);
}
