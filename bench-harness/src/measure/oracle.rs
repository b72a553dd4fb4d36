//! What a query must load, as PostgreSQL itself computes it.

use anyhow::{Context, Result};

use super::verify::Check;
use crate::run_record::Verification;
use testkit::postgres::{connect, quoted};
use testkit::workload::{Workload, make_reference_file};

/// The table of the answer while its checksum is computed.
const ANSWER: &str = "answer";

/// Runs `sql` in PostgreSQL over the workload's rows, loaded by psql, and computes the checksum of the
/// answer.
///
/// It uses no code of the engine. It drops both tables, whose pages must not fill the server's cache.
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
