//! Why a source has ended: every end has one of these reasons.

use std::fmt;

/// The reason for which no further page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The pagination is one request.
    OneRequest,
    /// A numbered page has no rows.
    Empty {
        /// The page.
        page: u64,
        /// What came instead of rows.
        how: Emptiness,
    },
    /// All rows have come that the server announced.
    Total {
        /// How many.
        rows: u64,
    },
    /// A page is the target of `rel="last"`.
    LastLink {
        /// The page.
        page: u64,
    },
    /// A page names no next page, or says that there is none.
    NoNext {
        /// The page.
        page: u64,
    },
    /// A page without rows names itself as the next: there is nothing yet.
    OwnNext {
        /// The page.
        page: u64,
    },
    /// The query needs no more rows.
    Enough,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneRequest => f.write_str("the source is one request"),
            Self::Empty { page, how } => write!(f, "page {page} {how}"),
            Self::Total { rows } => write!(f, "all {rows} rows have come that were announced"),
            Self::LastLink { page } => write!(f, "page {page} is the last by rel=last"),
            Self::NoNext { page } => write!(f, "page {page} names no next page"),
            Self::OwnNext { page } => {
                write!(f, "page {page} is empty and names itself as the next")
            }
            Self::Enough => f.write_str("the query needs no more rows"),
        }
    }
}

/// What an answer without rows has instead of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Emptiness {
    /// An array without elements, or no lines.
    #[default]
    NoRows,
    /// `null`.
    Null,
    /// Status 204, which has no body.
    NoContent,
    /// A status that refuses a page beyond the last.
    Refused(u16),
}

impl Emptiness {
    /// Whether the answer says by itself that there are no more rows. `null` and 204 may as well
    /// stand for a fault of one page.
    pub(super) fn is_plain(self) -> bool {
        match self {
            Self::NoRows | Self::Refused(_) => true,
            Self::Null | Self::NoContent => false,
        }
    }
}

impl fmt::Display for Emptiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRows => f.write_str("is empty"),
            Self::Null => f.write_str("is empty: null instead of rows"),
            Self::NoContent => f.write_str("is empty: status 204, no content"),
            Self::Refused(status) => write!(f, "was refused with status {status}"),
        }
    }
}
