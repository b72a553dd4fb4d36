//! What grew and what shrank.

use crate::format::{Number, one_line};
use crate::profile::delta::Delta;
use crate::profile::results::ProfileResults;
use crate::report::document::{Block, Cell, Table, Tone};
use crate::report::sections::format::figure;

/// Crates and functions that cost more or less.
pub(super) fn grew(profile: &ProfileResults) -> Vec<Block> {
    if profile.crates.is_empty() {
        return Vec::new();
    }
    let crates = deltas("Crates", "Crate", &profile.crates);
    let own = deltas(
        "Functions that differ most by themselves, with what the standard library does for them",
        "Function",
        &profile.own_functions,
    );
    let functions = deltas(
        "Functions that differ most, with all that they call",
        "Function",
        &profile.functions,
    );
    [crates, own, functions].map(Block::Table).to_vec()
}

fn deltas(caption: &str, what: &str, deltas: &[Delta]) -> Table {
    let mut table = Table::new(
        caption,
        &[
            what,
            ">Baseline",
            ">Candidate",
            ">Difference",
            ">95% interval",
        ],
    );
    for delta in deltas {
        let tone = match delta {
            noise if noise.is_noise() => Tone::Same,
            less if less.difference < 0.0 => Tone::Better,
            _ => Tone::Worse,
        };
        let sign = if delta.is_noise() { "~ " } else { "" };
        let difference = format!("{sign}{}", signed(delta.difference));
        let interval = delta.interval.map(|one| {
            let text = format!("{} to {}", signed(one.low), signed(one.high));
            Cell::figure(text, one.low)
        });
        table.rows.push(vec![
            Cell::text(one_line(&delta.name)),
            figure(Some(delta.baseline), Number),
            figure(Some(delta.candidate), Number),
            Cell::figure(difference, delta.difference).toned(tone),
            interval.unwrap_or_else(Cell::absent),
        ]);
    }
    table
}

fn signed(value: f64) -> String {
    if value < 0.0 {
        format!("-{}", Number(-value))
    } else {
        format!("+{}", Number(value))
    }
}
