//! What to request next: a pure state machine, fed with the facts of each page in order.
//!
//! Pages of a numbered kind are requested ahead of the answers; [`Paginator::accept`] says when
//! such a guess was wrong. A numbered source ends with an empty page, with exactly the total
//! that the server announced, or with its `rel=last` page. A short page is never the end,
//! because servers cap pages below the size that was asked for. A total that more rows than it
//! says have proven wrong, or that may count one page only, ends nothing.

mod fault;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use url::form_urlencoded;

pub use self::fault::Fault;

/// How the pages of a source are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
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

/// A request with its place in the order of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The page's number in order, from 1, whatever the API calls it.
    pub index: u64,
    /// What to ask for.
    pub request: Request,
    /// Whether everything announced has come and this only makes sure of it: a server that
    /// refuses such a page has none.
    pub confirms: bool,
}

/// What pagination needs to know of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Rows on the page.
    pub row_count: usize,
    /// A hash of the bytes of its rows.
    pub rows_hash: u64,
    /// The next cursor, or the resolved next URL; none when the page names none.
    pub next: Option<String>,
    /// The target of `rel="last"`.
    pub last_link: Option<String>,
    /// How many rows the server says there are in all.
    pub total: Option<u64>,
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

/// How far a source has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fetching,
    /// An empty page came; pages already requested beyond it must be empty as well.
    Draining {
        empty: u64,
    },
    Over,
}

/// The state machine of one source.
#[derive(Debug)]
pub struct Paginator {
    pagination: Pagination,
    row_limit: Option<u64>,
    state: State,
    /// The next page number or offset.
    number: u64,
    /// The next request of a chained kind.
    chained: Option<Request>,
    accepted: u64,
    in_flight: u64,
    rows: u64,
    /// Rows of a usual page, once one has come.
    stride: Option<u64>,
    /// Whether pages come in the usual size, so that offsets can be guessed.
    steady: bool,
    /// Rows that a full page has, where the requests say so.
    page_rows: Option<u64>,
    /// Rows that the server announced, less those before the first offset.
    total: Option<u64>,
    /// Whether the total is something else than the rows to come.
    is_total_doubtful: bool,
    last: Option<u64>,
    rows_seen: HashMap<u64, u64>,
    next_seen: HashMap<String, u64>,
}

impl Paginator {
    /// A source before its first request, asked for `page_rows` at a time if the pagination has a parameter for it.
    pub fn new(pagination: Pagination, page_rows: usize) -> Self {
        let number = match pagination {
            Pagination::PageNumber { start, .. } | Pagination::LimitOffset { start, .. } => start,
            _ => 0,
        };
        let asks_for_size = match &pagination {
            Pagination::PageNumber {
                per_page_param: it, ..
            } => it.is_some(),
            Pagination::Cursor {
                page_size_param: it,
                ..
            } => it.is_some(),
            Pagination::LimitOffset { .. } => true,
            _ => false,
        };
        Self {
            page_rows: asks_for_size.then_some(page_rows as u64),
            // How many rows the pages left out have is not known.
            is_total_doubtful: matches!(pagination, Pagination::PageNumber { start: 2.., .. }),
            chained: Some(Request::First),
            state: State::Fetching,
            pagination,
            row_limit: None,
            number,
            accepted: 0,
            in_flight: 0,
            rows: 0,
            stride: None,
            steady: true,
            total: None,
            last: None,
            rows_seen: HashMap::new(),
            next_seen: HashMap::new(),
        }
    }

    /// Limits the rows that are needed: nothing is requested beyond the pages for so many. The
    /// limit may be raised while pages are fetched.
    pub fn limit_rows(&mut self, row_limit: Option<u64>) {
        self.row_limit = row_limit;
    }

    /// The next request that may be sent now, if any; each call plans one more.
    ///
    /// The first page is requested alone: it shows the page size that the server really uses
    /// and often the total, and a source of one page costs one request.
    pub fn plan(&mut self) -> Option<Planned> {
        let enough = self.row_limit.is_some_and(|limit| self.rows >= limit);
        if self.state != State::Fetching || enough || !self.may_guess() {
            return None;
        }
        let request = if self.is_numbered() {
            let number = self.number;
            let step = match self.pagination {
                Pagination::LimitOffset { .. } => self.stride.unwrap_or(0),
                _ => 1,
            };
            self.number = number.saturating_add(step);
            Request::Numbered(number)
        } else {
            self.chained.take()?
        };
        self.in_flight += 1;
        Some(Planned {
            index: self.accepted + self.in_flight,
            request,
            confirms: self.is_confirming(),
        })
    }

    /// Whether a request beyond those in flight is known to be needed, or a fair guess.
    fn may_guess(&self) -> bool {
        if self.in_flight == 0 {
            return true;
        }
        let Some(stride) = self.stride else {
            return false;
        };
        let expected = self
            .rows
            .saturating_add(self.in_flight.saturating_mul(stride));
        let below = |bound: Option<u64>| bound.is_none_or(|bound| expected < bound);
        self.steady
            && !self.is_confirming()
            && below(self.row_limit)
            && below(self.reliable_total())
            && self.last.is_none_or(|last| self.number <= last)
    }

