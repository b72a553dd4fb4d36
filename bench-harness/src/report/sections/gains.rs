//! The gain of every change from both ends: added alone to `before`, taken alone out of `tuned`.

use super::format::{gain_cell, part_of, tone};
use crate::format::one_line;
use crate::judge::{Results, Step, StepGain};
use crate::report::document::{Cell, Chart, ClaimedRange, GainBar, GainRow, Plot, Table};
use crate::stats::Expected;

/// Rows of the chart that a README shows.
const IN_SHORT: usize = 8;

/// Every change, the largest gain first.
pub(super) fn chart(results: &Results) -> Chart {
    let mut steps: Vec<&Step> = results.steps.iter().collect();
    steps.sort_by(|a, b| largest(b).total_cmp(&largest(a)));
    gains_of(results, &steps)
}

/// The changes that make the largest differences, gains and losses.
pub(in crate::report) fn short_chart(results: &Results) -> Chart {
    let mut steps: Vec<&Step> = results.steps.iter().collect();
    let effect = |step: &&Step| {
        let gains = [step.added, step.taken_out].into_iter().flatten();
        gains.map(|gain| gain.gain.ln().abs()).fold(0.0, f64::max)
    };
    steps.sort_by(|a, b| effect(b).total_cmp(&effect(a)));
    steps.truncate(IN_SHORT);
    steps.sort_by(|a, b| largest(b).total_cmp(&largest(a)));
    let mut chart = gains_of(results, &steps);
    if let Plot::Gains { rows } = &mut chart.plot {
        // A picture has no sections to lead to.
        rows.iter_mut().for_each(|row| row.link = None);
    }
    chart
}

fn largest(step: &Step) -> f64 {
    let gains = [step.added, step.taken_out].into_iter().flatten();
    gains.map(|gain| gain.gain).fold(0.0, f64::max)
}

fn gains_of(results: &Results, steps: &[&Step]) -> Chart {
    let title = "The gain of each change, added alone to before and taken alone out of tuned";
    Chart {
        id: "gains-chart".to_owned(),
        title: title.to_owned(),
        plot: Plot::Gains {
            rows: steps.iter().map(|step| row(results, step)).collect(),
        },
        data: table(results, steps, title),
    }
}

fn row(results: &Results, step: &Step) -> GainRow {
    let experiment = results.experiment(&step.experiment);
    let promised = experiment.and_then(|one| match one.definition.expected {
        Expected::Factor { low, high } => Some(ClaimedRange { low, high }),
        Expected::Better | Expected::Negligible => None,
    });
    GainRow {
        name: one_line(&step.title),
        added: step.added.map(bar),
        taken_out: step.taken_out.map(bar),
        promised,
        link: Some(step.experiment.clone()),
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

fn table(results: &Results, steps: &[&Step], caption: &str) -> Table {
    let columns = [
        "Change",
        ">Added to before",
        ">Taken out of tuned",
        "Part of",
    ];
    let mut table = Table::new(caption, &columns);
    table.rows = steps
        .iter()
        .map(|step| {
            let on = |preset| results.experiment(&step.experiment)?.on(Some(preset));
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
