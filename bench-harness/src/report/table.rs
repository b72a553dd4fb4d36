//! The tables of a report, as cells of text that an exporter lays out.

use super::units::{Bytes, BytesPerSecond, Number, Percent, Range, Seconds, Times, Whole};
use crate::results::{ArmResults, Results, ScenarioResults, Target, TargetStatus};
use crate::stats::Comparison;

/// Cell of a figure that was not measured.
const ABSENT: &str = "–";

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Cells in rows, every row as long as `columns`.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<(String, Align)>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose first column holds names and whose others hold figures.
    fn of_figures(columns: impl IntoIterator<Item = String>) -> Self {
        let align = |index| {
            if index == 0 {
                Align::Left
            } else {
                Align::Right
            }
        };
        let columns = columns
            .into_iter()
            .enumerate()
            .map(|(index, name)| (name, align(index)))
            .collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    fn of_text(columns: &[&str]) -> Self {
        let columns = columns
            .iter()
            .map(|name| ((*name).to_owned(), Align::Left))
            .collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }
}

/// How many columns there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// 100 characters of a terminal: a name, and the figures that most readers want.
    Terminal,
    /// A page.
    Page,
}

/// The arms of a scenario, the fastest first.
pub(super) fn arms(scenario: &ScenarioResults, confidence: f64, width: Width) -> Table {
    let page = width == Width::Page;
    let mut columns = vec!["Arm".to_owned(), "Time".to_owned(), "Rows/s".to_owned()];
    if page {
        columns.push("From the API".to_owned());
    }
    columns.push(match width {
        Width::Page => format!(
            "Speed to {} ({} interval)",
            scenario.baseline,
            Percent(confidence)
        ),
        Width::Terminal => format!("Speed ({} interval)", Percent(confidence)),
    });
    if let Some(reference) = &scenario.reference {
        columns.push(match width {
            Width::Page => format!("Time to {reference}"),
            Width::Terminal => "To ref.".to_owned(),
        });
    }
    columns.push(
        if page {
            "Client, s per M rows"
        } else {
            "Client"
        }
        .to_owned(),
    );
    columns.push(
        if page {
            "Server, s per M rows"
        } else {
            "Server"
        }
        .to_owned(),
    );
    columns.push(if page { "Peak memory" } else { "Memory" }.to_owned());
    if page {
        columns.extend(["First run", "Samples"].map(str::to_owned));
    }

    let mut table = Table::of_figures(columns);
    table.rows = scenario
        .arms
        .iter()
        .map(|arm| arm_row(scenario, arm, confidence, width))
        .collect();
    table
}

fn arm_row(
    scenario: &ScenarioResults,
    arm: &ArmResults,
    confidence: f64,
    width: Width,
) -> Vec<String> {
    let page = width == Width::Page;
    let mut row = vec![
        arm.name.clone(),
        cell(arm.wall_seconds.map(|wall| Seconds(wall.median))),
        cell(arm.rows_per_second.map(Number)),
    ];
    if page {
        row.push(cell(arm.bytes_from_api_per_second.map(BytesPerSecond)));
    }
    row.push(if scenario.is_baseline(arm) {
        "baseline".to_owned()
    } else {
        arm.to_baseline.map_or_else(
            || ABSENT.to_owned(),
            |ratio| ratio_cell(&ratio.inverted(), confidence),
        )
    });
    if scenario.reference.is_some() {
        row.push(if scenario.is_reference(arm) {
            if page { "reference" } else { "ref." }.to_owned()
        } else {
            let text = |ratio: Comparison| {
                if page {
                    ratio_cell(&ratio, confidence)
                } else {
                    short_ratio_cell(&ratio)
                }
            };
            arm.to_reference.map_or_else(|| ABSENT.to_owned(), text)
        });
    }
    row.push(cell(arm.client_cpu_seconds_per_million_rows.map(Number)));
    row.push(cell(arm.server_cpu_seconds_per_million_rows.map(Number)));
    row.push(cell(arm.peak_memory_bytes.map(|bytes| Bytes(bytes as f64))));
    if page {
        row.push(cell(arm.first_run_seconds.map(Seconds)));
        row.push(arm.wall_seconds.map_or(0, |wall| wall.count).to_string());
    }
    row
}

