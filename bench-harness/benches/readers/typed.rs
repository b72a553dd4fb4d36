//! sonic-rs and simd-json, as who uses them with serde would: a page becomes a list of structs that borrow from it, and
//! their fields are appended to Arrow's builders.
//!
//! sonic-rs keeps JSON columns as they are written. simd-json has no way to: it reads them as structs, which are written
//! as JSON again.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use sonic_rs::LazyValue;

/// The rows of a page by sonic-rs.
pub(crate) fn by_sonic_rs(schema: &SchemaRef, page: &[u8]) -> Result<RecordBatch> {
    let rows: Vec<Order<'_, LazyValue<'_>, LazyValue<'_>>> = sonic_rs::from_slice(page)?;
    batch(schema, &rows)
}

/// The rows of a page by simd-json, which changes the bytes that it reads: they are copied to `scratch`.
pub(crate) fn by_simd_json(
    schema: &SchemaRef,
    page: &[u8],
    scratch: &mut Vec<u8>,
) -> Result<RecordBatch> {
    scratch.clear();
    scratch.extend_from_slice(page);
    let rows: Vec<Order<'_, Address<'_>, Vec<Text<'_>>>> = simd_json::from_slice(scratch)?;
    batch(schema, &rows)
}

/// A row of `orders`; its JSON columns are an `A` and a `T`.
#[derive(Deserialize)]
struct Order<'a, A, T> {
    id: i64,
    #[serde(borrow)]
    number: Cow<'a, str>,
    #[serde(borrow)]
    customer: Cow<'a, str>,
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    quantity: i64,
    price: f64,
    discount: Option<f64>,
    paid: bool,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    note: Option<Text<'a>>,
    #[serde(rename = "shippingAddress")]
    shipping_address: A,
    tags: T,
}

/// serde borrows no `Cow` that is inside of something else.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize, Serialize)]
struct Address<'a> {
    #[serde(borrow)]
    street: Cow<'a, str>,
    #[serde(borrow)]
    zip: Cow<'a, str>,
    #[serde(borrow)]
    city: Cow<'a, str>,
    #[serde(borrow, rename = "countryCode")]
    country_code: Cow<'a, str>,
    #[serde(rename = "doorCode")]
    door_code: Option<i64>,
}

/// What a JSON column is made of.
trait JsonText {
    /// Appends its text to `texts`, by way of `scratch` if it needs that.
    fn append(&self, texts: &mut StringBuilder, scratch: &mut Vec<u8>) -> Result<()>;
}

impl JsonText for LazyValue<'_> {
    fn append(&self, texts: &mut StringBuilder, _: &mut Vec<u8>) -> Result<()> {
        texts.append_value(self.as_raw_str());
        Ok(())
    }
}

impl JsonText for Address<'_> {
    fn append(&self, texts: &mut StringBuilder, scratch: &mut Vec<u8>) -> Result<()> {
        append_written(self, texts, scratch)
    }
}

impl JsonText for Vec<Text<'_>> {
    fn append(&self, texts: &mut StringBuilder, scratch: &mut Vec<u8>) -> Result<()> {
        append_written(self, texts, scratch)
    }
}

fn append_written(
    value: &impl Serialize,
    texts: &mut StringBuilder,
    scratch: &mut Vec<u8>,
) -> Result<()> {
    scratch.clear();
    simd_json::to_writer(&mut *scratch, value)?;
    texts.append_value(std::str::from_utf8(scratch)?);
    Ok(())
}

fn batch<A: JsonText, T: JsonText>(
    schema: &SchemaRef,
    rows: &[Order<'_, A, T>],
) -> Result<RecordBatch> {
    let mut scratch = Vec::new();
    let mut created_at = TimestampMicrosecondBuilder::with_capacity(rows.len());
    let mut addresses = StringBuilder::with_capacity(rows.len(), rows.len() * 96);
    let mut tags = StringBuilder::with_capacity(rows.len(), rows.len() * 32);
    for row in rows {
        created_at.append_value(string_to_timestamp_nanos(&row.created_at)? / 1_000);
        row.shipping_address.append(&mut addresses, &mut scratch)?;
        row.tags.append(&mut tags, &mut scratch)?;
    }
    let columns: Vec<ArrayRef> = vec![
        integers(rows, |row| row.id),
        texts(rows, |row| Some(&row.number)),
        texts(rows, |row| Some(&row.customer)),
        texts(rows, |row| Some(&row.email)),
        texts(rows, |row| Some(&row.status)),
        integers(rows, |row| row.quantity),
        doubles(rows, |row| Some(row.price)),
        doubles(rows, |row| row.discount),
        booleans(rows, |row| row.paid),
        Arc::new(created_at.finish().with_timezone("+00:00")),
        texts(rows, |row| row.note.as_ref().map(|note| &note.0)),
        Arc::new(addresses.finish()),
        Arc::new(tags.finish()),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn integers<R>(rows: &[R], value: impl Fn(&R) -> i64) -> ArrayRef {
    let mut builder = Int64Builder::with_capacity(rows.len());
    rows.iter().for_each(|row| builder.append_value(value(row)));
    Arc::new(builder.finish())
}

fn doubles<R>(rows: &[R], value: impl Fn(&R) -> Option<f64>) -> ArrayRef {
    let mut builder = Float64Builder::with_capacity(rows.len());
    rows.iter()
        .for_each(|row| builder.append_option(value(row)));
    Arc::new(builder.finish())
}

fn booleans<R>(rows: &[R], value: impl Fn(&R) -> bool) -> ArrayRef {
    let mut builder = BooleanBuilder::with_capacity(rows.len());
    rows.iter().for_each(|row| builder.append_value(value(row)));
    Arc::new(builder.finish())
}

fn texts<'a, R>(rows: &'a [R], value: impl Fn(&'a R) -> Option<&'a Cow<'a, str>>) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
    rows.iter()
        .for_each(|row| builder.append_option(value(row)));
    Arc::new(builder.finish())
}
