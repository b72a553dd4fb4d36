//! One column under construction: a JSON value in, an Arrow cell out, or the reason why not.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::error::{Error, ErrorKind, Result, Stage};
use crate::json::{PlainNumber, RawNumber, RawStr, RawValue, Scanner};
use crate::schema::is_json;
use crate::time;

/// Why a value does not fit its column. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) String);

type Fit = std::result::Result<(), Misfit>;

pub(crate) enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Json(StringBuilder),
    TimestampTz(TimestampMicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
}

impl ColumnBuilder {
    /// A builder for `field`, with room for `rows`.
    pub(crate) fn new(field: &Field, rows: usize) -> Result<Self> {
        const TEXT_BYTES_PER_ROW: usize = 24;
        let text = || StringBuilder::with_capacity(rows, rows * TEXT_BYTES_PER_ROW);
        Ok(match field.data_type() {
            DataType::Boolean => Self::Bool(BooleanBuilder::with_capacity(rows)),
            DataType::Int64 => Self::Int(Int64Builder::with_capacity(rows)),
            DataType::Float64 => Self::Float(Float64Builder::with_capacity(rows)),
            DataType::Decimal128(precision, scale) => Self::Decimal(
                Decimal128Builder::with_capacity(rows).with_data_type(field.data_type().clone()),
                *precision,
                *scale,
            ),
            DataType::Utf8 if is_json(field) => Self::Json(text()),
            DataType::Utf8 => Self::Text(text()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let builder = TimestampMicrosecondBuilder::with_capacity(rows)
                    .with_data_type(field.data_type().clone());
                if zone.is_some() {
                    Self::TimestampTz(builder)
                } else {
                    Self::Timestamp(builder)
                }
            }
            DataType::Date32 => Self::Date(Date32Builder::with_capacity(rows)),
            other => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    Stage::Decode,
                    format!(
                        "column {} has type {other}, which JSON never becomes",
                        field.name()
                    ),
                ));
            }
        })
    }

    #[inline]
    pub(crate) fn append_null(&mut self) {
        match self {
            Self::Bool(column) => column.append_null(),
            Self::Int(column) => column.append_null(),
            Self::Float(column) => column.append_null(),
            Self::Decimal(column, ..) => column.append_null(),
            Self::Text(column) | Self::Json(column) => column.append_null(),
            Self::TimestampTz(column) | Self::Timestamp(column) => column.append_null(),
            Self::Date(column) => column.append_null(),
        }
    }

    /// Reads the value at the cursor if it is of the column's type and plain: most values are. None of anything else,
    /// which [`append`](Self::append) takes; the cursor then stays where it is.
    #[inline]
    pub(crate) fn append_plain(
        &mut self,
        scanner: &mut Scanner<'_>,
        scratch: &mut String,
    ) -> Option<Fit> {
        let end = match self {
            Self::Int(column) => {
                let (number, end) = scanner.plain_number()?;
                column.append_value((number.scale == 0).then_some(number.unscaled)?);
                end
            }
            Self::Float(column) => {
                let (number, end) = scanner.plain_number()?;
                column.append_value(plain_f64(number)?);
                end
            }
            Self::Bool(column) => {
                let (value, end) = scanner.plain_bool()?;
                column.append_value(value);
                end
            }
            Self::Text(column) => {
                let (text, end) = match scanner.plain_string() {
                    Some(plain) => plain,
                    None => {
                        let end = scanner.string_into(scratch)?;
                        (scratch.as_str(), end)
                    }
                };
                if is_full(column, text) {
                    return Some(Err(full()));
                }
                column.append_value(text);
                end
            }
            Self::TimestampTz(column) => {
                let (text, end) = scanner.plain_string()?;
                column.append_value(time::timestamp_with_zone(text)?);
                end
            }
            Self::Timestamp(column) => {
                let (text, end) = scanner.plain_string()?;
                column.append_value(time::timestamp(text)?);
                end
            }
            Self::Date(column) => {
                let (text, end) = scanner.plain_string()?;
                column.append_value(time::date(text)?);
                end
            }
            Self::Decimal(..) | Self::Json(_) => return None,
        };
        scanner.go_to(end);
        Some(Ok(()))
    }

    /// Appends `value`; `raw` is its JSON text, quotes and all. A NUL character, which PostgreSQL cannot
    /// store, is no misfit: the query may remove it, or leave the column out.
    #[inline]
    pub(crate) fn append(&mut self, value: RawValue<'_>, raw: &str, scratch: &mut String) -> Fit {
        if value == RawValue::Null {
            self.append_null();
            return Ok(());
        }
        match (self, value) {
            (Self::Text(column) | Self::Json(column), _) if is_full(column, raw) => {
                return Err(full());
            }
            (Self::Int(column), RawValue::Number(number)) if number.integer => {
                let value = number.text.parse().map_err(|_| out_of_range("bigint"))?;
                column.append_value(value);
            }
            (Self::Float(column), RawValue::Number(number)) => {
                column.append_value(exact_f64(number).ok_or_else(inexact)?);
            }
            (Self::Decimal(column, precision, scale), RawValue::Number(number)) => {
                let value = decimal(number.text, *precision, *scale)
                    .ok_or_else(|| out_of_range(&format!("numeric({precision},{scale})")))?;
                column.append_value(value);
            }
            (Self::Bool(column), RawValue::Bool(value)) => column.append_value(value),
            (Self::Text(column), RawValue::String(text)) => {
                column.append_value(unescaped(text, scratch));
            }
            // A column of mixed scalars is text: numbers and booleans as they are written.
            (Self::Text(column), RawValue::Number(_) | RawValue::Bool(_)) => {
                column.append_value(raw);
            }
            (Self::Json(column), _) => column.append_value(raw),
            (Self::TimestampTz(column), RawValue::String(text)) => {
                let micros =
                    time::timestamp_with_zone(unescaped(text, scratch)).ok_or_else(|| {
                        Misfit(
                            "a string that is no RFC 3339 timestamp of at most microseconds".into(),
                        )
                    })?;
                column.append_value(micros);
            }
            (Self::Timestamp(column), RawValue::String(text)) => {
                let micros = time::timestamp(unescaped(text, scratch))
                    .ok_or_else(|| Misfit("a string that is no timestamp without offset".into()))?;
                column.append_value(micros);
            }
            (Self::Date(column), RawValue::String(text)) => {
                let days = time::date(unescaped(text, scratch))
                    .ok_or_else(|| Misfit("a string that is no YYYY-MM-DD date".into()))?;
                column.append_value(days);
            }
            (column, value) => {
                let wanted = column.type_name();
                return Err(Misfit(format!(
                    "{} where {wanted} is expected",
                    kind(value)
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Int(column) => Arc::new(column.finish()),
            Self::Float(column) => Arc::new(column.finish()),
            Self::Decimal(column, ..) => Arc::new(column.finish()),
            Self::Text(column) | Self::Json(column) => Arc::new(column.finish()),
            Self::TimestampTz(column) | Self::Timestamp(column) => Arc::new(column.finish()),
            Self::Date(column) => Arc::new(column.finish()),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "boolean",
            Self::Int(_) => "bigint",
            Self::Float(_) => "double precision",
            Self::Decimal(..) => "numeric",
            Self::Text(_) => "text",
            Self::Json(_) => "jsonb",
            Self::TimestampTz(_) => "timestamptz",
            Self::Timestamp(_) => "timestamp",
            Self::Date(_) => "date",
        }
    }
}

#[inline]
fn unescaped<'a>(text: RawStr<'a>, scratch: &'a mut String) -> &'a str {
    if !text.escaped {
        return text.raw;
    }
    scratch.clear();
    text.decode_into(scratch);
    scratch
}

fn kind(value: RawValue<'_>) -> &'static str {
    match value {
        RawValue::Null => "null",
        RawValue::Bool(_) => "a boolean",
        RawValue::Number(number) if number.integer => "an integer",
        RawValue::Number(_) => "a number with a fraction or exponent",
        RawValue::String(_) => "a string",
        RawValue::Nested(text) if text.starts_with('[') => "an array",
        RawValue::Nested(_) => "an object",
    }
}

/// Whether `raw` could take a column past what the offsets of Arrow's texts reach.
#[inline]
fn is_full(column: &StringBuilder, raw: &str) -> bool {
    column.values_slice().len() + raw.len() > i32::MAX as usize
}

#[cold]
fn full() -> Misfit {
    Misfit("the texts of a batch exceed 2 GiB; lower decode.batch_rows".into())
}

fn out_of_range(type_name: &str) -> Misfit {
    Misfit(format!("a number outside {type_name}"))
}

fn inexact() -> Misfit {
    Misfit("a number that double precision cannot hold without change".into())
}

/// Significant digits that survive any double in range (IEEE 754, DBL_DIG).
const ALWAYS_EXACT_DIGITS: usize = 15;

/// The double that a number of at most fifteen digits means. It keeps all of them, and the division rounds correctly:
/// both sides of it are exact (Clinger, "How to Read Floating Point Numbers Accurately", 1990).
#[inline]
fn plain_f64(number: PlainNumber) -> Option<f64> {
    const LIMIT: u64 = 10u64.pow(ALWAYS_EXACT_DIGITS as u32);
    const POWERS: [f64; 19] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18,
    ];
    let is_exact = number.unscaled.unsigned_abs() < LIMIT;
    is_exact.then(|| number.unscaled as f64 / POWERS[number.scale])
}

/// The double that a JSON number means, if it keeps every digit of it: the shortest
/// decimal that reads back as that double must be the number as written.
pub(crate) fn exact_f64(number: RawNumber<'_>) -> Option<f64> {
    let value: f64 = number.text.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    if number.text.len() <= ALWAYS_EXACT_DIGITS && value.abs() > f64::MIN_POSITIVE {
        return Some(value);
    }
    let (digits, exponent) = significant(number.text)?;
    if digits.len() <= ALWAYS_EXACT_DIGITS && value.abs() > f64::MIN_POSITIVE {
        return Some(value);
    }
    let (kept, kept_exponent) = significant(&format!("{value:e}"))?;
    (digits == kept && (digits.is_empty() || exponent == kept_exponent)).then_some(value)
}

/// The digits of a number without leading and trailing zeros, and the power of ten of the last.
fn significant(text: &str) -> Option<(String, i64)> {
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let mut exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent = exponent.checked_sub(fraction.len() as i64)?;
    let digits = [whole, fraction].concat();
    let trimmed = digits.trim_end_matches('0');
    exponent = exponent.checked_add((digits.len() - trimmed.len()) as i64)?;
    Some((trimmed.trim_start_matches('0').to_owned(), exponent))
}

/// The unscaled value of a decimal, if it fits exactly.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (digits, exponent) = significant(text)?;
    if digits.is_empty() {
        return Some(0);
    }
    let shift = u32::try_from(exponent.checked_add(i64::from(scale))?).ok()?;
    let magnitude = digits
        .parse::<i128>()
        .ok()?
        .checked_mul(10i128.checked_pow(shift)?)?;
    if magnitude >= 10i128.checked_pow(u32::from(precision))? {
        return None;
    }
    Some(if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> RawNumber<'_> {
        Scanner::new(text, 0).number().unwrap()
    }

    #[test]
    fn doubles_keep_every_digit_or_are_refused() {
        for text in [
            "0",
            "-0.0",
            "1.10",
            "0.1",
            "0.30000000000000004",
            "1e300",
            "9007199254740992",
            "123456789012345",
            "5e-324",
            "2.2250738585072014e-308",
            "100000000000000000000",
        ] {
            assert!(exact_f64(number(text)).is_some(), "{text}");
        }
        for text in [
            "9007199254740993",
            "0.1234567890123456789",
            "1e400",
            "1e-400",
            "12345678901234567890",
        ] {
            assert!(exact_f64(number(text)).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn plain_numbers_mean_what_the_standard_library_reads(
            unscaled in -999_999_999_999_999i64..=999_999_999_999_999,
            scale in 0usize..=18,
        ) {
            prop_assume!(unscaled != 0);
            let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let sign = if unscaled < 0 { "-" } else { "" };
            let text = match scale {
                0 => format!("{sign}{whole}"),
                _ => format!("{sign}{whole}.{fraction}"),
            };
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(plain_f64(PlainNumber { unscaled, scale }), Some(expected), "{}", text);
            if let Some((number, _)) = Scanner::new(&text, 0).plain_number() {
                prop_assert_eq!(number, PlainNumber { unscaled, scale }, "{}", text);
            }
        }
    }

    #[test]
    fn decimals_fit_exactly_or_not_at_all() {
        assert_eq!(decimal("12.34", 10, 2), Some(1234));
        assert_eq!(decimal("-12.3", 10, 2), Some(-1230));
        assert_eq!(decimal("12.340", 4, 2), Some(1234));
        assert_eq!(decimal("1.2e1", 4, 2), Some(1200));
        assert_eq!(decimal("0.000", 4, 2), Some(0));
        assert_eq!(decimal("12.345", 10, 2), None);
        assert_eq!(decimal("100", 4, 2), None);
        assert_eq!(
            decimal("99999999999999999999999999999999999999", 38, 0),
            Some(10i128.pow(38) - 1)
        );
        assert_eq!(decimal("1e99999", 38, 0), None);
        for text in [
            "1e9223372036854775807",
            "0.5e-9223372036854775808",
            "1e99999999999999999999",
        ] {
            assert_eq!(decimal(text, 38, 7), None, "{text}");
            assert!(exact_f64(number(text)).is_none(), "{text}");
        }
    }
}
