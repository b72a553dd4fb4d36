//! The six writers against a real PostgreSQL.
//!
//! The clock runs from the first batch until the server has taken the last row. Connecting and
//! creating the table stand outside, and so does the commit, which costs the same for all: each load
//! is rolled back, and leaves nothing.

mod support {
    pub(crate) mod batches;
    pub(crate) mod program;
    pub(crate) mod sample;
    pub(crate) mod schema;
    pub(crate) mod server;
}

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use apitap_core::config::{WriteConfig, WriteMethod, WriteMode};
use apitap_core::metrics::Metrics;
use apitap_core::write::TargetSpec;
use apitap_core::write::{EmptyLoad, Load, Sink, TableName};
use arrow::array::RecordBatch;
use criterion::{BenchmarkId, Criterion};
use tokio::runtime::Runtime;

use support::batches::batches;
use support::program;
use support::sample::Sample;
use support::server::LazyDatabase;

/// Two flushes of every writer, tens of milliseconds of the slowest.
const ROWS: u64 = 2_000;

/// The default of the engine.
const PAGE_ROWS: u64 = 1_000;

fn main() -> Result<()> {
    let runtime = Runtime::new().context("cannot start a runtime")?;
    let database = LazyDatabase::new(&runtime);
    program::run(|criterion| benchmarks(criterion, &runtime, &database))
}

fn benchmarks(criterion: &mut Criterion, runtime: &Runtime, database: &LazyDatabase) -> Result<()> {
    let sample = Sample::until("orders", PAGE_ROWS, |sample| sample.rows >= ROWS)?;
    let batches = batches(&sample)?;
    let mut group = criterion.benchmark_group("writers");
    group.throughput(sample.throughput());
    for method in WriteMethod::ALL {
        let config = WriteConfig {
            method,
            ..WriteConfig::default()
        };
        group.bench_function(BenchmarkId::new(method.name(), sample.name), |bencher| {
            let sink = sink(database.url()).expect("the server's URL is one");
            bencher.iter_custom(|iterations| {
                let loads = (0..iterations).map(|_| {
                    let load = Box::pin(load(&sink, &config, &batches));
                    runtime.block_on(load).expect("the rows can be written")
                });
                loads.sum()
            });
        });
    }
    Ok(())
}

fn sink(url: &str) -> Result<Sink> {
    Ok(Sink {
        target: TargetSpec::from_url("bench", url)?,
        table: TableName::parse("written")?,
        mode: WriteMode::Append,
        key: Vec::new(),
        empty: EmptyLoad::Usual,
    })
}

/// How long it takes to write all batches, on a connection of its own.
async fn load(sink: &Sink, config: &WriteConfig, batches: &[RecordBatch]) -> Result<Duration> {
    let first = batches.first().context("a sample without rows")?;
    let metrics = Arc::new(Metrics::default());
    let load = Load::begin(sink.clone(), &first.schema(), config.clone(), metrics).await?;
    let begun = Instant::now();
    let mut writer = load.writer(1).await?;
    for batch in batches {
        writer.write(batch).await?;
    }
    let rows = writer.finish().await?;
    let taken = begun.elapsed();
    load.end(false).await;
    ensure!(rows == ROWS, "{rows} of {ROWS} rows were written");
    Ok(taken)
}
