//! Where a claim holds: on which presets, and in which part of its grid.

use super::chosen;
use super::words::{holds, listed, on, valued};
use crate::experiment::Parameter;
use crate::format::plain;
use crate::judge::{ExperimentResults, Finding};
use crate::stats::{ClaimVerdict, Verdict};

/// Where the claim holds, as far as it was measured: `on before only; from 2 ms to PostgreSQL`.
pub(super) fn of_claim(experiment: &ExperimentResults) -> String {
    let holding: Vec<String> = stands(experiment, &holds)
        .into_iter()
        .chain(in_grid(experiment, &holds))
        .collect();
    if holding.is_empty() {
        nowhere(experiment)
    } else {
        holding.join("; ")
    }
}

/// Where there is a gain that matters, of whatever size: `on both presets`.
pub(super) fn of_gain(experiment: &ExperimentResults) -> String {
    let improves = |finding: &Finding| finding.verdict == Verdict::Improved;
    let places: Vec<String> = stands(experiment, &improves)
        .into_iter()
        .chain(in_grid(experiment, &improves))
        .collect();
    places.join("; ")
}

fn nowhere(experiment: &ExperimentResults) -> String {
    let own = experiment.findings.iter();
    let claims: Vec<ClaimVerdict> = own
        .filter(|finding| finding.is_headline && finding.leading().is_some())
        .map(|finding| finding.claim)
        .collect();
    let all = |verdict| claims.iter().all(|claim| *claim == verdict);
    match () {
        () if claims.is_empty() => "not measured",
        () if all(ClaimVerdict::Refuted) => "nowhere",
        () if all(ClaimVerdict::Inconclusive) => "inconclusive",
        () => "nowhere for certain",
    }
    .to_owned()
}

fn stands(experiment: &ExperimentResults, wanted: &dyn Fn(&Finding) -> bool) -> Option<String> {
    let measured: Vec<&Finding> = chosen::stands(experiment).collect();
    let held: Vec<&Finding> = measured.iter().copied().filter(|one| wanted(one)).collect();
    let first = held.first()?;
    Some(match (&first.on, held.len(), measured.len()) {
        (None, ..) => "as compared".to_owned(),
        (Some(_), 2, 2) => "on both presets".to_owned(),
        (Some(preset), 1, 1) => format!("on {preset}"),
        (Some(preset), 1, _) => format!("on {preset} only"),
        (Some(_), ..) => {
            let presets = held.iter().filter_map(|finding| finding.on.clone());
            format!("on {}", listed(&presets.collect::<Vec<_>>()))
        }
    })
}

/// The part of the grid in which a finding is as `wanted`: `from 2 ms to PostgreSQL on tuned`. None
/// if there is no such cell.
pub(super) fn in_grid(
    experiment: &ExperimentResults,
    wanted: &dyn Fn(&Finding) -> bool,
) -> Option<String> {
    let vary = experiment.definition.vary.as_ref()?;
    let cells: Vec<&Finding> = experiment
        .cells()
        .filter(|finding| finding.is_headline && finding.leading().is_some())
        .collect();
    let wanted_count = cells.iter().filter(|cell| wanted(cell)).count();
    if wanted_count == 0 {
        return None;
    }
    let preset = on(vary.on.as_deref());
    if wanted_count == cells.len() && vary.parameters.len() > 1 {
        return Some(format!("in the whole grid{preset}"));
    }
    let along = vary.parameters.iter().enumerate();
    let part = along
        .filter_map(|(axis, parameter)| along_one(&cells, axis, parameter, wanted))
        .next()
        .or_else(|| row_by_row(&cells, &vary.parameters, wanted))
        .unwrap_or_else(|| format!("in {wanted_count} of {} cells of the grid", cells.len()));
    Some(format!("{part}{preset}"))
}

