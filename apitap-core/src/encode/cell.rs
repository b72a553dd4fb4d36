//! One column of a batch, bound to its type: cells in binary or as text.

use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, GenericStringArray,
    LargeBinaryArray, LargeStringArray, OffsetSizeTrait, PrimitiveArray, StringArray,
    StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType, i256,
};
use bytes::{BufMut, BytesMut};

use super::check::{Check, NUL_ESCAPE, Reason};
use super::numeric;
use super::pg_type::PgType;
use crate::time::civil_from_days;

const UUID: Reason = Reason::value("the text is no UUID", "clean it in the module's SQL");
const RANGE: Reason = Reason::value(
    "the date or time lies outside what PostgreSQL can store",
    "clean it in the module's SQL",
);
const NANOSECONDS: Reason = Reason::value(
    "the interval has nanoseconds, and PostgreSQL keeps microseconds",
    "truncate it in the module's SQL",
);

/// Microseconds and days from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const EPOCH_US: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;

/// What PostgreSQL stores, from its epoch on: 4714-11-24 BC to 294276-12-31 and to 5874897-12-31
/// (`timestamp.h`, MIN_TIMESTAMP and END_TIMESTAMP; `date.h`, IS_VALID_DATE).
const TIMESTAMPS: Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
const DATES: Range<i32> = -2_451_545..2_145_031_949;

/// A column of cells, ready to be encoded.
pub(crate) struct Cells<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
    check: Check,
}

/// Where the text of a JSON column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonText {
    /// An API wrote it, so that it is known to be JSON.
    Known,
    /// The SQL made it, and it may be anything.
    Unknown,
}

