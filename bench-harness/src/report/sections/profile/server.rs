//! What the server counted, and where the engine allocates.

use super::{MEMORY, SERVER, count};
use crate::format::{Bytes, Number, Seconds, one_line};
use crate::profile::results::ProfileResults;
use crate::report::document::{Cell, Table};
use crate::report::sections::format::figure;

/// Rows of an arm: the largest.
const ROWS: usize = 10;

/// Functions that are listed of each stage that allocates.
const SITES: usize = 3;

/// What the server counted.
pub(super) fn server(profile: &ProfileResults) -> Option<Table> {
    let mut table = Table::new(SERVER, &["Arm", "What", ">Number", ">Time", ">Rows"]);
    for arm in &profile.arms {
        let name = || Cell::text(one_line(&arm.name));
        let Some(server) = &arm.server else { continue };
        if let Some(wal) = server.wal {
            table.rows.push(vec![
                name(),
                Cell::text("WAL"),
                figure(Some(wal.bytes), Bytes),
                Cell::absent(),
                Cell::absent(),
            ]);
            table.rows.push(vec![
                name(),
                Cell::text("WAL records"),
                count(Some(wal.records as u64)),
                Cell::absent(),
                Cell::absent(),
            ]);
        }
        if let Some(io) = server.io {
            let calls = io.reads + io.writes + io.extends;
            table.rows.push(vec![
                name(),
                Cell::text("reads, writes and extensions of files"),
                count(Some(calls as u64)),
                figure(io.seconds, Seconds),
                Cell::absent(),
            ]);
        }
        for statement in server.statements.iter().take(ROWS) {
            table.rows.push(vec![
                name(),
                Cell::text(one_line(&statement.text)),
                count(Some(statement.calls as u64)),
                figure(Some(statement.seconds), Seconds),
                count(Some(statement.rows as u64)),
            ]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Where memory is allocated, by stage and function.
pub(super) fn heap(profile: &ProfileResults) -> Option<Table> {
    let mut table = Table::new(
        MEMORY,
        &["Arm", "Stage", "Function", ">Allocations", ">Bytes"],
    );
    for arm in &profile.arms {
        let Some(heap) = &arm.heap else { continue };
        let name = || Cell::text(one_line(&arm.name));
        let rows = heap.rows.max(1) as f64;
        let cells = |stage: &str, function: &str, blocks: u64, bytes: u64| {
            vec![
                name(),
                Cell::text(stage),
                Cell::text(one_line(function)),
                figure(Some(blocks as f64 / rows), Number),
                figure(Some(bytes as f64 / rows), Bytes),
            ]
        };
        let profile = &heap.profile;
        table.rows.push(cells(
            "all",
            "all",
            profile.total_blocks,
            profile.total_bytes,
        ));
        for stage in profile.stages.iter().take(ROWS) {
            let of_stage = stage.stage.as_deref().unwrap_or("none");
            table
                .rows
                .push(cells(of_stage, "all", stage.blocks, stage.bytes));
            for site in stage.sites.iter().take(SITES) {
                table
                    .rows
                    .push(cells(of_stage, &site.function, site.blocks, site.bytes));
            }
        }
    }
    (!table.rows.is_empty()).then_some(table)
}
