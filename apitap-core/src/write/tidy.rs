//! What a load leaves when it does not end well is removed: at once where that can be, else by the next load
//! of the table.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::session::Session;
use super::target::TargetSpec;
use crate::metrics::Metrics;

/// Work that goes on when its load was dropped, and that can be waited for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tidying(watch::Sender<usize>);

impl Tidying {
    /// Starts work that nobody waits for otherwise. Without a runtime it is not done.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            let under_way = UnderWay::new(self.0.clone());
            runtime.spawn(async move {
                work.await;
                drop(under_way);
            });
        }
    }

    /// Waits until all of it is done.
    pub(crate) async fn done(&self) {
        // The sender is `self`, so it lives.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// Counts as work from its beginning to its drop.
struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    fn new(count: watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// What is left of a load.
pub(super) struct Leftovers {
    pub(super) control: Arc<Session>,
    pub(super) target: TargetSpec,
    pub(super) metrics: Arc<Metrics>,
    /// The statement that removes the load's own table, where others fill it too.
    pub(super) removal: Option<String>,
}

impl Leftovers {
    /// Rolls back, and removes the load's own table. It cannot fail: what remains is for the next load.
    pub(super) async fn remove(self) {
        const DOING: &str = "cleaning up after a load";
        let rolled_back = self.control.execute(DOING, "ROLLBACK").await;
        let Some(removal) = &self.removal else {
            return;
        };
        let mut removed = match rolled_back {
            Ok(()) => self.control.execute(DOING, removal).await,
            Err(error) => Err(error),
        };
        if removed.is_err() && !self.control.is_silent() {
            // The connection itself may be what failed.
            removed = match Session::open(&self.target, self.metrics.clone()).await {
                Ok(other) => other.execute(DOING, removal).await,
                Err(error) => Err(error),
            };
        }
        if let Err(error) = removed {
            tracing::warn!(
                "{}; a table whose name begins with _apitap_ stays until the next load of its neighbour",
                error.chain()
            );
        }
    }

    /// The same for a load that was dropped, of which a statement may still be under way.
    pub(super) async fn interrupt(self) {
        self.control.cancel().await;
        self.remove().await;
    }
}
