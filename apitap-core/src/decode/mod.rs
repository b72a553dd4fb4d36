//! JSON to Arrow: bytes in, [`RecordBatch`]es out, no I/O.
//!
//! Two ways that yield equal batches: [`TapeDecoder`] reads the bytes into columns directly,
//! [`rows`] makes an owned value of each row first. What a key and a value mean is decided in one place
//! for both.

mod column;
mod layout;
mod page_rows;
pub mod rows;
mod tape;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

pub(crate) use column::{Misfit, exact_f64};
pub(crate) use page_rows::PageRows;
pub use tape::TapeDecoder;

use crate::error::{Error, ErrorKind, Result, Stage};
use crate::json::JsonError;
use crate::source::Page;

/// Places of columns by their names.
///
/// The hash has no random seed, so that the same rows cost the same instructions in every run. An API
/// that makes names collide on purpose gains nothing: no table has more than 1,600 columns.
pub(crate) type ByName = HashMap<String, usize, BuildHasherDefault<DefaultHasher>>;

/// Where the first NUL character of a run was seen, for the error that it may lead to: by then
/// the row is one of the result, and its page is gone.
#[derive(Debug, Clone, Default)]
pub struct NulSighting(Arc<OnceLock<String>>);

impl NulSighting {
    pub(crate) fn note(&self, source: &str, page: u64, row: usize, column: &str) {
        self.0
            .get_or_init(|| format!("source {source}, page {page}, row {row}, column {column}"));
    }

    /// The place, if there was one.
    pub fn place(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// What can be wrong with a row.
#[derive(Debug)]
pub(crate) enum Fault {
    Json(JsonError),
    NotAnObject,
    KeyTwice(String),
    UnknownKey(String),
    Misfit(String, Misfit),
    /// A text or a key with half of a surrogate pair, or a key with a NUL.
    BadText(String, &'static str),
    Engine(Error),
}

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl Fault {
    /// The error of a fault in `row` (from 1) of `page` of `source`. If the page is not JSON, that is what is wrong with
    /// it, wherever it is: nothing else in it is to be trusted.
    pub(crate) fn in_page(self, source: &str, page: &Page, row: usize) -> Error {
        match first_broken_row(page) {
            Some((row, error)) => Self::Json(error).into_error(source, page.index, row),
            None => self.into_error(source, page.index, row),
        }
    }

    /// The same in a page that is known to be JSON.
    pub(crate) fn into_error(self, source: &str, page: u64, row: usize) -> Error {
        let place = format!("source {source}, page {page}, row {row}");
        let value = |detail| Error::new(ErrorKind::Value, Stage::Decode, detail);
        match self {
            Self::Json(error) => Error::new(
                ErrorKind::InvalidJson,
                Stage::Decode,
                format!("{place}: {error}"),
            )
            .hint(error.hint()),
            Self::NotAnObject => value(format!("{place}: the row is not a JSON object"))
                .hint("point data_path at an array of objects"),
            Self::KeyTwice(column) => value(format!(
                "{place}, column {column}: the key appears twice in the row"
            )),
            Self::UnknownKey(column) => value(format!(
                "{place}, column {column}: not in the schema, because the sampled rows do not have it"
            ))
            .hint(format!(
                "declare it under the source's `columns`, raise infer.sample_rows, set \
                 decode.unknown_fields=ignore, or select only the columns you need; \
                 `{column}` would be lost otherwise"
            )),
            Self::Misfit(column, misfit) => {
                value(format!("{place}, column {column}: {}", misfit.0)).hint(format!(
                    "declare `{column}` under the source's `columns` with a type that holds every \
                 value (text holds any scalar, jsonb anything), or raise infer.sample_rows"
                ))
            }
            Self::BadText(column, what) => {
                value(format!("{place}, column {column}: {what}")).hint(format!(
                    "set on_bad_text: replace for source {source}, which puts U+FFFD in its place, or \
                     select only the columns you need"
                ))
            }
            Self::Engine(error) => error.at(place),
        }
    }
}

/// The first row of a page, from 1, that is not JSON.
fn first_broken_row(page: &Page) -> Option<(usize, JsonError)> {
    let mut rows = match PageRows::new(page) {
        Ok(rows) => rows,
        Err(error) => return Some((0, error)),
    };
    (1..=page.row_count).find_map(|row| {
        let read = rows.scanner().skip().and_then(|_| rows.leave());
        read.err().map(|error| (row, error))
    })
}

/// A batch of arrays that were built by the schema; `rows` counts even without columns.
pub(crate) fn finish_batch(
    schema: &SchemaRef,
    arrays: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), arrays, &options).map_err(|error| {
        Error::new(
            ErrorKind::Internal,
            Stage::Decode,
            "the batch does not match its schema",
        )
        .caused_by(error)
    })
}

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod tests;
