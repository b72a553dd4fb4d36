//! The one error of the engine: what kind, in which stage, where, and what to do.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Shorthand for results of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms a caller can act on.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A configuration, pipeline file or SQL module that cannot be run as written.
    Config,
    /// An environment variable that a source or a target needs is not set.
    Environment,
    /// The API could not be reached or kept failing after every retry.
    Unreachable,
    /// The API answered with a status that is not worth retrying.
    HttpStatus,
    /// The API's answers contradict its pagination: a page repeats or a page is missing.
    Pagination,
    /// Bytes that are not the JSON they claim to be.
    InvalidJson,
    /// A value that its column cannot hold.
    Value,
    /// Text with a NUL character, which PostgreSQL cannot store.
    NulCharacter,
    /// SQL that does not parse, plan or execute.
    Sql,
    /// PostgreSQL refused the connection or the password.
    Connect,
    /// PostgreSQL refused a statement, or a table does not suit the load.
    Database,
    /// A limit of memory or disk was reached.
    Resources,
    /// The run was cancelled before it ended.
    Cancelled,
    /// A local file or stream failed.
    Io,
    /// A fault of the engine itself.
    Internal,
}

impl ErrorKind {
    /// The name used in reports and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Environment => "environment",
            Self::Unreachable => "unreachable",
            Self::HttpStatus => "http_status",
            Self::Pagination => "pagination",
            Self::InvalidJson => "invalid_json",
            Self::Value => "value",
            Self::NulCharacter => "nul_character",
            Self::Sql => "sql",
            Self::Connect => "connect",
            Self::Database => "database",
            Self::Resources => "resources",
            Self::Cancelled => "cancelled",
            Self::Io => "io",
            Self::Internal => "internal",
        }
    }
}

/// The part of the engine in which an error arose.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading configuration, pipeline files and modules.
    Config,
    /// Fetching pages over HTTP.
    Source,
    /// JSON to Arrow.
    Decode,
    /// Schema inference.
    Infer,
    /// DataFusion.
    Transform,
    /// Arrow to the wire format.
    Encode,
    /// PostgreSQL.
    Write,
}

impl Stage {
    /// The name used in messages, metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Source => "source",
            Self::Decode => "decode",
            Self::Infer => "infer",
            Self::Transform => "transform",
            Self::Encode => "encode",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error with its kind, stage, detail, cause, and what the user can do about it.
///
/// Messages name sources, pages, rows and columns; they never hold cell values or secrets.
/// Cloning is cheap, because a failed source fails every query that shares it.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    stage: Stage,
    detail: String,
    hint: Option<String>,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` in `stage`; `detail` says what and where, in lower case.
    pub fn new(kind: ErrorKind, stage: Stage, detail: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            stage,
            detail: detail.into(),
            hint: None,
            cause: None,
        }))
    }

    /// Keeps the error that led here.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner().cause = Some(Arc::from(cause.into()));
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner().hint = Some(hint.into());
        self
    }

    /// Puts where it happened in front of the detail, as in `source orders, page 7: …`.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        let inner = self.inner();
        inner.detail = format!("{place}: {}", inner.detail);
        self
    }

    /// The same error, of another kind.
    #[must_use]
    pub(crate) fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.inner().kind = kind;
        self
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where in the engine it went wrong.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// What to do about it, where that is known.
    pub fn next_step(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the user's files or variables are at fault rather than a server or the data.
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Config | ErrorKind::Environment)
    }

    /// The whole chain on one line, causes after colons, the hint left out. Line ends within are spaces.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let line = error.to_string();
            if !text.contains(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            cause = error.source();
        }
        text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.stage, self.0.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("stage", &self.0.stage)
            .field("detail", &self.0.detail)
            .field("hint", &self.0.hint)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}
