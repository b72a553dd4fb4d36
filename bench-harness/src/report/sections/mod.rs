//! What a report says, in which order: one file for each of its sections.
//!
//! Sentences and cells that several sections need are in [`words`], the question where a claim
//! holds in [`places`].

mod arms;
mod chosen;
mod claims;
mod environment;
mod excluded;
mod experiments;
mod findings;
mod first;
mod grid;
mod history;
mod method;
mod places;
mod profile;
mod repeat;
mod round_trips;
mod summary;
mod waterfall;
mod words;

pub(super) use claims::tables as claims;
pub(super) use history::document as history;
pub(super) use profile::{document as profiles, in_short as profiles_in_short};
pub(super) use repeat::command as repeat;

use super::document::{Block, Document};
use crate::judge::history::series::History;
use crate::judge::{Results, Warning};

/// The report of `results`, and of the `history` that they end.
pub(super) fn report(results: &Results, history: Option<&History>) -> Document {
    let mut sections = vec![
        summary::section(results),
        claims::section(results),
        waterfall::section(results),
        first::section(results),
        experiments::section(results),
    ];
    sections.extend(history.map(history::section));
    sections.extend([
        environment::section(results),
        method::section(results),
        excluded::section(results),
    ]);
    Document {
        title: "What each optimization brings, measured".to_owned(),
        subtitle: environment::in_one_line(results),
        sections,
    }
}

/// Whether a reader must know of it before the first figure.
fn is_grave(warning: &Warning) -> bool {
    match warning {
        Warning::SlowBuild { .. }
        | Warning::IdenticalArmsDiffer { .. }
        | Warning::IdenticalArmsNotMeasured
        | Warning::Unprepared { .. }
        | Warning::Failures { .. }
        | Warning::Incomplete { .. }
        | Warning::Uncorrected { .. } => true,
        Warning::CutSample { .. }
        | Warning::Unconfirmed { .. }
        | Warning::MockApiNearCeiling { .. }
        | Warning::Voided { .. }
        | Warning::Steal { .. }
        | Warning::Outliers { .. } => false,
    }
}

fn paragraph(text: impl Into<String>) -> Block {
    Block::Paragraph(text.into())
}
