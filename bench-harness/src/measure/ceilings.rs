//! Limits to compare arms with: the mock API's own speed, and the file that `psql` loads.

use std::path::Path;

use anyhow::{Context, Result};
use apitap_core::config::WriteMode;

use crate::run_record::MockApiCeiling;
use testkit::mock_api::measure_ceiling;
use testkit::postgres::{connect, quoted};
use testkit::workload::{Workload, make_reference_file, quote_table};

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

/// The command by which psql copies `file` into the table with this quoted name.
pub(super) fn copy_command(table: &str, file: &Path) -> Result<String> {
    let file = file.to_str().context("the file's path is not UTF-8")?;
    let file = file.replace('\'', "''");
    Ok(format!("\\copy {table} FROM '{file}' WITH (FORMAT binary)"))
}

/// What psql runs in one transaction to load `file` into `table` by way of a temporary table and one
/// statement.
pub(super) fn staged_commands(
    file: &Path,
    (table, mode): (&str, WriteMode),
    workload: &Workload,
    key: &[String],
) -> Result<Vec<String>> {
    let (table, stage) = (quote_table(table), quoted("stage"));
    let mut load = format!("INSERT INTO {table} SELECT * FROM {stage}");
    if mode == WriteMode::Merge {
        let others = workload.columns().iter().map(|column| &column.name);
        let set: Vec<String> = others
            .filter(|name| !key.contains(name))
            .map(|name| format!("{0} = excluded.{0}", quoted(name)))
            .collect();
        let key: Vec<String> = key.iter().map(|column| quoted(column)).collect();
        load += &format!(
            " ON CONFLICT ({}) DO UPDATE SET {}",
            key.join(", "),
            set.join(", ")
        );
    }
    Ok(vec![
        format!("CREATE TEMP TABLE {stage} (LIKE {table}) ON COMMIT DROP"),
        copy_command(&stage, file)?,
        load,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_staged_and_then_appended_or_merged() {
        let narrow = Workload::named("narrow").unwrap();
        let commands = |mode| {
            let file = Path::new("/tmp/it's");
            let key = ["id".to_owned()];
            let commands = staged_commands(file, ("landed", mode), &narrow, &key);
            commands.unwrap().join("\n")
        };
        insta::assert_snapshot!(commands(WriteMode::Append), @r#"
        CREATE TEMP TABLE "stage" (LIKE "landed") ON COMMIT DROP
        \copy "stage" FROM '/tmp/it''s' WITH (FORMAT binary)
        INSERT INTO "landed" SELECT * FROM "stage"
        "#);
        insta::assert_snapshot!(commands(WriteMode::Merge), @r#"
        CREATE TEMP TABLE "stage" (LIKE "landed") ON COMMIT DROP
        \copy "stage" FROM '/tmp/it''s' WITH (FORMAT binary)
        INSERT INTO "landed" SELECT * FROM "stage" ON CONFLICT ("id") DO UPDATE SET "value" = excluded."value"
        "#);
    }
}