    /// Takes the facts of the answer to `planned`, the oldest request in flight.
    ///
    /// # Errors
    /// A page that contradicts the ones before it. The machine is over then.
    pub fn accept(&mut self, planned: &Planned, facts: &Facts) -> Result<Verdict, Fault> {
        self.in_flight -= 1;
        self.accepted = planned.index;
        let verdict = self.judge(planned, facts);
        let drained = matches!(self.state, State::Draining { .. }) && self.in_flight == 0;
        if drained || verdict.is_err() {
            self.state = State::Over;
        }
        verdict
    }

    fn judge(&mut self, planned: &Planned, facts: &Facts) -> Result<Verdict, Fault> {
        let page = planned.index;
        if let State::Draining { empty } = self.state {
            return match facts.row_count {
                0 => Ok(Verdict::Empty),
                _ => Err(Fault::RowsAfterEnd { page, empty }),
            };
        }
        if let Some(link) = &facts.last_link {
            self.last = self.number_in(link).or(self.last);
        }
        if facts.row_count > 0 {
            match self.rows_seen.entry(facts.rows_hash) {
                Entry::Occupied(earlier) => {
                    let earlier = *earlier.get();
                    return Err(Fault::RepeatedRows { page, earlier });
                }
                Entry::Vacant(slot) => slot.insert(page),
            };
        }
        self.rows = self.rows.saturating_add(facts.row_count as u64);
        self.weigh_total(facts.total, facts.row_count as u64, page);
        let replan = match planned.request {
            Request::Numbered(number) => self.advance(number, facts.row_count as u64, page),
            _ => {
                self.follow(facts.next.as_deref(), page)?;
                false
            }
        };
        Ok(match facts.row_count {
            0 => Verdict::Empty,
            _ if replan => Verdict::RowsAndReplan,
            _ => Verdict::Rows,
        })
    }

    /// Takes the total that a page of so many rows announced, and doubts it where it has been
    /// exceeded, or where it may count the rows of that page.
    fn weigh_total(&mut self, announced: Option<u64>, rows: u64, page: u64) {
        let before = match self.pagination {
            Pagination::LimitOffset { start, .. } => start,
            _ => 0,
        };
        self.total = announced
            .map(|total| total.saturating_sub(before))
            .or(self.total);
        let is_full = self.page_rows.is_none_or(|full| rows >= full);
        let is_of_page = page == 1 && rows > 0 && is_full && announced == Some(rows);
        self.is_total_doubtful |= is_of_page || self.total.is_some_and(|total| self.rows > total);
    }

    fn reliable_total(&self) -> Option<u64> {
        self.total.filter(|_| !self.is_total_doubtful)
    }

    /// Whether the first page held all that was announced, and one more is needed to believe it.
    fn is_confirming(&self) -> bool {
        self.is_numbered()
            && self.is_total_doubtful
            && self.accepted == 1
            && self.total == Some(self.rows)
    }

    /// Moves a numbered source past the page at `number`; true when requests in flight are void.
    fn advance(&mut self, number: u64, rows: u64, page: u64) -> bool {
        if rows == 0 {
            self.state = State::Draining { empty: page };
            return false;
        }
        let usual = self.stride.is_none_or(|stride| stride == rows);
        let mut replan = false;
        if matches!(self.pagination, Pagination::LimitOffset { .. }) {
            if !usual || self.in_flight == 0 {
                self.number = number.saturating_add(rows);
            }
            if !usual {
                replan = self.in_flight > 0;
                self.in_flight = 0;
            }
            // Guessing resumes once two pages in a row are of one size.
            self.steady = usual;
            self.stride = Some(rows);
        } else {
            self.stride.get_or_insert(rows);
        }
        let complete = self.reliable_total() == Some(self.rows);
        let was_last = self.last.is_some_and(|last| number >= last);
        if complete || was_last {
            self.state = State::Over;
        }
        replan
    }

    /// Takes the next cursor or URL of a chained source.
    fn follow(&mut self, next: Option<&str>, page: u64) -> Result<(), Fault> {
        let next = next.filter(|next| !next.is_empty());
        let Some(next) = next.filter(|_| self.pagination != Pagination::None) else {
            self.state = State::Over;
            return Ok(());
        };
        if let Some(&earlier) = self.next_seen.get(next) {
            return Err(Fault::RepeatedNext { page, earlier });
        }
        self.next_seen.insert(next.to_owned(), page);
        self.chained = Some(match self.pagination {
            Pagination::Cursor { .. } => Request::Cursor(next.to_owned()),
            _ => Request::Url(next.to_owned()),
        });
        Ok(())
    }

    /// Whether no further request will be planned and no answer is awaited.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the end is known and answers still in flight only serve to confirm it.
    pub fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining { .. })
    }

    /// The rows that came and those that were announced, if the source ended short of them.
    pub fn shortfall(&self) -> Option<(u64, u64)> {
        let limited = self.row_limit.is_some_and(|limit| self.rows >= limit);
        let total = self
            .reliable_total()
            .filter(|&total| self.rows < total && !limited)?;
        Some((self.rows, total))
    }

    fn is_numbered(&self) -> bool {
        matches!(
            self.pagination,
            Pagination::PageNumber { .. } | Pagination::LimitOffset { .. }
        )
    }

    /// The page number or offset in the query of a link.
    fn number_in(&self, link: &str) -> Option<u64> {
        let name = match &self.pagination {
            Pagination::PageNumber { page_param, .. } => page_param,
            Pagination::LimitOffset { offset_param, .. } => offset_param,
            _ => return None,
        };
        let query = link.split_once('?')?.1;
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| value.parse().ok())
    }
}

#[cfg(test)]
mod tests;
