//! The counter of rows: a mutex against an atomic, by one task and by several at once.

mod support {
    pub(crate) mod program;
}

use std::sync::Arc;

use anyhow::{Context, Result};
use apitap_core::config::Counter;
use apitap_core::metrics::RowCounter;
use criterion::{BenchmarkId, Criterion, Throughput};
use futures::future::join_all;
use tokio::runtime::Runtime;

use support::program;

/// Rows counted in an iteration, one by one.
const ROWS: u64 = 50_000;

/// Tasks that count at once: more than a small machine has processors.
const CONTENDING: u64 = 4;

fn main() -> Result<()> {
    program::run(benchmarks)
}

fn benchmarks(criterion: &mut Criterion) -> Result<()> {
    let runtime = &Runtime::new().context("cannot start a runtime")?;
    let mut group = criterion.benchmark_group("counter");
    group.throughput(Throughput::Elements(ROWS));
    for (name, kind) in [("mutex", Counter::Mutex), ("atomic", Counter::Atomic)] {
        for (way, tasks) in [("alone", 1), ("contended", CONTENDING)] {
            group.bench_function(BenchmarkId::new(name, way), |bencher| {
                bencher.to_async(runtime).iter(|| count(kind, tasks));
            });
        }
    }
    Ok(())
}

/// Counts [`ROWS`] rows, shared evenly by so many tasks.
async fn count(kind: Counter, tasks: u64) {
    let counter = Arc::new(RowCounter::new(kind));
    let counting = (0..tasks).map(|_| {
        let counter = counter.clone();
        tokio::spawn(async move {
            for _ in 0..ROWS / tasks {
                counter.add(1).await;
            }
        })
    });
    for ended in join_all(counting.collect::<Vec<_>>()).await {
        ended.expect("counting does not panic");
    }
    assert_eq!(counter.total().await, ROWS, "rows were lost");
}
