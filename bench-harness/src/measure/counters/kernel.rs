//! Decoding and encoding alone: one thread, no runtime, no network, nothing random.
//!
//! What is outside of a stage (generating rows, inferring a schema, and for encoding the decoding
//! before it) is done once, on the same few rows, whatever the number of rows that the kernel is to
//! do: it goes through them again and again. So what a kernel does twice as many rows costs is its
//! stage's own.

use std::fmt;
use std::hint::black_box;

use anyhow::{Context, Result};
use apitap_core::Config;
use apitap_core::config::{DecodePath, Observe, WriteCommand};
use apitap_core::decode::rows::{RowsDecoder, parse};
use apitap_core::decode::{NulSighting, TapeDecoder};
use apitap_core::encode::{PgType, RowEncoder};
use apitap_core::infer::{Columns, infer};
use apitap_core::metrics::Metrics;
use apitap_core::schema::arrow_schema;
use apitap_core::source::{Page, PageFormat};
use apitap_core::stage;
use bytes::{Bytes, BytesMut};

use crate::measure::worker::engine_error;
use testkit::workload::Workload;

/// Rows that a kernel goes through again and again: enough for every kind of value that a workload
/// has.
const DISTINCT_ROWS: u64 = 1_000;

/// The work of a stage by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kernel {
    /// JSON becomes columns, by `decode.path`, page by page of `source.page_rows`; on the rows path
    /// without the channel between its two halves.
    Decode,
    /// Columns become PostgreSQL's wire format, by `write.method`, flush by flush of
    /// `write.batch_rows`; of statements the values alone, without their text.
    Encode,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decode => "decode",
            Self::Encode => "encode",
        })
    }
}

impl Kernel {
    /// Does `rows` rows of `workload` or, as it ends with a page or flush, a few more; returns how
    /// many.
    ///
    /// # Errors
    /// When the engine refuses the rows; `config` then asks for what the workload does not have.
    pub fn run(self, workload: &Workload, config: &Config, rows: u64) -> Result<u64> {
        let metrics = Metrics::default();
        // Clocks are no part of the work, and how long something takes is never the same.
        metrics.observe(Observe::Off);
        match self {
            Self::Decode => decode(workload, config, rows, &metrics),
            Self::Encode => encode(workload, config, rows, &metrics),
        }
    }
}

fn decode(workload: &Workload, config: &Config, rows: u64, metrics: &Metrics) -> Result<u64> {
    let pages = pages(workload, config.source.page_rows.get() as u64);
    let mut decoder = Decoder::new(workload, &pages, config)?;
    let mut done = 0;
    for page in pages.iter().cycle() {
        if done >= rows {
            break;
        }
        stage::decode(metrics, || decoder.page(page)).map_err(|error| engine_error(&error))?;
        done += page.row_count as u64;
    }
    Ok(done)
}

fn encode(workload: &Workload, config: &Config, rows: u64, metrics: &Metrics) -> Result<u64> {
    let method = config.write.method;
    let flush_rows = config.write.batch_rows.get();
    let pages = pages(workload, flush_rows as u64);
    let schema = arrow_schema(&columns(workload, &pages, config)?);
    let types = schema.fields().iter().map(|field| PgType::of_field(field));
    let types: Option<Vec<_>> = types.collect();
    let types = types.context("the workload has a column that PostgreSQL has no type for")?;
    let encoder =
        RowEncoder::plan(schema.clone(), types, method).map_err(|error| engine_error(&error))?;
    let (source, unknown) = (workload.name(), config.decode.unknown_fields);
    let mut decoder = TapeDecoder::new(source, schema, flush_rows, unknown, NulSighting::default());
    let mut flushes = Vec::new();
    for page in &pages {
        flushes.extend(decoder.decode(page).map_err(|error| engine_error(&error))?);
    }
    let mut buffer = BytesMut::new();
    let mut done = 0;
    for flush in flushes.iter().cycle() {
        if done >= rows {
            break;
        }
        stage::encode(metrics, || {
            let rows = encoder.rows(flush, 1)?;
            match method.command() {
                WriteCommand::Copy(format) => encoder.copy(&rows, format, &mut buffer),
                WriteCommand::Statement(form) => encoder.bind(&rows, form, &mut buffer),
            }
        })
        .map_err(|error| engine_error(&error))?;
        black_box(&mut buffer).clear();
        done += flush.num_rows() as u64;
    }
    Ok(done)
}

/// Pages of `page_rows` rows that hold [`DISTINCT_ROWS`] in all, or one page where that has more.
fn pages(workload: &Workload, page_rows: u64) -> Vec<Page> {
    (0..DISTINCT_ROWS.div_ceil(page_rows))
        .map(|nth| {
            let mut body = Vec::new();
            workload.render_page(nth * page_rows, page_rows, &mut body);
            Page {
                index: nth + 1,
                rows: 0..body.len(),
                body: Bytes::from(body),
                row_count: page_rows as usize,
                format: PageFormat::Json,
            }
        })
        .collect()
}

/// The columns of the rows, found as the engine finds them.
fn columns(workload: &Workload, pages: &[Page], config: &Config) -> Result<Columns> {
    infer(workload.name(), pages, &[], &config.infer).map_err(|error| engine_error(&error))
}

/// The decoder of a path.
enum Decoder {
    Tape(Box<TapeDecoder>),
    Rows {
        source: String,
        decoder: Box<RowsDecoder>,
        batch_rows: usize,
    },
}

impl Decoder {
    fn new(workload: &Workload, pages: &[Page], config: &Config) -> Result<Self> {
        let source = workload.name();
        let schema = arrow_schema(&columns(workload, pages, config)?);
        let batch_rows = config.decode.batch_rows.get();
        let (unknown, nuls) = (config.decode.unknown_fields, NulSighting::default());
        Ok(match config.decode.path {
            DecodePath::Tape => {
                let decoder = TapeDecoder::new(source, schema, batch_rows, unknown, nuls);
                Self::Tape(Box::new(decoder))
            }
            DecodePath::Rows => {
                let decoder = RowsDecoder::new(source, schema, unknown, nuls);
                Self::Rows {
                    source: source.to_owned(),
                    decoder: Box::new(decoder.map_err(|error| engine_error(&error))?),
                    batch_rows,
                }
            }
        })
    }

    fn page(&mut self, page: &Page) -> apitap_core::Result<()> {
        match self {
            Self::Tape(decoder) => {
                black_box(decoder.decode(page)?);
            }
            Self::Rows {
                source,
                decoder,
                batch_rows,
            } => {
                for row in parse(source, page)? {
                    decoder.push(&row)?;
                    if decoder.len() == *batch_rows {
                        black_box(decoder.flush()?);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use apitap_core::config::WriteMethod;

    use super::*;

    #[test]
    fn kernels_do_the_rows_of_every_workload_in_every_way() {
        for name in Workload::names() {
            let workload = Workload::named(name).unwrap();
            for path in ["tape", "rows"] {
                let config = Config::default().with(&format!("decode.path={path}"));
                let done = Kernel::Decode.run(&workload, &config.unwrap(), 2_500);
                // Whole pages of a thousand.
                assert_eq!(done.unwrap(), 3_000, "{name} by {path}");
            }
            for method in WriteMethod::ALL {
                let config = Config::default()
                    .with(&format!("write.method={method}"))
                    .and_then(|config| config.with("write.batch_rows=300"));
                let done = Kernel::Encode.run(&workload, &config.unwrap(), 500);
                assert_eq!(done.unwrap(), 600, "{name} by {method}");
            }
        }
    }
}
