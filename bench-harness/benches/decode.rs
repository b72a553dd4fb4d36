//! JSON to Arrow, by each path and workload.
//!
//! The rows path is what decodes on it, without the channel between its two halves: see `channel`.

mod support {
    pub(crate) mod program;
    pub(crate) mod sample;
    pub(crate) mod schema;
}

use std::hint::black_box;

use anyhow::Result;
use apitap_core::config::{Config, UnknownFields};
use apitap_core::decode::TapeDecoder;
use apitap_core::decode::rows::{self, RowsDecoder};
use apitap_core::metrics::Metrics;
use apitap_core::stage;
use arrow::datatypes::SchemaRef;
use criterion::{BenchmarkId, Criterion};
use testkit::workload::Workload;

use support::program;
use support::sample::Sample;
use support::schema::schema;

/// The default of the engine.
const PAGE_ROWS: u64 = 1_000;

/// At least so many of JSON: a few milliseconds, and more than a processor's nearer caches hold.
const BYTES: u64 = 2 << 20;

fn main() -> Result<()> {
    program::run(benchmarks)
}

fn benchmarks(criterion: &mut Criterion) -> Result<()> {
    let [before, tuned] = [Config::preset("before")?, Config::preset("tuned")?];
    let [before, tuned] = [before, tuned].map(|config| config.decode.batch_rows.get());
    let mut group = criterion.benchmark_group("decode");
    for name in Workload::names() {
        let sample = &Sample::until(name, PAGE_ROWS, |sample| sample.bytes >= BYTES)?;
        let schema = &schema(sample)?;
        group.throughput(sample.throughput());
        group.bench_function(BenchmarkId::new("tape", name), |bencher| {
            let metrics = Metrics::default();
            bencher.iter(|| {
                let decoded = from_bytes(sample, schema, tuned, &metrics);
                decoded.expect("the workload decodes");
            });
        });
        group.bench_function(BenchmarkId::new("rows", name), |bencher| {
            let metrics = Metrics::default();
            bencher.iter(|| {
                let decoded = from_values(sample, schema, before, &metrics);
                decoded.expect("the workload decodes");
            });
        });
    }
    Ok(())
}

/// Decodes every page as a lane of the tape path does.
fn from_bytes(
    sample: &Sample,
    schema: &SchemaRef,
    batch_rows: usize,
    metrics: &Metrics,
) -> apitap_core::Result<()> {
    let mut decoder = TapeDecoder::new(
        sample.name,
        schema.clone(),
        batch_rows,
        UnknownFields::Refuse,
        Default::default(),
    );
    for page in &sample.pages {
        black_box(stage::decode(metrics, || decoder.decode(page))?);
    }
    Ok(())
}

/// Parses every page into values, as the rows path does, and gathers these into batches.
fn from_values(
    sample: &Sample,
    schema: &SchemaRef,
    batch_rows: usize,
    metrics: &Metrics,
) -> apitap_core::Result<()> {
    let mut decoder = RowsDecoder::new(
        sample.name,
        schema.clone(),
        UnknownFields::Refuse,
        Default::default(),
    )?;
    for page in &sample.pages {
        stage::decode(metrics, || {
            for row in rows::parse(sample.name, page)? {
                decoder.push(&row)?;
                if decoder.len() == batch_rows {
                    black_box(decoder.flush()?);
                }
            }
            Ok(())
        })?;
    }
    black_box(stage::decode(metrics, || decoder.flush())?);
    Ok(())
}
