//! What the worker and the server hold between loads.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio_postgres::Client;

use crate::faults::table::sessions;

/// What was read at one moment at which nothing was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Reading {
    /// Since the first load began.
    pub(super) seconds: f64,
    /// Loads that had ended by then.
    pub(super) loads: usize,
    /// Resident memory of the worker.
    pub(super) memory_bytes: u64,
    /// Open descriptors of the worker.
    pub(super) descriptors: u64,
    /// Threads of the worker.
    pub(super) threads: u64,
    /// Sessions of loads.
    pub(super) sessions: u64,
}

/// Reads what process `pid` and the server of `client` hold.
pub(super) async fn read(
    pid: u32,
    client: &Client,
    since: Duration,
    loads: usize,
) -> Result<Reading> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.context("the worker has ended")?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    let descriptors = descriptors.context("the worker has ended")?.count() as u64;
    let sessions = sessions_left(client).await?;
    Ok(Reading {
        seconds: since.as_secs_f64(),
        loads,
        memory_bytes: 1024 * figure(&status, "VmRSS:").context("no VmRSS of the worker")?,
        descriptors,
        threads: figure(&status, "Threads:").context("no threads of the worker")?,
        sessions: sessions.unsigned_abs(),
    })
}

/// How long a session may take to end after its load: the server notices a closed connection only then.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// The sessions of loads that do not end by themselves.
async fn sessions_left(client: &Client) -> Result<i64> {
    let give_up = Instant::now() + ENDS_WITHIN;
    loop {
        let left = client.query_one(&sessions("count(*)"), &[]).await;
        let left: i64 = left.context("cannot count the sessions")?.get(0);
        if left == 0 || Instant::now() >= give_up {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A number of `/proc/PID/status`.
fn figure(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_process_are_found_by_name() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t7\n";
        assert_eq!(figure(status, "VmRSS:"), Some(1234));
        assert_eq!(figure(status, "Threads:"), Some(7));
        assert_eq!(figure(status, "VmHWM:"), None);
    }
}
