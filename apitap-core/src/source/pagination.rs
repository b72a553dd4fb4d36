//! What to request next: a pure state machine, fed with the facts of each page in order.
//!
//! Pages of a numbered kind are requested ahead of the answers; [`Paginator::accept`] says when
//! such a guess was wrong. A numbered source ends with an empty page, with exactly the total
//! that the server announced, or with its `rel=last` page. A short page is never the end,
//! because servers cap pages below the size that was asked for.
//!
//! What a server claims of the end is believed only where nothing speaks against it. After a full
//! page, or after a total that has changed, one more page is asked for; a total that more rows than
//! it says have proven wrong ends nothing, and neither does a last page that names a next. An empty
//! page that is no plain statement (`null`, status 204) is confirmed by one more as well.

mod end;
mod facts;
mod fault;
mod kind;
mod total;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use url::form_urlencoded;

pub use self::end::{Emptiness, End};
pub use self::facts::{Facts, Next, Planned, Request, Verdict};
pub use self::fault::Fault;
pub use self::kind::Pagination;
use self::total::Total;

/// How far a source has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fetching,
    /// An empty page came; pages beyond it must be empty as well.
    Draining {
        empty: u64,
        how: Emptiness,
        /// Whether nothing has confirmed it yet.
        is_alone: bool,
    },
    Over(Option<End>),
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
    /// Rows of the largest page.
    full: u64,
    /// Rows that a page is asked to have.
    page_rows: u64,
    /// Whether pages come in the usual size, so that offsets can be guessed.
    steady: bool,
    total: Total,
    /// Why the source should end with the pages that have come, if the server says so.
    claim: Option<End>,
    /// Whether the page that makes sure of the end is on its way.
    is_confirming: bool,
    last: Option<u64>,
    names_next_links: bool,
    is_next_missing: bool,
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
        let before = match pagination {
            Pagination::LimitOffset { start, .. } => start,
            _ => 0,
        };
        // How many rows the pages left out have is not known.
        let is_doubtful = matches!(pagination, Pagination::PageNumber { start: 2.., .. });
        Self {
            total: Total::new(before, is_doubtful),
            chained: Some(Request::First),
            state: State::Fetching,
            pagination,
            row_limit: None,
            number,
            accepted: 0,
            in_flight: 0,
            rows: 0,
            stride: None,
            full: 0,
            page_rows: page_rows as u64,
            steady: true,
            claim: None,
            is_confirming: false,
            last: None,
            names_next_links: false,
            is_next_missing: false,
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
        let may_plan = match self.state {
            State::Fetching => !self.has_enough() && self.may_guess(),
            State::Draining { is_alone, .. } => is_alone && self.in_flight == 0,
            State::Over(_) => false,
        };
        if !may_plan {
            return None;
        }
        let confirms = self.is_numbered() && self.is_all_announced();
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
        self.is_confirming |= confirms;
        self.in_flight += 1;
        Some(Planned {
            index: self.accepted + self.in_flight,
            request,
            confirms,
        })
    }

    fn has_enough(&self) -> bool {
        self.row_limit.is_some_and(|limit| self.rows >= limit)
    }

    /// Whether a request beyond those in flight is known to be needed, or a fair guess.
    fn may_guess(&self) -> bool {
        if self.in_flight == 0 {
            return true;
        }
        let Some(expected) = self.expected() else {
            return false;
        };
        self.steady
            && !self.is_confirming
            && self.claim.is_none()
            && self.row_limit.is_none_or(|limit| expected < limit)
            // Exactly the total: one page more makes sure of it, at the same time.
            && self.total.reliable().is_none_or(|total| expected <= total)
            && self.last.is_none_or(|last| self.number <= last)
    }

    /// The rows that will have come with the requests in flight, if their pages are usual ones.
    fn expected(&self) -> Option<u64> {
        let ahead = self.in_flight.saturating_mul(self.stride?);
        Some(self.rows.saturating_add(ahead))
    }

    /// Whether what follows the requests in flight lies beyond all that the server claims to have.
    fn is_all_announced(&self) -> bool {
        let is_draining = matches!(self.state, State::Draining { .. });
        let total = self.total.reliable();
        is_draining || self.claim.is_some() || (total.is_some() && self.expected() == total)
    }

    /// Takes the facts of the answer to `planned`, the oldest request in flight.
    ///
    /// # Errors
    /// A page that contradicts the ones before it. The machine is over then.
    pub fn accept(&mut self, planned: &Planned, facts: &Facts) -> Result<Verdict, Fault> {
        self.leave_flight(planned);
        let verdict = self.judge(planned, facts);
        if verdict.is_err() {
            self.state = State::Over(None);
        }
        self.end_drained();
        verdict
    }

    /// Takes note that the answer to `planned`, the oldest request in flight, is of no use: the end was
    /// known when it failed.
    pub fn dismiss(&mut self, planned: &Planned) {
        self.leave_flight(planned);
        self.end_drained();
    }

    fn leave_flight(&mut self, planned: &Planned) {
        self.in_flight -= 1;
        self.accepted = planned.index;
        self.is_confirming &= !planned.confirms;
    }

    /// Ends a source after an empty page when nothing more is to come.
    fn end_drained(&mut self) {
        if let State::Draining {
            empty,
            how,
            is_alone: false,
        } = self.state
            && self.in_flight == 0
        {
            self.state = State::Over(Some(self.claim.unwrap_or(End::Empty { page: empty, how })));
        }
    }

    fn judge(&mut self, planned: &Planned, facts: &Facts) -> Result<Verdict, Fault> {
        let page = planned.index;
        let rows = facts.row_count as u64;
        if let State::Draining {
            empty,
            how,
            is_alone,
        } = &mut self.state
        {
            *is_alone = false;
            let (empty, how) = (*empty, *how);
            return match rows {
                0 => Ok(Verdict::Empty),
                _ => Err(Fault::RowsAfterEnd { page, empty, how }),
            };
        }
        if let Some(link) = &facts.last_link {
            self.last = self.number_in(link).or(self.last);
        }
        self.names_next_links |= facts.has_next_link;
        if rows > 0 {
            match self.rows_seen.entry(facts.rows_hash) {
                Entry::Occupied(earlier) => {
                    let earlier = *earlier.get();
                    return Err(Fault::RepeatedRows { page, earlier });
                }
                Entry::Vacant(slot) => slot.insert(page),
            };
        }
        self.rows = self.rows.saturating_add(rows);
        self.total.weigh(facts.total, rows, self.rows);
        let replan = match planned.request {
            Request::Numbered(number) => self.advance(number, facts, page)?,
            Request::First | Request::Cursor(_) | Request::Url(_) => {
                self.follow(planned, facts)?;
                false
            }
        };
        Ok(match rows {
            0 => Verdict::Empty,
            _ if replan => Verdict::RowsAndReplan,
            _ => Verdict::Rows,
        })
    }

    /// Moves a numbered source past the page at `number`; true when requests in flight are void.
    fn advance(&mut self, number: u64, facts: &Facts, page: u64) -> Result<bool, Fault> {
        let rows = facts.row_count as u64;
        if rows == 0 {
            if facts.has_more == Some(true) {
                return Err(Fault::EmptyWithMore { page });
            }
            let how = facts.emptiness;
            self.state = State::Draining {
                empty: page,
                how,
                is_alone: !how.is_plain() && self.claim.is_none(),
            };
            // The page behind this one, should it be asked for.
            if self.number <= number {
                let step = self.stride.unwrap_or(self.page_rows).max(1);
                self.number = number.saturating_add(step);
            }
            return Ok(false);
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
                self.is_confirming = false;
            }
            // Guessing resumes once two pages in a row are of one size.
            self.steady = usual;
            self.stride = Some(rows);
        } else {
            self.stride.get_or_insert(rows);
        }
        let is_full = rows >= self.full;
        self.full = self.full.max(rows);
        self.claim = self.claimed_end(number, facts, page);
        if let Some(end) = self.claim
            && self.in_flight == 0
            && !self.needs_confirmation(end, is_full)
        {
            self.state = State::Over(Some(end));
        }
        Ok(replan)
    }

    /// Why the page at `number` should be the last, if the server says so.
    fn claimed_end(&self, number: u64, facts: &Facts, page: u64) -> Option<End> {
        let rows = self.rows;
        match self.total.reliable() {
            Some(total) if total == rows => return Some(End::Total { rows }),
            // The total knows of more.
            Some(total) if total > rows => return None,
            Some(_) | None => {}
        }
        let was_last = self.last.is_some_and(|last| number >= last);
        (was_last && !facts.has_next_link).then_some(End::LastLink { page })
    }

    /// Whether one more page must be asked for before that end is believed, after a page that may be
    /// full.
    fn needs_confirmation(&self, end: End, is_full: bool) -> bool {
        match end {
            End::Total { .. } => is_full || self.total.change().is_some(),
            // Silence says something where the pages before have named their next.
            End::LastLink { .. } => is_full && !self.names_next_links,
            End::OneRequest
            | End::Empty { .. }
            | End::NoNext { .. }
            | End::OwnNext { .. }
            | End::Enough => false,
        }
    }

    /// Takes what the page of a chained source says of the next.
    fn follow(&mut self, planned: &Planned, facts: &Facts) -> Result<(), Fault> {
        let page = planned.index;
        if self.pagination == Pagination::None {
            self.state = State::Over(Some(End::OneRequest));
            return Ok(());
        }
        let is_empty = facts.row_count == 0;
        let end = match &facts.next {
            Next::At(next) if is_empty && planned.request.leads_to(next) => End::OwnNext { page },
            Next::At(next) => return self.chain(next, page),
            Next::Absent | Next::Ended => End::NoNext { page },
        };
        if facts.has_more == Some(true) {
            return Err(Fault::MoreWithoutNext { page });
        }
        self.is_next_missing = page == 1
            && !is_empty
            && facts.next == Next::Absent
            && facts.has_more.is_none()
            && self.total.reliable() != Some(self.rows);
        self.state = State::Over(Some(end));
        Ok(())
    }

    fn chain(&mut self, next: &str, page: u64) -> Result<(), Fault> {
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
        matches!(self.state, State::Over(_))
    }

    /// Whether the end is known without the answer to `planned`: one request at a time would not have
    /// asked for it.
    pub fn can_do_without(&self, planned: &Planned) -> bool {
        match self.state {
            State::Draining { is_alone, .. } => !(is_alone && planned.confirms),
            State::Fetching | State::Over(_) => false,
        }
    }

    /// Why no further page is asked for; none while one is, or after a fault.
    pub fn end(&self) -> Option<End> {
        match self.state {
            State::Over(end) => end,
            State::Fetching => self.has_enough().then_some(End::Enough),
            State::Draining { .. } => None,
        }
    }

    /// Whether the first page has rows, and nothing in it says whether there are more.
    pub fn is_next_missing(&self) -> bool {
        self.is_next_missing
    }

    /// What the total was and what it became, if it changed while numbered pages were read: rows may
    /// then have moved from one page to another.
    pub fn total_change(&self) -> Option<(u64, u64)> {
        self.total.change().filter(|_| self.is_numbered())
    }

    /// How many rows have come.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The rows that came and those that were announced, if the source ended short of them.
    pub fn shortfall(&self) -> Option<(u64, u64)> {
        let total = self
            .total
            .reliable()
            .filter(|&total| self.rows < total && !self.has_enough())?;
        Some((self.rows, total))
    }

    fn is_numbered(&self) -> bool {
        self.pagination.is_numbered()
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
