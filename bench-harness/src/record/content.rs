//! What a load left in its table, by column, so that two loads can be compared.

use anyhow::{Context as _, Result, anyhow, ensure};
use apitap_core::write::{Sink, ask};

use crate::measure::worker::engine_error;
use crate::recording::{Column, Content};
use testkit::workload::{checksum_expression, checksum_sql};

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Landed {
    pub(super) rows: u64,
    /// Of whole rows.
    checksum: String,
    /// Each with the checksum of its cells.
    columns: Vec<(Column, String)>,
}

impl Landed {
    /// Asks the server of `sink` what its table holds.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) async fn read(sink: &Sink) -> Result<Self> {
        let table = sink.table.to_string();
        let columns = format!(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute \
             WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table.replace('\'', "''")
        );
        let columns = rows(sink, &columns).await?.into_iter().map(|row| {
            let row: Result<[String; 2], _> = row.try_into();
            let [name, kind] = row.map_err(|_| anyhow!("a column of the table has no type"))?;
            Ok(Column { name, kind })
        });
        let columns: Vec<Column> = columns.collect::<Result<_>>()?;
        let cells: Vec<String> = columns.iter().map(Column::cell).collect();
        let by_column = cells
            .iter()
            .map(|cell| checksum_expression(std::slice::from_ref(cell)));
        let all = std::iter::once(checksum_expression(&cells));
        let checksums: Vec<String> = all.chain(by_column).collect();
        let statement = format!("SELECT count(*), {} FROM {table}", checksums.join(", "));
        let answer = rows(sink, &statement).await?;
        let mut figures = answer.into_iter().flatten();
        let mut figure = || figures.next().context("the table's checksums are missing");
        Ok(Self {
            rows: figure()?
                .parse()
                .context("the table's rows are no number")?,
            checksum: figure()?,
            columns: columns
                .into_iter()
                .map(|column| Ok((column, figure()?)))
                .collect::<Result<_>>()?,
        })
    }

    /// What every further load must come to, by two loads of the same pages; this one's table is that of
    /// `sink`. Columns in which the loads differ are not compared.
    ///
    /// # Errors
    /// When the loads have other rows, or no column in common; and when the server cannot be asked.
    pub(super) async fn content(&self, before: &Self, sink: &Sink) -> Result<Content> {
        ensure!(
            self.rows == before.rows,
            "two loads of the same pages had {} and {} rows, so a replay cannot be verified: does the query depend \
             on the time, or on chance?",
            before.rows,
            self.rows
        );
        let (same, other): (Vec<_>, Vec<_>) = self
            .columns
            .iter()
            .partition(|column| before.columns.contains(column));
        let columns: Vec<Column> = same.into_iter().map(|(column, _)| column.clone()).collect();
        let changing: Vec<String> = other
            .into_iter()
            .map(|(column, _)| column.name.clone())
            .collect();
        ensure!(
            !columns.is_empty(),
            "two loads of the same pages differ in every column, so a replay cannot be verified"
        );
        if changing.is_empty() {
            ensure!(
                self.checksum == before.checksum,
                "two loads of the same pages put cells into other rows, so a replay cannot be verified"
            );
        }
        let cells: Vec<String> = columns.iter().map(Column::cell).collect();
        let statement = checksum_sql(&cells, &sink.table.to_string());
        let answer = rows(sink, &statement).await?;
        let checksum = answer.into_iter().flatten().nth(1);
        Ok(Content {
            rows: self.rows,
            columns,
            changing,
            checksum: checksum.context("the table's checksum is missing")?,
        })
    }
}

async fn rows(sink: &Sink, statement: &str) -> Result<Vec<Vec<String>>> {
    let answer = ask(&sink.target, statement).await;
    let answer = answer.map_err(|error| engine_error(&error))?;
    let row = |row: Vec<Option<String>>| row.into_iter().flatten().collect();
    Ok(answer.into_iter().map(row).collect())
}
