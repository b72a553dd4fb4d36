//! JSON to Arrow: the engine beside arrow-json, sonic-rs and simd-json, from the same pages of `orders` into the same
//! arrays.
//!
//! That they make equal batches is checked before anything is measured. Only the engine refuses numbers that a double
//! would change, and keys that the schema does not have.

mod support {
    pub(crate) mod batches;
    pub(crate) mod program;
    pub(crate) mod sample;
    pub(crate) mod schema;
}

mod readers {
    pub(crate) mod arrow_json;
    pub(crate) mod typed;
}

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use apitap_core::config::{Config, UnknownFields};
use apitap_core::decode::TapeDecoder;
use apitap_core::json::Envelope;
use apitap_core::schema::is_json;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use criterion::Criterion;
use serde_json::Value;

use readers::arrow_json::ArrowJson;
use readers::typed;
use support::batches::batches;
use support::program;
use support::sample::Sample;
use support::schema::schema;

/// The default of the engine.
const PAGE_ROWS: u64 = 1_000;

/// As in `decode`.
const BYTES: u64 = 2 << 20;

fn main() -> Result<()> {
    program::run(benchmarks)
}

fn benchmarks(criterion: &mut Criterion) -> Result<()> {
    let sample = &Sample::until("orders", PAGE_ROWS, |sample| sample.bytes >= BYTES)?;
    let schema = &schema(sample)?;
    check(sample, schema)?;

    let mut group = criterion.benchmark_group("parsers");
    group.throughput(sample.throughput());
    // What the engine does with a page in its source, then in a lane: arms below start from bytes as it does.
    group.bench_function("apitap", |bencher| {
        let mut decoder = engine(sample, schema);
        bencher.iter(|| {
            for page in &sample.pages {
                black_box(Envelope::scan(&page.body, "", &[]).expect("a page of JSON"));
                black_box(decoder.decode(page).expect("the workload decodes"));
            }
        });
    });
    group.bench_function("apitap-decode", |bencher| {
        let mut decoder = engine(sample, schema);
        bencher.iter(|| {
            for page in &sample.pages {
                black_box(decoder.decode(page).expect("the workload decodes"));
            }
        });
    });
    group.bench_function("arrow-json", |bencher| {
        let mut parser = ArrowJson::new(schema).expect("the schema has a reader");
        bencher.iter(|| {
            for page in &sample.pages {
                black_box(parser.batch(&page.body).expect("the workload decodes"));
            }
        });
    });
    group.bench_function("arrow-json-nested", |bencher| {
        let mut parser = ArrowJson::new(schema).expect("the schema has a reader");
        bencher.iter(|| {
            for page in &sample.pages {
                black_box(parser.structs(&page.body).expect("the workload decodes"));
            }
        });
    });
    group.bench_function("sonic-rs", |bencher| {
        bencher.iter(|| {
            for page in &sample.pages {
                black_box(typed::by_sonic_rs(schema, &page.body).expect("the workload decodes"));
            }
        });
    });
    group.bench_function("simd-json", |bencher| {
        let mut scratch = Vec::new();
        bencher.iter(|| {
            for page in &sample.pages {
                let batch = typed::by_simd_json(schema, &page.body, &mut scratch);
                black_box(batch.expect("the workload decodes"));
            }
        });
    });
    Ok(())
}

fn engine(sample: &Sample, schema: &SchemaRef) -> TapeDecoder {
    TapeDecoder::new(
        sample.name,
        schema.clone(),
        Config::default().decode.batch_rows.get(),
        UnknownFields::Refuse,
        Default::default(),
    )
}

/// Fails unless the others make of each page what the engine makes of it.
fn check(sample: &Sample, schema: &SchemaRef) -> Result<()> {
    let expected = batches(sample)?;
    ensure!(
        expected.len() == sample.pages.len(),
        "the engine makes one batch of a page"
    );
    let mut arrow_json = ArrowJson::new(schema)?;
    for (page, expected) in sample.pages.iter().zip(&expected) {
        let expected = readable(expected)?;
        for (name, batch) in [
            ("arrow-json", arrow_json.batch(&page.body)?),
            ("sonic-rs", typed::by_sonic_rs(schema, &page.body)?),
            (
                "simd-json",
                typed::by_simd_json(schema, &page.body, &mut Vec::new())?,
            ),
        ] {
            ensure!(
                readable(&batch)? == expected,
                "{name} makes another batch of page {} than the engine",
                page.index
            );
        }
    }
    Ok(())
}

/// A batch with its JSON columns as values: who writes JSON anew may spell it in another way.
fn readable(batch: &RecordBatch) -> Result<(RecordBatch, Vec<Option<Value>>)> {
    let (json, plain): (Vec<usize>, Vec<usize>) =
        (0..batch.num_columns()).partition(|&column| is_json(batch.schema().field(column)));
    let mut values = Vec::new();
    for column in json {
        let texts = batch.column(column).as_string::<i32>();
        for text in texts {
            let value = text.map(serde_json::from_str).transpose();
            values.push(value.context("a JSON column holds no JSON")?);
        }
    }
    Ok((batch.project(&plain)?, values))
}
