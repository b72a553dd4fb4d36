//! SQL over pages in memory, by query and by partitions.
//!
//! Lanes decode what the query reads, as in a run: the scan is part of what a projection saves.
//! Planning is done before the clock starts.

mod support {
    pub(crate) mod program;
    pub(crate) mod sample;
    pub(crate) mod schema;
}

use std::future::poll_fn;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use apitap_core::config::{Config, TransformConfig, UnknownFields};
use apitap_core::decode::TapeDecoder;
use apitap_core::metrics::Metrics;
use apitap_core::stage;
use apitap_core::transform::{ApiTable, Feed, Lane, Query, ScanRequest};
use arrow::datatypes::SchemaRef;
use criterion::{BatchSize, BenchmarkId, Criterion};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use support::program;
use support::sample::Sample;
use support::schema::schema;

/// Rows of each source: some milliseconds of work.
const ROWS: u64 = 5_000;

/// Small enough for several partitions to share them evenly.
const PAGE_ROWS: u64 = 500;

const PARTITIONS: [usize; 3] = [1, 2, 4];

const QUERIES: [(&str, &str); 5] = [
    ("every-column", "SELECT * FROM orders"),
    ("projection", "SELECT id, status, price FROM orders"),
    ("filter", "SELECT * FROM orders WHERE paid AND price > 1000"),
    (
        "aggregate",
        "SELECT status, count(*) AS orders, sum(price) AS total FROM orders GROUP BY status",
    ),
    (
        "join",
        "SELECT orders.id, orders.status, narrow.value FROM orders JOIN narrow ON narrow.id = orders.id",
    ),
];

fn main() -> Result<()> {
    program::run(benchmarks)
}

fn benchmarks(criterion: &mut Criterion) -> Result<()> {
    let runtime = &Runtime::new().context("cannot start a runtime")?;
    let sources = [source("orders")?, source("narrow")?];
    let mut group = criterion.benchmark_group("transform");
    group.throughput(sources[0].0.throughput());
    for (name, sql) in QUERIES {
        for partitions in PARTITIONS {
            let config = &TransformConfig {
                partitions: NonZero::new(partitions).context("no partitions")?,
                ..TransformConfig::default()
            };
            group.bench_function(BenchmarkId::new(name, partitions), |bencher| {
                let metrics = Arc::new(Metrics::default());
                bencher.iter_batched(
                    || {
                        let planned = runtime.block_on(plan(sql, &sources, config, &metrics));
                        planned.expect("the query can be planned")
                    },
                    |query| {
                        runtime
                            .block_on(run(query, &metrics))
                            .expect("the query runs")
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    Ok(())
}

fn source(name: &'static str) -> Result<(Sample, SchemaRef)> {
    let sample = Sample::until(name, PAGE_ROWS, |sample| sample.rows >= ROWS)?;
    let schema = schema(&sample)?;
    Ok((sample, schema))
}

async fn plan(
    sql: &str,
    sources: &[(Sample, SchemaRef)],
    config: &TransformConfig,
    metrics: &Arc<Metrics>,
) -> Result<Query> {
    let tables = sources.iter().map(|(sample, schema)| {
        let feed = PagesInMemory {
            sample: sample.clone(),
            metrics: metrics.clone(),
        };
        let lanes = config.partitions.get();
        ApiTable::new(sample.name, schema.clone(), lanes, Box::new(feed))
    });
    Ok(Query::plan(sql, tables.collect(), config).await?)
}

/// Runs a query to its end, a task per partition.
async fn run(query: Query, metrics: &Arc<Metrics>) -> Result<()> {
    let mut partitions = JoinSet::new();
    for mut batches in query.streams()? {
        let metrics = metrics.clone();
        partitions.spawn(async move {
            let mut rows = 0;
            while let Some(batch) =
                poll_fn(|context| stage::sql(&metrics, || batches.poll_next_unpin(context))).await
            {
                rows += batch?.num_rows();
            }
            anyhow::Ok(rows)
        });
    }
    let rows: usize = partitions.join_all().await.into_iter().sum::<Result<_>>()?;
    ensure!(rows > 0, "the query found no rows");
    Ok(())
}

/// Pages that lanes take turns to decode.
#[derive(Debug)]
struct PagesInMemory {
    sample: Sample,
    metrics: Arc<Metrics>,
}

impl Feed for PagesInMemory {
    fn open(&self, request: ScanRequest) -> apitap_core::Result<Vec<Lane>> {
        let pages = Arc::new(Mutex::new(self.sample.pages.clone().into_iter()));
        let lane = |_| {
            let mut decoder = TapeDecoder::new(
                self.sample.name,
                request.schema.clone(),
                Config::default().decode.batch_rows.get(),
                UnknownFields::Ignore,
                Default::default(),
            );
            let (pages, metrics) = (pages.clone(), self.metrics.clone());
            let decoded = std::iter::from_fn(move || {
                let page = pages
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .next()?;
                Some(stage::decode(&metrics, || decoder.decode(&page)))
            });
            stream::iter(decoded)
                .map_ok(|batches| stream::iter(batches.into_iter().map(Ok)))
                .try_flatten()
                .boxed()
        };
        Ok((0..request.lanes).map(lane).collect())
    }
}
