//! Limits to compare arms with: the mock API's own speed, and the file that `psql` loads.

use std::path::Path;

use anyhow::{Context, Result};

use crate::run_record::MockApiCeiling;
use testkit::mock_api::measure_ceiling;
use testkit::postgres::{connect, quoted};
use testkit::workload::{Workload, make_reference_file};

/// Rows of a page, and connections, for measuring the mock API's ceiling: those of the tuned preset,
/// which reads it fastest.
const CEILING_PAGE_ROWS: u64 = 1_000;
const CEILING_CONCURRENCY: usize = 4;

/// How often the ceiling is measured; the fastest counts.
const CEILING_ATTEMPTS: usize = 5;

/// The fastest of some measurements of the mock API behind `url`.
pub(super) async fn mock_api_ceiling(url: &str, rows: u64) -> Result<MockApiCeiling> {
    let mut best: Option<MockApiCeiling> = None;
    for _ in 0..CEILING_ATTEMPTS {
        let measured = measure_ceiling(url, rows, CEILING_PAGE_ROWS, CEILING_CONCURRENCY).await?;
        let ceiling = MockApiCeiling {
            rows_per_second: measured.rows_per_second(),
            bytes_per_second: measured.bytes_per_second(),
        };
        if best.is_none_or(|best| best.bytes_per_second < ceiling.bytes_per_second) {
            best = Some(ceiling);
        }
    }
    best.context("the mock API's ceiling was not measured")
}

/// Makes the file, and drops its table, whose pages must not fill the server's cache.
pub(super) async fn make_reference(
    database_url: &str,
    workload: &Workload,
    rows: u64,
    file: &Path,
) -> Result<()> {
    const MADE_FROM: &str = "reference";
    make_reference_file(database_url, workload, rows, MADE_FROM, file)
        .await
        .context("cannot make the file of the reference arm")?;
    let client = connect(database_url).await?;
    let drop = format!("DROP TABLE {}", quoted(MADE_FROM));
    let dropped = client.batch_execute(&drop).await;
    dropped.context("cannot drop the reference table")
}
