//! The time of a tuning, and what it tells while it runs.

use std::time::{Duration, Instant};

use crate::measure::progress::spoken;

/// The time of a tuning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    begun: Instant,
    budget: Duration,
}

impl Clock {
    /// Begins now.
    pub(super) fn start(budget: Duration) -> Self {
        Self {
            begun: Instant::now(),
            budget,
        }
    }

    /// Since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The time that is left.
    pub(super) fn left(&self) -> Duration {
        self.budget.saturating_sub(self.elapsed())
    }

    /// Tells the user, and how much time is left.
    pub(super) fn say(&self, line: &str) {
        eprintln!("{line} ({} left)", spoken(self.left()));
    }
}
