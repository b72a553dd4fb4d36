//! Where something holds, as text.

use super::format::{listed, on, reason, setting, shown, valued};
use crate::format::plain;
use crate::judge::{ExperimentResults, GridPart, Holds, Values};
use crate::stats::ClaimVerdict;

/// Where the claim holds, and if nowhere, why: `on before only; from 2 ms to PostgreSQL`.
pub(super) fn claim(experiment: &ExperimentResults) -> String {
    if !experiment.holds.is_empty() {
        return places(&experiment.holds);
    }
    if let Some(why) = experiment.inconclusive {
        return reason(why);
    }
    if experiment.verdict == ClaimVerdict::NotTestable {
        return experiment.verdict.to_string();
    }
    let mut findings = experiment.findings.iter();
    let is_open = findings.any(|one| one.is_headline && one.claim == ClaimVerdict::Inconclusive);
    let word = if is_open {
        "nowhere for certain"
    } else {
        "nowhere"
    };
    word.to_owned()
}

pub(super) fn places(holds: &Holds) -> String {
    let grid = holds.grid.as_ref().map(grid);
    let places: Vec<String> = presets(holds).into_iter().chain(grid).collect();
    places.join("; ")
}

fn presets(holds: &Holds) -> Option<String> {
    let first = holds.on.first()?;
    Some(match (first, holds.on.len(), holds.measured) {
        (None, ..) => "as compared".to_owned(),
        (Some(_), 2, 2) => "on both presets".to_owned(),
        (Some(preset), 1, 2..) => format!("on {preset} only"),
        _ => {
            let presets: Vec<String> = holds.on.iter().flatten().cloned().collect();
            format!("on {}", listed(&presets))
        }
    })
}

/// `from 2 ms to PostgreSQL on tuned`
pub(super) fn grid(part: &GridPart) -> String {
    let ranges: Vec<String> = part
        .ranges
        .iter()
        .map(|range| {
            let values = values(&range.parameter, &range.values);
            match &range.with {
                Some(at) => format!("{values} with {}", setting(at)),
                None => values,
            }
        })
        .collect();
    let place = match ranges.as_slice() {
        [] if part.cells == part.measured => "in the whole grid".to_owned(),
        [] => format!("in {} of {} cells of the grid", part.cells, part.measured),
        ranges => ranges.join(", "),
    };
    format!("{place}{}", on(part.on.as_deref()))
}

fn values(parameter: &str, values: &Values) -> String {
    let at = |text: &str| valued(parameter, text);
    match values {
        Values::At(values) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            format!("at {}", at(&listed(&values)))
        }
        Values::From(first) => format!("from {}", at(&plain(*first))),
        Values::UpTo(last) => format!("up to {}", at(&plain(*last))),
        Values::All(first, last) => {
            format!(
                "from {}",
                at(&format!("{} to {}", plain(*first), plain(*last)))
            )
        }
    }
}
