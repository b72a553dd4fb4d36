//! The real executor: a process per sample, and a database that is asked what it loaded.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apitap_core::RunReport;
use serde::Deserialize as _;
use tokio::process::Command;
use tokio_postgres::Client;

use super::Executor;
use super::child::{self, Ended};
use super::command::{self, CommandLoad};
use super::expected::Expected;
use super::progress::Step;
use super::server::{self, Surroundings};
use super::table::TableBefore;
use super::verify::verify;
use crate::measure::worker::WorkerJob;
use crate::profile::statistics::{self, ServerStatistics};
use crate::samples::{Measurements, Outcome};
use testkit::cpu::CpuTimes;
use testkit::postgres::connect;
use testkit::workload::{Psql, quote_table};

/// A sample that takes longer than this hangs: the slowest arm of the largest scenario takes about a minute.
pub(crate) const SAMPLE_TIMEOUT: Duration = Duration::from_secs(600);

/// How long to wait after a void sample. Steal comes in bursts of seconds.
pub(crate) const SETTLE_TIME: Duration = Duration::from_secs(2);

/// One arm: what it runs and what the table must hold after it.
pub(crate) struct ArmUnderTest {
    /// What it runs.
    pub(crate) load: ArmLoad,
    /// The table that it finds.
    pub(crate) before: TableBefore,
    /// What the table must hold.
    pub(crate) expected: Expected,
}

/// What one arm runs.
pub(crate) enum ArmLoad {
    /// The engine, in a worker.
    Engine {
        /// Its build.
        program: Program,
        /// What it loads.
        job: Box<WorkerJob>,
    },
    /// psql, which loads a binary file made beforehand: the ceiling of what any client can do over one
    /// connection.
    Psql {
        /// The file.
        file: PathBuf,
        /// What it runs, in one transaction.
        commands: Vec<String>,
    },
    /// Any command.
    Command(CommandLoad),
}

/// A build of this program, or of another revision of it, that runs as the worker.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What is set in its environment.
    pub(super) environment: Vec<(String, String)>,
}

impl Program {
    /// `command` in its environment.
    pub(super) fn within(&self, mut command: Command) -> Command {
        command.envs(self.environment.iter().cloned());
        command
    }

    /// The worker.
    pub(super) fn worker(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("worker");
        self.within(command)
    }
}

/// What every sample loads, and where.
pub(crate) struct Target {
    /// The database, with user and password, without a relay.
    pub(crate) database_url: String,
    /// The same for psql, through the relay if there is one.
    pub(crate) psql: Psql,
    /// The table; dropped before each sample.
    pub(crate) table: String,
    /// The server's first process, if it is on this machine.
    pub(crate) postmaster: Option<u32>,
}

/// Takes samples of the arms of one scenario.
pub(crate) struct Loader {
    target: Target,
    arms: Vec<ArmUnderTest>,
    client: Client,
    checkpoints: bool,
    /// See [`Tampering`].
    tampering: Option<Tampering>,
}

/// Changes one cell after one sample, before it is verified: a test of the verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tampering {
    /// Arm by index.
    pub arm: usize,
    /// Block of the schedule.
    pub block: usize,
}

