//! The schema of a sample.

use std::num::NonZero;

use anyhow::{Context, Result};
use apitap_core::config::InferConfig;
use apitap_core::infer::infer;
use apitap_core::schema::arrow_schema;
use arrow::datatypes::SchemaRef;

use super::sample::Sample;

/// As all rows have it, so that none of them is refused.
pub(crate) fn schema(sample: &Sample) -> Result<SchemaRef> {
    let rows = NonZero::new(usize::try_from(sample.rows)?);
    let config = InferConfig {
        sample_rows: rows.context("a sample without rows")?,
        ..InferConfig::default()
    };
    let columns = infer(sample.name, &sample.pages, &[], &config)?;
    Ok(arrow_schema(&columns))
}
