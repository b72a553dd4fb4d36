//! Why a text is not JSON that the engine takes.

use std::fmt;

pub(crate) const NESTED_TOO_DEEPLY: &str = "nested more than 128 deep";
pub(super) const TOO_LONG: &str = "a number with more digits than PostgreSQL has room for";

/// Where a document stops being JSON, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// Bytes from the start of the document.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl JsonError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self.what {
            NESTED_TOO_DEEPLY | TOO_LONG => {
                "this limit is fixed: leave such rows out, or ask the API for them in another form"
            }
            _ => "check url and data_path, and that the API answers in JSON",
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for JsonError {}