impl Loader {
    /// Connects to the database.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(crate) async fn new(
        target: Target,
        arms: Vec<ArmUnderTest>,
        tampering: Option<Tampering>,
    ) -> Result<Self> {
        Ok(Self {
            client: connect(&target.database_url).await?,
            target,
            arms,
            checkpoints: true,
            tampering,
        })
    }

    /// Adds an arm like `like`, with other changes to its preset; returns its index.
    ///
    /// # Errors
    /// When that arm does not run the engine.
    pub(crate) fn add_arm(&mut self, like: usize, settings: Vec<String>) -> Result<usize> {
        let ArmUnderTest {
            load: ArmLoad::Engine { program, job },
            before,
            expected,
        } = &self.arms[like]
        else {
            bail!("only the engine has settings");
        };
        let job = WorkerJob {
            settings,
            ..WorkerJob::clone(job)
        };
        let arm = ArmUnderTest {
            load: ArmLoad::Engine {
                program: program.clone(),
                job: Box::new(job),
            },
            before: before.clone(),
            expected: expected.clone(),
        };
        self.arms.push(arm);
        Ok(self.arms.len() - 1)
    }

    /// The columns of the table that the last sample loaded, with their types as the catalogue spells them.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub(crate) async fn columns(&self) -> Result<Vec<(String, String)>> {
        let query = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
                     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let columns = self
            .client
            .query(query, &[&quote_table(&self.target.table)])
            .await;
        let columns = columns.context("cannot read the columns of the table")?;
        let columns = columns.iter();
        columns
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// Prepares a sample, untimed: resets the table for the arm, and writes what was left unwritten.
    async fn reset(&mut self, arm: usize) -> Result<()> {
        let Target { psql, table, .. } = &self.target;
        let made = self.arms[arm].before.make(&self.client, psql, table).await;
        made.context("cannot reset the table")?;
        if let ArmLoad::Command(command) = &self.arms[arm].load {
            command.prepare().await?;
        }
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
        match &self.arms[arm].load {
            ArmLoad::Engine { program, job } => {
                run_worker(&mut program.worker(), job, SAMPLE_TIMEOUT).await
            }
            ArmLoad::Psql { commands, .. } => {
                let mut psql = self.target.psql.transaction(commands);
                child::run(&mut psql, b"", SAMPLE_TIMEOUT).await
            }
            ArmLoad::Command(command) => command.run().await,
        }
    }

    async fn tamper(&self, step: Step) -> Result<()> {
        let here = Tampering {
            arm: step.arm,
            block: step.block,
        };
        if step.warm_up || self.tampering.as_ref() != Some(&here) {
            return Ok(());
        }
        let table = quote_table(&self.target.table);
        let change = format!(
            "UPDATE {table} SET quantity = quantity + 1 \
             WHERE ctid = (SELECT ctid FROM {table} WHERE quantity IS NOT NULL LIMIT 1)"
        );
        let changed = self.client.execute(&change, &[]).await;
        changed.context("cannot change a cell")?;
        Ok(())
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
            first_row_seconds: None,
            client_cpu_seconds: ended.usage.cpu_seconds,
            server_cpu_seconds: seen.server_cpu_seconds,
            peak_memory_bytes: None,
            steal_share: seen.steal_share,
            involuntary_switches: ended.usage.involuntary_switches,
            bytes_from_api: 0,
            bytes_to_server: 0,
            statements: 1,
            round_trips: None,
            extra: serde_json::Value::Null,
        };
        match &self.arms[arm].load {
            ArmLoad::Psql { file, commands } => Ok(Measurements {
                bytes_to_server: tokio::fs::metadata(file).await?.len(),
                statements: commands.len() as u64,
                ..common
            }),
            ArmLoad::Command(_) => command::measured(ended, common),
            ArmLoad::Engine { .. } => {
                let parse = "the worker's report is not the engine's";
                let mut extra: serde_json::Value =
                    serde_json::from_slice(&ended.stdout).context(parse)?;
                let report = RunReport::deserialize(&extra).context(parse)?;
                if let Some(extra) = extra.as_object_mut() {
                    // The arm's plan has it; here it would be half of the file.
                    extra.remove("config");
                    // What went on at the same time is for profiles, and longer than all the rest.
                    extra.remove("activities");
                }
                Ok(Measurements {
                    extra,
                    ..reported(&report, common)
                })
            }
        }
    }
}

/// `common` with the figures that the engine reports.
pub(crate) fn reported(report: &RunReport, common: Measurements) -> Measurements {
    Measurements {
        wall_seconds: report.wall_seconds,
        first_row_seconds: report.first_row_seconds,
        peak_memory_bytes: report.process.peak_memory_bytes,
        bytes_from_api: report.source_bytes,
        bytes_to_server: report.write_bytes,
        statements: report.statements,
        // Every load has some: an engine that reports none does not count them.
        round_trips: Some(report.round_trips).filter(|count| *count > 0),
        ..common
    }
}

