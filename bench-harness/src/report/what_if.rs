//! Predicted gains beside measured ones: where the model agrees, and where it fails.

use anyhow::{Context, Result};

use super::document::{AgreementPoint, Block, Cell, Chart, Document, Plot, Section, Table, Tone};
use super::terminal::{self, Colour};
use super::{html, markdown};
use crate::format::{Percent, Times};
use crate::judge::prediction::{Basis, Kind, Prediction, Predictions};
use crate::stats::sample::median;

/// Name of the report in the folder of a run.
pub(crate) const MARKDOWN_FILE: &str = "what-if.md";

/// Its figures.
pub(crate) const JSON_FILE: &str = "what-if.json";

/// Its plot for light pages.
pub(crate) const LIGHT_FILE: &str = "what-if-light.svg";

/// The same for dark ones.
pub(crate) const DARK_FILE: &str = "what-if-dark.svg";

/// The report as Markdown; `run` says of what.
#[must_use]
pub(crate) fn markdown(predictions: &Predictions, run: &str) -> String {
    markdown::page(&document(predictions, run))
}

/// The figures.
///
/// # Errors
/// When they cannot be serialised.
pub(crate) fn json(predictions: &Predictions) -> Result<String> {
    let text = serde_json::to_string_pretty(predictions);
    Ok(text.context("cannot serialise the predictions")? + "\n")
}

/// The plot of predicted over measured gains.
#[must_use]
pub(crate) fn drawing(predictions: &Predictions, is_dark: bool) -> String {
    html::standalone(&chart(predictions), is_dark)
}

/// The short form: how well predictions agree, by kind and by experiment, and where they fail.
#[must_use]
pub(crate) fn short(predictions: &Predictions, colour: Colour) -> String {
    let blocks = [
        Block::Paragraph(in_one_sentence(predictions)),
        Block::Table(by_kind(predictions)),
        Block::Table(by_experiment(predictions)),
        failures(predictions),
    ];
    lines(&blocks, colour)
}

/// Predictions about changes that were not measured.
#[must_use]
pub(crate) fn answer(predictions: &Predictions, colour: Colour) -> String {
    let mut table = Table::new(
        "Predicted, not measured",
        &["Baseline", "Change", ">Gain", ">Interval"],
    );
    let mut notes = Vec::new();
    for one in &predictions.predictions {
        table.rows.push(vec![
            Cell::text(format!("{}, {}", one.scenario, one.arm)),
            Cell::text(&one.change),
            Cell::figure(Times(one.gain).to_string(), one.gain),
            interval(one),
        ]);
        notes.extend(note(one).map(|note| format!("{}: {note}", one.scenario)));
    }
    let not_measured = format!(
        "Predicted from this run, and not measured. Intervals are meant to hold {} of such gains; \
         `apitap-bench what-if RUN_DIR` shows how many they did hold.",
        Percent(predictions.coverage)
    );
    let blocks = [
        Block::Table(table),
        Block::List(notes),
        Block::Paragraph(not_measured),
    ];
    lines(&blocks, colour)
}

fn lines(blocks: &[Block], colour: Colour) -> String {
    let mut text = String::new();
    for block in blocks {
        let lines = terminal::block(block, colour);
        if lines.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        if let Block::Table(table) = block {
            text += &format!("{}\n", table.caption);
        }
        text += &lines.join("\n");
        text.push('\n');
    }
    text
}

fn document(predictions: &Predictions, run: &str) -> Document {
    let mut summary = Section::new("summary", "Summary");
    summary.push(Block::Paragraph(in_one_sentence(predictions)));
    summary.push(Block::Table(by_kind(predictions)));
    summary.push(Block::Paragraph(METHOD.to_owned()));
    summary.push(Block::File {
        text: "Predicted over measured gains".to_owned(),
        path: LIGHT_FILE.to_owned(),
    });
    summary.push(Block::Chart(chart(predictions)));
    let mut failing = Section::new("fails", "Where the prediction fails");
    failing.push(failures(predictions));
    let mut experiments = Section::new("experiments", "By experiment");
    experiments.push(Block::Table(by_experiment(predictions)));
    let mut left_out = Section::new("left-out", "Not predicted");
    let items = predictions.left_out.iter();
    let items: Vec<String> = items
        .map(|one| format!("{}: {}", one.comparison, one.reason))
        .collect();
    left_out.push(if items.is_empty() {
        Block::Paragraph("Every comparison of the run is predicted.".to_owned())
    } else {
        Block::List(items)
    });
    Document {
        title: "What if: predicted and measured gains".to_owned(),
        subtitle: run.to_owned(),
        sections: vec![summary, failing, experiments, left_out],
    }
}

const METHOD: &str = "Each prediction is made from the budget of its baseline. What new ways of doing something cost, and \
    how far predictions are off, is learned from the other experiments of the run. Gains are in wall time. \
    METHODOLOGY.md says more, under \"What if\".";

