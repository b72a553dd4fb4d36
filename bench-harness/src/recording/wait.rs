//! Waiting to a fraction of a millisecond.

use std::time::{Duration, Instant};

/// tokio's timers count whole milliseconds, which an answer of a server nearby may take in all. The rest is
/// slept by a thread.
const TIMER: Duration = Duration::from_millis(2);

/// Waits until `deadline`: never less, and some tens of microseconds more.
pub(super) async fn wait_until(deadline: Instant) {
    let left = || deadline.saturating_duration_since(Instant::now());
    if let Some(most) = left().checked_sub(TIMER) {
        tokio::time::sleep(most).await;
    }
    let rest = left();
    if !rest.is_zero() {
        // It fails only where the runtime ends.
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(rest)).await;
    }
}
