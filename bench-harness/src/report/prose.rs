//! The sentences of a report.

use super::units::{Count, Number, Percent, Range, Seconds, Times, Whole};
use crate::results::{ArmResults, Excluded, Exclusion, Results, ScenarioResults};

/// What a scenario found, in one paragraph.
pub(super) fn summary(scenario: &ScenarioResults, confidence: f64) -> String {
    // A scenario of a single arm is about that arm.
    let sole = match scenario.arms.as_slice() {
        [arm] => Some(arm),
        _ => None,
    };
    let Some((arm, wall)) = scenario
        .fastest_candidate()
        .or(sole)
        .and_then(|arm| Some((arm, arm.wall_seconds?)))
    else {
        return format!(
            "No arm of {} has a measured sample besides its baseline and reference.",
            scenario.name
        );
    };
    let mut text = format!(
        "{} loaded {} {} rows in {}",
        in_full(arm),
        Whole(scenario.verification.rows),
        scenario.workload,
        Seconds(wall.median)
    );
    if let (Some(ratio), Some(baseline)) = (arm.to_baseline, scenario.baseline_arm()) {
        let name = in_short(baseline);
        let speed = ratio.inverted();
        text += &if ratio.includes_one() {
            format!(
                ", no different from {name} (speed {})",
                Range::of(&speed, confidence)
            )
        } else if speed.ratio > 1.0 {
            format!(
                ", {} ({}) faster than {name}",
                Times(speed.ratio),
                Range::of(&speed, confidence)
            )
        } else {
            format!(
                ", {} ({}) slower than {name}",
                Times(ratio.ratio),
                Range::of(&ratio, confidence)
            )
        };
    }
    text.push('.');
    if let (Some(ratio), Some(reference)) = (arm.to_reference, &scenario.reference) {
        text += &format!(
            " That is {} ({}) the time of {reference}, the ceiling.",
            Times(ratio.ratio),
            Range::of(&ratio, confidence)
        );
    }
    if let Some(mock_api) = &scenario.mock_api {
        text += &format!(
            " The mock API alone serves {} times what {} drains.",
            Number(mock_api.times_fastest),
            mock_api.fastest_arm
        );
    }
    text
}

fn in_full(arm: &ArmResults) -> String {
    match (&arm.method, arm.batch_rows) {
        (Some(method), Some(rows)) => format!("{method} at {} rows per batch", Whole(rows)),
        _ => arm.name.clone(),
    }
}

fn in_short(arm: &ArmResults) -> String {
    match (&arm.method, arm.batch_rows) {
        (Some(method), Some(rows)) => format!("{method} at {}", Whole(rows)),
        _ => arm.name.clone(),
    }
}

/// How to read the columns of the table of arms.
pub(super) fn legend(scenario: &ScenarioResults) -> String {
    let mut text = format!(
        "Times are medians, the fastest first. Speed: how many times faster than {}, block by block; \
         ~ where the interval includes 1.",
        scenario.baseline
    );
    if let Some(reference) = &scenario.reference {
        text += &format!(" Time to {reference}: its time is 1.");
    }
    text += " Client and server: processor seconds per million rows.";
    text
}

/// How the figures came about, in five lines.
pub(super) fn method(results: &Results) -> [String; 5] {
    [
        "One sample is one complete run in a fresh process against a reset table. Rows and checksum are verified in \
         PostgreSQL after each; a sample that loaded wrong data is a failure, never a figure."
            .to_owned(),
        "Every block holds every arm once, in an order drawn from the seed; every second block is the reverse of the \
         one before it, so that linear drift cancels. One warm-up of each arm precedes the blocks and is left out."
            .to_owned(),
        format!(
            "A ratio is the Hodges–Lehmann estimate over the blocks' log-ratios of wall time, its interval the exact \
             Wilcoxon signed-rank interval at {} or, where the blocks are too few, at the level printed with it.",
            Percent(results.confidence_level)
        ),
        format!(
            "Each interval stands for itself: of many, {} may miss. The fastest arm was picked after measuring, so \
             its ratio leans a little to the good side.",
            Percent(1.0 - results.confidence_level)
        ),
        "Samples spoiled from outside are void, listed below, and drop their block from the ratios of their arm. \
         Outliers are kept: they widen intervals."
            .to_owned(),
    ]
}

