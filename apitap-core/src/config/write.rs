//! How rows reach PostgreSQL: knobs and methods.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{invalid, rows};
use crate::error::{Error, Result};

/// How rows reach PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WriteConfig {
    /// Default `copy-binary`.
    pub method: WriteMethod,
    /// Rows per flush, 1 to 1,000,000. Default 1,000: no method gained by more when the
    /// suite compared them. A statement that would need more than 65,535 parameters is
    /// split.
    pub batch_rows: NonZeroUsize,
    /// Flushes under way on one connection. Default 2: one is sent while the next is encoded.
    pub in_flight: NonZeroUsize,
    /// Connections that load. Default 1.
    pub connections: NonZeroUsize,
    /// What is committed together. Default `load`.
    pub commit: WriteCommit,
    /// What happens to rows already in the table. Default: `merge` when the source names its
    /// primary key, else `append`.
    pub mode: Option<WriteMode>,
}

impl Default for WriteConfig {
    fn default() -> Self {
        Self {
            method: WriteMethod::CopyBinary,
            batch_rows: rows(1_000),
            in_flight: rows(2),
            connections: rows(1),
            commit: WriteCommit::Load,
            mode: None,
        }
    }
}

impl WriteConfig {
    /// Whether batches can be committed one by one in this mode, if that is asked for.
    ///
    /// # Errors
    /// What needs one transaction, by name.
    pub fn check_commit(&self, mode: WriteMode) -> Result<()> {
        let needs = match (self.commit, mode, self.method.command()) {
            (WriteCommit::Load, ..) => return Ok(()),
            (_, WriteMode::Replace, _) => "mode append: `replace` swaps tables in one transaction",
            (_, WriteMode::Merge, _) => "mode append: `merge` is one statement at the end",
            (.., WriteCommand::Copy(_)) => {
                "write.method insert, prepared or unnest: COPY is one statement for the whole load"
            }
            _ if self.connections.get() > 1 => {
                "write.connections=1: rows of several meet in one transaction"
            }
            _ => return Ok(()),
        };
        let refused = invalid(format!("write.commit=batch needs {needs}"));
        Err(refused.hint("set write.commit=load, or change the other one"))
    }
}

/// What is committed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteCommit {
    /// The whole load: all rows or none.
    Load,
    /// Each statement by itself: the "before" of the optimization report. What was committed before a load
    /// fails stays, and no lock keeps others from the table.
    Batch,
}

/// The six ways of writing rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteMethod {
    /// Multi-row `INSERT`, its SQL rebuilt and parsed for every statement.
    Insert,
    /// Multi-row `INSERT`, prepared once.
    Prepared,
    /// `INSERT … SELECT FROM unnest($1, …)`: one array parameter per column.
    Unnest,
    /// `COPY … (FORMAT csv)`.
    CopyCsv,
    /// `COPY … (FORMAT text)`.
    CopyText,
    /// `COPY … (FORMAT binary)`.
    CopyBinary,
}

impl WriteMethod {
    /// Every method, slowest idea first.
    pub const ALL: [Self; 6] = [
        Self::Insert,
        Self::Prepared,
        Self::Unnest,
        Self::CopyCsv,
        Self::CopyText,
        Self::CopyBinary,
    ];

    /// The names of [`Self::ALL`].
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut i = 0;
        while i < names.len() {
            names[i] = Self::ALL[i].name();
            i += 1;
        }
        names
    };

    /// The name used in configuration and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Prepared => "prepared",
            Self::Unnest => "unnest",
            Self::CopyCsv => "copy-csv",
            Self::CopyText => "copy-text",
            Self::CopyBinary => "copy-binary",
        }
    }

    /// By which command, and in which form, its rows reach the server.
    pub fn command(self) -> WriteCommand {
        match self {
            Self::Insert => WriteCommand::Statement(StatementForm::Insert),
            Self::Prepared => WriteCommand::Statement(StatementForm::Prepared),
            Self::Unnest => WriteCommand::Statement(StatementForm::Unnest),
            Self::CopyCsv => WriteCommand::Copy(CopyFormat::Csv),
            Self::CopyText => WriteCommand::Copy(CopyFormat::Text),
            Self::CopyBinary => WriteCommand::Copy(CopyFormat::Binary),
        }
    }
}

/// The command by which rows reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCommand {
    /// Statements that bind rows as parameters.
    Statement(StatementForm),
    /// One `COPY … FROM STDIN` per connection.
    Copy(CopyFormat),
}

/// How a statement takes its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementForm {
    /// A parameter per cell; the SQL is sent with every statement.
    Insert,
    /// A parameter per cell; the SQL is prepared once.
    Prepared,
    /// An array parameter per column; the SQL is prepared once.
    Unnest,
}

/// A format of `COPY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// `FORMAT csv`.
    Csv,
    /// `FORMAT text`.
    Text,
    /// `FORMAT binary`.
    Binary,
}

impl fmt::Display for WriteMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WriteMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| {
                invalid(format!("unknown write method `{name}`"))
                    .hint(format!("use one of {}", Self::NAMES.join(", ")))
            })
    }
}

/// What happens to rows that are already in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteMode {
    /// They stay; new rows are added.
    Append,
    /// A new table takes the place of the old one.
    Replace,
    /// Rows with the same key are updated, others added; the last of a load's duplicates wins.
    Merge,
}
