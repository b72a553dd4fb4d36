//! What is done while the server lets a load wait: it is said who holds the lock, and asked whether the
//! server still lives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use super::connect::{Connected, answers, connect};
use super::target::TargetSpec;
use crate::error::{Error, ErrorKind, Stage};
use crate::metrics::Metrics;

/// A wait of which nothing is said: most statements take less, and users do not wonder yet.
pub(super) const LOOK_AFTER: Duration = Duration::from_secs(2);

/// Between two looks at who holds the lock.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Whoever blocks a process. Of its query only the first words, which hold no values.
const HOLDERS: &str = "
    SELECT b.pid, coalesce(a.application_name, ''), coalesce(a.state, ''),
           coalesce(upper(substring(a.query FROM '^[[:space:]]*([A-Za-z]+([[:space:]]+[A-Za-z_]+)?)')), '')
    FROM (SELECT DISTINCT unnest(pg_blocking_pids($1)) AS pid) b
    LEFT JOIN pg_stat_activity a ON a.pid = b.pid
    ORDER BY 1";

/// A session that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    process: i32,
    application: String,
    state: String,
    query: String,
}

impl Holder {
    fn name(&self) -> String {
        match self.process {
            0 => "a prepared transaction".to_owned(),
            process => format!("process {process}"),
        }
    }
}

/// A look from a connection of its own at a session that waits.
pub(super) struct Watch<'a> {
    target: &'a TargetSpec,
    metrics: &'a Arc<Metrics>,
    process: Option<i32>,
    since: Instant,
}

impl<'a> Watch<'a> {
    /// A watch that begins when [`LOOK_AFTER`] has passed.
    pub(super) fn new(
        target: &'a TargetSpec,
        metrics: &'a Arc<Metrics>,
        process: Option<i32>,
    ) -> Self {
        let now = Instant::now();
        Self {
            target,
            metrics,
            process,
            since: now.checked_sub(LOOK_AFTER).unwrap_or(now),
        }
    }

    /// Watches until the server answers nobody any more, and says so.
    pub(super) async fn keep(self, doing: &str) -> Error {
        let mut told = Vec::new();
        let mut answered = self.since;
        let mut other = None;
        loop {
            if let Some(holders) = self.holders(&mut other).await
                && holders != told
            {
                told = holders;
                self.tell(doing, &told);
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER.min(self.target.answer_timeout)).await;
            if answered.elapsed() >= self.target.answer_timeout {
                if !answers(self.target, self.metrics.clone()).await {
                    if let Some(Connected { driver, .. }) = &other {
                        driver.abort();
                    }
                    return self.silent(doing);
                }
                answered = Instant::now();
            }
        }
    }

    /// Who holds the lock that is waited for, as far as that can be found out in a moment.
    async fn holders(&self, other: &mut Option<Connected>) -> Option<Vec<Holder>> {
        let process = self.process?;
        let look = async {
            if other.is_none() {
                *other = Some(connect(self.target, self.metrics.clone()).await.ok()?);
            }
            let Connected { client, .. } = other.as_ref()?;
            let rows = client.query_typed(HOLDERS, &[(&process, Type::INT4)]).await;
            Some(rows)
        };
        let rows = tokio::time::timeout(LOOK_AGAIN_AFTER, look).await.ok()??;
        let Ok(rows) = rows else {
            // A pooler may have closed it meanwhile.
            *other = None;
            return None;
        };
        let holder = |row: &tokio_postgres::Row| Holder {
            process: row.get(0),
            application: row.get(1),
            state: row.get(2),
            query: row.get(3),
        };
        Some(rows.iter().map(holder).collect())
    }

    fn tell(&self, doing: &str, holders: &[Holder]) {
        for holder in holders {
            tracing::warn!(
                pid = holder.process,
                application = holder.application,
                state = holder.state,
                query = holder.query,
                "{doing}: waiting for a lock since {} s; {} holds it",
                self.since.elapsed().as_secs(),
                holder.name(),
            );
        }
    }

    fn silent(&self, doing: &str) -> Error {
        Error::new(
            ErrorKind::Connect,
            Stage::Write,
            format!(
                "{doing}: the server has not answered for {} s, and it answers no new connection either",
                self.since.elapsed().as_secs()
            ),
        )
        .hint("check the server and the network to it, or raise the target's answer_timeout")
    }
}