/// The command that repeats the run in the same order.
pub(super) fn repeat(results: &Results) -> String {
    let mut words: Vec<String> = results
        .command
        .iter()
        .map(|word| shell_quoted(word))
        .collect();
    let has_seed = results
        .command
        .iter()
        .any(|word| word == "--seed" || word.starts_with("--seed="));
    if !has_seed {
        words.push(format!("--seed {}", results.seed));
    }
    words.join(" ")
}

fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What became of the samples of a scenario that gave no figure, one line for each arm and reason.
pub(super) fn excluded(scenario: &ScenarioResults) -> Vec<String> {
    let mut groups: Vec<(&Excluded, Vec<&Excluded>)> = Vec::new();
    for sample in &scenario.excluded {
        let same = |first: &Excluded| {
            first.arm == sample.arm && first.cause == sample.cause && first.reason == sample.reason
        };
        match groups.iter_mut().find(|(first, _)| same(first)) {
            Some((_, others)) => others.push(sample),
            None => groups.push((sample, vec![sample])),
        }
    }
    let mut lines: Vec<String> = groups
        .into_iter()
        .map(|(first, samples)| {
            let cause = match first.cause {
                Exclusion::Failed => "failed",
                Exclusion::WrongData => "loaded wrong data",
                Exclusion::Void => "void",
            };
            format!(
                "{}: {cause} in {}: {}",
                first.arm,
                places(&samples),
                one_line(&first.reason)
            )
        })
        .collect();
    lines.extend(
        scenario
            .arms
            .iter()
            .filter(|arm| arm.blocks_dropped > 0)
            .map(|arm| {
                format!(
                    "{}: {} of {} missing from its ratio to {}",
                    arm.name,
                    arm.blocks_dropped,
                    Count::of(scenario.blocks, "block"),
                    scenario.baseline
                )
            }),
    );
    lines
}

/// Where samples were taken: `warm-up, blocks 1, 2, 5`.
fn places(samples: &[&Excluded]) -> String {
    let blocks: Vec<String> = samples
        .iter()
        .filter_map(|sample| sample.block)
        .map(|block| (block + 1).to_string())
        .collect();
    let warm_up = samples
        .iter()
        .any(|sample| sample.block.is_none())
        .then(|| "warm-up".to_owned());
    let noun = if blocks.len() == 1 { "block" } else { "blocks" };
    let blocks = (!blocks.is_empty()).then(|| format!("{noun} {}", blocks.join(", ")));
    warm_up
        .into_iter()
        .chain(blocks)
        .collect::<Vec<_>>()
        .join(", ")
}

/// `text` with every run of white space, line feeds too, as one space.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn the_repeated_command_is_safe_to_paste_and_has_the_seed_once() {
        let mut results = example::results();
        results.command = ["apitap-bench", "run", "it's", "a b", ""]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(
            repeat(&results),
            r"apitap-bench run 'it'\''s' 'a b' '' --seed 42"
        );
        results.command = ["apitap-bench", "run", "--seed=42"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(repeat(&results), "apitap-bench run --seed=42");
    }

    #[test]
    fn a_summary_says_slower_and_no_different_when_so() {
        let mut scenario = example::results().scenarios.remove(0);
        let best = scenario.fastest_candidate().unwrap().name.clone();
        let arm = scenario
            .arms
            .iter_mut()
            .find(|arm| arm.name == best)
            .unwrap();
        arm.to_reference = None;
        let faster = arm.to_baseline.unwrap();
        arm.to_baseline = Some(faster.inverted());
        assert!(
            summary(&scenario, 0.95).contains(" slower than insert at 100."),
            "{}",
            summary(&scenario, 0.95)
        );

        let arm = scenario
            .arms
            .iter_mut()
            .find(|arm| arm.name == best)
            .unwrap();
        let mut same = faster;
        same.interval.high = 1.25;
        arm.to_baseline = Some(same);
        assert!(summary(&scenario, 0.95).contains("no different from insert at 100"));
    }

    #[test]
    fn a_scenario_without_figures_has_a_summary_too() {
        let mut scenario = example::results().scenarios.remove(0);
        scenario.arms.clear();
        assert_eq!(
            summary(&scenario, 0.95),
            "No arm of orders has a measured sample besides its baseline and reference."
        );
    }
}
