//! Schema inference, by workload and by the rows of a sample.

mod support {
    pub(crate) mod program;
    pub(crate) mod sample;
}

use std::num::NonZero;

use anyhow::{Context, Result};
use apitap_core::config::InferConfig;
use apitap_core::infer::infer;
use apitap_core::metrics::Metrics;
use apitap_core::stage;
use criterion::{BenchmarkId, Criterion};
use testkit::workload::Workload;

use support::program;
use support::sample::Sample;

/// The default of the engine, ten times as many, and thirty times.
const SAMPLE_ROWS: [u64; 3] = [100, 1_000, 3_000];

fn main() -> Result<()> {
    program::run(benchmarks)
}

fn benchmarks(criterion: &mut Criterion) -> Result<()> {
    let mut group = criterion.benchmark_group("infer");
    for name in Workload::names() {
        for rows in SAMPLE_ROWS {
            let sample = &Sample::until(name, rows, |sample| sample.rows >= rows)?;
            let config = &InferConfig {
                sample_rows: NonZero::new(usize::try_from(rows)?).context("a sample of no rows")?,
                ..InferConfig::default()
            };
            group.throughput(sample.throughput());
            group.bench_function(BenchmarkId::new(name, rows), |bencher| {
                let metrics = Metrics::default();
                bencher.iter(|| {
                    let columns =
                        stage::infer(&metrics, || infer(sample.name, &sample.pages, &[], config));
                    columns.expect("a schema can be inferred")
                });
            });
        }
    }
    Ok(())
}