/// How a load ended.
pub(super) enum Loaded {
    /// It ended, and the table holds the right rows.
    Well {
        /// The process.
        ended: Ended,
        /// What happened on the machine and the server meanwhile.
        seen: Surroundings,
        /// Rows that landed.
        rows: u64,
        /// What the server counted; none if nobody asked.
        counted: Option<ServerStatistics>,
    },
    /// It failed, loaded wrong rows, or was spoiled.
    Not(Outcome),
}

impl Loader {
    /// Resets the table, loads it with `process`, and verifies its content.
    async fn load(
        &mut self,
        arm: usize,
        counts: bool,
        process: impl AsyncFnOnce(&Self) -> Result<Ended>,
        then: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<Loaded> {
        self.reset(arm).await?;
        let statistics = match counts {
            true => Some(statistics::Before::read(&self.client).await?),
            false => None,
        };
        let Target {
            postmaster, table, ..
        } = &self.target;
        let before = server::before(&self.client, *postmaster).await?;
        let ran = process(self).await;
        let machine = CpuTimes::now()?;
        let seen = before.until(machine, &self.client, *postmaster, table);
        let seen = seen.await.context("cannot read what the server did")?;
        let counted = match statistics {
            Some(before) => Some(before.since(&self.client).await?),
            None => None,
        };
        let failed = |error: anyhow::Error| {
            Loaded::Not(Outcome::Failed {
                reason: format!("{error:#}"),
            })
        };
        let ended = match ran {
            Ok(ended) => ended,
            Err(error) => return Ok(failed(error)),
        };
        then(self).await?;
        let Expected {
            check,
            verification,
            kept_rows,
        } = &self.arms[arm].expected;
        // Wrong data first: a busy host is no excuse for it.
        let landed = match verify(&self.client, check, table, verification).await {
            Ok(Ok(landed)) => landed,
            Ok(Err(reason)) => return Ok(Loaded::Not(Outcome::WrongData { reason })),
            Err(error) if self.client.is_closed() => return Err(error),
            Err(error) => return Ok(failed(error)),
        };
        Ok(match seen.spoiled_by.clone() {
            Some(reason) => Loaded::Not(Outcome::Void { reason }),
            None => Loaded::Well {
                ended,
                seen,
                rows: landed.rows - kept_rows,
                counted,
            },
        })
    }

    /// Loads by another process than a plain worker: `process` is given the program and the job of the
    /// arm.
    pub(super) async fn load_by(
        &mut self,
        arm: usize,
        process: impl AsyncFnOnce(&Program, &WorkerJob) -> Result<Ended>,
    ) -> Result<Loaded> {
        let ArmLoad::Engine { program, job } = &self.arms[arm].load else {
            bail!("only the engine has stages to profile");
        };
        let (program, job) = (program.clone(), job.clone());
        let process = async |_: &Self| process(&program, &job).await;
        self.load(arm, true, process, async |_| Ok(())).await
    }
}

/// Runs a worker, with its job on its standard input.
pub(super) async fn run_worker(
    command: &mut Command,
    job: &WorkerJob,
    limit: Duration,
) -> Result<Ended> {
    let input = serde_json::to_vec(job).context("cannot serialise the job")?;
    child::run(command, &input, limit).await
}

impl Executor for Loader {
    async fn sample(&mut self, step: Step) -> Result<Outcome> {
        let arm = step.arm;
        let loaded = self.load(
            arm,
            false,
            async |loader| loader.run(arm).await,
            async |loader| loader.tamper(step).await,
        );
        let (ended, seen, rows) = match loaded.await? {
            Loaded::Not(outcome) => return Ok(outcome),
            Loaded::Well {
                ended, seen, rows, ..
            } => (ended, seen, rows),
        };
        let measured = self.measurements(arm, &ended, &seen, rows).await;
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
