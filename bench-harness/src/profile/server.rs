//! What the server did beside a load: looked up now and then from a thread of the worker, because
//! only there is known what the engine was doing at that moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use apitap_core::concurrency_time::ActivitySet;
use apitap_core::metrics::Metrics;

use crate::budget::{Seen, ServerState};
use testkit::postgres::connect;

/// Time between two looks.
///
/// A look costs client and server about a tenth of a millisecond each; a load of half a second is
/// seen some dozens of times, and an arm is loaded ten times.
pub(crate) const INTERVAL: Duration = Duration::from_millis(10);

/// The backends of the engine in this database. In COPY a backend that waits for rows is active and
/// waits for its client; between statements it is idle, which is the same here.
const LOOK: &str = "SELECT coalesce(bool_or(state = 'active' AND wait_event IS NULL), false), \
                           coalesce(bool_or(state = 'active' AND wait_event_type <> 'Client'), false) \
                    FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'apitap'";

/// Looking at the server until it is stopped.
#[derive(Debug)]
pub(crate) struct ServerWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Seen>>>,
}

impl ServerWatch {
    /// Begins to look at the server behind `url`, beside what `metrics` say of the engine. Returns
    /// when it is connected.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(crate) async fn start(url: String, metrics: Arc<Metrics>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        // A runtime of its own: the engine's may be busy just when something happens.
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(watch(&url, &metrics, &stopped, ready))
        });
        // Dropped without a word where it cannot connect; `stop` then says why.
        let _ = is_ready.await;
        Ok(Self { stop, thread })
    }

    /// What was seen.
    ///
    /// # Errors
    /// When the server could not be asked.
    pub(crate) fn stop(self) -> Result<Vec<Seen>> {
        self.stop.store(true, Relaxed);
        let seen = self.thread.join();
        seen.map_err(|_| anyhow!("watching the server panicked"))?
    }
}

async fn watch(
    url: &str,
    metrics: &Metrics,
    stopped: &AtomicBool,
    ready: tokio::sync::oneshot::Sender<()>,
) -> Result<Vec<Seen>> {
    let client = connect(url).await?;
    let look = client
        .prepare(LOOK)
        .await
        .context("cannot look at the server")?;
    client.query_one(&look, &[]).await?;
    // Nobody waits any more where the worker has failed meanwhile.
    let _ = ready.send(());
    let mut looks: BTreeMap<(ActivitySet, ServerState), f64> = BTreeMap::new();
    let mut clock = tokio::time::interval(INTERVAL);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !stopped.load(Relaxed) {
        clock.tick().await;
        // The answer is of a moment between these two.
        let before = metrics.activities.now();
        let row = client.query_one(&look, &[]).await?;
        let after = metrics.activities.now();
        let state = match (row.try_get(0)?, row.try_get(1)?) {
            (true, _) => ServerState::Running,
            (false, true) => ServerState::Waiting,
            (false, false) => ServerState::Idle,
        };
        for active in [before, after] {
            *looks.entry((active, state)).or_default() += 0.5;
        }
    }
    let seen = looks.into_iter().map(|((active, server), looks)| Seen {
        active: active.iter().collect(),
        server,
        looks,
    });
    Ok(seen.collect())
}