/// The part of the grid, if one parameter alone decides.
fn along_one(
    cells: &[&Finding],
    axis: usize,
    parameter: &Parameter,
    wanted: &dyn Fn(&Finding) -> bool,
) -> Option<String> {
    let mut values: Vec<(f64, bool)> = Vec::new();
    for cell in cells {
        let at = cell.cell.get(axis)?.value;
        match values.iter().find(|(value, _)| *value == at) {
            Some((_, as_wanted)) if *as_wanted != wanted(cell) => return None,
            Some(_) => {}
            None => values.push((at, wanted(cell))),
        }
    }
    run(&parameter.name, &values)
}

/// Rows of a grid of two parameters that are said in words; beyond, numbers say more.
const ROWS_IN_WORDS: usize = 2;

/// The part of the grid as the first parameter's values within rows of the second one's.
fn row_by_row(
    cells: &[&Finding],
    parameters: &[Parameter],
    wanted: &dyn Fn(&Finding) -> bool,
) -> Option<String> {
    let [across, down] = parameters else {
        return None;
    };
    let in_row = |value: f64| {
        let row = cells
            .iter()
            .filter(|cell| cell.cell.get(1).is_some_and(|at| at.value == value));
        let values: Vec<(f64, bool)> = row
            .filter_map(|cell| Some((cell.cell.first()?.value, wanted(cell))))
            .collect();
        let part = run(&across.name, &values)?;
        Some(format!("{part} with {}", valued(&down.name, &plain(value))))
    };
    let rows: Vec<String> = down
        .values
        .iter()
        .filter_map(|value| in_row(*value))
        .collect();
    (rows.len() <= ROWS_IN_WORDS).then(|| rows.join(", "))
}

/// Values of a parameter, in their order, that are marked: `from 2 ms to PostgreSQL`.
pub(super) fn run(parameter: &str, values: &[(f64, bool)]) -> Option<String> {
    let marked: Vec<String> = values
        .iter()
        .filter(|(_, marked)| *marked)
        .map(|(value, _)| plain(*value))
        .collect();
    let (first, last) = (marked.first()?, marked.last()?);
    let is_marked = |at: Option<&(f64, bool)>| at.is_some_and(|(_, marked)| *marked);
    let switches = values.windows(2).filter(|two| two[0].1 != two[1].1).count();
    let at = |text: &str| valued(parameter, text);
    Some(match (marked.len(), switches) {
        (1, _) => format!("at {}", at(first)),
        // Two points say nothing of what lies between.
        _ if values.len() == 2 => format!("at {}", at(&listed(&marked))),
        (_, 0) => format!("from {}", at(&format!("{first} to {last}"))),
        (_, 1) if is_marked(values.last()) => format!("from {}", at(first)),
        (_, 1) => format!("up to {}", at(last)),
        _ => format!("at {}", at(&listed(&marked))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_words() {
        let said = |marked: [bool; 4]| {
            let values: Vec<(f64, bool)> = [0.0, 0.5, 2.0, 10.0].into_iter().zip(marked).collect();
            run("api_round_trip_ms", &values)
        };
        let table = [
            ([false, false, true, true], "from 2 ms to the API"),
            ([false, false, false, true], "at 10 ms to the API"),
            ([true, true, false, false], "up to 0.5 ms to the API"),
            ([true, true, true, true], "from 0 to 10 ms to the API"),
            ([false, true, true, false], "at 0.5 and 2 ms to the API"),
            ([true, false, true, true], "at 0, 2 and 10 ms to the API"),
        ];
        for (marked, expected) in table {
            assert_eq!(said(marked).as_deref(), Some(expected));
        }
        assert_eq!(said([false; 4]), None);
        let ends = [(0.0, true), (10.0, true)];
        assert_eq!(
            run("api_round_trip_ms", &ends).as_deref(),
            Some("at 0 and 10 ms to the API")
        );
        let knob = [(100.0, false), (1_000.0, true), (10_000.0, true)];
        assert_eq!(
            run("write.batch_rows", &knob).as_deref(),
            Some("from write.batch_rows = 1,000")
        );
    }
}
