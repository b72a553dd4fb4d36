//! A run from its first server to its report.

use std::path::PathBuf;

use anyhow::{Context, Result};
use apitap_core::config::WriteMode;
use chrono::Utc;
use serde_json::json;

use super::ceilings::{make_reference, mock_api_ceiling};
use super::interrupt::Interrupt;
use super::load::{ArmLoad, Loader, Target};
use super::output::{Report, RunFolder};
use super::progress::Progress;
use super::schedule::Schedule;
use super::{Ending, Plan, take_samples};
use crate::environment::fingerprint::Fingerprint;
use crate::environment::mock_api::{MockApiOptions, MockApiProcess};
use crate::environment::postgres::{PostgresOptions, PostgresServer, connect, quoted};
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan};
use crate::measurement::Journal;
use crate::report::units::{Count, Whole};
use crate::run_record::{Arm, RunRecord, SCHEMA_VERSION, Scenario, Verification};
use crate::worker::{PageKind, WorkerJob};
use crate::workload::{Expectation, Workload};

/// Confidence asked of every interval.
const CONFIDENCE_LEVEL: f64 = 0.95;

/// The table that samples load.
const TABLE: &str = "landed";

/// What to run, and where its results go.
#[derive(Debug)]
pub struct RunOptions {
    /// The command as it was typed, program first, without passwords.
    pub command: Vec<String>,
    /// This program, which is worker and mock API too.
    pub program: PathBuf,
    /// The scenarios, in order.
    pub scenarios: Vec<ScenarioPlan>,
    /// The server.
    pub postgres: PostgresOptions,
    /// Seed of the order of samples.
    pub seed: u64,
    /// Folder in which the run's own is made.
    pub out: PathBuf,
    /// Seed of the rows that are expected, other than those that are loaded: every sample is then
    /// wrong, which shows that verification works.
    pub expect_seed: Option<u64>,
}

/// A run that left a report, complete or not.
#[derive(Debug)]
pub struct Finished {
    /// The report of what was taken.
    pub report: Report,
    /// What ended the run early: the user, or an error.
    pub ended_by: Option<EndedBy>,
}

/// Why a run ended before its last sample.
#[derive(Debug)]
pub enum EndedBy {
    /// Ctrl-C or SIGTERM.
    Interrupt,
    /// The harness could not go on.
    Error(anyhow::Error),
}

/// Starts the server, takes the samples of every scenario, and writes the report, also after an
/// interrupt or an error once the first scenario could begin.
///
/// # Errors
/// When nothing could be measured at all, or the report cannot be written.
pub async fn run(options: &RunOptions) -> Result<Finished> {
    let mut interrupt = Interrupt::listen()?;
    let started = PostgresServer::start(&options.postgres);
    let server = tokio::select! {
        biased;
        () = interrupt.happened() => anyhow::bail!("interrupted before the first sample"),
        server = started => server?,
    };
    eprintln!("PostgreSQL {} ({})", server.version(), server.kind());
    let fingerprint = Fingerprint::take(Some(&server));
    let now = Utc::now();
    let folder = RunFolder::create(&options.out, now, &fingerprint.build.git_commit)?;
    let record = RunRecord {
        schema_version: SCHEMA_VERSION,
        started_at: now.into(),
        seed: options.seed,
        command: options.command.clone(),
        build_profile: fingerprint.build.profile.clone(),
        confidence_level: CONFIDENCE_LEVEL,
        scenarios: records(options).await?,
        fingerprint: serde_json::to_value(&fingerprint)?,
    };
    folder.write_record(&record)?;
    let mut session = Session {
        options,
        server,
        journal: folder.journal()?,
        folder,
        record,
        interrupt,
    };
    let ended_by = session.all().await;
    Ok(Finished {
        report: session.folder.report()?,
        ended_by,
    })
}

/// What the scenarios are to load, computed from the generator alone.
async fn records(options: &RunOptions) -> Result<Vec<Scenario>> {
    let mut records = Vec::with_capacity(options.scenarios.len());
    for plan in &options.scenarios {
        let workload = Workload::named(plan.workload)?;
        let workload = match options.expect_seed {
            Some(seed) => workload.with_seed(seed),
            None => workload,
        };
        let rows = plan.rows;
        let expected = tokio::task::spawn_blocking(move || workload.expectation(rows)).await?;
        records.push(Scenario {
            name: plan.name.to_owned(),
            workload: plan.workload.to_owned(),
            baseline: plan.baseline.clone(),
            reference: plan.reference.clone(),
            blocks: plan.blocks,
            arms: plan.arms.iter().map(arm_record).collect(),
            mock_api_ceiling: None,
            verification: Verification {
                rows: expected.rows,
                checksum: expected.checksum,
            },
        });
    }
    Ok(records)
}

fn arm_record(arm: &ArmPlan) -> Arm {
    let (cell, settings) = match &arm.load {
        LoadPlan::Engine {
            preset,
            settings,
            cell,
        } => (
            *cell,
            json!({"preset": preset, "settings": settings, "mode": WriteMode::Replace}),
        ),
        LoadPlan::PsqlCopy => (None, json!({"format": "binary"})),
    };
    Arm {
        name: arm.name.clone(),
        method: cell.map(|(method, _)| method.to_string()),
        batch_rows: cell.map(|(_, rows)| rows),
        settings,
    }
}