fn in_one_sentence(predictions: &Predictions) -> String {
    // A bound of what is unknown holds nearly always.
    let judged: Vec<bool> = measured(predictions)
        .filter(|one| one.has_known_costs())
        .filter_map(Prediction::holds)
        .collect();
    if judged.is_empty() {
        return "Too few experiments were measured to say how far predictions are off.".to_owned();
    }
    let within = judged.iter().filter(|holds| **holds).count();
    let share = within as f64 / judged.len() as f64;
    format!(
        "{within} of {} measured gains ({}) are within their predicted intervals; the goal is {}.",
        judged.len(),
        Percent(share),
        Percent(predictions.coverage)
    )
}

fn measured(predictions: &Predictions) -> impl Iterator<Item = &Prediction> {
    let all = predictions.predictions.iter();
    all.filter(|one| one.measured.is_some())
}

fn by_kind(predictions: &Predictions) -> Table {
    let mut table = Table::new(
        "How well predictions agree, by what is changed",
        &[
            "Changed",
            ">Predictions",
            ">Within",
            ">Median error",
            ">Median interval",
        ],
    );
    for ((is_bound, kind), ones) in predictions.by_kind() {
        let name = match kind {
            Kind::Configuration => "configuration",
            Kind::Rows => "rows",
            Kind::ApiRoundTrip => "round trip to the API",
            Kind::PostgresRoundTrip => "round trip to PostgreSQL",
        };
        let name = if is_bound {
            format!("{name}, cost unknown")
        } else {
            name.to_owned()
        };
        let mut row = vec![Cell::text(name)];
        row.extend(agreement(&ones));
        row.push(width(&ones));
        table.rows.push(row);
    }
    table
}

fn by_experiment(predictions: &Predictions) -> Table {
    let mut table = Table::new(
        "How well predictions agree, by experiment",
        &[
            "Experiment",
            ">Predictions",
            ">Within",
            ">Median error",
            ">Largest error",
        ],
    );
    let all: Vec<&Prediction> = measured(predictions).collect();
    for ones in all.chunk_by(|a, b| a.experiment == b.experiment) {
        let mut row = vec![Cell::text(&ones[0].experiment)];
        row.extend(agreement(ones));
        let largest = errors(ones).into_iter().fold(0.0, f64::max);
        row.push(error(largest));
        table.rows.push(row);
    }
    table
}

/// How many there are, how many of their intervals hold, and by how much they are off.
fn agreement(ones: &[&Prediction]) -> [Cell; 3] {
    let judged: Vec<bool> = ones.iter().filter_map(|one| one.holds()).collect();
    let within = judged.iter().filter(|holds| **holds).count();
    let share = within as f64 / judged.len().max(1) as f64;
    [
        Cell::figure(ones.len().to_string(), ones.len() as f64),
        if judged.is_empty() {
            Cell::absent()
        } else {
            Cell::figure(format!("{within} ({})", Percent(share)), share)
        },
        median(&errors(ones)).map_or_else(Cell::absent, error),
    ]
}

fn errors(ones: &[&Prediction]) -> Vec<f64> {
    let errors = ones.iter().filter_map(|one| one.error());
    errors.map(f64::abs).collect()
}

/// An error of logarithms as a share.
fn error(of_logarithms: f64) -> Cell {
    let share = of_logarithms.exp_m1();
    Cell::figure(Percent(share).to_string(), share)
}

fn width(ones: &[&Prediction]) -> Cell {
    let factors: Vec<f64> = ones
        .iter()
        .filter_map(|one| Some((one.interval?.high / one.interval?.low).sqrt()))
        .collect();
    median(&factors).map_or_else(Cell::absent, |factor| {
        Cell::figure(format!("×÷ {factor:.2}"), factor)
    })
}

/// Predictions whose intervals do not hold, the farthest first.
fn failures(predictions: &Predictions) -> Block {
    let mut outside: Vec<&Prediction> = measured(predictions)
        .filter(|one| one.holds() == Some(false))
        .collect();
    if measured(predictions).all(|one| one.interval.is_none()) {
        return Block::Paragraph("There is no interval to be outside of.".to_owned());
    }
    let off = |one: &Prediction| one.error().unwrap_or_default().abs();
    outside.sort_by(|a, b| off(b).total_cmp(&off(a)));
    if outside.is_empty() {
        return Block::Paragraph("No measured gain is outside of its interval.".to_owned());
    }
    let caption = "Measured gains outside of their predicted intervals";
    Block::Table(table(caption, &outside))
}

fn chart(predictions: &Predictions) -> Chart {
    let all: Vec<&Prediction> = measured(predictions).collect();
    let point = |one: &&Prediction| {
        Some(AgreementPoint {
            measured: one.measured?,
            predicted: one.gain,
            low: one.interval?.low,
            high: one.interval?.high,
        })
    };
    Chart {
        id: "agreement".to_owned(),
        title: "Predicted gains with their intervals, over measured gains".to_owned(),
        plot: Plot::Agreement {
            points: all.iter().filter_map(point).collect(),
        },
        data: table("All predictions", &all),
    }
}

