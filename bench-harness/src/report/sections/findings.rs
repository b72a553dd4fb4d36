//! Tables of comparisons with everything that a verdict rests on.

use super::format::{again_cell, gain_cell, measure_cell, name, place, tone};
use crate::format::{Percent, one_line};
use crate::judge::{ExperimentResults, Finding, Weakened};
use crate::metric::Metric;
use crate::report::document::{Cell, Table, Tone};

/// The comparisons outside the grid.
pub(super) fn table(experiment: &ExperimentResults, confidence: f64) -> Table {
    let metric = experiment.definition.metric;
    let others: Vec<Metric> = Metric::ALWAYS
        .into_iter()
        .filter(|other| *other != metric)
        .collect();
    let gain = match metric {
        Metric::WallSeconds => ">Gain".to_owned(),
        metric => format!(">Gain in {metric}"),
    };
    let headings: Vec<String> = others
        .iter()
        .map(|one| format!(">{}", one.heading()))
        .collect();
    let mut columns = vec!["Where", "Candidate", &gain, "Verdict", ">δ"];
    columns.extend(headings.iter().map(String::as_str));
    columns.extend([">Smallest visible", "Again"]);
    let mut table = Table::new(one_line(&experiment.definition.title), &columns);
    let findings = experiment.findings.iter();
    table.rows = findings
        .filter(|finding| finding.cell.is_empty())
        .map(|finding| row(finding, &others, confidence))
        .collect();
    table
}

fn row(finding: &Finding, others: &[Metric], confidence: f64) -> Vec<Cell> {
    let judged = finding.leading();
    let threshold = finding
        .measures
        .first()
        .map(|measure| measure.threshold.share());
    let detectable = judged.and_then(|judged| judged.smallest_detectable);
    let share = |value: Option<f64>| {
        value.map_or_else(Cell::absent, |share| {
            Cell::figure(Percent(share).to_string(), share)
        })
    };
    let mut row = vec![
        Cell::text(place(finding.on.as_deref(), &finding.cell)),
        name(&finding.candidate),
        gain_cell(Some(finding), confidence),
        verdict(finding),
        share(threshold),
    ];
    let others = others.iter();
    row.extend(others.map(|metric| measure_cell(finding, *metric)));
    row.extend([share(detectable), again(finding, confidence)]);
    row
}

fn verdict(finding: &Finding) -> Cell {
    let why = match finding.weakened {
        Some(Weakened::IdenticalArmsDiffer) => " (identical arms may differ by as much)",
        Some(Weakened::Unconfirmed) => " (not confirmed)",
        Some(Weakened::ClaimUnconfirmed) => " (the claim not confirmed)",
        None if finding.leading().is_none() => return Cell::text("not measured").toned(Tone::Open),
        None => "",
    };
    Cell::text(format!("{}{why}", finding.verdict)).toned(tone(finding.verdict))
}

/// What the second measurement found.
fn again(finding: &Finding, confidence: f64) -> Cell {
    let Some(confirmation) = &finding.confirmation else {
        return Cell::absent();
    };
    let Some(judged) = &confirmation.judged else {
        return Cell::text("no figure").toned(Tone::Open);
    };
    let figure = again_cell(judged, confidence);
    let word = if confirmation.agrees {
        "confirmed"
    } else {
        "not confirmed"
    };
    Cell {
        text: format!("{}, {word}", figure.text),
        ..figure
    }
}
