//! From `before` to `tuned`: the changes one by one, and what they gain together.

use super::format::{gain_cell, listed, measured};
use super::paragraph;
use crate::format::{Percent, Range, Times, one_line};
use crate::judge::{Interaction, Results, Shapley, Waterfall};
use crate::report::document::{Block, Cell, Chart, Plot, Section, StepKind, Table, WaterfallStep};
use crate::stats::Comparison;

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("waterfall", "From before to tuned");
    let Some(waterfall) = &results.waterfall else {
        section.push(paragraph("No change was measured on a preset."));
        return section;
    };
    if waterfall.changes.is_empty() {
        section.push(paragraph(
            "No change by which before and tuned differ was added to before in this run.",
        ));
    } else if let Some(chart) = chart(results, waterfall) {
        section.push(paragraph(interaction(waterfall)));
        section.push(Block::Chart(chart));
    } else {
        section.push(paragraph(
            "Before against tuned was not part of this run, so nothing shows what the changes gain together.",
        ));
    }
    if let Some(shapley) = &results.shapley {
        section.push(paragraph(
            "What a change gains depends on which others are there already. Its share is the mean over all orders in \
             which the changes can be made (Shapley value), from loads with every combination of them. The shares \
             multiply to the whole.",
        ));
        section.push(Block::Chart(shares(results, shapley)));
    }
    if !waterfall.left_out.is_empty() {
        let titles = waterfall.left_out.iter().map(|id| title(results, id));
        section.push(paragraph(format!(
            "Left out, because they are judged by another quantity than time: {}.",
            listed(&titles.collect::<Vec<_>>())
        )));
    }
    section
}

fn shares(results: &Results, shapley: &Shapley) -> Chart {
    let mut steps = Vec::new();
    let mut data = Table::new("Shares of the gain", &["Change", ">Gain", ">Of the whole"]);
    let mut add = |name: &str, cost: &Comparison, kind| {
        let gain = cost.inverted();
        let range = Range::new(&gain, results.confidence_level);
        let of_whole = cost.ratio.ln() / shapley.whole.ratio.ln();
        data.rows.push(vec![
            Cell::text(name),
            Cell::figure(format!("{} ({range})", Times(gain.ratio)), gain.ratio),
            Cell::figure(Percent(of_whole).to_string(), of_whole),
        ]);
        steps.push(WaterfallStep {
            name: name.to_owned(),
            gain: gain.ratio,
            kind,
            link: None,
        });
    };
    for share in &shapley.shares {
        add(&share.change, &share.cost, StepKind::Change);
    }
    add("All changes", &shapley.whole, StepKind::Total);
    Chart {
        id: "shares-chart".to_owned(),
        title: format!(
            "The share of each change in {}",
            title(results, &shapley.experiment)
        ),
        plot: Plot::Waterfall { steps },
        data,
    }
}

fn title(results: &Results, id: &str) -> String {
    let experiment = results.experiment(id);
    experiment.map_or_else(|| id.to_owned(), |one| one_line(&one.definition.title))
}

/// What it means that the whole is not the product of its parts.
fn interaction(waterfall: &Waterfall) -> String {
    let Some(whole) = &waterfall.whole else {
        return String::new();
    };
    let meaning = match whole.interaction {
        Interaction::More => {
            "The rest is interaction: one change leaves another one more to save. Changes of tuned that this run did \
             not measure alone are in it too."
        }
        Interaction::Less => {
            "The rest is interaction: several changes save the same time, and it can be saved only once."
        }
        Interaction::Independent => "So the changes hardly depend on each other.",
    };
    format!(
        "Each added alone to before, the changes that make tuned would multiply to {}. Together they gain {}. {meaning}",
        Times(waterfall.product),
        Times(whole.gain)
    )
}

fn chart(results: &Results, waterfall: &Waterfall) -> Option<Chart> {
    let whole = waterfall.whole.as_ref()?;
    let (_, finding) = results.whole()?;
    let mut steps = Vec::new();
    let mut data = Table::new("From before to tuned", &["Step", ">Gain", ">So far"]);
    let mut add = |name: String, gain: f64, so_far: f64, kind, link: Option<&String>| {
        let figure = |value: f64| Cell::figure(Times(value).to_string(), value);
        data.rows.push(vec![
            Cell {
                link: link.cloned(),
                ..Cell::text(&name)
            },
            match kind {
                StepKind::Total => gain_cell(Some(finding), results.confidence_level),
                StepKind::Change | StepKind::Rest => figure(gain),
            },
            figure(so_far),
        ]);
        steps.push(WaterfallStep {
            name,
            gain,
            kind,
            link: link.cloned(),
        });
    };
    for change in &waterfall.changes {
        let id = &change.experiment;
        let name = title(results, id);
        add(name, change.gain, change.so_far, StepKind::Change, Some(id));
    }
    let rest = "Rest, with interaction".to_owned();
    add(rest, whole.rest, whole.gain, StepKind::Rest, None);
    let total = "Before against tuned".to_owned();
    let id = Some(&whole.experiment);
    add(total, whole.gain, whole.gain, StepKind::Total, id);
    Some(Chart {
        id: "waterfall-chart".to_owned(),
        title: format!(
            "The gain of each change added alone to before, and of all together: {}",
            measured(finding, results.confidence_level)
        ),
        plot: Plot::Waterfall { steps },
        data,
    })
}