struct Session<'a> {
    options: &'a RunOptions,
    server: PostgresServer,
    folder: RunFolder,
    record: RunRecord,
    journal: Journal,
    interrupt: Interrupt,
}

impl Session<'_> {
    async fn all(&mut self) -> Option<EndedBy> {
        for index in 0..self.options.scenarios.len() {
            let name = self.options.scenarios[index].name;
            match self.in_own_database(index).await {
                Ok(Ending::Complete) => {}
                Ok(Ending::Interrupted) => return Some(EndedBy::Interrupt),
                Err(error) => {
                    return Some(EndedBy::Error(error.context(format!("scenario {name}"))));
                }
            }
        }
        None
    }

    /// A database of its own keeps one scenario's catalogue bloat from the next.
    async fn in_own_database(&mut self, index: usize) -> Result<Ending> {
        let plan = &self.options.scenarios[index];
        let name = format!("apitap_bench_{}_{:08x}", plan.name, rand::random::<u32>());
        let url = self.server.create_database(&name).await?;
        let ending = self.scenario(index, &url).await;
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(&name));
        let dropped = async {
            Ok(connect(self.server.url())
                .await?
                .batch_execute(&drop)
                .await?)
        };
        if let Err(error) = dropped.await {
            let error: anyhow::Error = error;
            tracing::warn!("the database {name} is left behind: {error:#}");
        }
        ending
    }

    async fn scenario(&mut self, index: usize, database_url: &str) -> Result<Ending> {
        let plan = &self.options.scenarios[index];
        let title = format!(
            "{} ({} of {})",
            plan.name,
            index + 1,
            self.options.scenarios.len()
        );
        eprintln!(
            "{title}: {} of {} rows, {}: preparing",
            Count::of(plan.arms.len(), "arm"),
            Whole(plan.rows),
            Count::of(plan.blocks, "block")
        );
        let mut interrupt = self.interrupt.clone();
        let (api, files, mut loader) = tokio::select! {
            biased;
            () = interrupt.happened() => return Ok(Ending::Interrupted),
            prepared = self.prepare(index, database_url) => prepared?,
        };
        let schedule = Schedule::new(self.options.seed, plan.arms.len(), plan.blocks);
        let mut progress = Progress::new(title, plan.arms.len(), &schedule);
        let arms: Vec<String> = plan.arms.iter().map(|arm| arm.name.clone()).collect();
        let plan = Plan {
            scenario: plan.name,
            arms: &arms,
            schedule: &schedule,
        };
        let taken = take_samples(
            &mut loader,
            plan,
            &mut self.journal,
            &mut progress,
            &mut self.interrupt,
        );
        let ending = taken.await;
        progress.finish();
        drop(files);
        // Ctrl-C on a terminal reaches the mock API too, which may be gone by now.
        if let Err(error) = api.stop().await {
            tracing::debug!("{error:#}");
        }
        ending
    }

    /// Starts the mock API, measures its ceiling, and makes the file of the reference arm.
    async fn prepare(
        &mut self,
        index: usize,
        database_url: &str,
    ) -> Result<(MockApiProcess, tempfile::TempDir, Loader)> {
        let plan = &self.options.scenarios[index];
        let mock_api = MockApiOptions {
            latency_ms: plan.api_latency_ms,
            ..MockApiOptions::new(plan.workload, plan.rows)
        };
        let api = MockApiProcess::start_with(&self.options.program, &mock_api).await?;
        // An API that is made to wait is no measure of what it could serve.
        if plan.api_latency_ms == 0 {
            let ceiling = mock_api_ceiling(api.url(), plan.rows).await?;
            self.record.scenarios[index].mock_api_ceiling = Some(ceiling);
        }
        self.folder.write_record(&self.record)?;

        let workload = Workload::named(plan.workload)?;
        let files = tempfile::tempdir().context("cannot make a temporary folder")?;
        let file = files.path().join("reference.copy");
        if plan.arms.iter().any(|arm| arm.load == LoadPlan::PsqlCopy) {
            make_reference(database_url, &workload, plan.rows, &file).await?;
        }
        let load = |arm: &ArmPlan| match &arm.load {
            LoadPlan::PsqlCopy => ArmLoad::PsqlCopy { file: file.clone() },
            LoadPlan::Engine {
                preset, settings, ..
            } => ArmLoad::Engine(Box::new(WorkerJob {
                source_url: api.url().to_owned(),
                workload: plan.workload.to_owned(),
                pages: PageKind::PageNumber,
                sql: format!("SELECT * FROM {}", plan.workload),
                database_url: database_url.to_owned(),
                table: TABLE.to_owned(),
                mode: WriteMode::Replace,
                key: Vec::new(),
                preset: (*preset).to_owned(),
                settings: settings.clone(),
            })),
        };
        let arms = plan.arms.iter().map(load).collect();
        let Verification { rows, checksum } = self.record.scenarios[index].verification.clone();
        let target = Target {
            database_url: database_url.to_owned(),
            table: TABLE.to_owned(),
            workload,
            expected: Expectation { rows, checksum },
            postmaster: self.server.postmaster_pid(),
        };
        let loader = Loader::new(self.options.program.clone(), target, arms).await?;
        Ok((api, files, loader))
    }
}
