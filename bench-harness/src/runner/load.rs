//! The real executor: a process per sample, and a database that is asked what it loaded.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use apitap_core::RunReport;
use tokio::process::Command;
use tokio_postgres::Client;

use super::Executor;
use super::child::{self, Ended};
use super::server::{self, Surroundings};
use super::verify::verify;
use crate::environment::cpu::CpuTimes;
use crate::environment::postgres::connect;
use crate::measurement::{Measurements, Outcome};
use crate::worker::WorkerJob;
use crate::workload::{Expectation, Psql, Workload, quote_table};

/// A sample that takes longer hangs: the slowest arm of the largest scenario takes about a minute.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(600);

/// How long to wait after a void sample. Steal comes in bursts of seconds.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// What one arm runs.
pub enum ArmLoad {
    /// The engine, in a worker.
    Engine(Box<WorkerJob>),
    /// `psql \copy … FROM` a binary file made beforehand: the ceiling of what any client can do
    /// over one connection.
    PsqlCopy {
        /// The file.
        file: PathBuf,
    },
}

/// What every sample loads, and where.
pub struct Target {
    /// The database, with user and password.
    pub database_url: String,
    /// The table; dropped before each sample.
    pub table: String,
    /// Its rows' definition.
    pub workload: Workload,
    /// What it must hold after each sample.
    pub expected: Expectation,
    /// The server's first process, where this machine sees it.
    pub postmaster: Option<u32>,
}

/// Takes samples of the arms of one scenario.
pub struct Loader {
    /// This program, which is also the worker.
    program: PathBuf,
    target: Target,
    arms: Vec<ArmLoad>,
    psql: Psql,
    client: Client,
    checkpoints: bool,
}

impl Loader {
    /// Connects to the database.
    ///
    /// # Errors
    /// When it cannot be reached, or this program's own path is not known.
    pub async fn new(program: PathBuf, target: Target, arms: Vec<ArmLoad>) -> Result<Self> {
        Ok(Self {
            program,
            psql: Psql::new(&target.database_url)?,
            client: connect(&target.database_url).await?,
            target,
            arms,
            checkpoints: true,
        })
    }

    /// What precedes each sample, untimed: the table as the arm needs it, and nothing left to be
    /// written of the sample before.
    ///
    /// The engine gets no table and makes its own (`replace`); psql makes none, so it gets an empty
    /// one, on which autovacuum is off.
    async fn reset(&mut self, arm: usize) -> Result<()> {
        let table = quote_table(&self.target.table);
        let mut statements = format!("DROP TABLE IF EXISTS {table};");
        if matches!(self.arms[arm], ArmLoad::PsqlCopy { .. }) {
            let create = self.target.workload.create_table_sql(&self.target.table);
            statements += &format!("{create}; ALTER TABLE {table} SET (autovacuum_enabled = off);");
        }
        let reset = self.client.batch_execute(&statements).await;
        reset.context("cannot reset the table")?;
        if self.checkpoints && !server::checkpoint(&self.client).await? {
            self.checkpoints = false;
            tracing::warn!(
                "the user may not run CHECKPOINT, so samples pay for the writes of those before: \
                 GRANT pg_checkpoint to it"
            );
        }
        Ok(())
    }

    async fn run(&self, arm: usize) -> Result<Ended> {
        match &self.arms[arm] {
            ArmLoad::Engine(job) => {
                let input = serde_json::to_vec(job).context("cannot serialise the job")?;
                let mut worker = Command::new(&self.program);
                child::run(worker.arg("worker"), &input, SAMPLE_TIMEOUT).await
            }
            ArmLoad::PsqlCopy { file } => {
                let file = file.to_str().context("the file's path is not UTF-8")?;
                let statement = format!(
                    "\\copy {} FROM '{}' WITH (FORMAT binary)",
                    quote_table(&self.target.table),
                    file.replace('\'', "''")
                );
                child::run(&mut self.psql.command(&statement), b"", SAMPLE_TIMEOUT).await
            }
        }
    }

    async fn measurements(
        &self,
        arm: usize,
        ended: &Ended,
        seen: &Surroundings,
        rows: u64,
    ) -> Result<Measurements> {
        let common = Measurements {
            wall_seconds: ended.wall.as_secs_f64(),
            process_wall_seconds: ended.wall.as_secs_f64(),
            rows,
            client_cpu_seconds: ended.usage.cpu_seconds,
            server_cpu_seconds: seen.server_cpu_seconds,
            peak_memory_bytes: None,
            steal_share: seen.steal_share,
            involuntary_switches: ended.usage.involuntary_switches,
            bytes_from_api: 0,
            bytes_to_server: 0,
            statements: 1,
            extra: serde_json::Value::Null,
        };
        match &self.arms[arm] {
            ArmLoad::PsqlCopy { file } => Ok(Measurements {
                bytes_to_server: tokio::fs::metadata(file).await?.len(),
                ..common
            }),
            ArmLoad::Engine(_) => {
                let parse = "the worker's report is not the engine's";
                let report: RunReport = serde_json::from_slice(&ended.stdout).context(parse)?;
                Ok(Measurements {
                    wall_seconds: report.wall_seconds,
                    peak_memory_bytes: report.process.peak_memory_bytes,
                    bytes_from_api: report.source_bytes,
                    bytes_to_server: report.write_bytes,
                    statements: report.statements,
                    extra: serde_json::from_slice(&ended.stdout).context(parse)?,
                    ..common
                })
            }
        }
    }
}

impl Executor for Loader {
    async fn sample(&mut self, arm: usize) -> Result<Outcome> {
        self.reset(arm).await?;
        let Target {
            postmaster, table, ..
        } = &self.target;
        let before = server::before(&self.client, *postmaster).await?;
        let ran = self.run(arm).await;
        let machine = CpuTimes::now()?;
        let seen = before.until(machine, &self.client, *postmaster, table);
        let seen = seen.await.context("cannot read what the server did")?;
        let ended = match ran {
            Ok(ended) => ended,
            Err(error) => {
                return Ok(Outcome::Failed {
                    reason: format!("{error:#}"),
                });
            }
        };
        let Target {
            workload, expected, ..
        } = &self.target;
        // Wrong data first: it is no less wrong on a busy host.
        let landed = match verify(&self.client, workload, table, expected).await? {
            Ok(landed) => landed,
            Err(reason) => return Ok(Outcome::WrongData { reason }),
        };
        if let Some(reason) = seen.spoiled_by {
            return Ok(Outcome::Void { reason });
        }
        let measured = self.measurements(arm, &ended, &seen, landed.rows).await;
        Ok(measured.map_or_else(
            |error| Outcome::Failed {
                reason: format!("{error:#}"),
            },
            Outcome::Measured,
        ))
    }

    async fn settle(&mut self) {
        tokio::time::sleep(SETTLE_TIME).await;
    }
}
