//! Texts that PostgreSQL cannot hold, refused before they are sent: the server's own message would say neither the
//! column nor, in every method, the row.

use crate::error::ErrorKind;
use crate::json::{NESTED_TOO_DEEPLY, Scanner};

/// Why a cell cannot be written, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) kind: ErrorKind,
    pub(crate) what: &'static str,
    pub(crate) hint: &'static str,
}

impl Reason {
    pub(super) const fn value(what: &'static str, hint: &'static str) -> Self {
        let kind = ErrorKind::Value;
        Self { kind, what, hint }
    }

    pub(super) const fn nul(what: &'static str, hint: &'static str) -> Self {
        let kind = ErrorKind::NulCharacter;
        Self { kind, what, hint }
    }
}

const NUL: Reason = Reason::nul(
    "the text has a NUL character, which PostgreSQL cannot store",
    "remove it in the module's SQL with replace(column, chr(0), ''), or set on_bad_text: replace for the source",
);
const NUL_IN_JSON: Reason = Reason::nul(
    "the JSON has a NUL character (\\u0000), which PostgreSQL cannot store",
    "set on_bad_text: replace for the source, which puts U+FFFD in its place",
);
const NO_JSON: Reason = Reason::value(
    "the text is not JSON",
    "filter such rows in the module's SQL, or change the column's type in the table to text",
);
const DEEP_JSON: Reason = Reason::value(
    "the JSON is nested more than 128 deep",
    "change the column's type in the table to text",
);
const LONE_SURROGATE_IN_JSON: Reason = Reason::value(
    "the JSON has half of a surrogate pair (\\ud800 to \\udfff), which is no character",
    "set on_bad_text: replace for the source, or clean the text in the module's SQL",
);

/// What a text is checked for, cell by cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing: all texts of the column were looked at together, which takes far less time.
    None,
    /// A NUL character.
    Nul,
    /// Its escape in what is known to be JSON.
    EscapedNul,
    /// Whether it is JSON at all.
    Json,
}

/// What a NUL character is in JSON.
pub(super) const NUL_ESCAPE: &[u8] = b"\\u0000";

impl Check {
    /// What PostgreSQL cannot hold is refused here: the server's own message would say neither the column nor, in
    /// every method, the row.
    #[inline]
    pub(super) fn text(self, text: &str) -> Result<&str, Reason> {
        match self {
            Self::None => Ok(text),
            Self::Nul if text.contains('\0') => Err(NUL),
            Self::EscapedNul if has_escaped_nul(text) => Err(NUL_IN_JSON),
            Self::Nul | Self::EscapedNul => Ok(text),
            Self::Json => check_json(text).map(|()| text),
        }
    }
}

fn check_json(text: &str) -> Result<(), Reason> {
    let mut scanner = Scanner::new(text, 0);
    let read = scanner.skip().and_then(|_| scanner.end());
    read.map_err(|error| match error.what {
        NESTED_TOO_DEEPLY => DEEP_JSON,
        _ => NO_JSON,
    })?;
    let found = scanner.take_unstorable();
    match (found.nul, found.lone_surrogate) {
        (true, _) => Err(NUL_IN_JSON),
        (_, true) => Err(LONE_SURROGATE_IN_JSON),
        (false, false) => Ok(()),
    }
}

/// Decoding has refused the rest. `\\u0000` is an escaped backslash before plain digits.
fn has_escaped_nul(text: &str) -> bool {
    memchr::memmem::find_iter(text.as_bytes(), NUL_ESCAPE).any(|at| {
        let before = text.as_bytes()[..at].iter().rev();
        let backslashes = before.take_while(|&&byte| byte == b'\\').count();
        backslashes % 2 == 0
    })
}
