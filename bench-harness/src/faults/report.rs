//! What the cells came to: a table, the cells that fail with a way to repeat them, and JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::fault::{Cell, Group, mode_name};
use super::matrix::Ran;
use crate::format::{Count, Seconds};

/// Lines of a load's own words that are printed.
const SAID_LINES: usize = 6;

/// A cell in JSON.
#[derive(Debug, Serialize)]
struct CellRecord<'a> {
    fault: &'a str,
    group: Group,
    method: &'a str,
    mode: &'a str,
    connections: usize,
    table_existed: bool,
    seconds: f64,
    /// Empty if the cell passed.
    wrong: &'a [String],
    said: &'a str,
}

/// Every cell, as JSON.
pub(crate) fn json(all: &[Ran]) -> serde_json::Result<String> {
    let records: Vec<CellRecord<'_>> = all
        .iter()
        .map(|ran| CellRecord {
            fault: ran.cell.fault.name,
            group: ran.cell.fault.group(),
            method: ran.cell.method.name(),
            mode: mode_name(ran.cell.mode),
            connections: ran.cell.connections,
            table_existed: ran.cell.exists,
            seconds: ran.took.as_secs_f64(),
            wrong: &ran.verdict.wrong,
            said: &ran.verdict.said,
        })
        .collect();
    serde_json::to_string_pretty(&records)
}

/// A line for each fault, then every cell that fails, then a sum.
pub(crate) fn text(all: &[Ran], took: std::time::Duration) -> String {
    let mut faults: Vec<&str> = all.iter().map(|ran| ran.cell.fault.name).collect();
    faults.dedup();
    let width = faults.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = format!("{:width$}  passed\n", "fault");
    for fault in faults {
        let cells = all.iter().filter(|ran| ran.cell.fault.name == fault);
        let (mut passed, mut count) = (0, 0);
        for ran in cells {
            count += 1;
            passed += usize::from(ran.is_right());
        }
        let mark = if passed == count { "" } else { "  FAILED" };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{fault:width$}  {passed}/{count}{mark}");
    }
    let failed: Vec<&Ran> = all.iter().filter(|ran| !ran.is_right()).collect();
    for ran in &failed {
        let _ = write!(text, "\n{}", failure(ran));
    }
    let _ = write!(
        text,
        "\n{} of {} passed in {}",
        all.len() - failed.len(),
        Count::new(all.len(), "cell"),
        Seconds(took.as_secs_f64())
    );
    text
}

/// A cell that fails: what is wrong, what the load said, and the command that repeats it.
pub(crate) fn failure(ran: &Ran) -> String {
    let mut text = format!("FAILED {}\n", ran.cell);
    for wrong in &ran.verdict.wrong {
        let _ = writeln!(text, "  {wrong}");
    }
    for line in ran.verdict.said.lines().take(SAID_LINES) {
        let _ = writeln!(text, "  | {line}");
    }
    let _ = writeln!(text, "  repeat: {}", command(&ran.cell));
    text
}

fn command(cell: &Cell) -> String {
    format!(
        "apitap-bench faults --exact {} --full --method {} --mode {} --connections {}",
        cell.fault.name,
        cell.method,
        mode_name(cell.mode),
        cell.connections
    )
}

impl Ran {
    /// Whether nothing was wrong.
    pub(crate) fn is_right(&self) -> bool {
        self.verdict.wrong.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use apitap_core::config::{WriteMethod, WriteMode};

    use super::*;
    use crate::faults::catalogue::FAULTS;
    use crate::faults::cell::Verdict;

    fn ran(nth: usize, wrong: &[&str]) -> Ran {
        Ran {
            cell: Cell {
                fault: &FAULTS[nth],
                method: WriteMethod::CopyText,
                mode: WriteMode::Merge,
                connections: 2,
                exists: true,
            },
            verdict: Verdict {
                wrong: wrong.iter().map(|one| (*one).to_owned()).collect(),
                said: "error: x".into(),
            },
            took: Duration::from_millis(1_500),
        }
    }

    #[test]
    fn what_fails_is_named_with_the_command_that_repeats_it() {
        let all = [ran(0, &[]), ran(1, &[]), ran(1, &["half a table"])];
        let text = text(&all, Duration::from_secs(3));
        assert_eq!(
            text,
            "fault        passed\n\
             api-refused  1/1\n\
             api-silent   1/2  FAILED\n\
             \n\
             FAILED api-silent: merge by copy-text, 2 connections, into a table with rows\n\
             \x20 half a table\n\
             \x20 | error: x\n\
             \x20 repeat: apitap-bench faults --exact api-silent --full --method copy-text --mode merge --connections 2\n\
             \n\
             2 of 3 cells passed in 3.00 s"
        );
    }

    #[test]
    fn json_has_every_cell() {
        let value: serde_json::Value =
            serde_json::from_str(&json(&[ran(0, &["a"])]).unwrap()).unwrap();
        assert_eq!(value[0]["fault"], "api-refused");
        assert_eq!(value[0]["group"], "api-connection");
        assert_eq!(value[0]["wrong"][0], "a");
    }
}
