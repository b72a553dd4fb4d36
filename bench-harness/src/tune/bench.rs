//! What the search works with: loads, a clock, and somebody to tell.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;

use super::candidates::Candidate;

/// Loads with candidates. The real ones start processes; that of the tests invents times.
pub(crate) trait Bench {
    /// Loads once with `candidate`, and gives up after `limit`, everything included.
    ///
    /// # Errors
    /// When no further load makes sense: the server is gone, or the rows are wrong.
    fn load(
        &mut self,
        candidate: &Candidate,
        limit: Duration,
    ) -> impl Future<Output = Result<Loaded>>;

    /// Since the command began.
    fn elapsed(&self) -> Duration;

    /// Tells the user.
    fn say(&mut self, line: &str);
}

/// How a load ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Loaded {
    /// Well, with the right rows.
    Well(Load),
    /// It was given up.
    OverLimit,
    /// Well, but something outside of it spoiled its time.
    Spoiled,
    /// Not well, for this reason.
    Failed(String),
}

/// What a load was.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Load {
    /// Its wall time, as the engine reports it.
    pub(crate) seconds: f64,
    /// Rows that the sources delivered.
    pub(crate) rows_read: u64,
    /// Rows that landed.
    pub(crate) rows: u64,
    /// Pages that the sources delivered.
    pub(crate) pages: u64,
    /// Requests that were sent, those sent again included.
    pub(crate) requests: u64,
    /// Requests that were sent again.
    pub(crate) retries: u64,
}
