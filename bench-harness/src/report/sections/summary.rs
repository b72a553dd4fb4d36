//! The report in five minutes: what gains, what does not, and whether to believe it.

use super::words::{capitalised, gain_cell, holds, listed, measured, on, promise};
use super::{chosen, is_grave, paragraph, places, waterfall};
use crate::format::{Count, Percent, Times, one_line};
use crate::judge::{ExperimentResults, Finding, PartOf, Results};
use crate::profile::record::PROFILES_FOLDER;
use crate::report::document::{Block, Section};
use crate::report::profile::PAGE_FILE;
use crate::stats::{ClaimVerdict, Expected, Verdict};

/// Gains that get a sentence each; the others share one.
const GAINS_IN_FULL: usize = 3;

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("summary", "In short");
    let grave = results.warnings.iter().filter(|warning| is_grave(warning));
    section.blocks = grave
        .map(|warning| Block::Warning(one_line(&warning.to_string())))
        .collect();
    section.push(paragraph(lead(results)));
    let items = items(results);
    if !items.is_empty() {
        section.push(Block::List(items));
    }
    if !results.profiles.is_empty() {
        section.push(Block::File {
            text: format!(
                "Why: {} of these",
                Count::new(results.profiles.len(), "profile")
            ),
            path: format!("{PROFILES_FOLDER}/{PAGE_FILE}"),
        });
    }
    if !results.steps.is_empty() {
        section.push(Block::Chart(waterfall::gains(results)));
        section.push(paragraph(
            "Added to before: the change alone, with nothing else tuned. Taken out of tuned: what tuned loses \
             without it, or, where tuned does without the change, what it would gain by it.",
        ));
    }
    section
}

/// The whole, the claims by number, and whether noise looks like a difference.
fn lead(results: &Results) -> String {
    let mut sentences: Vec<String> = Vec::new();
    match chosen::whole(results) {
        Some((experiment, finding)) => sentences.push(format!(
            "Tuned against before: {}. Promised: {}, which is {}.",
            measured(finding, results.confidence_level),
            promise(&experiment.definition),
            experiment.verdict
        )),
        None => sentences.push("Before against tuned was not measured in this run.".to_owned()),
    }
    let claims = chosen::claims(results);
    let of = |verdict| {
        let count = claims
            .iter()
            .filter(|claim| claim.verdict == verdict)
            .count();
        (count > 0).then(|| format!("{count} {verdict}"))
    };
    let counts: Vec<String> = [
        ClaimVerdict::Exceeded,
        ClaimVerdict::Supported,
        ClaimVerdict::Refuted,
        ClaimVerdict::Inconclusive,
    ]
    .into_iter()
    .filter_map(of)
    .collect();
    if !counts.is_empty() {
        sentences.push(format!(
            "Of {}: {}.",
            Count::new(claims.len(), "claim"),
            listed(&counts)
        ));
    }
    sentences.push(control(results));
    sentences.join(" ")
}

fn is_in_both(results: &Results, experiment: &ExperimentResults) -> bool {
    chosen::step(results, experiment).is_some_and(|step| step.part_of == PartOf::Both)
}

fn items(results: &Results) -> Vec<String> {
    let confidence = results.confidence_level;
    let gains = gains(results);
    let mut items: Vec<String> = gains
        .iter()
        .take(GAINS_IN_FULL)
        .map(|(experiment, _)| {
            format!(
                "{}: {}. Promised: {}.{}",
                one_line(&experiment.definition.title),
                by_preset(experiment, confidence),
                promise(&experiment.definition),
                if is_in_both(results, experiment) {
                    " Both presets have it already."
                } else {
                    ""
                }
            )
        })
        .collect();
    let smaller: Vec<String> = gains
        .iter()
        .skip(GAINS_IN_FULL)
        .map(|(experiment, best)| in_one_figure(experiment, best))
        .collect();
    let of = |wanted: &dyn Fn(&ExperimentResults) -> Option<String>| -> Vec<String> {
        let changes = chosen::changes(results);
        changes.into_iter().filter_map(wanted).collect()
    };
    items.extend(all("Smaller gains", &smaller));
    items.extend(all("A loss", &of(&loss)));
    items.extend(all("Refuted", &of(&|one| refuted(one, confidence))));
    items.extend(all("No gain", &of(&|one| no_gain(one, confidence))));
    items.extend(all("Inconclusive", &of(&open)));
    items
}

fn all(what: &str, items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| format!("{what}: {}.", items.join("; ")))
}

