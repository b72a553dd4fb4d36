//! arrow-json: a page as one value, a list of structs, so that no page needs to be cut into rows.
//!
//! It has no way to keep a value as it is written. Nested columns are read as structs and lists and written as JSON
//! again by its own encoder.

use std::sync::Arc;

use anyhow::{Context, Result};
use apitap_core::schema::is_json;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use arrow_json::reader::Decoder;
use arrow_json::{EncoderOptions, ReaderBuilder};

pub(crate) struct ArrowJson {
    schema: SchemaRef,
    decoder: Decoder,
}

impl ArrowJson {
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self> {
        let fields: Fields = schema.fields().iter().map(nested).collect::<Result<_>>()?;
        let row = Field::new("item", DataType::Struct(fields), true);
        let decoder = ReaderBuilder::new_with_field(Field::new_list("page", row, true))
            .with_batch_size(1)
            .build_decoder()?;
        Ok(Self {
            schema: schema.clone(),
            decoder,
        })
    }

    /// The rows of a page with nested columns as Arrow's structs and lists.
    pub(crate) fn structs(&mut self, page: &[u8]) -> Result<StructArray> {
        self.decoder.decode(page)?;
        let batch = self.decoder.flush()?.context("a page that is no value")?;
        Ok(batch
            .column(0)
            .as_list::<i32>()
            .values()
            .as_struct()
            .clone())
    }

    /// The rows of a page in the engine's schema.
    pub(crate) fn batch(&mut self, page: &[u8]) -> Result<RecordBatch> {
        let rows = self.structs(page)?;
        let columns = self
            .schema
            .fields()
            .iter()
            .zip(rows.fields())
            .zip(rows.columns());
        let columns = columns.map(|((field, read), column)| {
            if is_json(field) {
                json(read, column)
            } else {
                Ok(column.clone())
            }
        });
        Ok(RecordBatch::try_new(
            self.schema.clone(),
            columns.collect::<Result<_>>()?,
        )?)
    }
}

/// The field as it is read: what `orders` has in its JSON columns.
fn nested(field: &FieldRef) -> Result<FieldRef> {
    if !is_json(field) {
        return Ok(field.clone());
    }
    let data_type = match field.name().as_str() {
        "shippingAddress" => DataType::Struct(Fields::from(vec![
            Field::new("street", DataType::Utf8, true),
            Field::new("zip", DataType::Utf8, true),
            Field::new("city", DataType::Utf8, true),
            Field::new("countryCode", DataType::Utf8, true),
            Field::new("doorCode", DataType::Int64, true),
        ])),
        "tags" => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        other => anyhow::bail!("orders has a JSON column {other} of unknown content"),
    };
    Ok(Arc::new(Field::new(field.name(), data_type, true)))
}

/// A nested column as JSON text.
fn json(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = arrow_json::writer::make_encoder(field, column, &options)?;
    let mut texts = StringBuilder::with_capacity(column.len(), column.len() * 64);
    let mut text = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        texts.append_value(std::str::from_utf8(&text)?);
    }
    Ok(Arc::new(texts.finish()))
}
