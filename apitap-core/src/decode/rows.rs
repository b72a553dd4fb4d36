//! The "before" way: a `serde_json::Value` per row.
//!
//! [`parse`] makes the rows of a page, the pipeline sends them one by one through a channel,
//! and [`RowsDecoder`] gathers what arrives into batches. The conversion of a value is the one
//! of the tape path, so that both yield equal batches.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde_json::Value;

use super::column::{ColumnBuilder, HasNul};
use super::{ByName, Fault, NulSighting, finish_batch};
use crate::config::UnknownFields;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::json::{RawNumber, RawStr, RawValue};
use crate::source::{Page, PageFormat};

/// One row on its way, with the place it came from.
#[derive(Debug)]
pub struct Row {
    /// Its page, from 1.
    pub page: u64,
    /// Its place in the page, from 1.
    pub index: usize,
    /// The row.
    pub value: Value,
}

/// The rows of a page.
///
/// # Errors
/// Text that is not JSON.
pub fn parse(source: &str, page: &Page) -> Result<Vec<Row>> {
    let body = &page.body[page.rows.clone()];
    let values: serde_json::Result<Vec<Value>> = match page.format {
        PageFormat::Json if body.is_empty() => Ok(Vec::new()),
        PageFormat::Json => serde_json::from_slice(body).map(|value| match value {
            Value::Array(rows) => rows,
            row => vec![row],
        }),
        PageFormat::Ndjson => serde_json::Deserializer::from_slice(body)
            .into_iter()
            .collect(),
    };
    let values = values.map_err(|error| {
        Error::new(
            ErrorKind::InvalidJson,
            Stage::Decode,
            format!("source {source}, page {}: invalid JSON", page.index),
        )
        .caused_by(error)
    })?;
    let rows = values.into_iter().zip(1..);
    Ok(rows
        .map(|(value, index)| Row {
            page: page.index,
            index,
            value,
        })
        .collect())
}

/// Gathers rows into batches of one schema.
pub struct RowsDecoder {
    source: String,
    schema: SchemaRef,
    unknown: UnknownFields,
    by_name: ByName,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    nuls: NulSighting,
    scratch: String,
}

impl RowsDecoder {
    /// A decoder of `source` that reads the columns of `schema` and no others.
    ///
    /// # Errors
    /// A type that JSON never becomes.
    pub fn new(
        source: &str,
        schema: SchemaRef,
        unknown: UnknownFields,
        nuls: NulSighting,
    ) -> Result<Self> {
        let names = schema.fields().iter().map(|field| field.name().clone());
        let fields = schema.fields().iter();
        Ok(Self {
            source: source.to_owned(),
            by_name: names.zip(0..).collect(),
            columns: fields
                .map(|field| ColumnBuilder::new(field, 0))
                .collect::<Result<_>>()?,
            schema,
            unknown,
            rows: 0,
            nuls,
            scratch: String::new(),
        })
    }

    /// Rows gathered since the last [`flush`](Self::flush).
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row was gathered since the last [`flush`](Self::flush).
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a row.
    ///
    /// # Errors
    /// A row that is no object, or a value that does not fit its column: names source, page,
    /// row and column.
    pub fn push(&mut self, row: &Row) -> Result<()> {
        self.append(row)
            .map_err(|fault| fault.into_error(&self.source, row.page, row.index))?;
        self.rows += 1;
        Ok(())
    }

    fn append(&mut self, row: &Row) -> Result<(), Fault> {
        let Value::Object(object) = &row.value else {
            return Err(Fault::NotAnObject);
        };
        if self.unknown == UnknownFields::Refuse
            && let Some(key) = object.keys().find(|key| !self.by_name.contains_key(*key))
        {
            return Err(Fault::UnknownKey(key.clone()));
        }
        for (field, column) in self.schema.fields().iter().zip(&mut self.columns) {
            match object.get(field.name()) {
                None | Some(Value::Null) => column.append_null(),
                Some(value) => {
                    let has_nul = append_value(column, value, &mut self.scratch)
                        .map_err(|misfit| Fault::Misfit(field.name().clone(), misfit))?;
                    if has_nul {
                        self.nuls
                            .note(&self.source, row.page, row.index, field.name());
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows gathered so far as a batch.
    ///
    /// # Errors
    /// Only faults of the engine.
    pub fn flush(&mut self) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        finish_batch(&self.schema, arrays, std::mem::take(&mut self.rows))
    }
}

fn append_value(
    column: &mut ColumnBuilder,
    value: &Value,
    scratch: &mut String,
) -> Result<HasNul, super::Misfit> {
    let text;
    let (value, raw) = match value {
        Value::Null => (RawValue::Null, "null"),
        Value::Bool(true) => (RawValue::Bool(true), "true"),
        Value::Bool(false) => (RawValue::Bool(false), "false"),
        Value::Number(number) => {
            let text = number.as_str();
            let integer = !text.contains(['.', 'e', 'E']);
            (RawValue::Number(RawNumber { text, integer }), text)
        }
        Value::String(string) if column.is_json() => {
            text = Value::String(string.clone()).to_string();
            (RawValue::Nested(&text), text.as_str())
        }
        Value::String(string) => {
            let raw = RawStr {
                raw: string,
                escaped: false,
            };
            (RawValue::String(raw), string.as_str())
        }
        Value::Array(_) | Value::Object(_) => {
            text = value.to_string();
            (RawValue::Nested(&text), text.as_str())
        }
    };
    column.append(value, raw, scratch)
}
