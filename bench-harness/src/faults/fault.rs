//! What can go wrong, and what must happen then.

use std::fmt;

use apitap_core::config::{WriteCommand, WriteMethod, WriteMode};
use clap::ValueEnum;
use serde::Serialize;

/// A fault, and what a load must make of it.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Its name on the command line and in reports.
    pub(crate) name: &'static str,
    /// What is injected.
    pub(crate) about: &'static str,
    pub(super) inject: Inject,
    pub(super) expect: fn(&Cell) -> Outcome,
    /// Changes to the engine's configuration, as `stage.knob=value`.
    pub(super) settings: &'static [&'static str],
}

/// Where a fault comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inject {
    Api(ApiFault),
    Server(ServerFault),
    Process(ProcessFault),
}

/// What the API does, from the first request for [`FAULTY_PAGE`](super::rows::FAULTY_PAGE) on unless
/// its name says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiFault {
    /// Nothing listens at its port.
    Refused,
    /// It accepts and never answers.
    Silent,
    /// It resets the connection in the middle of a body.
    Reset,
    /// It closes the connection before `Content-Length` is reached.
    CutWithLength,
    /// It closes the connection in the middle of a body whose end nothing announces.
    CutWithoutLength,
    /// It sends a chunk whose size is no number.
    BadChunk,
    /// It sends a byte now and then.
    Drip,
    /// It sends half of a body, and then nothing.
    Stall,
    /// It answers with a status so many times, and then well.
    Status(Refusal),
    /// It redirects to the page itself.
    RedirectLoop,
    /// It redirects to another host, which would answer.
    RedirectElsewhere,
    /// The same to a host that the source allows.
    RedirectAllowed,
    /// It sends this instead of the page.
    Body(Body),
    /// It sends the page before once more.
    RepeatedPage,
    /// The total in its header becomes smaller while it is read.
    ShrinkingCount,
    /// Its first page has no rows, nor has any other.
    EmptyFirstPage,
    /// It answers 204.
    NoContent,
}

/// An answer that refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: &'static str,
    pub(super) retry_after: Option<u64>,
    /// How many requests are refused; none for all.
    pub(super) times: Option<usize>,
}

/// A page that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// A few KiB of gzip that swell to many MiB.
    Bomb,
    /// A page to log in.
    Html,
    /// Latin 1, and said so.
    Latin1,
    /// A text with U+0000.
    Nul,
    /// `null` instead of rows.
    Null,
    /// A value of ten thousand arrays in each other.
    Deep,
    /// A number of fifty million digits.
    HugeNumber,
    /// A row that has a key twice.
    DuplicateKey,
    /// A row whose number is a text.
    BadRow,
    /// A row that the table's constraint refuses.
    Refused,
    /// Rows after so many blanks that they do not fit the memory.
    Blanks,
}

/// What the database, or the way to it, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerFault {
    /// Nothing listens at its port.
    Refused,
    WrongPassword,
    /// One of the load's sessions is terminated: the newest.
    TerminateOne,
    /// All its sessions are.
    TerminateAll,
    /// The server is killed, and starts again.
    Crash,
    DiskFull,
    /// Another session has the table locked, and the server waits for locks only so long.
    LockTimeout,
    /// The same, with a limit for statements.
    StatementTimeout,
    /// Transactions may not be idle, and the API takes its time.
    IdleTimeout,
    ColumnMissing,
    TypeDiffers,
    Constraint,
    ReadOnly,
    /// The server asks to try the transaction again.
    Serialization,
}

/// What happens to the loading process itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessFault {
    Interrupt,
    Terminate,
    Kill,
    /// So few descriptors that not every connection gets one.
    Descriptors,
    /// So little memory that a page does not fit.
    Memory,
    /// The program that holds the engine drops the run's future.
    Cancel,
}

/// What must come of a load. Parts of messages are in lower case; `a|b` means one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every row is in the table.
    Completes,
    /// It ends well, and the table is as it was: there was nothing to load.
    LoadsNothing,
    /// It fails, the table is as it was, and the message has each of these parts.
    Fails(&'static [&'static str]),
    /// The one or the other: which, is not ours to say.
    FailsOrCompletes(&'static [&'static str]),
}

/// Where a fault comes from, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Group {
    /// How the API sends, or does not
    ApiConnection,
    /// What the API answers
    ApiAnswer,
    /// What is in its pages
    ApiData,
    /// The database
    Postgres,
    /// The process that loads
    Process,
}

/// One load with one fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) fault: &'static Fault,
    pub(crate) method: WriteMethod,
    pub(crate) mode: WriteMode,
    /// Connections to the database.
    pub(crate) connections: usize,
    /// Whether the table is there before, with rows in it.
    pub(crate) exists: bool,
}

impl Cell {
    /// Whether a transaction waits for nothing while rows are on their way: in COPY the server is busy.
    pub(super) fn is_idle_between_flushes(&self) -> bool {
        matches!(self.method.command(), WriteCommand::Statement(_))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = match self.connections {
            1 => "1 connection".to_owned(),
            several => format!("{several} connections"),
        };
        let table = if self.exists {
            "into a table with rows"
        } else {
            "into a new table"
        };
        let (fault, method, mode) = (self.fault.name, self.method, mode_name(self.mode));
        write!(f, "{fault}: {mode} by {method}, {connections}, {table}")
    }
}

/// The name of a mode in files and on command lines.
pub(crate) fn mode_name(mode: WriteMode) -> &'static str {
    match mode {
        WriteMode::Append => "append",
        WriteMode::Replace => "replace",
        WriteMode::Merge => "merge",
    }
}

impl Fault {
    /// Where it comes from.
    pub(crate) fn group(&self) -> Group {
        match self.inject {
            Inject::Api(fault) => fault.group(),
            Inject::Server(_) => Group::Postgres,
            Inject::Process(_) => Group::Process,
        }
    }

    /// Whether it can be injected by root alone.
    pub(crate) fn needs_root(&self) -> bool {
        self.inject == Inject::Server(ServerFault::DiskFull)
    }

    /// Whether it makes sense for a table that is not there.
    pub(super) fn suits_a_new_table(&self) -> bool {
        match self.inject {
            Inject::Api(_) | Inject::Process(_) => true,
            Inject::Server(fault) => match fault {
                ServerFault::Refused
                | ServerFault::WrongPassword
                | ServerFault::TerminateOne
                | ServerFault::TerminateAll
                | ServerFault::Crash
                | ServerFault::DiskFull
                | ServerFault::IdleTimeout
                | ServerFault::ReadOnly => true,
                // These are about a table that is there.
                ServerFault::LockTimeout
                | ServerFault::StatementTimeout
                | ServerFault::ColumnMissing
                | ServerFault::TypeDiffers
                | ServerFault::Constraint
                | ServerFault::Serialization => false,
            },
        }
    }
}

impl ApiFault {
    fn group(self) -> Group {
        match self {
            Self::Refused
            | Self::Silent
            | Self::Reset
            | Self::CutWithLength
            | Self::CutWithoutLength
            | Self::BadChunk
            | Self::Drip
            | Self::Stall => Group::ApiConnection,
            Self::Status(_)
            | Self::RedirectLoop
            | Self::RedirectElsewhere
            | Self::RedirectAllowed
            | Self::NoContent => Group::ApiAnswer,
            Self::Body(_) | Self::RepeatedPage | Self::ShrinkingCount | Self::EmptyFirstPage => {
                Group::ApiData
            }
        }
    }
}
