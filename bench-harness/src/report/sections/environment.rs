//! Where the run was made: machine, server, and how quiet they were.

use serde_json::Value;

use super::format::moment;
use super::{paragraph, round_trips};
use crate::experiment::Scale;
use crate::format::{Bytes, Number, Percent, one_line};
use crate::judge::{Results, Warning};
use crate::report::document::{Block, Cell, Section, Table};
use crate::samples::Timestamp;
use crate::stats::UNCALIBRATED;

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("environment", "Environment");
    let stolen = results
        .warnings
        .iter()
        .find(|warning| matches!(warning, Warning::Steal { .. }));
    section.push(match stolen {
        Some(warning) => Block::Warning(one_line(&warning.to_string())),
        None => paragraph("No CPU steal to speak of in any sample that was kept."),
    });
    section.push(paragraph(calibration(results)));
    section.blocks.extend(headroom(results).map(paragraph));
    section
        .blocks
        .extend(round_trips::measured(results).map(paragraph));
    let mut table = Table::new("Machine, build and server", &["What", "Value"]);
    flatten("", &results.fingerprint, &mut table.rows);
    section.push(Block::Table(table));
    section
}

fn calibration(results: &Results) -> String {
    let uncalibrated = Percent(UNCALIBRATED.share());
    match results.calibrated_at {
        Some(time) => format!(
            "The noise of this machine was measured on {}: differences matter from the thresholds that follow from it, \
             and from {uncalibrated} where a scenario has none.",
            moment(time)
        ),
        None => format!(
            "The noise of this machine was not measured, so differences matter from {uncalibrated} throughout."
        ),
    }
}

/// How near any arm came to what the mock API can serve.
fn headroom(results: &Results) -> Option<String> {
    let scenarios = results.scenarios.iter();
    let (scenario, mock_api) = scenarios
        .filter_map(|scenario| Some((scenario, scenario.mock_api.as_ref()?)))
        .min_by(|(_, a), (_, b)| a.times_fastest.total_cmp(&b.times_fastest))?;
    Some(format!(
        "The mock API alone serves {} times what the arm nearest to its limit drains: {} of {}.",
        Number(mock_api.times_fastest),
        one_line(&mock_api.fastest_arm),
        one_line(&scenario.plan.name)
    ))
}

/// Date, machine, server, build and size of the run.
pub(super) fn in_one_line(results: &Results) -> String {
    let scale = match results.scale {
        Scale::Quick => "quick run",
        Scale::Default => "default run",
        Scale::Full => "full run",
    };
    let place = place(
        &results.fingerprint,
        results.started_at,
        &results.build_profile,
    );
    format!("{place} · {scale}")
}

/// When and where something was measured, and what.
pub(crate) fn place(fingerprint: &Value, time: Timestamp, build_profile: &str) -> String {
    let text = |path: &str| match fingerprint.pointer(path)? {
        Value::String(text) => Some(one_line(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let machine = match (text("/machine/cores"), text("/machine/cpu_model")) {
        (Some(cores), Some(model)) => Some(format!("{cores} cores of {model}")),
        (cores, model) => cores.map(|cores| format!("{cores} cores")).or(model),
    };
    let server = text("/server/version").map(|version| {
        let storage =
            text("/server/storage").map_or_else(String::new, |storage| format!(" on {storage}"));
        format!("PostgreSQL {version}{storage}")
    });
    let commit = text("/build/git_commit").and_then(|commit| Some(commit.get(..8)?.to_owned()));
    let is_dirty = fingerprint.pointer("/build/git_dirty") == Some(&Value::Bool(true));
    let changes = if is_dirty {
        " with uncommitted changes"
    } else {
        ""
    };
    let build = commit.map(|commit| format!("{build_profile} build of {commit}{changes}"));
    let parts = [Some(moment(time)), machine, server, build];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// One line for every value.
fn flatten(path: &str, value: &Value, rows: &mut Vec<Vec<Cell>>) {
    let text = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('_', " ");
                let path = if path.is_empty() {
                    name
                } else {
                    format!("{path}: {name}")
                };
                flatten(&path, value, rows);
            }
            return;
        }
        Value::Null => Cell::absent(),
        Value::String(text) => Cell::text(one_line(text)),
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect();
            Cell::text(one_line(&items.join(", ")))
        }
        Value::Number(number) => match (path.strip_suffix(" bytes"), number.as_f64()) {
            (Some(path), Some(bytes)) => {
                rows.push(vec![Cell::text(path), Cell::text(Bytes(bytes).to_string())]);
                return;
            }
            _ => Cell::text(number.to_string()),
        },
        Value::Bool(_) => Cell::text(value.to_string()),
    };
    rows.push(vec![Cell::text(path), text]);
}
