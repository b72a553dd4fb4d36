//! The reference arm's input: the rows of a workload as a file for `\copy … (FORMAT binary)`.
//!
//! psql loads them from COPY text, the server proves them by their checksum, and psql writes them
//! out again in binary. No code of the engine takes part.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Expectation, Workload, quote_table};
use crate::postgres::libpq_variables;

/// Rows per write to psql: some hundred kilobytes.
const CHUNK_ROWS: u64 = 1_000;

/// A binary COPY file, and the table that was made for it and left behind.
#[derive(Debug, Clone)]
pub struct ReferenceFile {
    /// Where the file is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What a table holds after loading it.
    pub expectation: Expectation,
}

/// Makes `path`, and the table `table` that holds the same rows, by way of psql.
///
/// An existing table or file of that name is replaced.
///
/// # Errors
/// When psql is missing or fails, or when the table does not hold what the generator made.
pub async fn make_reference_file(
    database_url: &str,
    workload: &Workload,
    rows: u64,
    table: &str,
    path: &Path,
) -> Result<ReferenceFile> {
    let psql = Psql::new(database_url)?;
    let quoted = quote_table(table);
    psql.run(&format!("DROP TABLE IF EXISTS {quoted}")).await?;
    psql.run(&workload.create_table_sql(table)).await?;
    psql.copy_in(workload, rows, table).await?;

    let expectation = workload.expectation(rows);
    let landed = psql.checksum(workload, table).await?;
    ensure!(
        landed == expectation,
        "table {table} holds {landed:?} after \\copy, but the generator made {expectation:?}"
    );

    let target = path
        .to_str()
        .context("the reference file's path is not UTF-8")?;
    let target = target.replace('\'', "''");
    psql.run(&format!(
        "\\copy {quoted} TO '{target}' WITH (FORMAT binary)"
    ))
    .await?;
    let bytes = tokio::fs::metadata(path)
        .await
        .with_context(|| format!("psql wrote no file {}", path.display()))?
        .len();
    Ok(ReferenceFile {
        path: path.to_owned(),
        bytes,
        expectation,
    })
}

/// psql with the connection in its environment, where `ps` does not show the password.
pub struct Psql {
    environment: Vec<(&'static str, String)>,
}

impl Psql {
    /// A client of the database behind `database_url`.
    ///
    /// # Errors
    /// A URL that is not valid.
    pub fn new(database_url: &str) -> Result<Self> {
        let mut environment = libpq_variables(database_url)?;
        environment.push(("PGCLIENTENCODING", "UTF8".to_owned()));
        Ok(Self { environment })
    }

    /// psql about to run statements and backslash commands, which take effect together or not at all.
    pub fn transaction(&self, statements: &[String]) -> Command {
        let mut command = self.bare();
        // One alone needs nothing around it, which would cost two round trips.
        if statements.len() > 1 {
            command.arg("--single-transaction");
        }
        for statement in statements {
            command.args(["-c", statement]);
        }
        command
    }

    /// psql about to run one statement or backslash command, its output piped.
    pub fn command(&self, statement: &str) -> Command {
        let mut command = self.bare();
        command.args(["-c", statement]);
        command
    }

    fn bare(&self) -> Command {
        let mut command = Command::new("psql");
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs one statement or backslash command, and returns what it prints, unaligned.
    ///
    /// # Errors
    /// When psql is missing or fails; the message has what it said.
    pub async fn run(&self, statement: &str) -> Result<String> {
        let output = self.command(statement).output().await.context(NO_PSQL)?;
        printed(output)
    }

    /// Loads the first rows of `workload` into an existing table.
    pub(super) async fn copy_in(&self, workload: &Workload, rows: u64, table: &str) -> Result<()> {
        let names: Vec<String> = workload
            .columns()
            .iter()
            .map(|column| format!("\"{}\"", column.name))
            .collect();
        let statement = format!(
            "\\copy {} ({}) FROM pstdin",
            quote_table(table),
            names.join(", ")
        );
        let mut psql = self
            .command(&statement)
            .stdin(Stdio::piped())
            .spawn()
            .context(NO_PSQL)?;
        let mut stdin = psql.stdin.take().context("psql has no standard input")?;
        let mut chunk = Vec::new();
        let mut written = Ok(());
        for first in (0..rows).step_by(CHUNK_ROWS as usize) {
            chunk.clear();
            workload.write_copy_text(first, CHUNK_ROWS.min(rows - first), &mut chunk)?;
            written = stdin.write_all(&chunk).await;
            if written.is_err() {
                break;
            }
        }
        drop(stdin);
        // What psql says explains a broken pipe better than the pipe does.
        printed(psql.wait_with_output().await?)?;
        written.context("psql stopped reading")
    }

    /// What the server says that `table` holds.
    pub(super) async fn checksum(&self, workload: &Workload, table: &str) -> Result<Expectation> {
        let line = self.run(&workload.checksum_sql(table)).await?;
        let (rows, checksum) = line
            .trim()
            .split_once('|')
            .context("psql printed no checksum")?;
        Ok(Expectation {
            rows: rows.parse()?,
            checksum: checksum.to_owned(),
        })
    }
}

const NO_PSQL: &str = "cannot start psql: is a PostgreSQL client installed and on the PATH?";

fn printed(output: std::process::Output) -> Result<String> {
    if !output.status.success() {
        bail!(
            "psql failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).context("psql printed no UTF-8")
}
