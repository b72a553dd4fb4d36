//! What the machine and the server did while a sample ran, and whether that spoils its figures.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use testkit::cpu::{CpuTimes, tree_cpu};
use testkit::workload::quote_table;

/// Steal above which a sample is void.
///
/// Five per cent: the practical threshold of an uncalibrated comparison. More steal can by itself make a
/// difference that a report would call real.
const STEAL_LIMIT_SHARE: f64 = 0.05;

/// Steal below which a sample is never void, in ticks of the kernel, usually 10 ms.
///
/// A short sample lasts a few ticks on each processor, and one rounded tick would be a large share of
/// it. Three ticks are more than rounding.
const STEAL_LEAST_TICKS: u64 = 3;

/// How long to wait for the backends of an ended process. They end within milliseconds; a backend that
/// does not is still counted, as a living child of the postmaster.
const BACKENDS_END_WITHIN: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The readings at the start of a sample.
#[derive(Debug)]
pub(super) struct Before {
    machine: CpuTimes,
    server_cpu: Option<Duration>,
    timed_checkpoints: i64,
}

/// What happened between two readings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Surroundings {
    pub(super) steal_share: f64,
    pub(super) server_cpu_seconds: Option<f64>,
    /// Why the figures are worthless, if they are.
    pub(super) spoiled_by: Option<String>,
}

/// Reads everything just before a sample starts.
pub(super) async fn before(client: &Client, postmaster: Option<u32>) -> Result<Before> {
    Ok(Before {
        timed_checkpoints: timed_checkpoints(client).await?,
        server_cpu: postmaster.map(tree_cpu).transpose()?,
        // Last, so that it contains as little as possible of the readings themselves.
        machine: CpuTimes::now()?,
    })
}

impl Before {
    /// Reads everything again just after the process of a sample ended; `machine` was read first.
    pub(super) async fn until(
        &self,
        machine: CpuTimes,
        client: &Client,
        postmaster: Option<u32>,
        table: &str,
    ) -> Result<Surroundings> {
        wait_for_backends(client).await?;
        let server_cpu = postmaster.map(tree_cpu).transpose()?;
        let timed = timed_checkpoints(client).await? - self.timed_checkpoints;
        let vacuumed = was_vacuumed(client, table).await?;
        let steal_share = self.machine.steal_share(&machine);
        Ok(Surroundings {
            steal_share,
            server_cpu_seconds: server_cpu
                .zip(self.server_cpu)
                .map(|(after, before)| after.saturating_sub(before).as_secs_f64()),
            spoiled_by: stolen(&self.machine, &machine)
                .or_else(|| (timed > 0).then(|| "a timed checkpoint began".to_owned()))
                .or_else(|| vacuumed.then(|| "autovacuum worked on the table".to_owned())),
        })
    }
}

/// Why the host's steal between two readings spoils what ran, if it does.
pub(crate) fn stolen(before: &CpuTimes, after: &CpuTimes) -> Option<String> {
    let share = before.steal_share(after);
    let ticks = after.steal_ticks.saturating_sub(before.steal_ticks);
    (share > STEAL_LIMIT_SHARE && ticks >= STEAL_LEAST_TICKS).then(|| {
        format!(
            "{:.1}% CPU steal on the host (the limit is {:.0}%)",
            share * 100.0,
            STEAL_LIMIT_SHARE * 100.0
        )
    })
}

/// Writes all dirty pages, so that no sample pays for the one before it.
///
/// # Errors
/// When the server fails. For a role that may not do this it returns `Ok(false)`.
pub(super) async fn checkpoint(client: &Client) -> Result<bool> {
    match client.batch_execute("CHECKPOINT").await {
        Ok(()) => Ok(true),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(false),
        Err(error) => Err(error).context("cannot make a checkpoint"),
    }
}

/// Checkpoints that the clock began; those that a sample or `CHECKPOINT` asks for do not count.
async fn timed_checkpoints(client: &Client) -> Result<i64> {
    // Asks the catalogue and not for the version: the view moved in 17, and a fork may lag behind.
    let query = "SELECT to_regclass('pg_catalog.pg_stat_checkpointer') IS NOT NULL";
    let moved: bool = client.query_one(query, &[]).await?.try_get(0)?;
    let query = if moved {
        "SELECT num_timed FROM pg_stat_checkpointer"
    } else {
        "SELECT checkpoints_timed FROM pg_stat_bgwriter"
    };
    let row = client.query_one(query, &[]).await;
    let row = row.context("cannot read the server's checkpoints")?;
    Ok(row.try_get(0)?)
}

async fn was_vacuumed(client: &Client, table: &str) -> Result<bool> {
    let query = "SELECT coalesce(sum(autovacuum_count + autoanalyze_count), 0) > 0 \
                 FROM pg_stat_user_tables WHERE relid = to_regclass($1)";
    let row = client.query_one(query, &[&quote_table(table)]).await;
    let row = row.context("cannot read the table's statistics")?;
    Ok(row.try_get(0)?)
}

/// Waits until only `client` is connected to its database: only then does the postmaster have the
/// processor time of a sample's backends.
async fn wait_for_backends(client: &Client) -> Result<()> {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let give_up = tokio::time::Instant::now() + BACKENDS_END_WITHIN;
    loop {
        let row = client.query_one(query, &[]).await;
        let connected: i64 = row.context("cannot read who is connected")?.try_get(0)?;
        if connected == 0 || tokio::time::Instant::now() > give_up {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::postgres::connect;
    use testkit::test_database::test_database;

    fn times(total_ticks: u64, steal_ticks: u64) -> CpuTimes {
        CpuTimes {
            total_ticks,
            steal_ticks,
        }
    }

    #[test]
    fn steal_voids_by_its_share_but_not_by_rounding() {
        let start = times(1_000, 10);
        assert_eq!(stolen(&start, &times(1_100, 15)), None);
        let reason = stolen(&start, &times(1_100, 16)).unwrap();
        assert!(reason.contains("6.0%"), "{reason}");
        assert_eq!(stolen(&start, &times(1_010, 12)), None);
    }

    #[tokio::test]
    async fn a_postgres_server_is_read_around_a_sample() {
        let database = test_database().await.unwrap();
        let client = connect(database.url()).await.unwrap();
        assert!(checkpoint(&client).await.unwrap());
        let before = before(&client, None).await.unwrap();
        let other = connect(database.url()).await.unwrap();
        other.batch_execute("CREATE TABLE t (a int)").await.unwrap();
        drop(other);
        let machine = CpuTimes::now().unwrap();
        let seen = before.until(machine, &client, None, "t").await.unwrap();
        assert_eq!(seen.server_cpu_seconds, None);
        assert!(
            !seen
                .spoiled_by
                .is_some_and(|reason| reason.contains("vacuum"))
        );
    }
}
