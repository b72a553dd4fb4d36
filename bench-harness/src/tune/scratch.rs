//! The table that a user's pipeline loads in place of its own.

use std::time::Duration;

use anyhow::Result;
use apitap_core::Job;
use apitap_core::config::WriteMode;
use apitap_core::write::drop_table;

use crate::measure::worker::engine_error;

/// How long the table is tried to be dropped: a process that was killed a moment ago may hold its lock.
const DROP_WITHIN: Duration = Duration::from_secs(10);
const DROP_INTERVAL: Duration = Duration::from_millis(100);

/// `job` with `scratch` in the place of its table.
#[must_use]
pub(crate) fn into_scratch(job: &Job, scratch: &str) -> Job {
    let mut job = job.clone();
    if job.sink.mode != WriteMode::Replace {
        // Rows of one key are merged, and of them a new table with that key would take only the first.
        job.sink.key.clear();
    }
    job.sink.mode = WriteMode::Replace;
    job.sink.table = job.sink.table.sibling(scratch.to_owned());
    job
}

/// Drops the scratch table of `job`.
///
/// # Errors
/// When the server cannot be reached, or a load holds the table for long.
pub(crate) async fn drop_scratch(job: &Job, scratch: &str) -> Result<()> {
    let sink = into_scratch(job, scratch).sink;
    let give_up = tokio::time::Instant::now() + DROP_WITHIN;
    loop {
        match drop_table(&sink.target, &sink.table).await {
            Ok(()) => return Ok(()),
            Err(error) if tokio::time::Instant::now() > give_up => {
                let context = format!("the scratch table {} is left behind", sink.table);
                return Err(engine_error(&error).context(context));
            }
            Err(_) => tokio::time::sleep(DROP_INTERVAL).await,
        }
    }
}
