//! Whether a load did what it must: findings from what was seen. Pure.

use super::fault::{Cell, Inject, Outcome, ProcessFault, ServerFault};
use super::loader::{Ended, Exit, LOAD_LIMIT};
use super::table::{Landed, Left, OWN_PREFIX};

/// What was seen of a load.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) ended: Ended,
    pub(super) landed: Landed,
    pub(super) left: Left,
    /// What the API, or whoever watched, found wrong.
    pub(super) watched: Vec<String>,
}

/// What is wrong with a load that met the fault of its cell; empty for nothing.
pub(super) fn faulted(cell: &Cell, seen: &Seen) -> Vec<String> {
    let mut wrong = Findings::of(seen);
    let exit = seen.ended.exit;
    let is_well = exit == Exit::Code(0);
    match (cell.fault.expect)(cell) {
        Outcome::Completes => wrong.unless_complete(seen),
        Outcome::LoadsNothing => {
            wrong.unless(is_well, || {
                format!("{}, where there was nothing to load", ended(exit))
            });
            wrong.unless(seen.landed.is_before, || content(&seen.landed));
        }
        Outcome::FailsOrCompletes(_) if is_well => wrong.unless_complete(seen),
        Outcome::Fails(parts) | Outcome::FailsOrCompletes(parts) => {
            wrong.unless(is_expected(cell.fault.inject, exit), || ended(exit));
            wrong.unless(seen.landed.is_before, || content(&seen.landed));
            wrong.unless_named(&seen.ended, parts);
        }
    }
    if !outlives(cell.fault.inject) {
        wrong.unless_clean(&seen.left);
    }
    wrong.0
}

/// What is wrong with a load without any fault, after one with a fault.
pub(super) fn rerun(seen: &Seen) -> Vec<String> {
    let mut wrong = Findings::of(seen);
    wrong.unless_complete(seen);
    wrong.unless_clean(&seen.left);
    wrong.0
}

struct Findings(Vec<String>);

impl Findings {
    /// What may never be, whatever the fault is.
    fn of(seen: &Seen) -> Self {
        let mut wrong = Self(seen.watched.clone());
        let Landed {
            is_before,
            is_complete,
            ..
        } = seen.landed;
        wrong.unless(is_before || is_complete, || {
            format!(
                "the table is neither as before nor complete: {}",
                content(&seen.landed)
            )
        });
        let said = seen.ended.said();
        wrong.unless(!said.contains("panicked"), || "it panicked".to_owned());
        wrong.unless(!said.contains(OWN_PREFIX), || {
            format!("the message names {OWN_PREFIX}…, a table that the user never made")
        });
        let Left {
            sessions, locks, ..
        } = seen.left;
        wrong.unless(sessions == 0, || {
            format!("sessions of the load are left: {sessions}")
        });
        wrong.unless(locks == 0, || format!("advisory locks are left: {locks}"));
        wrong
    }

    fn unless(&mut self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            self.0.push(what());
        }
    }

    fn unless_complete(&mut self, seen: &Seen) {
        let exit = seen.ended.exit;
        self.unless(exit == Exit::Code(0), || {
            format!("{}, where it should load every row", ended(exit))
        });
        self.unless(seen.landed.is_complete, || content(&seen.landed));
    }

    /// Each part is one word of several, of which the message must have one.
    fn unless_named(&mut self, ended: &Ended, parts: &[&str]) {
        let said = ended.said().to_lowercase();
        for part in parts {
            let is_named = part.split('|').any(|word| said.contains(word));
            self.unless(is_named, || format!("the message does not name `{part}`"));
        }
    }

    fn unless_clean(&mut self, left: &Left) {
        self.unless(left.tables.is_empty(), || {
            format!("tables of the engine are left: {}", left.tables.join(", "))
        });
    }
}

/// Whether a load that fails by this fault ends so.
fn is_expected(inject: Inject, exit: Exit) -> bool {
    match inject {
        Inject::Process(ProcessFault::Kill) => exit == Exit::Signal(9),
        // The allocator ends the process where it stands.
        Inject::Process(ProcessFault::Memory) => !matches!(exit, Exit::Code(0) | Exit::Never),
        // As shells report these signals.
        Inject::Process(ProcessFault::Interrupt) => exit == Exit::Code(130),
        Inject::Process(ProcessFault::Terminate) => exit == Exit::Code(143),
        Inject::Process(ProcessFault::Descriptors) => matches!(exit, Exit::Code(1 | 2)),
        Inject::Api(_) | Inject::Server(_) | Inject::Process(ProcessFault::Cancel) => {
            exit == Exit::Code(1)
        }
    }
}

/// Whether tables may stay until the next run: nobody is there to remove them.
fn outlives(inject: Inject) -> bool {
    match inject {
        Inject::Process(fault) => matches!(
            fault,
            ProcessFault::Kill | ProcessFault::Memory | ProcessFault::Cancel
        ),
        Inject::Server(fault) => matches!(fault, ServerFault::Crash | ServerFault::TerminateAll),
        Inject::Api(_) => false,
    }
}

fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("it ended with exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal} ended it"),
        Exit::Never => format!("it did not end within {LOAD_LIMIT:?}"),
    }
}

fn content(landed: &Landed) -> String {
    let rows = |rows: Option<i64>| match rows {
        Some(rows) => format!("{rows} rows"),
        None => "no table".to_owned(),
    };
    let now = rows(landed.rows);
    let state = match (landed.is_before, landed.is_complete) {
        (true, _) => "as before",
        (false, true) => "complete",
        (false, false) => "neither as before nor complete",
    };
    format!(
        "there are {now} ({state}); a complete load would make it {}",
        rows(landed.complete_rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::catalogue::FAULTS;
    use apitap_core::config::{WriteMethod, WriteMode};

    fn cell(name: &str) -> Cell {
        Cell {
            fault: FAULTS.iter().find(|fault| fault.name == name).unwrap(),
            method: WriteMethod::CopyBinary,
            mode: WriteMode::Append,
            connections: 2,
            exists: true,
        }
    }

    fn seen(exit: Exit, said: &str) -> Seen {
        Seen {
            ended: Ended {
                exit,
                written: said.to_owned(),
            },
            landed: Landed {
                is_before: true,
                is_complete: false,
                rows: Some(50),
                complete_rows: Some(550),
            },
            left: Left::default(),
            watched: Vec::new(),
        }
    }

    fn completed() -> Seen {
        let mut seen = seen(Exit::Code(0), "");
        seen.landed.is_before = false;
        seen.landed.is_complete = true;
        seen
    }

    #[test]
    fn a_load_that_fails_well_or_completes_is_right() {
        let failed = seen(Exit::Code(1), "error: source items, page 7: 500");
        assert_eq!(faulted(&cell("api-500"), &failed), [""; 0]);
        assert_eq!(faulted(&cell("api-500-once"), &completed()), [""; 0]);
        assert_eq!(rerun(&completed()), [""; 0]);
        assert_eq!(
            faulted(&cell("sigkill"), &seen(Exit::Signal(9), "")),
            [""; 0]
        );
        assert_eq!(
            faulted(&cell("api-empty-first-page"), &seen(Exit::Code(0), "")),
            [""; 0]
        );
    }

    #[test]
    fn half_a_load_is_wrong_however_it_ends() {
        for exit in [Exit::Code(0), Exit::Code(1)] {
            let mut half = seen(exit, "error: page 7: 500");
            half.landed.is_before = false;
            half.landed.rows = Some(300);
            for name in ["api-500", "api-500-once", "api-empty-first-page"] {
                let wrong = faulted(&cell(name), &half).join("\n");
                assert!(
                    wrong.contains("neither as before nor complete"),
                    "{name}: {wrong}"
                );
            }
        }
    }

    #[test]
    fn a_failure_that_names_nothing_or_hides_is_wrong() {
        let mute = seen(Exit::Code(1), "error: something");
        let wrong = faulted(&cell("api-500"), &mute);
        assert_eq!(
            wrong,
            [
                "the message does not name `page 7`",
                "the message does not name `500`"
            ]
        );
        let hidden = seen(Exit::Code(0), "page 7 500");
        assert_eq!(
            faulted(&cell("api-500"), &hidden),
            ["it ended with exit code 0"]
        );
        let mut lost = completed();
        lost.ended.exit = Exit::Code(1);
        assert_eq!(rerun(&lost).len(), 1);
        assert_eq!(faulted(&cell("api-500"), &completed()).len(), 4);
        assert_eq!(
            faulted(&cell("api-500"), &seen(Exit::Never, "page 7 500")).len(),
            1
        );
        assert_eq!(
            faulted(&cell("sigint"), &seen(Exit::Signal(2), "interrupted")).len(),
            1
        );
    }

    #[test]
    fn what_is_left_is_wrong_unless_nobody_could_remove_it() {
        let mut left = seen(Exit::Code(1), "error: page 7: 500, terminated");
        left.left.tables = vec!["_apitap_0".to_owned()];
        assert_eq!(faulted(&cell("api-500"), &left).len(), 1);
        assert_eq!(faulted(&cell("postgres-all-terminated"), &left).len(), 0);
        left.left.sessions = 1;
        left.left.locks = 1;
        assert_eq!(faulted(&cell("postgres-all-terminated"), &left).len(), 2);
        let mut completed = completed();
        completed.left.tables = vec!["_apitap_0".to_owned()];
        assert_eq!(rerun(&completed).len(), 1);
    }

    #[test]
    fn messages_speak_of_the_users_tables() {
        let wrong = faulted(
            &cell("api-500"),
            &seen(Exit::Code(1), "page 7: 500 _apitap_stage"),
        );
        assert_eq!(wrong.len(), 1);
        let wrong = faulted(
            &cell("api-500"),
            &seen(Exit::Code(1), "page 7: 500\nthread panicked at"),
        );
        assert_eq!(wrong, ["it panicked"]);
    }
}
