//! What a query must land, by PostgreSQL's own account.

use anyhow::{Context, Result};

use super::verify::Check;
use crate::run_record::Verification;
use testkit::postgres::{connect, quoted};
use testkit::workload::{Workload, make_reference_file};

/// Where the answer stands while it is summed up.
const ANSWER: &str = "answer";

/// Runs `sql` in PostgreSQL over the workload's rows, loaded by psql, and sums up the answer.
///
/// No code of the engine takes part. Both tables are dropped again: their pages must not fill the
/// server's cache.
pub(super) async fn answer(
    database_url: &str,
    workload: &Workload,
    rows: u64,
    sql: &str,
) -> Result<(Check, Verification)> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = folder.path().join("rows.copy");
    make_reference_file(database_url, workload, rows, workload.name(), &file)
        .await
        .context("cannot load the rows that the query is about")?;
    let client = connect(database_url).await?;
    let create = format!("CREATE TABLE {} AS {sql}", quoted(ANSWER));
    let created = client.batch_execute(&create).await;
    created.context("PostgreSQL cannot run the experiment's sql")?;
    let names = "SELECT attname::text FROM pg_attribute \
                 WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum";
    let columns = client
        .query(names, &[&ANSWER])
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<String>, _>>()?;
    let check = Check::Columns(columns);
    let expected = check.landed(&client, ANSWER).await?;
    let tables = [workload.name(), ANSWER].map(quoted).join(", ");
    let dropped = client.batch_execute(&format!("DROP TABLE {tables}")).await;
    dropped.context("cannot drop the tables of the expected answer")?;
    Ok((check, expected))
}
