//! Counters of one program, taken several times to see whether they vary.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use apitap_core::RunReport;
use apitap_core::config::WriteMode;
use tokio::process::Command;
use tokio_postgres::Client;

use super::valgrind::{self, KernelLoad};
use super::{Allocations, Counted, Kernel};
use crate::measure::child;
use crate::measure::load::{SAMPLE_TIMEOUT, reported};
use crate::measure::profiling::heap_program;
use crate::measure::worker::{self, PageKind, Watch, WorkerJob};
use crate::metric::{Metric, Tier};
use crate::samples::Measurements;
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use testkit::postgres::connect;

/// The table that loads make.
const TABLE: &str = "counted";

/// What is counted.
#[derive(Debug, Clone)]
pub(crate) struct Counting {
    /// The `apitap-bench` whose engine is counted; `apitap-bench-heap` is beside it.
    pub program: PathBuf,
    /// The `apitap-bench` that serves the API.
    pub api: PathBuf,
    /// Workload by name.
    pub workload: String,
    /// The query; all columns and rows if absent.
    pub sql: Option<String>,
    /// Rows of the smaller load; that of the larger are twice as many.
    pub rows: u64,
    /// Preset of the engine.
    pub preset: String,
    /// Changes to it, as `stage.knob=value`.
    pub settings: Vec<String>,
    /// Whether instructions are counted too; see [`can_count_instructions`](super::can_count_instructions).
    pub instructions: bool,
}

impl Counting {
    /// Takes every counter `runs` times, of loads into the database at `database_url`.
    ///
    /// # Errors
    /// When a load fails, or a program or server cannot be had.
    pub(crate) async fn take(&self, database_url: &str, runs: usize) -> Result<Vec<Counted>> {
        let config = worker::config(&self.preset, &self.settings)?;
        let counters = Metric::GATED.into_iter();
        let mut counted: Vec<Counted> = counters
            .filter(|metric| metric.tier() == Tier::Counter)
            .map(|metric| Counted {
                preset: self.preset.clone(),
                metric,
                values: Vec::new(),
                tolerance: metric.tolerance(&config),
            })
            .collect();
        let mut loads = Loads::prepare(self, database_url).await?;
        for run in 1..=runs {
            eprintln!("{}: run {run} of {runs}", self.preset);
            let mut values = loads.counters().await?;
            values.extend(loads.allocations().await?);
            values.extend(self.instructions().await?);
            for (metric, value) in values {
                let of_metric = counted.iter_mut().find(|one| one.metric == metric);
                of_metric.context("not a counter")?.values.push(value);
            }
        }
        loads.end().await?;
        counted.retain(|one| !one.values.is_empty());
        Ok(counted)
    }

    /// Takes once what samples do not have, because it needs loads of its own: allocations and
    /// instructions per row.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) async fn take_costs(&self, database_url: &str) -> Result<Vec<(Metric, f64)>> {
        let mut loads = Loads::prepare(self, database_url).await?;
        let mut values = loads.allocations().await?;
        loads.end().await?;
        values.extend(self.instructions().await?);
        Ok(values)
    }

    async fn instructions(&self) -> Result<Vec<(Metric, f64)>> {
        let mut values = Vec::new();
        if !self.instructions {
            return Ok(values);
        }
        for (kernel, metric) in [
            (Kernel::Decode, Metric::DecodeInstructionsPerRow),
            (Kernel::Encode, Metric::EncodeInstructionsPerRow),
        ] {
            let counting = self.clone();
            let count = move || {
                let load = KernelLoad {
                    kernel,
                    workload: &counting.workload,
                    preset: &counting.preset,
                    settings: &counting.settings,
                };
                valgrind::instructions_per_row(&counting.program, load, counting.rows)
            };
            values.push((metric, tokio::task::spawn_blocking(count).await??));
        }
        Ok(values)
    }
}

/// Loads of one preset, of two sizes.
struct Loads<'a> {
    counting: &'a Counting,
    client: Client,
    apis: [MockApiProcess; 2],
    database_url: &'a str,
}

impl<'a> Loads<'a> {
    async fn prepare(counting: &'a Counting, database_url: &'a str) -> Result<Self> {
        let api = async |rows| {
            let options = MockApiOptions::new(&counting.workload, rows);
            MockApiProcess::start_with(&counting.api, &options).await
        };
        Ok(Self {
            counting,
            client: connect(database_url).await?,
            apis: [api(counting.rows).await?, api(2 * counting.rows).await?],
            database_url,
        })
    }

    /// Loads the rows of an API by `command`, into a new table.
    async fn load(
        &self,
        api: &MockApiProcess,
        rows: u64,
        mut command: Command,
    ) -> Result<RunReport> {
        let drop = format!("DROP TABLE IF EXISTS {TABLE}");
        self.client
            .batch_execute(&drop)
            .await
            .context("cannot drop the table")?;
        let workload = &self.counting.workload;
        let all = || format!("SELECT * FROM {workload}");
        let job = WorkerJob {
            source_url: api.url().to_owned(),
            workload: workload.clone(),
            pages: PageKind::PageNumber,
            sql: self.counting.sql.clone().unwrap_or_else(all),
            database_url: self.database_url.to_owned(),
            table: TABLE.to_owned(),
            mode: WriteMode::Replace,
            key: Vec::new(),
            preset: self.counting.preset.clone(),
            settings: self.counting.settings.clone(),
            watch: Watch::Nothing,
            attach: Vec::new(),
            recorded: None,
        };
        let job = serde_json::to_vec(&job).context("cannot serialise the job")?;
        let ended = child::run(&mut command, &job, SAMPLE_TIMEOUT).await?;
        let report = serde_json::from_slice(&ended.stdout);
        let report: RunReport = report.context("the worker's output is not a run report")?;
        let read = report.rows_read;
        ensure!(read == rows, "a load read {read} rows of {rows}");
        Ok(report)
    }

    /// The counters that a load reports.
    async fn counters(&mut self) -> Result<Vec<(Metric, f64)>> {
        let mut command = Command::new(&self.counting.program);
        command.arg("worker");
        let report = self
            .load(&self.apis[0], self.counting.rows, command)
            .await?;
        let figures = reported(&report, Measurements::default());
        let counters = Metric::GATED.into_iter();
        Ok(counters
            .filter(|metric| metric.tier() == Tier::Counter)
            .filter_map(|metric| Some((metric, metric.cost(&figures)?)))
            .collect())
    }

    /// What the additional rows of the larger load cost.
    async fn allocations(&mut self) -> Result<Vec<(Metric, f64)>> {
        let rows = self.counting.rows;
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let file = folder.path().join("totals.json");
        let mut sizes = Vec::new();
        for (api, rows) in self.apis.iter().zip([rows, 2 * rows]) {
            let mut command = Command::new(heap_program(&self.counting.program)?);
            command.arg("--totals").arg(&file);
            self.load(api, rows, command).await?;
            sizes.push(Allocations::read(&file)?);
        }
        let by_row = sizes[0].per_row(sizes[1], rows)?;
        Ok(vec![
            (Metric::AllocationsPerRow, by_row.blocks),
            (Metric::AllocatedBytesPerRow, by_row.bytes),
        ])
    }

    async fn end(self) -> Result<()> {
        for api in self.apis {
            api.stop().await?;
        }
        Ok(())
    }
}
