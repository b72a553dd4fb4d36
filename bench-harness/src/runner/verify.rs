//! Whether a sample loaded the rows that it must.

use anyhow::Result;
use tokio_postgres::Client;

use crate::workload::{Expectation, Workload};

/// Compares what `table` holds with `expected`; `Err` of the inner result says how they differ.
///
/// A table that cannot be summed up at all, because it or a column is missing, is wrong data too.
///
/// # Errors
/// When the connection is lost.
pub(super) async fn verify(
    client: &Client,
    workload: &Workload,
    table: &str,
    expected: &Expectation,
) -> Result<Result<Expectation, String>> {
    match Expectation::landed(client, workload, table).await {
        Ok(landed) => Ok(match difference(expected, &landed) {
            None => Ok(landed),
            Some(reason) => Err(reason),
        }),
        Err(error) if client.is_closed() => Err(error),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}

fn difference(expected: &Expectation, landed: &Expectation) -> Option<String> {
    if landed.rows != expected.rows {
        return Some(format!(
            "the table holds {} rows instead of {}",
            landed.rows, expected.rows
        ));
    }
    (landed.checksum != expected.checksum).then(|| {
        format!(
            "the table holds {} rows as it must, but their checksum is {} instead of {}",
            landed.rows, landed.checksum, expected.checksum
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_says_which() {
        let holds = |rows, checksum: &str| Expectation {
            rows,
            checksum: checksum.to_owned(),
        };
        assert_eq!(difference(&holds(2, "7"), &holds(2, "7")), None);
        let fewer = difference(&holds(2, "7"), &holds(1, "7")).unwrap();
        assert!(fewer.contains("1 rows instead of 2"), "{fewer}");
        let other = difference(&holds(2, "7"), &holds(2, "8")).unwrap();
        assert!(other.contains("checksum is 8 instead of 7"), "{other}");
    }
}
