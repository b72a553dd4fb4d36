//! How modules ended.

use serde::Serialize;

use crate::error::Error;
use crate::explain::Explanation;
use crate::run_report::RunReport;

/// How a module ended, as `apitap --report` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RunOutcome {
    /// Its load is committed.
    Succeeded(Box<Success>),
    /// Its table is as it was.
    Failed {
        /// The module.
        module: String,
        /// The table that it would have loaded; none if not even that is known.
        table: Option<String>,
        /// From the start of the run to its end.
        wall_seconds: f64,
        /// Why.
        error: FailureReport,
    },
    /// It was not begun, because the command was interrupted.
    NotRun {
        /// The module.
        module: String,
    },
}

/// A load that is committed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Success {
    /// What the run did.
    #[serde(flatten)]
    pub report: RunReport,
    /// What bounds it, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

impl RunOutcome {
    /// The module that it is about.
    pub fn module(&self) -> &str {
        match self {
            Self::Succeeded(success) => &success.report.module,
            Self::Failed { module, .. } | Self::NotRun { module } => module,
        }
    }

    /// Whether the load is committed.
    pub fn is_success(&self) -> bool {
        match self {
            Self::Succeeded(_) => true,
            Self::Failed { .. } | Self::NotRun { .. } => false,
        }
    }
}

/// An error in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureReport {
    /// What went wrong, as [`ErrorKind::name`](crate::ErrorKind::name).
    pub kind: &'static str,
    /// Where in the engine, as [`Stage::name`](crate::Stage::name).
    pub stage: &'static str,
    /// The error with its causes.
    pub message: String,
    /// What to do about it, where that is known.
    pub help: Option<String>,
}

impl FailureReport {
    /// The error as it is reported.
    pub fn new(error: &Error) -> Self {
        Self {
            kind: error.kind().name(),
            stage: error.stage().name(),
            message: error.chain(),
            help: error.next_step().map(str::to_owned),
        }
    }
}
