//! What goes to and fro between pagination and the pages: requests, facts and verdicts.

use super::Emptiness;

/// What distinguishes one request of a source from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The source's URL as configured.
    First,
    /// A page number or an offset, by the pagination's kind.
    Numbered(u64),
    /// A cursor that the page before named.
    Cursor(String),
    /// A URL that the page before named, already resolved.
    Url(String),
}

impl Request {
    /// Whether a page that came for this names itself as the next.
    pub(super) fn leads_to(&self, next: &str) -> bool {
        match self {
            Self::Cursor(own) | Self::Url(own) => own == next,
            Self::First | Self::Numbered(_) => false,
        }
    }
}

/// A request with its place in the order of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The page's number in order, from 1, whatever the API calls it.
    pub index: u64,
    /// What to ask for.
    pub request: Request,
    /// Whether everything announced has come, or is on its way, and this only makes sure of it: a
    /// server that refuses such a page has none.
    pub confirms: bool,
}

/// What pagination needs to know of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Rows on the page.
    pub row_count: usize,
    /// What a page without rows has instead.
    pub emptiness: Emptiness,
    /// A hash of the bytes of its rows.
    pub rows_hash: u64,
    /// What the page says of the next.
    pub next: Next,
    /// The target of `rel="last"`.
    pub last_link: Option<String>,
    /// Whether its `Link` header names a next page.
    pub has_next_link: bool,
    /// Whether it says that there are more rows.
    pub has_more: Option<bool>,
    /// How many rows the server says there are in all.
    pub total: Option<u64>,
}

/// What a page says of the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    #[default]
    Absent,
    /// That there is none: `null`, `false` or an empty string.
    Ended,
    /// The next cursor, or the resolved next URL.
    At(String),
}

/// What to do with an accepted page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has rows: hand it on.
    Rows,
    /// It has rows, but what was requested beyond it was guessed from a wrong offset: hand it
    /// on, drop everything in flight and plan again.
    RowsAndReplan,
    /// It has no rows: there is nothing to hand on.
    Empty,
}
