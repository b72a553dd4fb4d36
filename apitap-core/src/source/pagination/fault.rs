//! What can be wrong with the pages of a source.

use std::fmt;

use super::Emptiness;

/// Answers that contradict the pagination.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The rows of one page came again as another.
    RepeatedRows {
        /// The page that repeats.
        page: u64,
        /// The page it equals.
        earlier: u64,
    },
    /// A cursor or a next URL came again: following it would never end.
    RepeatedNext {
        /// The page that names it again.
        page: u64,
        /// The page that named it first.
        earlier: u64,
    },
    /// A page had rows although one before it had none.
    RowsAfterEnd {
        /// The page with rows.
        page: u64,
        /// The page without.
        empty: u64,
        /// What that page has instead.
        how: Emptiness,
    },
    /// A page says that there are more rows, but leads nowhere.
    MoreWithoutNext {
        /// The page.
        page: u64,
    },
    /// A page without rows says that there are more.
    EmptyWithMore {
        /// The page.
        page: u64,
    },
}

impl Fault {
    /// What the user can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::RepeatedRows { .. } => {
                "the API seems to ignore the pagination parameters: check their names, or drop `pagination` if one request returns everything"
            }
            Self::RepeatedNext { .. } => {
                "the API leads back to a page already read: check cursor_path or next_path"
            }
            Self::RowsAfterEnd { .. } => {
                "the rows of that page may be missing: load again, and if it stays so, page by cursor or next link where the API can, or ask its owner"
            }
            Self::MoreWithoutNext { .. } => {
                "check cursor_path, next_path or the kind of pagination: the next page is named in another place"
            }
            Self::EmptyWithMore { .. } => {
                "the API leaves rows out of its pages: page by cursor or next link where it can"
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepeatedRows { page, earlier } => {
                write!(f, "page {page} holds the same rows as page {earlier}")
            }
            Self::RepeatedNext { page, earlier } => {
                write!(
                    f,
                    "page {page} leads to the same next page as page {earlier}"
                )
            }
            Self::RowsAfterEnd { page, empty, how } => {
                write!(f, "page {page} has rows although page {empty} {how}")
            }
            Self::MoreWithoutNext { page } => {
                write!(
                    f,
                    "page {page} says that there are more rows, but names no next page"
                )
            }
            Self::EmptyWithMore { page } => {
                write!(f, "page {page} is empty, but says that there are more rows")
            }
        }
    }
}
