//! How far the total that a server announces can be believed.

/// What a server announced, page by page.
#[derive(Debug, Default)]
pub(super) struct Total {
    /// Rows before the first that is asked for; they are announced too.
    pub(super) before: u64,
    latest: Option<u64>,
    largest: u64,
    /// What it was before it changed for the first time.
    changed_from: Option<u64>,
    is_doubtful: bool,
}

impl Total {
    pub(super) fn new(before: u64, is_doubtful: bool) -> Self {
        Self {
            before,
            is_doubtful,
            ..Self::default()
        }
    }

    /// Takes what a page of `page_rows` announced, `rows` having come with it. A total that is
    /// exceeded counts something else than the rows to come.
    pub(super) fn weigh(&mut self, announced: Option<u64>, page_rows: u64, rows: u64) {
        let announced = announced.map(|total| total.saturating_sub(self.before));
        // Beyond the end some servers count what is left: nothing.
        let counts = |total: &u64| page_rows > 0 || self.latest.is_none() || *total >= rows;
        if let Some(total) = announced.filter(counts) {
            let before = self.latest.replace(total).filter(|&before| before != total);
            self.changed_from = self.changed_from.or(before);
            self.largest = self.largest.max(total);
        }
        self.is_doubtful |= self.latest.is_some() && rows > self.largest;
    }

    /// The total, unless it is known to be something else.
    pub(super) fn reliable(&self) -> Option<u64> {
        self.latest.filter(|_| !self.is_doubtful)
    }

    /// What the total was and what it became, if it changed while pages were read.
    pub(super) fn change(&self) -> Option<(u64, u64)> {
        let now = self.reliable()?;
        self.changed_from.map(|before| (before, now))
    }
}
