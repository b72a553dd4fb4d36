//! `run writers`: how rows reach PostgreSQL fastest, and whether the engine reaches its goals.

use apitap_core::config::WriteMethod;

use super::{ArmPlan, LoadPlan, PSQL_COPY, Scale, ScenarioPlan};
use crate::report::units::Whole;

/// Rows per batch that every method is measured at: from what the report calls "before" to beyond
/// the 10,000 that it recommends.
const BATCH_ROWS: [u64; 4] = [100, 1_000, 10_000, 50_000];

/// Blocks of a scenario that measures memory: its peak hardly varies, and a sample takes long.
const MEMORY_BLOCKS: usize = 2;

/// Name of the arm that the engine's goals are about.
pub(super) const TUNED: &str = "tuned";

/// Name of the arm that is what the report describes.
pub(super) const BEFORE: &str = "before";

/// Name of the scenario of the two presets beside a slow API.
pub(super) const PRESETS_REMOTE: &str = "presets-10ms";

/// Rows of the scenario whose goal is stated against `psql`.
pub(super) const CEILING_ROWS: u64 = 500_000;

/// Rows of the two scenarios whose memory is compared.
pub(super) const MEMORY_ROWS: [u64; 2] = [500_000, 5_000_000];

/// All scenarios at `scale`.
pub(super) fn scenarios(scale: Scale) -> Vec<ScenarioPlan> {
    let mut scenarios = vec![
        writers(scale),
        presets(scale),
        presets_remote(scale),
        ceiling(scale),
    ];
    if scale != Scale::Quick {
        let [few, many] = MEMORY_ROWS;
        scenarios.push(memory("memory-500k", few));
        scenarios.push(memory("memory-5m", many));
    }
    scenarios
}

/// Rows of a sample where the slowest arm, `INSERT` of 100 rows, decides how long a run takes.
fn rows(scale: Scale) -> u64 {
    match scale {
        Scale::Quick => 10_000,
        Scale::Default => 50_000,
        Scale::Full => 100_000,
    }
}

fn writers(scale: Scale) -> ScenarioPlan {
    let cells = WriteMethod::ALL
        .into_iter()
        .flat_map(|method| BATCH_ROWS.map(|batch_rows| (method, batch_rows)));
    let mut arms: Vec<ArmPlan> = cells
        .map(|(method, batch_rows)| ArmPlan {
            name: cell_name(method, batch_rows),
            load: LoadPlan::Engine {
                preset: "tuned",
                settings: vec![
                    format!("write.method={method}"),
                    format!("write.batch_rows={batch_rows}"),
                ],
                cell: Some((method, batch_rows)),
            },
        })
        .collect();
    arms.push(ArmPlan::psql_copy());
    ScenarioPlan {
        name: "writers",
        about: "each write method at each batch size, everything else as tuned",
        workload: "orders",
        api_latency_ms: 0,
        rows: rows(scale),
        blocks: scale.blocks(),
        baseline: cell_name(WriteMethod::Insert, 100),
        reference: Some(PSQL_COPY.to_owned()),
        arms,
    }
}

fn cell_name(method: WriteMethod, batch_rows: u64) -> String {
    format!("{method} @ {}", Whole(batch_rows))
}

fn presets(scale: Scale) -> ScenarioPlan {
    ScenarioPlan {
        name: "presets",
        about: "the state that the optimization report describes, and the tuned engine",
        workload: "orders",
        api_latency_ms: 0,
        rows: rows(scale),
        blocks: scale.blocks(),
        baseline: BEFORE.to_owned(),
        reference: None,
        arms: vec![
            ArmPlan::preset(BEFORE, "before"),
            ArmPlan::preset(TUNED, "tuned"),
        ],
    }
}

/// The same two beside an API that is as far away as one usually is: pages that are asked for one
/// by one then cost more than anything else.
fn presets_remote(scale: Scale) -> ScenarioPlan {
    ScenarioPlan {
        name: PRESETS_REMOTE,
        about: "as presets, with an API that takes 10 ms to answer",
        api_latency_ms: 10,
        rows: rows(scale).min(20_000),
        ..presets(scale)
    }
}

/// Baseline is `psql`: the ratio says how near the engine, which also fetches and decodes, comes to
/// a program that only sends a file.
fn ceiling(scale: Scale) -> ScenarioPlan {
    ScenarioPlan {
        name: "ceiling",
        about: r"the tuned engine against psql \copy of a ready-made binary file",
        workload: "orders",
        api_latency_ms: 0,
        rows: match scale {
            Scale::Quick => 100_000,
            Scale::Default | Scale::Full => CEILING_ROWS,
        },
        blocks: scale.blocks(),
        baseline: PSQL_COPY.to_owned(),
        reference: None,
        arms: vec![ArmPlan::preset(TUNED, "tuned"), ArmPlan::psql_copy()],
    }
}

/// A scenario for each number of rows: all arms of a scenario load the same.
fn memory(name: &'static str, rows: u64) -> ScenarioPlan {
    ScenarioPlan {
        name,
        about: "peak memory of the tuned engine",
        workload: "orders",
        api_latency_ms: 0,
        rows,
        blocks: MEMORY_BLOCKS,
        baseline: TUNED.to_owned(),
        reference: None,
        arms: vec![ArmPlan::preset(TUNED, "tuned")],
    }
}