enum Values<'a> {
    Bool(&'a BooleanArray),
    Int2(&'a PrimitiveArray<Int16Type>),
    Int4(&'a PrimitiveArray<Int32Type>),
    Int8(&'a PrimitiveArray<Int64Type>),
    Float4(&'a PrimitiveArray<Float32Type>),
    Float8(&'a PrimitiveArray<Float64Type>),
    Decimal128(&'a PrimitiveArray<Decimal128Type>, i8),
    Decimal256(&'a PrimitiveArray<Decimal256Type>, i8),
    Text(Texts<'a>),
    Json(Texts<'a>),
    Jsonb(Texts<'a>),
    Uuid(Texts<'a>),
    Bytea(Bytes<'a>),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time64MicrosecondType>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>, bool),
    Interval(&'a PrimitiveArray<IntervalMonthDayNanoType>),
}

enum Texts<'a> {
    Plain(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
}

enum Bytes<'a> {
    Plain(&'a BinaryArray),
    Large(&'a LargeBinaryArray),
    View(&'a BinaryViewArray),
}

impl<'a> Texts<'a> {
    fn new(array: &'a ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 => Self::Plain(array.as_string()),
            DataType::LargeUtf8 => Self::Large(array.as_string()),
            DataType::Utf8View => Self::View(array.as_string_view()),
            _ => return None,
        })
    }

    #[inline]
    fn value(&self, row: usize) -> &'a str {
        match self {
            Self::Plain(array) => array.value(row),
            Self::Large(array) => array.value(row),
            Self::View(array) => array.value(row),
        }
    }

    /// Whether one of them may hold `bytes`.
    fn may_hold(&self, bytes: &[u8]) -> bool {
        let all = match self {
            Self::Plain(array) => all_bytes(array),
            Self::Large(array) => all_bytes(array),
            Self::View(_) => return true,
        };
        memchr::memmem::find(all, bytes).is_some()
    }
}

/// The bytes of all texts, one after the other.
fn all_bytes<O: OffsetSizeTrait>(array: &GenericStringArray<O>) -> &[u8] {
    let offsets = array.value_offsets();
    let (first, last) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
    &array.value_data()[first..last]
}

impl<'a> Bytes<'a> {
    fn new(array: &'a ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Binary => Self::Plain(array.as_binary()),
            DataType::LargeBinary => Self::Large(array.as_binary()),
            DataType::BinaryView => Self::View(array.as_binary_view()),
            _ => return None,
        })
    }

    fn value(&self, row: usize) -> &'a [u8] {
        match self {
            Self::Plain(array) => array.value(row),
            Self::Large(array) => array.value(row),
            Self::View(array) => array.value(row),
        }
    }
}

impl<'a> Cells<'a> {
    /// Binds an array in its form to the type it is written as; none if it is not in a form
    /// of that type.
    pub(crate) fn new(array: &'a ArrayRef, target: &PgType, json: JsonText) -> Option<Self> {
        use DataType as D;
        let values = match (target.wire(), array.data_type()) {
            (PgType::Bool, D::Boolean) => Values::Bool(array.as_boolean()),
            (PgType::Int2, D::Int16) => Values::Int2(array.as_primitive()),
            (PgType::Int4, D::Int32) => Values::Int4(array.as_primitive()),
            (PgType::Int8, D::Int64) => Values::Int8(array.as_primitive()),
            (PgType::Float4, D::Float32) => Values::Float4(array.as_primitive()),
            (PgType::Float8, D::Float64) => Values::Float8(array.as_primitive()),
            (PgType::Numeric(_), D::Decimal128(_, scale)) => {
                Values::Decimal128(array.as_primitive(), *scale)
            }
            (PgType::Numeric(_), D::Decimal256(_, scale)) => {
                Values::Decimal256(array.as_primitive(), *scale)
            }
            (PgType::Text | PgType::Other(_), _) => Values::Text(Texts::new(array)?),
            (PgType::Json, _) => Values::Json(Texts::new(array)?),
            (PgType::Jsonb, _) => Values::Jsonb(Texts::new(array)?),
            (PgType::Uuid, _) => Values::Uuid(Texts::new(array)?),
            (PgType::Bytea, _) => Values::Bytea(Bytes::new(array)?),
            (PgType::Date, D::Date32) => Values::Date(array.as_primitive()),
            (PgType::Time, D::Time64(TimeUnit::Microsecond)) => Values::Time(array.as_primitive()),
            (PgType::Timestamp, D::Timestamp(TimeUnit::Microsecond, None)) => {
                Values::Timestamp(array.as_primitive(), false)
            }
            (PgType::TimestampTz, D::Timestamp(TimeUnit::Microsecond, Some(_))) => {
                Values::Timestamp(array.as_primitive(), true)
            }
            (PgType::Interval, D::Interval(IntervalUnit::MonthDayNano)) => {
                Values::Interval(array.as_primitive())
            }
            _ => return None,
        };
        let check = match &values {
            Values::Text(texts) if texts.may_hold(b"\0") => Check::Nul,
            Values::Json(_) | Values::Jsonb(_) if json == JsonText::Unknown => Check::Json,
            Values::Json(texts) | Values::Jsonb(texts) if texts.may_hold(NUL_ESCAPE) => {
                Check::EscapedNul
            }
            _ => Check::None,
        };
        Some(Self {
            nulls: array.nulls(),
            values,
            check,
        })
    }

    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Whether the text form can hold characters that a text format must escape.
    pub(crate) fn needs_escape(&self) -> bool {
        matches!(
            self.values,
            Values::Text(_)
                | Values::Json(_)
                | Values::Jsonb(_)
                | Values::Uuid(_)
                | Values::Bytea(_)
        )
    }

    /// Appends the cell's binary form, behind its length if `FRAMED`. The cell must not be null.
    #[inline]
    pub(crate) fn binary<const FRAMED: bool>(
        &self,
        row: usize,
        out: &mut BytesMut,
    ) -> Result<(), Reason> {
        match &self.values {
            Values::Bool(array) => put::<FRAMED>(&[u8::from(array.value(row))], out),
            Values::Int2(array) => put::<FRAMED>(&array.value(row).to_be_bytes(), out),
            Values::Int4(array) => put::<FRAMED>(&array.value(row).to_be_bytes(), out),
            Values::Int8(array) => put::<FRAMED>(&array.value(row).to_be_bytes(), out),
            Values::Float4(array) => put::<FRAMED>(&array.value(row).to_be_bytes(), out),
            Values::Float8(array) => put::<FRAMED>(&array.value(row).to_be_bytes(), out),
            Values::Decimal128(array, scale) => {
                let unscaled = i256::from_i128(array.value(row));
                put_numeric::<FRAMED>(unscaled, *scale, out);
            }
            Values::Decimal256(array, scale) => {
                put_numeric::<FRAMED>(array.value(row), *scale, out);
            }
            Values::Text(texts) | Values::Json(texts) => {
                put::<FRAMED>(self.check.text(texts.value(row))?.as_bytes(), out);
            }
            Values::Jsonb(texts) => {
                // The version of jsonb's binary format: jsonb_recv.
                const JSONB_VERSION: u8 = 1;
                let text = self.check.text(texts.value(row))?.as_bytes();
                put_length::<FRAMED>(size_of_val(&JSONB_VERSION) + text.len(), out);
                out.put_u8(JSONB_VERSION);
                out.extend_from_slice(text);
            }
            Values::Uuid(texts) => {
                let value = uuid(texts.value(row)).ok_or(UUID)?;
                put::<FRAMED>(&value.to_be_bytes(), out);
            }
            Values::Bytea(bytes) => put::<FRAMED>(bytes.value(row), out),
            Values::Date(array) => {
                put::<FRAMED>(&stored_date(array.value(row))?.to_be_bytes(), out);
            }
            Values::Time(array) => put::<FRAMED>(&array.value(row).to_be_bytes(), out),
            Values::Timestamp(array, _) => {
                put::<FRAMED>(&stored_timestamp(array.value(row))?.to_be_bytes(), out);
            }
            Values::Interval(array) => {
                let interval = array.value(row);
                let micros = whole_micros(interval.nanoseconds)?;
                put_length::<FRAMED>(size_of::<i64>() + 2 * size_of::<i32>(), out);
                out.put_i64(micros);
                out.put_i32(interval.days);
                out.put_i32(interval.months);
            }
        }
        Ok(())
    }

    /// Appends the cell's text form, not escaped. The cell must not be null.
    pub(crate) fn text(&self, row: usize, out: &mut BytesMut) -> Result<(), Reason> {
        let mut integer = itoa::Buffer::new();
        match &self.values {
            Values::Bool(array) => out.put_u8(if array.value(row) { b't' } else { b'f' }),
            Values::Int2(array) => out.put_slice(integer.format(array.value(row)).as_bytes()),
            Values::Int4(array) => out.put_slice(integer.format(array.value(row)).as_bytes()),
            Values::Int8(array) => out.put_slice(integer.format(array.value(row)).as_bytes()),
            Values::Float4(array) => float(f64::from(array.value(row)), out, |out| {
                out.put_slice(zmij::Buffer::new().format(array.value(row)).as_bytes());
            }),
            Values::Float8(array) => float(array.value(row), out, |out| {
                out.put_slice(zmij::Buffer::new().format(array.value(row)).as_bytes());
            }),
            Values::Decimal128(array, scale) => {
                numeric::text(i256::from_i128(array.value(row)), *scale, out);
            }
            Values::Decimal256(array, scale) => numeric::text(array.value(row), *scale, out),
            Values::Text(texts) => out.put_slice(self.check.text(texts.value(row))?.as_bytes()),
            Values::Json(texts) | Values::Jsonb(texts) => {
                out.put_slice(self.check.text(texts.value(row))?.as_bytes());
            }
            Values::Uuid(texts) => {
                let text = texts.value(row);
                uuid(text).ok_or(UUID)?;
                out.put_slice(text.as_bytes());
            }
            Values::Bytea(bytes) => {
                out.put_slice(b"\\x");
                for byte in bytes.value(row) {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    out.put_u8(HEX[usize::from(byte >> 4)]);
                    out.put_u8(HEX[usize::from(byte & 15)]);
                }
            }
            Values::Date(array) => {
                let days = array.value(row);
                stored_date(days)?;
                let era = date(i64::from(days), out);
                out.put_slice(era);
            }
            Values::Time(array) => time(array.value(row).cast_unsigned(), out),
            Values::Timestamp(array, zoned) => {
                const DAY_US: i64 = 86_400_000_000;
                let micros = array.value(row);
                stored_timestamp(micros)?;
                let era = date(micros.div_euclid(DAY_US), out);
                out.put_u8(b' ');
                time(micros.rem_euclid(DAY_US).cast_unsigned(), out);
                out.put_slice(if *zoned { b"+00" } else { b"" });
                out.put_slice(era);
            }
            Values::Interval(array) => {
                let interval = array.value(row);
                let micros = whole_micros(interval.nanoseconds)?;
                // Signs throughout: with intervalstyle sql_standard a leading minus would
                // count for what follows it too.
                let text = format!("{:+} mons {:+} days ", interval.months, interval.days);
                out.put_slice(text.as_bytes());
                out.put_u8(if micros < 0 { b'-' } else { b'+' });
                // Servers before 15 read no more than 35 minutes as `microseconds`.
                time(micros.unsigned_abs(), out);
            }
        }
        Ok(())
    }
}

#[inline]
fn put<const FRAMED: bool>(bytes: &[u8], out: &mut BytesMut) {
    put_length::<FRAMED>(bytes.len(), out);
    out.extend_from_slice(bytes);
}

#[inline]
fn put_length<const FRAMED: bool>(length: usize, out: &mut BytesMut) {
    if FRAMED {
        out.put_i32(length as i32);
    }
}

fn put_numeric<const FRAMED: bool>(unscaled: i256, scale: i8, out: &mut BytesMut) {
    let start = out.len();
    put_length::<FRAMED>(0, out);
    let behind_length = out.len();
    numeric::binary(unscaled, scale, out);
    if FRAMED {
        let length = (out.len() - behind_length) as i32;
        out[start..behind_length].copy_from_slice(&length.to_be_bytes());
    }
}

/// Days from PostgreSQL's epoch.
fn stored_date(days: i32) -> Result<i32, Reason> {
    let days = days.checked_sub(EPOCH_DAYS);
    days.filter(|days| DATES.contains(days)).ok_or(RANGE)
}

/// Microseconds from PostgreSQL's epoch.
fn stored_timestamp(micros: i64) -> Result<i64, Reason> {
    let micros = micros.checked_sub(EPOCH_US);
    micros
        .filter(|micros| TIMESTAMPS.contains(micros))
        .ok_or(RANGE)
}

/// The forms with hyphens between groups, as PostgreSQL prints them, or without.
fn uuid(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    let hyphens = [8, 13, 18, 23];
    let plain = match bytes.len() {
        32 => true,
        36 => false,
        _ => return None,
    };
    let mut value = 0u128;
    for (at, &byte) in bytes.iter().enumerate() {
        if !plain && hyphens.contains(&at) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        value = value << 4 | u128::from(char::from(byte).to_digit(16)?);
    }
    Some(value)
}

fn float(value: f64, out: &mut BytesMut, finite: impl FnOnce(&mut BytesMut)) {
    if value.is_nan() {
        out.put_slice(b"NaN");
    } else if value.is_infinite() {
        out.put_slice(if value > 0.0 {
            b"Infinity"
        } else {
            b"-Infinity"
        });
    } else {
        finite(out);
    }
}

fn whole_micros(nanoseconds: i64) -> Result<i64, Reason> {
    if nanoseconds % 1_000 == 0 {
        Ok(nanoseconds / 1_000)
    } else {
        Err(NANOSECONDS)
    }
}

/// Appends a date and returns the era that must follow it and its time: " BC" for years before 1.
fn date(days: i64, out: &mut BytesMut) -> &'static [u8] {
    let (year, month, day) = civil_from_days(days);
    let (year, era): (i64, &[u8]) = if year > 0 {
        (year, b"")
    } else {
        (1 - year, b" BC")
    };
    padded(year, 4, out);
    out.put_u8(b'-');
    padded(month, 2, out);
    out.put_u8(b'-');
    padded(day, 2, out);
    era
}

fn time(micros: u64, out: &mut BytesMut) {
    let seconds = micros / 1_000_000;
    padded(seconds / 3_600, 2, out);
    out.put_u8(b':');
    padded(seconds / 60 % 60, 2, out);
    out.put_u8(b':');
    padded(seconds % 60, 2, out);
    if !micros.is_multiple_of(1_000_000) {
        out.put_u8(b'.');
        padded(micros % 1_000_000, 6, out);
    }
}

fn padded(value: impl itoa::Integer, width: usize, out: &mut BytesMut) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value);
    for _ in digits.len()..width {
        out.put_u8(b'0');
    }
    out.put_slice(digits.as_bytes());
}
