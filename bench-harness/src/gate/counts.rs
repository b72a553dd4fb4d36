//! Counters that samples do not have: they need a run of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::scenario::HEAD;
use crate::atomic_write;
use crate::experiment::{LoadPlan, ScenarioPlan};
use crate::measure::counters::{Counting, can_count_instructions};
use crate::measure::interrupt::Interrupt;
use crate::metric::Metric;
use testkit::postgres::{PostgresOptions, PostgresServer};

/// Name of their file in the folder of a gate.
pub(crate) const COUNTS_FILE: &str = "counts.json";

/// A counter of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    /// Scenario by name.
    pub scenario: String,
    /// Arm by name.
    pub arm: String,
    /// What was counted.
    pub metric: Metric,
    /// Its value, in the metric's unit.
    pub value: f64,
}

/// Rows of the smaller of two loads whose difference is counted. At as many, allocations vary by less
/// than their limit.
const ROWS: u64 = 5_000;

/// Takes the counts of every arm of `plans` by the program of its name, on a server of their own.
/// `api` serves the API. A base that cannot be counted, because it is older than the counters, is left
/// out with a warning. `None` after an interrupt.
///
/// # Errors
/// When there is no server, or the head cannot be counted.
pub(crate) async fn take(
    postgres: &PostgresOptions,
    api: &Path,
    plans: &[ScenarioPlan],
    programs: &BTreeMap<String, PathBuf>,
    interrupt: &mut Interrupt,
) -> Result<Option<Vec<Count>>> {
    let instructions = can_count_instructions();
    let server = PostgresServer::start(postgres).await?;
    let taken = async |database_url: String| {
        tokio::select! {
            biased;
            () = interrupt.happened() => Ok(None),
            counts = take_in(&database_url, api, plans, programs, instructions) => counts.map(Some),
        }
    };
    server.in_own_database("apitap_bench", taken).await
}

async fn take_in(
    database_url: &str,
    api: &Path,
    plans: &[ScenarioPlan],
    programs: &BTreeMap<String, PathBuf>,
    instructions: bool,
) -> Result<Vec<Count>> {
    let mut counts = Vec::new();
    for plan in plans {
        eprintln!("counting {}", plan.name);
        for arm in &plan.arms {
            let LoadPlan::Engine { preset, knobs, .. } = &arm.load else {
                continue;
            };
            let program = programs.get(&arm.name);
            let counting = Counting {
                program: program.context("an arm has no program")?.clone(),
                api: api.to_owned(),
                workload: plan.workload.clone(),
                sql: plan.sql.clone(),
                rows: ROWS,
                preset: preset.clone(),
                settings: knobs.clone(),
                instructions,
            };
            let costs = match counting.take_costs(database_url).await {
                Ok(costs) => costs,
                Err(error) if arm.name == HEAD => {
                    return Err(error.context(format!("{} cannot be counted", plan.name)));
                }
                Err(error) => {
                    eprintln!(
                        "warning: {}, {}: not counted: {error:#}",
                        plan.name, arm.name
                    );
                    continue;
                }
            };
            counts.extend(costs.into_iter().map(|(metric, value)| Count {
                scenario: plan.name.clone(),
                arm: arm.name.clone(),
                metric,
                value,
            }));
        }
    }
    Ok(counts)
}

/// Reads the counts in the folder of a gate; none where there is no file.
///
/// # Errors
/// When the file is not one of counts.
pub(crate) fn read(folder: &Path) -> Result<Vec<Count>> {
    let path = folder.join(COUNTS_FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let read = || -> Result<Vec<Count>> { Ok(serde_json::from_slice(&std::fs::read(&path)?)?) };
    read().with_context(|| format!("in the counts {}", path.display()))
}

/// Writes `counts` into the folder of a gate.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(folder: &Path, counts: &[Count]) -> Result<()> {
    let mut text = serde_json::to_string_pretty(counts).context("cannot serialise counts")?;
    text.push('\n');
    atomic_write::write(&folder.join(COUNTS_FILE), &text)
}
