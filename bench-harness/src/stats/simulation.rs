//! The method as a whole, on noise with a known truth.
//!
//! The noise is that of a shared two-core machine: the scatter of every arm of a published run
//! about its own median, pooled, so the heavy tail is in it. A simulated block holds one draw for
//! each arm. All generators are seeded: a share printed here is the same in every run.

use std::collections::BTreeMap;
use std::path::Path;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::compare::compare;
use super::discovery::{Limits, judge_sessions};
use super::family::compare_family;
use super::noise::learned_threshold;
use super::power::{blocks_for, smallest_detectable};
use super::sample::median;
use super::sessions::{BLOCKS_PER_SESSION, compare_sessions};
use super::verdict::{FLOOR, SMALLEST_EFFECT, Threshold, UNCALIBRATED, Verdict, verdict};
use crate::samples::{Outcome, Samples};

const CONFIDENCE: f64 = 0.95;

/// Block log-ratios of an A/A run that a threshold is learned from.
const CALIBRATION_RATIOS: usize = 16;

/// Calibrations simulated, each of which serves for an equal part of the runs: many, because the luck
/// of one is that of all its runs.
const CALIBRATIONS: usize = 200;

const RUNS: usize = 2_000;

/// By how much sessions of the published runs differ beyond what their blocks explain: 1.6%.
const SESSION_DEVIATION: f64 = 0.016;

/// A source of noise, and the generator that it draws from.
struct Machine {
    residuals: Vec<f64>,
    random: Xoshiro256PlusPlus,
}

