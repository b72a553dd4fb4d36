//! What is not in the figures, and what weakens them.

use super::{is_grave, paragraph};
use crate::format::{Count, Range, Times, one_line};
use crate::judge::{Excluded, Exclusion, Finding, Results, ScenarioResults, Warning};
use crate::report::document::{Block, Section};
use crate::stats::Judged;

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
    let findings = || results.experiments.iter().flat_map(|one| &one.findings);
    let short: Vec<String> = findings()
        .filter(|finding| {
            let scenario = results.scenario(&finding.scenario);
            scenario.is_some_and(|scenario| !scenario.excluded.is_empty())
        })
        .filter_map(short)
        .collect();
    if !short.is_empty() {
        section.push(paragraph("Comparisons that lack blocks for it:"));
        section.push(Block::List(short));
    }
    let unconfirmed: Vec<String> = findings()
        .filter_map(|finding| unconfirmed(finding, results.confidence_level))
        .collect();
    if !unconfirmed.is_empty() {
        section.push(paragraph("Outcomes that were not confirmed:"));
        section.push(Block::List(unconfirmed));
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
            places(&samples),
            first.reason
        );
        one_line(&text)
    };
    groups.into_iter().map(line).collect()
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

fn short(finding: &Finding) -> Option<String> {
    let used = finding
        .leading()
        .map_or(0, |judged| judged.comparison.blocks);
    (finding.blocks_dropped > 0).then(|| {
        let planned = Count::new(used + finding.blocks_dropped, "block");
        let text = format!(
            "{}, {}: {used} of {planned}",
            finding.scenario, finding.candidate
        );
        one_line(&text)
    })
}

fn unconfirmed(finding: &Finding, confidence: f64) -> Option<String> {
    if !finding.is_unconfirmed() {
        return None;
    }
    let figure = |judged: &Judged| {
        let gain = judged.comparison.inverted();
        format!("{} ({})", Times(gain.ratio), Range::new(&gain, confidence))
    };
    let again = finding.confirmation.as_ref()?.judged.as_ref();
    let text = format!(
        "{}, {}: {} at first, {} again",
        finding.scenario,
        finding.candidate,
        figure(finding.leading()?),
        again.map_or_else(|| "no figure".to_owned(), figure)
    );
    Some(one_line(&text))
}
