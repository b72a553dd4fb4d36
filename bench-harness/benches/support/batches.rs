//! The rows of a sample as Arrow.

use anyhow::Result;
use apitap_core::config::{Config, UnknownFields};
use apitap_core::decode::TapeDecoder;
use arrow::array::RecordBatch;

use super::sample::Sample;
use super::schema::schema;

/// Batches as the tape path makes them: one for each page.
pub(crate) fn batches(sample: &Sample) -> Result<Vec<RecordBatch>> {
    let mut decoder = TapeDecoder::new(
        sample.name,
        schema(sample)?,
        Config::default().decode.batch_rows.get(),
        UnknownFields::Refuse,
        Default::default(),
    );
    let batches = sample.pages.iter().map(|page| decoder.decode(page));
    Ok(batches.collect::<apitap_core::Result<Vec<_>>>()?.concat())
}
