//! Which cells there are, and running them.

use std::time::{Duration, Instant};

use apitap_core::config::{WriteMethod, WriteMode};
use futures::stream::{self, StreamExt as _};

use super::cell::{self, Verdict, World};
use super::fault::{Cell, Fault};
use super::loader::Loader;

const MODES: [WriteMode; 3] = [WriteMode::Append, WriteMode::Replace, WriteMode::Merge];

/// As many as there are routes into a table: the target itself, or a table beside it.
const CONNECTIONS: [usize; 2] = [1, 2];

/// A cell that was run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) cell: Cell,
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
}

/// The cells of faults: each fault once, with methods, modes, connections and tables in turn, or with
/// every method, mode and number of connections.
pub(crate) fn cells(faults: &[&'static Fault], is_full: bool) -> Vec<Cell> {
    let cell = |fault: &'static Fault, turn: usize| {
        let methods = WriteMethod::ALL.len();
        // So that in 18 turns every method has met every mode.
        let mode = (turn + turn / methods) % MODES.len();
        Cell {
            fault,
            method: WriteMethod::ALL[turn % methods],
            mode: MODES[mode],
            connections: CONNECTIONS[(turn / 2) % CONNECTIONS.len()],
            exists: !fault.suits_a_new_table() || !(turn / 3).is_multiple_of(3),
        }
    };
    if !is_full {
        let turns = faults.iter().zip(0..);
        return turns.map(|(fault, turn)| cell(fault, turn)).collect();
    }
    let mut all = Vec::new();
    for fault in faults {
        for method in WriteMethod::ALL {
            for mode in MODES {
                for connections in CONNECTIONS {
                    let turn = all.len();
                    all.push(Cell {
                        method,
                        mode,
                        connections,
                        ..cell(fault, turn)
                    });
                }
            }
        }
    }
    all
}

/// Runs cells, so many at a time, and says of each when it has ended. The results are in the order of
/// the cells. A cell that cannot be run is a cell that fails.
pub(crate) async fn run<L: Loader>(
    cells: &[Cell],
    world: &World<L>,
    jobs: usize,
    mut ended: impl FnMut(&Ran),
) -> Vec<Ran> {
    let cells = stream::iter(cells.iter().copied().enumerate());
    let running = cells.map(async |(nth, cell)| (nth, run_one(cell, world).await));
    let mut running = std::pin::pin!(running.buffer_unordered(jobs.max(1)));
    let mut all = Vec::new();
    while let Some((nth, ran)) = running.next().await {
        ended(&ran);
        all.push((nth, ran));
    }
    all.sort_by_key(|(nth, _)| *nth);
    all.into_iter().map(|(_, ran)| ran).collect()
}

/// Runs a cell; one that cannot be run fails.
async fn run_one<L: Loader>(cell: Cell, world: &World<L>) -> Ran {
    let begin = Instant::now();
    let verdict = cell::run(&cell, world).await;
    let verdict = verdict.unwrap_or_else(|error| Verdict {
        wrong: vec![format!("the cell could not be run: {error:#}")],
        said: String::new(),
    });
    Ran {
        cell,
        verdict,
        took: begin.elapsed(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::faults::catalogue::FAULTS;

    #[test]
    fn the_small_matrix_has_each_fault_once_and_turns_everything_else() {
        let faults: Vec<_> = FAULTS.iter().collect();
        let cells = cells(&faults, false);
        assert_eq!(cells.len(), FAULTS.len());
        let pairs: HashSet<_> = cells
            .iter()
            .map(|cell| (cell.method, format!("{:?}", cell.mode)))
            .collect();
        assert_eq!(pairs.len(), WriteMethod::ALL.len() * MODES.len());
        for mode in MODES {
            let of_mode = || cells.iter().filter(|cell| cell.mode == mode);
            for connections in CONNECTIONS {
                let count = of_mode()
                    .filter(|cell| cell.connections == connections)
                    .count();
                assert!(count > 3, "{mode:?} {connections}: {count}");
            }
            let new = of_mode().filter(|cell| !cell.exists).count();
            assert!(new > 2, "{mode:?}: {new}");
        }
    }

    #[test]
    fn the_full_matrix_is_the_whole_product() {
        let faults: Vec<_> = FAULTS.iter().collect();
        let cells = cells(&faults, true);
        assert_eq!(cells.len(), FAULTS.len() * 36);
        let all: HashSet<String> = cells
            .iter()
            .map(|cell| {
                format!(
                    "{} {} {:?} {}",
                    cell.fault.name, cell.method, cell.mode, cell.connections
                )
            })
            .collect();
        assert_eq!(all.len(), cells.len());
    }
}
