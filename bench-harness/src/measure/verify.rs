//! Whether a sample loaded the right rows.

use anyhow::{Context, Result};
use tokio_postgres::Client;

use crate::recording::Column;
use crate::run_record::Verification;
use testkit::postgres::quoted;
use testkit::workload::{Expectation, Workload, checksum_sql, quote_table};

/// How the content of a table is verified.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    /// It holds the rows of a workload.
    Workload(Workload),
    /// It holds the answer of a query, in these columns.
    Columns(Vec<String>),
    /// It holds in these columns what a recorded load left there.
    Recorded(Vec<Column>),
}

impl Check {
    /// Asks the server what `table` holds.
    ///
    /// # Errors
    /// When a column is missing, or the connection is lost.
    pub(super) async fn landed(&self, client: &Client, table: &str) -> Result<Verification> {
        match self {
            Self::Workload(workload) => {
                let landed = Expectation::landed(client, workload, table).await?;
                Ok(landed.into())
            }
            Self::Columns(columns) => of_columns(client, columns, table).await,
            Self::Recorded(columns) => {
                let cells: Vec<String> = columns.iter().map(Column::cell).collect();
                asked(client, &checksum_sql(&cells, &quote_table(table)), table).await
            }
        }
    }
}

impl From<Expectation> for Verification {
    fn from(expected: Expectation) -> Self {
        Self {
            rows: expected.rows,
            checksum: expected.checksum,
        }
    }
}

/// Rows and the sum of their hashes. Cells are compared as PostgreSQL spells them, because the
/// engine may choose another type than a query of PostgreSQL's own: `bigint` for `numeric`, say.
async fn of_columns(client: &Client, columns: &[String], table: &str) -> Result<Verification> {
    let cells: Vec<String> = columns
        .iter()
        .map(|column| format!("{}::text", quoted(column)))
        .collect();
    let statement = format!(
        "SELECT count(*), coalesce(sum(('x' || encode(substr(sha256(convert_to(\
         ROW({})::text, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint), 0)::text FROM {}",
        cells.join(", "),
        quote_table(table)
    );
    asked(client, &statement, table).await
}

async fn asked(client: &Client, statement: &str, table: &str) -> Result<Verification> {
    let row = client.query_one(statement, &[]).await;
    let row = row.with_context(|| format!("cannot compute the checksum of table {table}"))?;
    Ok(Verification {
        rows: row.try_get::<_, i64>(0)?.try_into()?,
        checksum: row.try_get(1)?,
    })
}

/// Compares what `table` holds with `expected`; `Err` of the inner result says how they differ.
///
/// A missing table, a missing column or another type is wrong data too.
///
/// # Errors
/// When the checksum fails for another reason, such as a lost connection.
pub(super) async fn verify(
    client: &Client,
    check: &Check,
    table: &str,
    expected: &Verification,
) -> Result<Result<Verification, String>> {
    match check.landed(client, table).await {
        Ok(landed) => Ok(match difference(expected, &landed) {
            None => Ok(landed),
            Some(reason) => Err(reason),
        }),
        Err(error) if is_about_data(&error) => Ok(Err(format!("{error:#}"))),
        Err(error) => Err(error),
    }
}

/// Whether the error is about the table (class 42) or its content (class 22).
fn is_about_data(error: &anyhow::Error) -> bool {
    let server: Option<&tokio_postgres::Error> = error.downcast_ref();
    let code = server.and_then(tokio_postgres::Error::code);
    code.is_some_and(|code| {
        ["42", "22"]
            .iter()
            .any(|class| code.code().starts_with(class))
    })
}

fn difference(expected: &Verification, landed: &Verification) -> Option<String> {
    if landed.rows != expected.rows {
        return Some(format!(
            "the table holds {} rows instead of {}",
            landed.rows, expected.rows
        ));
    }
    (landed.checksum != expected.checksum).then(|| {
        format!(
            "the table holds the expected {} rows, but their checksum is {} instead of {}",
            landed.rows, landed.checksum, expected.checksum
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::postgres::connect;
    use testkit::test_database::test_database;

    #[test]
    fn a_difference_says_which() {
        let holds = |rows, checksum: &str| Verification {
            rows,
            checksum: checksum.to_owned(),
        };
        assert_eq!(difference(&holds(2, "7"), &holds(2, "7")), None);
        let fewer = difference(&holds(2, "7"), &holds(1, "7")).unwrap();
        assert!(fewer.contains("1 rows instead of 2"), "{fewer}");
        let other = difference(&holds(2, "7"), &holds(2, "8")).unwrap();
        assert!(other.contains("checksum is 8 instead of 7"), "{other}");
    }

    #[tokio::test]
    async fn an_answer_in_postgres_is_compared_cell_by_cell_in_any_order() {
        let database = test_database().await.unwrap();
        let client = connect(database.url()).await.unwrap();
        let tables = "CREATE TABLE a AS SELECT * FROM (VALUES (1::bigint, 'x'), (2, NULL)) t(n, s); \
                      CREATE TABLE b AS SELECT * FROM (VALUES (2::numeric, NULL), (1, 'x')) t(n, s); \
                      CREATE TABLE c AS SELECT * FROM (VALUES (1, ''), (2, 'x')) t(n, s)";
        client.batch_execute(tables).await.unwrap();
        let check = Check::Columns(vec!["n".to_owned(), "s".to_owned()]);
        let expected = check.landed(&client, "a").await.unwrap();
        let same = verify(&client, &check, "b", &expected).await.unwrap();
        assert_eq!(same.as_ref(), Ok(&expected));
        let other = verify(&client, &check, "c", &expected).await.unwrap();
        assert!(other.unwrap_err().contains("checksum"));

        let missing = verify(&client, &check, "d", &expected).await.unwrap();
        assert!(missing.unwrap_err().contains("\"d\" does not exist"));
        let slow = "CREATE VIEW e AS SELECT 1 AS n, pg_sleep(5)::text AS s";
        client.batch_execute(slow).await.unwrap();
        let limit = "SET statement_timeout = 10";
        client.batch_execute(limit).await.unwrap();
        assert!(verify(&client, &check, "e", &expected).await.is_err());
    }
}