impl Machine {
    fn published(seed: u64) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../reports/published/2026-11-23-full/samples.ndjson");
        let mut arms: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
        for sample in Samples::read(&path).unwrap().samples {
            if let (false, Outcome::Measured(measured)) = (sample.warm_up, sample.outcome) {
                let arm = arms.entry((sample.scenario, sample.arm)).or_default();
                arm.push(measured.wall_seconds);
            }
        }
        let residuals = arms
            .values()
            .filter_map(|seconds| Some((seconds, median(seconds)?)))
            .flat_map(|(seconds, median)| seconds.iter().map(move |one| (one / median).ln()))
            .collect();
        Self {
            residuals,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    fn residual(&mut self) -> f64 {
        self.residuals[self.random.random_range(0..self.residuals.len())]
    }

    /// Block log-ratios of two arms that differ by `log_effect`.
    fn blocks(&mut self, blocks: usize, log_effect: f64) -> Vec<f64> {
        (0..blocks)
            .map(|_| log_effect + self.residual() - self.residual())
            .collect()
    }

    /// The same in sessions, each with an effect of its own.
    fn sessions(&mut self, sessions: usize, log_effect: f64) -> Vec<Vec<f64>> {
        (0..sessions)
            .map(|_| {
                let own = SESSION_DEVIATION * normal(&mut self.random);
                self.blocks(BLOCKS_PER_SESSION, log_effect + own)
            })
            .collect()
    }

    fn calibrations(&mut self, blocks: usize) -> Vec<Threshold> {
        (0..CALIBRATIONS)
            .map(|_| learned_threshold(&self.blocks(CALIBRATION_RATIOS, 0.0), blocks).unwrap())
            .collect()
    }
}

/// Verdict on a comparison that is a family of its own.
fn alone(log_ratios: Vec<f64>, thresholds: [Threshold; 2]) -> [Verdict; 2] {
    let (compared, _) = compare_family(&[log_ratios], CONFIDENCE);
    let (comparison, adjusted) = compared[0].unwrap();
    thresholds.map(|threshold| verdict(&comparison, adjusted.significant, threshold))
}

fn share(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

fn is_difference(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Improved | Verdict::Regressed)
}

fn spread(thresholds: &[Threshold]) -> String {
    let mut shares: Vec<f64> = thresholds.iter().map(|one| 100.0 * one.share()).collect();
    shares.sort_unstable_by(f64::total_cmp);
    format!("{:.1}% to {:.1}%", shares[0], shares[shares.len() - 1])
}

#[test]
fn identical_arms_are_hardly_ever_found_to_differ() {
    let mut machine = Machine::published(1);
    for blocks in [6, 10, 16] {
        let learned = machine.calibrations(blocks);
        let verdicts: Vec<[Verdict; 2]> = (0..RUNS)
            .map(|run| {
                let thresholds = [UNCALIBRATED, learned[run % CALIBRATIONS]];
                alone(machine.blocks(blocks, 0.0), thresholds)
            })
            .collect();
        for (index, name) in ["5%".to_owned(), spread(&learned)].iter().enumerate() {
            let count = |wanted: &dyn Fn(Verdict) -> bool| {
                share(verdicts.iter().filter(|v| wanted(v[index])).count(), RUNS)
            };
            let different = count(&is_difference);
            let equivalent = count(&|verdict| verdict == Verdict::Equivalent);
            eprintln!(
                "A/A, {blocks} blocks, δ {name}: {:.2}% different, {:.1}% equivalent",
                100.0 * different,
                100.0 * equivalent
            );
            assert!(different <= 0.01, "{blocks} blocks, δ {name}: {different}");
        }
    }
}

#[test]
fn ten_per_cent_are_found_at_sixteen_blocks() {
    let mut machine = Machine::published(2);
    let learned = machine.calibrations(16);
    for (factor, expected) in [
        (1.1_f64, Verdict::Regressed),
        (1.0 / 1.1, Verdict::Improved),
    ] {
        let mut found = [0; 2];
        for run in 0..RUNS {
            let thresholds = [UNCALIBRATED, learned[run % CALIBRATIONS]];
            let verdicts = alone(machine.blocks(16, factor.ln()), thresholds);
            for (found, verdict) in found.iter_mut().zip(verdicts) {
                *found += usize::from(verdict == expected);
            }
        }
        let [uncalibrated, learned_share] = found.map(|found| share(found, RUNS));
        eprintln!(
            "{expected}, 16 blocks: {:.2}% found at δ 5%, {:.2}% at {}",
            100.0 * uncalibrated,
            100.0 * learned_share,
            spread(&learned)
        );
        assert!(uncalibrated >= 0.95 && learned_share >= 0.95);
    }
}

#[test]
fn suites_of_identical_arms_are_hardly_ever_red() {
    const SUITES: usize = 500;
    const MEMBERS: usize = 24;
    let mut machine = Machine::published(3);
    let learned = machine.calibrations(10);
    let (mut significant, mut uncalibrated, mut calibrated) = (0, 0, 0);
    for suite in 0..SUITES {
        let members: Vec<Vec<f64>> = (0..MEMBERS).map(|_| machine.blocks(10, 0.0)).collect();
        let (compared, _) = compare_family(&members, CONFIDENCE);
        let any = |threshold: Threshold| {
            compared.iter().flatten().any(|(comparison, adjusted)| {
                is_difference(verdict(comparison, adjusted.significant, threshold))
            })
        };
        let found = compared.iter().flatten().any(|(_, one)| one.significant);
        significant += usize::from(found);
        uncalibrated += usize::from(any(UNCALIBRATED));
        calibrated += usize::from(any(learned[suite % CALIBRATIONS]));
    }
    let [significant, uncalibrated, calibrated] =
        [significant, uncalibrated, calibrated].map(|count| share(count, SUITES));
    eprintln!(
        "suites of 24 A/A: {:.1}% with one significant, {:.1}% red at δ 5%, {:.1}% at {}",
        100.0 * significant,
        100.0 * uncalibrated,
        100.0 * calibrated,
        spread(&learned)
    );
    assert!(uncalibrated <= 0.05 && calibrated <= 0.05);
}

#[test]
fn intervals_over_sessions_hold_for_the_next_session_and_those_over_blocks_do_not() {
    let mut machine = Machine::published(8);
    let truth = 1.05_f64;
    for (sessions, deviation) in [(5, 1.0), (8, 1.0), (8, 3.0)] {
        let (mut held, mut held_by_blocks) = (0, 0);
        for _ in 0..RUNS {
            let mut run = machine.sessions(sessions, truth.ln());
            // Three times the variance between sessions, all blocks of which agree.
            for session in &mut run {
                let more = (deviation - 1.0) * SESSION_DEVIATION * normal(&mut machine.random);
                session.iter_mut().for_each(|block| *block += more);
            }
            let compared = compare_sessions(&run, CONFIDENCE).unwrap();
            held += usize::from(compared.interval.contains(truth));
            let compared = compare(&run.concat(), CONFIDENCE).unwrap();
            held_by_blocks += usize::from(compared.interval.contains(truth));
        }
        let [held, held_by_blocks] = [held, held_by_blocks].map(|count| share(count, RUNS));
        eprintln!(
            "{sessions} sessions that differ by {:.1}%: the interval over sessions holds {:.1}%, that over blocks {:.1}%",
            100.0 * SESSION_DEVIATION * deviation,
            100.0 * held,
            100.0 * held_by_blocks
        );
        assert!((0.94..=0.975).contains(&held), "{held}");
        assert!(deviation < 2.0 || held_by_blocks < 0.93, "{held_by_blocks}");
    }
}

/// Three kinds of comparison in equal parts: arms that are the same, a gain of 10%, and one of just the smallest
/// effect of interest.
#[test]
fn of_what_a_run_finds_one_in_twenty_is_false() {
    const SUITES: usize = 300;
    const MEMBERS: usize = 48;
    let mut machine = Machine::published(9);
    let smallest = SMALLEST_EFFECT.log();
    let kinds = [0.0, -(1.1_f64.ln()), smallest];
    let limits = Limits {
        smallest: SMALLEST_EFFECT,
        noise: FLOOR,
    };
    let (mut false_differences, mut false_equivalences) = (0.0, 0.0);
    let mut verdicts = [[0; 2]; 3];
    for _ in 0..SUITES {
        let members: Vec<Vec<Vec<f64>>> = (0..MEMBERS)
            .map(|member| machine.sessions(8, kinds[member % 3]))
            .collect();
        let (judged, _) = judge_sessions(&members, &[limits; MEMBERS], CONFIDENCE);
        let (mut different, mut equivalent) = ([0; 3], [0; 3]);
        for (member, judged) in judged.iter().enumerate() {
            let judged = judged.unwrap();
            different[member % 3] += usize::from(judged.significant);
            equivalent[member % 3] += usize::from(judged.verdict == Verdict::Equivalent);
        }
        for kind in 0..3 {
            verdicts[kind][0] += different[kind];
            verdicts[kind][1] += equivalent[kind];
        }
        let of = |counts: [usize; 3], wrong: usize| {
            share(wrong, counts.iter().sum::<usize>().max(1)) / SUITES as f64
        };
        false_differences += of(different, different[0]);
        false_equivalences += of(equivalent, equivalent[1] + equivalent[2]);
    }
    let members = SUITES * MEMBERS / 3;
    for (name, [different, equivalent]) in ["none", "10% less", "3% more"].iter().zip(verdicts) {
        eprintln!(
            "effect {name}, 8 sessions of 2 blocks: {:.1}% different, {:.1}% equivalent",
            100.0 * share(different, members),
            100.0 * share(equivalent, members)
        );
    }
    eprintln!(
        "false: {:.1}% of differences, {:.1}% of equivalences",
        100.0 * false_differences,
        100.0 * false_equivalences
    );
    assert!(false_differences <= 0.05 && false_equivalences <= 0.05);
    assert!(share(verdicts[1][0], members) >= 0.95);
}

/// Normal noise by Box and Muller's transform.
fn normal(random: &mut Xoshiro256PlusPlus) -> f64 {
    let (radius, angle): (f64, f64) =
        (random.random_range(f64::MIN_POSITIVE..1.0), random.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Student's t with two degrees of freedom by its inverse distribution function: tails so heavy
/// that it has no variance.
fn heavy_tailed(random: &mut Xoshiro256PlusPlus) -> f64 {
    let u: f64 = random.random_range(f64::EPSILON..1.0);
    (2.0 * u - 1.0) / (2.0 * u * (1.0 - u)).sqrt()
}

/// Share of runs that find `effect`.
fn power(
    blocks: usize,
    confidence: f64,
    effect: f64,
    threshold: Threshold,
    mut noise: impl FnMut() -> f64,
) -> f64 {
    const RUNS: usize = 1_000;
    let found = (0..RUNS)
        .filter(|_| {
            let ratios = (0..blocks).map(|_| effect.ln_1p() + noise()).collect();
            let (compared, _) = compare_family(&[ratios], confidence);
            let (comparison, adjusted) = compared[0].unwrap();
            verdict(&comparison, adjusted.significant, threshold) == Verdict::Regressed
        })
        .count();
    share(found, RUNS)
}

/// Asserts that [`smallest_detectable`] names an effect that is found about four times in five.
///
/// It is least exact where all of ten blocks must agree: the largest of ten represents the tail.
fn assert_detectable_effects_are_found(name: &str, mut noise: impl FnMut() -> f64) {
    // A gate: the level of the first of 24 members.
    let gate = 1.0 - 0.05 / 24.0;
    for (blocks, confidence, threshold) in [
        (6, CONFIDENCE, UNCALIBRATED),
        (10, CONFIDENCE, FLOOR),
        (10, gate, FLOOR),
        (16, gate, UNCALIBRATED),
    ] {
        // Of runs that name a figure each, the middle one is put to the test. The fewer the blocks,
        // the more they differ.
        let effects: Vec<f64> = (0..600 / blocks)
            .map(|_| {
                let ratios: Vec<f64> = (0..blocks).map(|_| noise()).collect();
                smallest_detectable(&ratios, confidence, threshold).unwrap()
            })
            .collect();
        let effect = median(&effects).unwrap();
        let power = power(blocks, confidence, effect, threshold, &mut noise);
        eprintln!(
            "{name} noise, {blocks} blocks at {confidence:.3}, δ {}: {:.1}% is found {:.0}% of the time",
            threshold.share(),
            100.0 * effect,
            100.0 * power
        );
        assert!((0.65..=0.92).contains(&power), "{power}");
    }
}

#[test]
fn the_smallest_detectable_effect_is_found_four_times_in_five_under_normal_noise() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    assert_detectable_effects_are_found("normal", || 0.03 * normal(&mut random));
}

#[test]
fn the_smallest_detectable_effect_is_found_four_times_in_five_under_heavy_tails() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    assert_detectable_effects_are_found("heavy-tailed", || 0.03 * heavy_tailed(&mut random));
}

#[test]
fn the_smallest_detectable_effect_is_found_four_times_in_five_on_the_machine() {
    let mut machine = Machine::published(6);
    assert_detectable_effects_are_found("published", || machine.blocks(1, 0.0)[0]);
}

#[test]
fn planned_blocks_find_the_effect_four_times_in_five() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    for confidence in [CONFIDENCE, 0.998] {
        for effect in [0.025, 0.03, 0.05] {
            let blocks = blocks_for(effect, 0.03, confidence).unwrap();
            let power = power(blocks, confidence, effect, FLOOR, || {
                0.03 * normal(&mut random)
            });
            eprintln!("{effect} of 0.03 at {confidence}: {blocks} blocks find it {power}");
            assert!((0.7..=0.95).contains(&power), "{power}");
        }
    }
}
