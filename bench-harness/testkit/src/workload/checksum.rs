//! The checksum of the rows that must land, computed twice: here, and by PostgreSQL.
//!
//! Per row: SHA-256 of the bytes of `record_send(ROW(columns))`, its first 64 bits as a signed number.
//! Per table: the number of rows and the sum of those numbers, which no order of rows changes, while
//! a changed cell, a cell moved to another row and a row loaded twice do.
//!
//! `record_send` (`src/backend/utils/adt/rowtypes.c`, unchanged in PostgreSQL 14 to 18) writes, all
//! big-endian, the number of columns as `int4`, then for each column its type's OID, its length in
//! bytes as `int4` (-1 for NULL) and its binary form. So columns cannot run together, NULL is unlike
//! any value, doubles and timestamps compare to the last bit, and the server formats no text but
//! that of JSONB. SHA-256 and not MD5: processors compute it in hardware, and a server in FIPS mode
//! has no MD5.

use std::num::NonZero;
use std::thread;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use super::generate::{Value, decimal_to_double};
use super::json::write_jsonb;
use super::{ColumnKind, Workload, quote_table};

/// Microseconds from the Unix epoch to 2000-01-01, from which PostgreSQL counts.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// What a table must hold, or holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Expectation {
    /// Number of rows.
    pub rows: u64,
    /// Sum of the rows' checksums, in decimal.
    pub checksum: String,
}

impl Expectation {
    /// Asks the server what `table` holds; `table` may carry a schema (`schema.table`).
    ///
    /// # Errors
    /// When the statement fails: the table or a column is missing, or a column cannot be cast to
    /// its expected type.
    pub async fn landed(
        client: &tokio_postgres::Client,
        workload: &Workload,
        table: &str,
    ) -> Result<Self> {
        let row = client
            .query_one(&workload.checksum_sql(table), &[])
            .await
            .with_context(|| format!("cannot compute the checksum of table {table}"))?;
        Ok(Self {
            rows: row.try_get::<_, i64>(0)?.try_into()?,
            checksum: row.try_get(1)?,
        })
    }
}

impl Workload {
    /// One statement that returns one row, `rows bigint, checksum text`, in PostgreSQL 14 and later.
    ///
    /// Columns are found by name and cast to the types of [`Workload::columns`], so that neither
    /// their order nor, say, `numeric` in place of `double precision` counts as wrong data.
    pub fn checksum_sql(&self, table: &str) -> String {
        let columns: Vec<String> = self
            .columns()
            .iter()
            .map(|column| {
                let cell = format!("\"{}\"::{}", column.name, column.kind.postgres_type());
                match self.empty_text_is_null && column.kind == ColumnKind::Text {
                    true => format!("nullif({cell}, '')"),
                    false => cell,
                }
            })
            .collect();
        checksum_sql(&columns, &quote_table(table))
    }

    /// What a table must hold after a load of the first `rows` rows. Runs on all processors.
    pub fn expectation(&self, rows: u64) -> Expectation {
        let threads = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let share = rows.div_ceil(threads).max(1);
        let sum: i128 = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|nth| (nth * share).min(rows)..((nth + 1) * share).min(rows))
                .map(|range| scope.spawn(|| self.checksum_of(range)))
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .sum()
        });
        Expectation {
            rows,
            checksum: sum.to_string(),
        }
    }

    fn checksum_of(&self, rows: std::ops::Range<u64>) -> i128 {
        let kinds: Vec<ColumnKind> = self.columns().iter().map(|column| column.kind).collect();
        let (mut values, mut record) = (Vec::new(), Vec::new());
        rows.map(|row| {
            self.fill(row, &mut values);
            for value in &mut values {
                let is_empty = matches!(value, Value::Text(text) if text.is_empty());
                if is_empty && self.empty_text_is_null {
                    *value = Value::Null;
                }
            }
            record.clear();
            write_record(&kinds, &values, &mut record);
            i128::from(row_checksum(&record))
        })
        .sum()
    }
}

/// The statement for any `cells`, as expressions, of a `table`, as SQL names it.
pub fn checksum_sql(cells: &[String], table: &str) -> String {
    let checksum = checksum_expression(cells);
    format!("SELECT count(*) AS rows, {checksum} AS checksum FROM {table}")
}

/// The checksum in it: an aggregate over rows of these `cells`, as text.
pub fn checksum_expression(cells: &[String]) -> String {
    format!(
        "coalesce(sum(('x' || encode(substr(sha256(record_send(\
         ROW({}))), 1, 8), 'hex'))::bit(64)::bigint), 0)::text",
        cells.join(", ")
    )
}

fn row_checksum(record: &[u8]) -> i64 {
    let digest = Sha256::digest(record);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

/// Appends what `record_send` returns for the row.
fn write_record(kinds: &[ColumnKind], values: &[Value<'_>], out: &mut Vec<u8>) {
    out.extend_from_slice(&(kinds.len() as i32).to_be_bytes());
    for (kind, value) in kinds.iter().zip(values) {
        out.extend_from_slice(&kind.oid().to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        if matches!(value, Value::Null | Value::Absent) {
            continue;
        }
        write_binary(value, out);
        let length = (out.len() - length_at - 4) as i32;
        out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn write_binary(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Absent => {}
        Value::Bool(bool) => out.push(u8::from(*bool)),
        Value::Int(int) => out.extend_from_slice(&int.to_be_bytes()),
        Value::Decimal { units, scale } => {
            out.extend_from_slice(&decimal_to_double(*units, *scale).to_be_bytes());
        }
        Value::Float(float) => out.extend_from_slice(&float.to_be_bytes()),
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Timestamp { micros, .. } => {
            out.extend_from_slice(&(micros - POSTGRES_EPOCH_MICROS).to_be_bytes());
        }
        json @ (Value::Object(..) | Value::Array(_)) => {
            // The version of jsonb_send's format.
            out.push(1);
            write_jsonb(json, out);
        }
    }
}
