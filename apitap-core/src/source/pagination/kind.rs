//! The kinds of pagination.

use serde::{Deserialize, Serialize};

/// How the pages of a source are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pagination {
    /// One request holds everything.
    #[default]
    None,
    /// A page number and, where the API takes one, a page size.
    PageNumber {
        /// Parameter of the page's number.
        page_param: String,
        /// Parameter of the rows per page; none for `page_only`.
        per_page_param: Option<String>,
        /// Number of the first page. Default 1.
        start: u64,
    },
    /// A row offset and a limit.
    LimitOffset {
        /// Parameter of the rows per page.
        limit_param: String,
        /// Parameter of the first row.
        offset_param: String,
        /// Offset of the first row. Default 0.
        start: u64,
    },
    /// Each page names the cursor of the next in its body.
    Cursor {
        /// Parameter that the cursor is sent in.
        cursor_param: String,
        /// Parameter of the rows per page.
        page_size_param: Option<String>,
        /// Pointers to the next cursor; the first that holds one counts.
        cursor_paths: Vec<String>,
    },
    /// `Link: <…>; rel="next"` (RFC 8288).
    LinkHeader,
    /// Each page holds the URL of the next in its body.
    NextLink {
        /// Pointers to the next URL; the first that holds one counts.
        next_paths: Vec<String>,
    },
}

impl Pagination {
    /// Where in a page's body the next cursor or link may be: in one place that the file names, or
    /// in one of several usual ones.
    pub fn next_paths(&self) -> &[String] {
        match self {
            Self::Cursor {
                cursor_paths: paths,
                ..
            }
            | Self::NextLink { next_paths: paths } => paths,
            Self::None | Self::PageNumber { .. } | Self::LimitOffset { .. } | Self::LinkHeader => {
                &[]
            }
        }
    }

    /// Whether a request says how many rows it wants.
    pub fn says_page_rows(&self) -> bool {
        match self {
            Self::PageNumber { per_page_param, .. } => per_page_param.is_some(),
            Self::LimitOffset { .. } => true,
            Self::Cursor {
                page_size_param, ..
            } => page_size_param.is_some(),
            Self::None | Self::LinkHeader | Self::NextLink { .. } => false,
        }
    }

    /// Whether pages are asked for by number or offset.
    pub fn is_numbered(&self) -> bool {
        match self {
            Self::PageNumber { .. } | Self::LimitOffset { .. } => true,
            Self::None | Self::Cursor { .. } | Self::LinkHeader | Self::NextLink { .. } => false,
        }
    }
}
