//! The bounded channel between two tasks, by capacity, for single rows and for batches.

mod support {
    pub(crate) mod program;
}

use std::sync::Arc;

use anyhow::{Context, Result};
use apitap_core::channel::{self, ChannelMetrics};
use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::Runtime;

use support::program;

/// That of the preset `before`, room for two of these batches, that of `tuned`, and eight times it.
const CAPACITIES: [usize; 4] = [256, 1_024, 8_192, 65_536];

const ROWS: u64 = 20_000;

const BATCHES: u64 = 2_000;
const BATCH_ROWS: u64 = 500;

/// Of a batch of so many rows of the workload orders, about.
const BATCH_BYTES: usize = 200 << 10;

fn main() -> Result<()> {
    program::run(benchmarks)
}

fn benchmarks(criterion: &mut Criterion) -> Result<()> {
    let runtime = &Runtime::new().context("cannot start a runtime")?;
    let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..BATCH_ROWS));
    let batch = RecordBatch::try_from_iter([("id", numbers)])?;
    let mut group = criterion.benchmark_group("channel");
    for capacity in CAPACITIES {
        group.throughput(Throughput::Elements(ROWS));
        group.bench_function(BenchmarkId::new("rows", capacity), |bencher| {
            bencher
                .to_async(runtime)
                .iter(|| pass(capacity, ROWS, 0_u64, 1, 0));
        });
        group.throughput(Throughput::Elements(BATCHES * BATCH_ROWS));
        group.bench_function(BenchmarkId::new("batches", capacity), |bencher| {
            let rows = batch.num_rows();
            bencher
                .to_async(runtime)
                .iter(|| pass(capacity, BATCHES, batch.clone(), rows, BATCH_BYTES));
        });
    }
    Ok(())
}

/// Sends a message of so many rows and bytes `messages` times from one task to another.
async fn pass<T>(capacity: usize, messages: u64, message: T, rows: usize, bytes: usize)
where
    T: Clone + Send + Sync + 'static,
{
    let (sender, receiver) = channel::bounded(capacity, Arc::new(ChannelMetrics::default()));
    let sending = tokio::spawn(async move {
        for _ in 0..messages {
            sender.send(message.clone(), rows, bytes).await?;
        }
        Ok::<(), channel::Closed>(())
    });
    let receiving = tokio::spawn(async move {
        let mut received = 0;
        while receiver.receive().await.is_some() {
            received += 1;
        }
        received
    });
    let sent = sending.await.expect("the sender does not panic");
    sent.expect("the receiver outlives its sender");
    let received: u64 = receiving.await.expect("the receiver does not panic");
    assert_eq!(received, messages, "messages were lost");
}
