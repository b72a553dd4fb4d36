//! Arrow to PostgreSQL's wire formats, by each of the six ways and workload.
//!
//! A page's rows go into one statement, or into one chunk of a COPY stream. `insert` also makes the
//! text of the statement, which it does for every flush; the others have theirs once per load.
//!
//! The group `encode-copy-binary` has the same work in bytes of the result, beside a copy of these bytes: no
//! encoder is faster than that.

mod support {
    pub(crate) mod batches;
    pub(crate) mod program;
    pub(crate) mod sample;
    pub(crate) mod schema;
}

use std::hint::black_box;

use anyhow::{Context, Result};
use apitap_core::config::{StatementForm, WriteCommand, WriteMethod};
use apitap_core::encode::{PgType, RowEncoder};
use apitap_core::metrics::Metrics;
use apitap_core::stage;
use apitap_core::write::{LoadColumn, TableName, insert_statement};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::BytesMut;
use criterion::{BenchmarkId, Criterion, Throughput};
use testkit::workload::Workload;

use support::batches::batches;
use support::program;
use support::sample::Sample;

/// As many as the widest workload may have in one statement, whose parameters are at most 65,535.
const PAGE_ROWS: u64 = 500;

/// At least so many of JSON: a millisecond and more of the fastest way.
const BYTES: u64 = 2 << 20;

fn main() -> Result<()> {
    program::run(benchmarks)
}

fn benchmarks(criterion: &mut Criterion) -> Result<()> {
    ways(criterion)?;
    beside_memcpy(criterion)
}

fn ways(criterion: &mut Criterion) -> Result<()> {
    let mut group = criterion.benchmark_group("encode");
    for name in Workload::names() {
        let sample = Sample::until(name, PAGE_ROWS, |sample| sample.bytes >= BYTES)?;
        let batches = &batches(&sample)?;
        let schema = batches.first().context("a sample without rows")?.schema();
        group.throughput(sample.throughput());
        for method in WriteMethod::ALL {
            let encoding = &Encoding::plan(name, &schema, method)?;
            group.bench_function(BenchmarkId::new(method.name(), name), |bencher| {
                let (metrics, mut out) = (Metrics::default(), BytesMut::new());
                bencher.iter(|| {
                    for batch in batches {
                        out.clear();
                        let encoded = stage::encode(&metrics, || encoding.encode(batch, &mut out));
                        encoded.expect("the workload can be encoded");
                        black_box(&out);
                    }
                });
            });
        }
    }
    Ok(())
}

fn beside_memcpy(criterion: &mut Criterion) -> Result<()> {
    let mut group = criterion.benchmark_group("encode-copy-binary");
    for name in Workload::names() {
        let sample = Sample::until(name, PAGE_ROWS, |sample| sample.bytes >= BYTES)?;
        let batches = &batches(&sample)?;
        let schema = batches.first().context("a sample without rows")?.schema();
        let encoding = &Encoding::plan(name, &schema, WriteMethod::CopyBinary)?;
        let mut encoded = Vec::new();
        for batch in batches {
            let mut chunk = BytesMut::new();
            encoding.encode(batch, &mut chunk)?;
            encoded.push(chunk);
        }
        let bytes: usize = encoded.iter().map(BytesMut::len).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("encode", name), |bencher| {
            let mut out = BytesMut::new();
            bencher.iter(|| {
                for batch in batches {
                    out.clear();
                    let encoded = encoding.encode(batch, &mut out);
                    encoded.expect("the workload can be encoded");
                    black_box(&out);
                }
            });
        });
        group.bench_function(BenchmarkId::new("memcpy", name), |bencher| {
            let mut out = BytesMut::new();
            bencher.iter(|| {
                for chunk in &encoded {
                    out.clear();
                    out.extend_from_slice(black_box(chunk));
                    black_box(&out);
                }
            });
        });
    }
    Ok(())
}

/// What a load plans once.
struct Encoding {
    method: WriteMethod,
    encoder: RowEncoder,
    table: TableName,
    columns: Vec<LoadColumn>,
}

impl Encoding {
    fn plan(name: &str, schema: &SchemaRef, method: WriteMethod) -> Result<Self> {
        let fields = schema.fields().iter();
        let columns: Vec<_> = fields
            .map(|field| {
                Ok(LoadColumn {
                    name: field.name().clone(),
                    pg_type: PgType::of_field(field)
                        .with_context(|| format!("no type for column {}", field.name()))?,
                    cast: None,
                    always_identity: false,
                })
            })
            .collect::<Result<_>>()?;
        let targets = columns.iter().map(|column| column.pg_type.clone());
        Ok(Self {
            method,
            encoder: RowEncoder::plan(schema.clone(), targets.collect(), method)?,
            table: TableName::parse(name)?,
            columns,
        })
    }

    fn encode(&self, batch: &RecordBatch, out: &mut BytesMut) -> Result<()> {
        let rows = self.encoder.rows(batch, 1)?;
        match self.method.command() {
            WriteCommand::Copy(format) => Ok(self.encoder.copy(&rows, format, out)?),
            WriteCommand::Statement(form) => {
                if form == StatementForm::Insert {
                    black_box(insert_statement(&self.table, &self.columns, rows.len()));
                }
                Ok(self.encoder.bind(&rows, form, out)?)
            }
        }
    }
}