/// Changes with a gain that matters on a preset, and the finding of the largest; the largest first.
fn gains(results: &Results) -> Vec<(&ExperimentResults, &Finding)> {
    let gain = |finding: &Finding| finding.gain().unwrap_or(1.0);
    let mut gains: Vec<(&ExperimentResults, &Finding)> = chosen::changes(results)
        .into_iter()
        .filter_map(|experiment| {
            let best = chosen::stands(experiment)
                .filter(|finding| finding.verdict == Verdict::Improved)
                .max_by(|a, b| gain(a).total_cmp(&gain(b)))?;
            Some((experiment, best))
        })
        .collect();
    gains.sort_by(|(_, a), (_, b)| gain(b).total_cmp(&gain(a)));
    gains
}

/// `3.17× faster (3.05–3.30) on before, 3.22× faster (3.11–3.31) on tuned`
pub(super) fn by_preset(experiment: &ExperimentResults, confidence: f64) -> String {
    let stands: Vec<String> = chosen::stands(experiment)
        .map(|finding| {
            let place = on(finding.on.as_deref());
            format!("{}{place}", measured(finding, confidence))
        })
        .collect();
    if stands.is_empty() {
        "not measured".to_owned()
    } else {
        stands.join("; ")
    }
}

fn in_one_figure(experiment: &ExperimentResults, finding: &Finding) -> String {
    format!(
        "{} {}{}",
        one_line(&experiment.definition.title),
        Times(finding.gain().unwrap_or(1.0)),
        on(finding.on.as_deref())
    )
}

fn loss(experiment: &ExperimentResults) -> Option<String> {
    let gain = |finding: &Finding| finding.gain().unwrap_or(1.0);
    let worst = chosen::stands(experiment)
        .filter(|finding| finding.verdict == Verdict::Regressed)
        .min_by(|a, b| gain(a).total_cmp(&gain(b)))?;
    Some(in_one_figure(experiment, worst))
}

/// A change that gains less, or more, than the figure that was promised.
fn refuted(experiment: &ExperimentResults, confidence: f64) -> Option<String> {
    let definition = &experiment.definition;
    let is_refuted = experiment.verdict == ClaimVerdict::Refuted;
    (is_refuted && definition.expected != Expected::Better).then(|| {
        format!(
            "{}, promised {}, measured {}",
            one_line(&definition.title),
            promise(definition),
            in_the_end(experiment, confidence)
        )
    })
}

/// A change without the gain that was promised without a figure.
fn no_gain(experiment: &ExperimentResults, confidence: f64) -> Option<String> {
    let definition = &experiment.definition;
    let is_refuted = experiment.verdict == ClaimVerdict::Refuted;
    let is_told =
        !is_refuted || definition.expected != Expected::Better || loss(experiment).is_some();
    (!is_told).then(|| {
        format!(
            "{} {}",
            one_line(&definition.title),
            in_the_end(experiment, confidence)
        )
    })
}

/// What decides about the claim, and where it holds nonetheless.
fn in_the_end(experiment: &ExperimentResults, confidence: f64) -> String {
    let deciding = experiment.deciding();
    let place = on(deciding.and_then(|finding| finding.on.as_deref()));
    let gain = gain_cell(deciding, confidence).text;
    if experiment.findings.iter().any(holds) {
        format!(
            "{gain}{place}, though it holds {}",
            places::of_claim(experiment)
        )
    } else {
        format!("{gain}{place}")
    }
}

fn open(experiment: &ExperimentResults) -> Option<String> {
    let finding = experiment.deciding()?;
    (experiment.verdict == ClaimVerdict::Inconclusive && finding.leading().is_some())
        .then(|| one_line(&experiment.definition.title))
}

/// What the identical arms say about everything else.
pub(super) fn control(results: &Results) -> String {
    let findings: Vec<&Finding> = chosen::control(results)
        .into_iter()
        .flat_map(chosen::stands)
        .collect();
    if findings.is_empty() {
        return "Identical arms were not measured, so nothing shows how large a difference noise makes.".to_owned();
    }
    let confidence = results.confidence_level;
    let figures: Vec<String> = findings
        .iter()
        .map(|finding| {
            let cell = gain_cell(Some(finding), confidence);
            format!("{}{}", cell.text, on(finding.on.as_deref()))
        })
        .collect();
    let told = match () {
        () if !results.control.differing.is_empty() => {
            "identical arms differ, so nothing that this run found can be trusted".to_owned()
        }
        () if findings.iter().all(|finding| holds(finding)) => {
            "identical arms do not differ".to_owned()
        }
        () => format!(
            "identical arms show no difference; one of up to {} cannot be ruled out",
            Percent(largest_possible(&findings))
        ),
    };
    format!("{}: {}.", capitalised(&told), figures.join(", "))
}

/// The farthest end of any interval, as a difference in either direction.
fn largest_possible(findings: &[&Finding]) -> f64 {
    let judged = findings.iter().filter_map(|finding| finding.leading());
    judged
        .map(|judged| {
            let interval = judged.comparison.interval;
            interval.high.max(1.0 / interval.low) - 1.0
        })
        .fold(0.0, f64::max)
}
