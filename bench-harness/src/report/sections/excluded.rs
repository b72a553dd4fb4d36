//! What is not in the figures, and what weakens them.

use super::{is_grave, paragraph};
use crate::format::one_line;
use crate::judge::{Excluded, Exclusion, Results, ScenarioResults, Warning};
use crate::report::document::{Block, Section};

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("excluded", "Voided or failed");
    let warnings = results.warnings.iter();
    section.blocks = warnings
        // CPU steal is in the section on the machine.
        .filter(|warning| !is_grave(warning) && !matches!(warning, Warning::Steal { .. }))
        .map(|warning| Block::Warning(one_line(&warning.to_string())))
        .collect();
    let samples: Vec<String> = results.scenarios.iter().flat_map(samples).collect();
    if samples.is_empty() {
        section.push(paragraph("No sample was voided, and none failed."));
    } else {
        section.push(Block::List(samples));
    }
    section
}

/// What became of the samples of a scenario that gave no figure, one line for each arm and reason.
fn samples(scenario: &ScenarioResults) -> Vec<String> {
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
    let line = |(first, samples): (&Excluded, Vec<&Excluded>)| {
        let cause = match first.cause {
            Exclusion::Failed => "failed",
            Exclusion::WrongData => "loaded wrong data",
            Exclusion::Void => "void",
        };
        let text = format!(
            "{}, {}: {cause} in {}: {}",
            scenario.plan.name,
            first.arm,
            blocks(&samples),
            first.reason
        );
        one_line(&text)
    };
    groups.into_iter().map(line).collect()
}

/// Where samples were taken: `warm-up, blocks 1, 2, 5`.
fn blocks(samples: &[&Excluded]) -> String {
    let numbers: Vec<String> = samples
        .iter()
        .filter_map(|sample| sample.block)
        .map(|block| (block + 1).to_string())
        .collect();
    let warm_up = samples
        .iter()
        .any(|sample| sample.block.is_none())
        .then(|| "warm-up".to_owned());
    let noun = if numbers.len() == 1 {
        "block"
    } else {
        "blocks"
    };
    let blocks = (!numbers.is_empty()).then(|| format!("{noun} {}", numbers.join(", ")));
    warm_up
        .into_iter()
        .chain(blocks)
        .collect::<Vec<_>>()
        .join(", ")
}