fn table(caption: &str, ones: &[&Prediction]) -> Table {
    let mut table = Table::new(
        caption,
        &[
            "Baseline",
            "Change",
            ">Predicted",
            ">Interval",
            ">Measured",
            "+Note",
        ],
    );
    for one in ones {
        table.rows.push(vec![
            Cell::text(format!("{}, {}", one.scenario, one.arm)),
            Cell::text(&one.change),
            Cell::figure(Times(one.gain).to_string(), one.gain),
            interval(one),
            one.measured.map_or_else(Cell::absent, |gain| {
                let tone = if one.holds() == Some(false) {
                    Tone::No
                } else {
                    Tone::Plain
                };
                Cell::figure(Times(gain).to_string(), gain).toned(tone)
            }),
            Cell::text(note(one).unwrap_or_default()),
        ]);
    }
    table
}

fn interval(one: &Prediction) -> Cell {
    one.interval.map_or_else(Cell::absent, |interval| {
        let text = format!("{}–{}", Times(interval.low), Times(interval.high));
        Cell::figure(text, interval.low)
    })
}

/// What a reader must know of a prediction that does not rest on the model.
fn note(one: &Prediction) -> Option<String> {
    match &one.basis {
        Basis::Model => None,
        Basis::NoDifference => Some(format!(
            "about 1: the model knows no difference; at most {} if what is changed took no time",
            Times(one.at_most)
        )),
        Basis::UnknownCosts(stages) => Some(format!(
            "no other experiment says what {} costs then; the interval is their bound",
            stages.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::prediction::{COVERAGE, LeftOut};
    use crate::stats::Interval;

    fn prediction(scenario: &str, kind: Kind, gain: f64, measured: f64) -> Prediction {
        Prediction {
            experiment: scenario.split(' ').next().unwrap().to_owned(),
            scenario: scenario.to_owned(),
            arm: "insert".to_owned(),
            change: "copy-binary".to_owned(),
            kind,
            basis: Basis::Model,
            gain,
            interval: Some(Interval {
                low: gain / 1.3,
                high: gain * 1.3,
            }),
            at_most: 12.0,
            measured: Some(measured),
        }
    }

    fn predictions() -> Predictions {
        let unknown = Prediction {
            basis: Basis::UnknownCosts(vec!["encode".to_owned(), "server".to_owned()]),
            ..prediction("copy-vs-insert on before", Kind::Configuration, 1.0, 1.25)
        };
        let same = Prediction {
            basis: Basis::NoDifference,
            change: "atomic".to_owned(),
            arm: "mutex".to_owned(),
            at_most: 1.4,
            ..prediction("counter on before", Kind::Configuration, 1.0, 1.003)
        };
        Predictions {
            schema_version: 1,
            coverage: COVERAGE,
            predictions: vec![
                prediction("copy-vs-insert on tuned", Kind::Configuration, 3.2, 3.31),
                unknown,
                same,
                prediction("prepared on before", Kind::Configuration, 1.8, 1.14),
                Prediction {
                    change: "round trip to PostgreSQL 0.2 → 10.2 ms".to_owned(),
                    ..prediction("prepared at 0", Kind::PostgresRoundTrip, 0.19, 0.2)
                },
            ],
            left_out: vec![LeftOut {
                comparison: "psql-ceiling, tuned".to_owned(),
                reason: "an arm is not this engine".to_owned(),
            }],
        }
    }

    #[test]
    fn the_report_of_a_run() {
        insta::assert_snapshot!(markdown(&predictions(), "The run of a day"));
    }

    #[test]
    fn the_short_form_names_what_fails() {
        insta::assert_snapshot!(short(&predictions(), Colour::Never));
    }

    #[test]
    fn an_answer_says_that_it_was_not_measured() {
        let mut predictions = predictions();
        for one in &mut predictions.predictions {
            one.measured = None;
        }
        predictions.predictions.truncate(3);
        insta::assert_snapshot!(answer(&predictions, Colour::Never));
    }

    #[test]
    fn figures_come_back_as_they_were_written() {
        let text = json(&predictions()).unwrap();
        let read: Predictions = serde_json::from_str(&text).unwrap();
        assert_eq!(read.left_out, predictions().left_out);
        for (read, written) in read.predictions.iter().zip(predictions().predictions) {
            assert_eq!(read.basis, written.basis);
            assert_eq!((read.gain, read.measured), (written.gain, written.measured));
        }
    }

    #[test]
    fn a_run_with_too_few_experiments_says_so() {
        let mut few = predictions();
        for one in &mut few.predictions {
            one.interval = None;
        }
        let text = short(&few, Colour::Never);
        assert!(text.contains("Too few experiments"), "{text}");
        assert!(text.contains("no interval to be outside of"), "{text}");
        assert!(drawing(&few, true).starts_with("<svg"));
    }
}