/// Write methods by rows per batch; `None` unless there are at least two sizes to compare.
pub(super) fn matrix(scenario: &ScenarioResults) -> Option<Table> {
    let mut sizes: Vec<u64> = scenario
        .arms
        .iter()
        .filter_map(|arm| arm.method.as_ref().and(arm.batch_rows))
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.len() < 2 {
        return None;
    }
    // The arms are sorted by speed, so methods come in the order of their fastest arm.
    let mut methods: Vec<&str> = Vec::new();
    for method in scenario
        .arms
        .iter()
        .filter(|arm| arm.batch_rows.is_some())
        .filter_map(|arm| arm.method.as_deref())
    {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    let mut table = Table::of_figures(
        std::iter::once("Rows per batch".to_owned())
            .chain(sizes.iter().map(|size| Whole(*size).to_string())),
    );
    for method in methods {
        let figure = |size: &u64| {
            let arm = scenario
                .arms
                .iter()
                .find(|arm| arm.method.as_deref() == Some(method) && arm.batch_rows == Some(*size));
            arm.map_or_else(|| ABSENT.to_owned(), |arm| matrix_cell(scenario, arm))
        };
        table.rows.push(
            std::iter::once(method.to_owned())
                .chain(sizes.iter().map(figure))
                .collect(),
        );
    }
    Some(table)
}

fn matrix_cell(scenario: &ScenarioResults, arm: &ArmResults) -> String {
    if scenario.is_baseline(arm) {
        return "baseline".to_owned();
    }
    arm.to_baseline.map_or_else(
        || ABSENT.to_owned(),
        |ratio| short_ratio_cell(&ratio.inverted()),
    )
}

/// Goals beside what was measured; `None` if the caller gave none.
pub(super) fn targets(targets: &[Target]) -> Option<Table> {
    let mut table = Table::of_text(&["Target", "Goal", "Measured", "Status"]);
    table.rows = targets
        .iter()
        .map(|target| {
            let status = match target.status {
                TargetStatus::Met => "met",
                TargetStatus::Missed => "MISSED",
                TargetStatus::NotMeasured => "not measured",
            };
            vec![
                target.name.clone(),
                target.goal.clone(),
                target.measured.clone(),
                status.to_owned(),
            ]
        })
        .collect();
    (!targets.is_empty()).then_some(table)
}

/// The fingerprint, one line for every value in it.
pub(super) fn environment(results: &Results) -> Table {
    let mut table = Table::of_text(&["What", "Value"]);
    flatten("", &results.fingerprint, &mut table.rows);
    table
}

fn flatten(path: &str, value: &serde_json::Value, rows: &mut Vec<Vec<String>>) {
    use serde_json::Value;
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
        Value::Null => ABSENT.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect();
            items.join(", ")
        }
        Value::Number(number) => match (path.strip_suffix(" bytes"), number.as_f64()) {
            (Some(path), Some(bytes)) => {
                rows.push(vec![path.to_owned(), Bytes(bytes).to_string()]);
                return;
            }
            _ => number.to_string(),
        },
        Value::Bool(_) => value.to_string(),
    };
    rows.push(vec![path.to_owned(), text]);
}

fn cell(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), |value| value.to_string())
}

/// `31.2× (29.8–33.0)`, or `~ (0.98–1.03)` where no difference was shown.
fn ratio_cell(ratio: &Comparison, confidence: f64) -> String {
    format!(
        "{} ({})",
        short_ratio_cell(ratio),
        Range::of(ratio, confidence)
    )
}

fn short_ratio_cell(ratio: &Comparison) -> String {
    if ratio.includes_one() {
        "~".to_owned()
    } else {
        Times(ratio.ratio).to_string()
    }
}
