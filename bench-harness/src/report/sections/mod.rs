//! What a report says, in which order: one file for each of its sections.
//!
//! What they say is in [`Results`]; here it gets its form. Cells and texts that several sections
//! have are in [`format`].

mod arms;
mod bound;
mod ceiling;
mod claims;
mod environment;
mod excluded;
mod experiments;
mod findings;
mod format;
mod gains;
mod grid;
mod history;
mod holds;
mod method;
mod profile;
mod repeat;
mod round_trips;
mod summary;
mod waterfall;

pub(crate) use environment::place;
pub(crate) use repeat::repeated;

pub(super) use gains::short_chart as gains;
pub(super) use history::document as history;
pub(super) use profile::{document as profiles, in_short as profiles_in_short};

use super::document::{Block, Document};
use crate::judge::history::series::History;
use crate::judge::{Results, Warning};

/// The report of `results`, and of the `history` that they end.
pub(super) fn report(results: &Results, history: Option<&History>) -> Document {
    let mut sections = vec![summary::section(results), claims::section(results)];
    sections.extend(ceiling::section(results));
    sections.extend([waterfall::section(results), experiments::section(results)]);
    sections.extend(history.map(history::section));
    sections.extend([
        environment::section(results),
        method::section(results),
        excluded::section(results),
    ]);
    Document {
        title: summary::headline(results),
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
        | Warning::SessionsDisagree { .. }
        | Warning::MockApiNearCeiling { .. }
        | Warning::Voided { .. }
        | Warning::Steal { .. }
        | Warning::Outliers { .. } => false,
    }
}

fn paragraph(text: impl Into<String>) -> Block {
    Block::Paragraph(text.into())
}
