//! A source that is told to slow down waits as a whole.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The time before which no request of a source is sent.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// Holds requests back for at least so long from now.
    pub(super) fn extend(&self, delay: Duration) {
        let until = Instant::now() + delay;
        let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *end = (*end).max(Some(until));
    }

    /// Waits until requests may be sent.
    pub(super) async fn over(&self) {
        while let Some(until) = self.end() {
            sleep_until(until).await;
        }
    }

    fn end(&self) -> Option<Instant> {
        let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        end.filter(|&until| until > Instant::now())
    }
}
