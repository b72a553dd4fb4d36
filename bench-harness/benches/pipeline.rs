//! The whole of it: from an API over HTTP into a real PostgreSQL and its commit, by preset.
//!
//! The API is a process of its own, so that a profile holds the engine alone.

mod support {
    pub(crate) mod program;
    pub(crate) mod server;
}

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use apitap_core::config::{Config, WriteMode};
use apitap_core::{Engine, Job};
use bench_harness::{worker::PageKind, worker::Watch, worker::WorkerJob};
use criterion::{BenchmarkId, Criterion, Throughput};
use testkit::mock_api::{MockApiOptions, MockApiProcess};
use tokio::runtime::Runtime;

use support::program;
use support::server::LazyDatabase;

const WORKLOAD: &str = "orders";

/// Forty pages of the preset `before`, two of `tuned`.
const ROWS: u64 = 2_000;

fn main() -> Result<()> {
    let runtime = Runtime::new().context("cannot start a runtime")?;
    let database = LazyDatabase::new(&runtime);
    program::run(|criterion| {
        benchmarks(criterion, &runtime, &database);
        Ok(())
    })
}

fn benchmarks(criterion: &mut Criterion, runtime: &Runtime, database: &LazyDatabase) {
    let api = OnceCell::new();
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(ROWS));
    for preset in Config::PRESETS {
        group.bench_function(BenchmarkId::new(preset, WORKLOAD), |bencher| {
            // First of all: without a server there is no need of an API.
            let database_url = database.url();
            let api = api.get_or_init(|| {
                let started = runtime.block_on(start_api());
                started.expect("the mock API starts")
            });
            let job = job(preset, api.url(), database_url);
            let engine = Engine::new(job.config().expect("the preset is one"));
            let job = job.engine_job().expect("the job is complete");
            bencher.to_async(runtime).iter(|| async {
                let loaded = Box::pin(load(&engine, &job)).await;
                loaded.expect("the rows can be loaded");
            });
        });
    }
}

async fn start_api() -> Result<MockApiProcess> {
    let program = Path::new(env!("CARGO_BIN_EXE_apitap-bench"));
    MockApiProcess::start_with(program, &MockApiOptions::new(WORKLOAD, ROWS)).await
}

fn job(preset: &str, source_url: &str, database_url: &str) -> WorkerJob {
    WorkerJob {
        source_url: source_url.to_owned(),
        workload: WORKLOAD.to_owned(),
        pages: PageKind::PageNumber,
        sql: format!("SELECT * FROM {WORKLOAD}"),
        database_url: database_url.to_owned(),
        table: "loaded".to_owned(),
        mode: WriteMode::Replace,
        key: Vec::new(),
        preset: preset.to_owned(),
        settings: Vec::new(),
        watch: Watch::Nothing,
        attach: Vec::new(),
        recorded: None,
    }
}

async fn load(engine: &Engine, job: &Job) -> Result<()> {
    let report = engine.run(job, Arc::default()).await?;
    let rows = report.rows_written;
    ensure!(rows == ROWS, "{rows} of {ROWS} rows were loaded");
    Ok(())
}
