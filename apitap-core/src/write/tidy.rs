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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use testkit::test_database::test_database;

    use super::super::place::Place;
    use super::super::session::Idle;
    use super::super::tests::{client, sink};
    use super::*;
    use crate::config::WriteMode;

    /// What is left is removed although a session that was ended still has its lock for a moment.
    #[tokio::test]
    async fn postgres_lets_go_of_a_lock_after_it_has_ended_a_session() {
        let database = test_database().await.unwrap();
        let client = client(&database).await;
        let sink = sink(&database, "t", WriteMode::Replace, &[]);
        let open = || Session::open(&sink.target, Arc::default());
        let dying = open().await.unwrap();
        dying.begin("testing", Idle::Usual).await.unwrap();
        let place = Place::lock(&dying, &sink.table).await.unwrap();
        let make = format!("CREATE TABLE {} (a int)", place.own_table());
        client.batch_execute(&make).await.unwrap();

        let leftovers = Leftovers {
            control: Arc::new(open().await.unwrap()),
            target: sink.target.clone(),
            metrics: Arc::default(),
            removal: Some(place.removal()),
        };
        let lets_go = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            dying.execute("testing", "ROLLBACK").await.unwrap();
        };
        tokio::join!(leftovers.remove(), lets_go);
        let left = format!("SELECT to_regclass('{}') IS NULL", place.own_table());
        assert!(
            client
                .query_one(&left, &[])
                .await
                .unwrap()
                .get::<_, bool>(0)
        );
    }
}
