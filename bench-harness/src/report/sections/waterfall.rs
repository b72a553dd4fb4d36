//! The way from `before` to `tuned`: the changes one by one, and what they are worth together.

use super::words::{gain_cell, listed, measured, part_of, tone};
use super::{chosen, paragraph};
use crate::format::{Times, one_line};
use crate::judge::{Finding, PartOf, Results, Step, StepGain};
use crate::metric::Metric;
use crate::report::document::{
    Block, Cell, Chart, GainBar, GainRow, Plot, Section, StepKind, Table, WaterfallStep,
};

/// Factor within which the product of the changes counts as the whole.
///
/// Of ten changes each estimate may be off by a per cent or two, and their product by the tenth.
const ABOUT_INDEPENDENT: f64 = 1.1;

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("waterfall", "From before to tuned");
    if results.steps.is_empty() {
        section.push(paragraph("No change was measured on a preset."));
        return section;
    }
    let (steps, left_out) = steps(results);
    match chosen::whole(results) {
        _ if steps.is_empty() => section.push(paragraph(
            "No change by which before and tuned differ was added to before in this run.",
        )),
        Some((_, whole)) => {
            let total = whole.gain().unwrap_or(1.0);
            section.push(paragraph(interaction(&steps, total)));
            section.push(Block::Chart(chart(results, &steps, whole)));
        }
        None => section.push(paragraph(
            "Before against tuned was not part of this run, so nothing tells what the changes are worth together.",
        )),
    }
    if !left_out.is_empty() {
        section.push(paragraph(format!(
            "Left out, because they are judged by another quantity than time: {}.",
            listed(&left_out)
        )));
    }
    section
}

/// Changes that lead from `before` to `tuned` with their gain on `before`, and the titles of those
/// that are no matter of time.
fn steps(results: &Results) -> (Vec<(&Step, f64)>, Vec<String>) {
    let is_time = |step: &&Step| {
        let experiment = results.experiment(&step.experiment);
        experiment.is_some_and(|one| one.definition.metric == Metric::WallSeconds)
    };
    let on_the_way = results
        .steps
        .iter()
        .filter(|step| step.part_of == PartOf::Tuned);
    let (timed, others): (Vec<&Step>, Vec<&Step>) = on_the_way.partition(is_time);
    let mut steps: Vec<(&Step, f64)> = timed
        .into_iter()
        .filter_map(|step| Some((step, step.added?.gain)))
        .collect();
    steps.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    (
        steps,
        others.iter().map(|step| one_line(&step.title)).collect(),
    )
}

fn product(steps: &[(&Step, f64)]) -> f64 {
    steps.iter().map(|(_, gain)| gain).product()
}

/// What it means that the whole is not the product of its parts.
fn interaction(steps: &[(&Step, f64)], total: f64) -> String {
    let product = product(steps);
    let ratio = total / product;
    let meaning = match () {
        () if ratio > ABOUT_INDEPENDENT => {
            "The rest is interaction, where one change leaves another one more to save, and changes of tuned that this \
             run did not measure alone."
        }
        () if ratio < 1.0 / ABOUT_INDEPENDENT => {
            "The rest is interaction: several changes save the same time, and it can be saved only once."
        }
        () => "So the changes hardly depend on each other.",
    };
    format!(
        "Each added alone to before, the changes that make tuned would multiply to {}; together they bring {}. {meaning}",
        Times(product),
        Times(total)
    )
}

fn chart(results: &Results, steps: &[(&Step, f64)], whole: &Finding) -> Chart {
    let total = whole.gain().unwrap_or(1.0);
    let rest = total / product(steps);
    let mut drawn: Vec<WaterfallStep> = steps
        .iter()
        .map(|(step, gain)| WaterfallStep {
            name: one_line(&step.title),
            gain: *gain,
            kind: StepKind::Change,
            link: Some(step.experiment.clone()),
        })
        .collect();
    let last = |name: &str, gain, kind, link| WaterfallStep {
        name: name.to_owned(),
        gain,
        kind,
        link,
    };
    drawn.push(last("Rest, with interaction", rest, StepKind::Rest, None));
    let link = Some(whole.experiment.clone());
    drawn.push(last("Before against tuned", total, StepKind::Total, link));

    let mut data = Table::new("From before to tuned", &["Step", ">Gain", ">So far"]);
    let mut so_far = 1.0;
    for step in &drawn {
        so_far = match step.kind {
            StepKind::Total => step.gain,
            StepKind::Change | StepKind::Rest => so_far * step.gain,
        };
        let gain = match step.kind {
            StepKind::Total => gain_cell(Some(whole), results.confidence_level),
            StepKind::Change | StepKind::Rest => {
                Cell::figure(Times(step.gain).to_string(), step.gain)
            }
        };
        let name = Cell::text(&step.name);
        data.rows.push(vec![
            match &step.link {
                Some(id) => name.linked(id),
                None => name,
            },
            gain,
            Cell::figure(Times(so_far).to_string(), so_far),
        ]);
    }
    Chart {
        id: "waterfall-chart".to_owned(),
        title: format!(
            "The gain of each change added alone to before, and of all together: {}",
            measured(whole, results.confidence_level)
        ),
        plot: Plot::Waterfall { steps: drawn },
        data,
    }
}

/// The changes that stand on presets, with their gain from both ends.
fn steps_table(results: &Results, caption: &str) -> Table {
    let mut table = Table::new(
        caption,
        &[
            "Change",
            ">Added to before",
            ">Taken out of tuned",
            "Part of",
        ],
    );
    table.rows = results
        .steps
        .iter()
        .map(|step| {
            let on = |preset| {
                let experiment = results.experiment(&step.experiment)?;
                experiment.on(Some(preset))
            };
            vec![
                Cell::text(one_line(&step.title)).linked(&step.experiment),
                gain_cell(on("before"), results.confidence_level),
                gain_cell(on("tuned"), results.confidence_level),
                part_of(step),
            ]
        })
        .collect();
    table
}

/// Two bars for every change that stands on presets.
pub(super) fn gains(results: &Results) -> Chart {
    let rows = results.steps.iter().map(|step| GainRow {
        name: one_line(&step.title),
        added: step.added.map(bar),
        taken_out: step.taken_out.map(bar),
        link: Some(step.experiment.clone()),
    });
    let title = "The gain of each change, added alone to before and taken alone out of tuned";
    Chart {
        id: "gains-chart".to_owned(),
        title: title.to_owned(),
        plot: Plot::Gains {
            rows: rows.collect(),
        },
        data: steps_table(results, title),
    }
}

fn bar(step: StepGain) -> GainBar {
    GainBar {
        gain: step.gain,
        low: step.interval.low,
        high: step.interval.high,
        tone: tone(step.verdict),
    }
}
