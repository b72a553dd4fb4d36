//! Arrays to the one Arrow form that each PostgreSQL type is encoded from.
//!
//! Only casts that keep every value are allowed: what cannot be written exactly is refused
//! before the load if the types show it, else at the row that shows it.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, IntervalMonthDayNanoArray, Time64MicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::FormatOptions;

use super::json_text::json_text;
use super::pg_type::{MICROSECOND_DIGITS, PgType, is_nested, sql_name, value_type};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::time;

/// How the values of one result column become values of one table column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Coercion {
    /// They already have the form.
    None,
    /// A cast that keeps every value or fails.
    Cast(DataType),
    /// Like [`Coercion::Cast`], then checked by casting back.
    Exact(DataType),
    /// Text as a date or a time of day, to the letter.
    Parsed(DataType),
    /// Written as JSON text.
    Nested,
    /// A duration as days and what is left of one: nanoseconds alone reach 292 years.
    Days,
    /// To the form of a time type, then checked for digits of a second that the column lacks.
    Digits(Box<Self>, PgType),
}

impl Coercion {
    /// How values of `field` get into a column of type `target`.
    ///
    /// # Errors
    /// Types between which values would change or cannot be written.
    pub(crate) fn plan(field: &Field, target: &PgType) -> Result<Self> {
        use DataType as D;
        if let PgType::Limited(base, digits) = target {
            if digits.is_none() {
                return Err(refuse(field, target));
            }
            return Ok(Self::Digits(
                Box::new(Self::plan(field, base)?),
                target.clone(),
            ));
        }
        let from = value_type(field.data_type());
        let unpacked = from != field.data_type();
        let keep = |form: D| {
            if *field.data_type() == form {
                Self::None
            } else {
                Self::Cast(form)
            }
        };
        let text = matches!(from, D::Utf8 | D::LargeUtf8 | D::Utf8View);
        let signed = matches!(from, D::Int8 | D::Int16 | D::Int32 | D::Int64);
        let unsigned = matches!(from, D::UInt8 | D::UInt16 | D::UInt32 | D::UInt64);
        let whole = signed || unsigned;
        let micros = TimeUnit::Microsecond;
        let utc = || Some("+00:00".into());
        let plan = match target {
            _ if *from == D::Null => match form_of(target) {
                Some(form) => Self::Cast(form),
                None => Self::Cast(D::Utf8),
            },
            PgType::Bool if *from == D::Boolean => keep(D::Boolean),
            PgType::Int2 if whole => keep(D::Int16),
            PgType::Int4 if whole => keep(D::Int32),
            PgType::Int8 if whole => keep(D::Int64),
            PgType::Float4 if matches!(from, D::Float16 | D::Float32) => keep(D::Float32),
            PgType::Float4 if matches!(from, D::Float64) => Self::Exact(D::Float32),
            PgType::Float8 if matches!(from, D::Float16 | D::Float32 | D::Float64) => {
                keep(D::Float64)
            }
            PgType::Float8 if whole => Self::Exact(D::Float64),
            PgType::Numeric(limit) => {
                numeric(from, *limit, whole, &keep)?.ok_or_else(|| refuse(field, target))?
            }
            PgType::Text | PgType::Json | PgType::Jsonb | PgType::Uuid | PgType::Other(_)
                if text =>
            {
                if unpacked {
                    keep(D::Utf8)
                } else {
                    Self::None
                }
            }
            PgType::Text | PgType::Json | PgType::Jsonb if is_nested(from) && !unpacked => {
                Self::Nested
            }
            PgType::Bytea => match from {
                D::Binary | D::LargeBinary | D::BinaryView if !unpacked => Self::None,
                D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => {
                    keep(D::Binary)
                }
                _ => return Err(refuse(field, target)),
            },
            PgType::Date if *from == D::Date32 => keep(D::Date32),
            PgType::Date if *from == D::Date64 => Self::Exact(D::Date32),
            PgType::Date if text => Self::Parsed(D::Date32),
            PgType::Time => match from {
                D::Time32(_) => Self::Cast(D::Time64(micros)),
                D::Time64(unit) if *unit == micros => keep(D::Time64(micros)),
                D::Time64(_) => Self::Exact(D::Time64(micros)),
                _ if text => Self::Parsed(D::Time64(micros)),
                _ => return Err(refuse(field, target)),
            },
            PgType::Timestamp => match from {
                D::Timestamp(TimeUnit::Nanosecond, None) => Self::Exact(D::Timestamp(micros, None)),
                D::Timestamp(_, None) | D::Date32 => keep(D::Timestamp(micros, None)),
                _ => return Err(refuse(field, target)),
            },
            // What has no time zone is taken as UTC.
            PgType::TimestampTz => match from {
                D::Timestamp(TimeUnit::Nanosecond, _) => Self::Exact(D::Timestamp(micros, utc())),
                D::Timestamp(unit, Some(_)) if *unit == micros && !unpacked => Self::None,
                D::Timestamp(..) | D::Date32 => Self::Cast(D::Timestamp(micros, utc())),
                _ => return Err(refuse(field, target)),
            },
            PgType::Interval => match from {
                D::Interval(_) => keep(D::Interval(IntervalUnit::MonthDayNano)),
                D::Duration(_) => Self::Days,
                _ => return Err(refuse(field, target)),
            },
            _ => return Err(refuse(field, target)),
        };
        Ok(plan)
    }

    /// The array in its form.
    ///
    /// # Errors
    /// The first row whose value the target cannot hold; rows count from `first_row`.
    pub(crate) fn apply(
        &self,
        field: &Field,
        array: &ArrayRef,
        first_row: u64,
    ) -> Result<ArrayRef> {
        match self {
            Self::None => Ok(array.clone()),
            Self::Nested => json_text(field, array, first_row),
            Self::Days => days(array).map_err(|_| unfit(field, "interval", first_row)),
            Self::Cast(form) => cast(array, form).map_err(|_| {
                unfit(
                    field,
                    &sql_name(form),
                    first_bad_row(array, form, first_row),
                )
            }),
            Self::Exact(form) => exact(field, array, form, first_row),
            Self::Parsed(form) => {
                parsed(array, form).map_err(|row| unfit(field, &sql_name(form), first_row + row))
            }
            Self::Digits(coercion, target) => {
                let result = coercion.apply(field, array, first_row)?;
                match first_with_more_digits(&result, target) {
                    Some(row) => Err(unfit(field, &target.sql(), first_row + row as u64)),
                    None => Ok(result),
                }
            }
        }
    }
}

fn numeric(
    from: &DataType,
    limit: Option<(u16, i16)>,
    whole: bool,
    keep: &impl Fn(DataType) -> Coercion,
) -> Result<Option<Coercion>> {
    use DataType as D;
    const DECIMAL128_DIGITS: u16 = 38;
    const DECIMAL256_DIGITS: u16 = 76;
    let form = match (limit, from) {
        (None, D::Decimal128(..) | D::Decimal256(..)) => from.clone(),
        (None, D::Decimal32(_, scale) | D::Decimal64(_, scale)) => D::Decimal128(38, *scale),
        (None, _) if whole => D::Decimal128(20, 0),
        (Some((precision, scale)), D::Decimal128(p, s) | D::Decimal256(p, s))
            if u16::from(*p) <= precision && i16::from(*s) == scale =>
        {
            from.clone()
        }
        (Some((precision, scale)), _) if whole || from.is_decimal() => {
            let (Ok(scale), true) = (i8::try_from(scale), precision <= DECIMAL256_DIGITS) else {
                return Ok(None);
            };
            let form = if precision <= DECIMAL128_DIGITS {
                D::Decimal128(precision as u8, scale)
            } else {
                D::Decimal256(precision as u8, scale)
            };
            return Ok(Some(Coercion::Exact(form)));
        }
        _ => return Ok(None),
    };
    Ok(Some(keep(form)))
}

/// The form from which a type is encoded.
fn form_of(target: &PgType) -> Option<DataType> {
    Some(match target {
        PgType::Bool => DataType::Boolean,
        PgType::Int2 => DataType::Int16,
        PgType::Int4 => DataType::Int32,
        PgType::Int8 => DataType::Int64,
        PgType::Float4 => DataType::Float32,
        PgType::Float8 => DataType::Float64,
        PgType::Numeric(_) => DataType::Decimal128(38, 0),
        PgType::Bytea => DataType::Binary,
        PgType::Date => DataType::Date32,
        PgType::Time => DataType::Time64(TimeUnit::Microsecond),
        PgType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PgType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        PgType::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        PgType::Limited(base, _) => return form_of(base),
        PgType::Text | PgType::Uuid | PgType::Json | PgType::Jsonb | PgType::Other(_) => {
            return None;
        }
    })
}

fn cast(array: &ArrayRef, form: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    // Not `safe`: what does not fit is an error, never a null.
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    cast_with_options(array, form, &options)
}

fn days(array: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    const DAY_SECONDS: i64 = 86_400;
    let per_second = match value_type(array.data_type()) {
        DataType::Duration(TimeUnit::Second) => 1,
        DataType::Duration(TimeUnit::Millisecond) => 1_000,
        DataType::Duration(TimeUnit::Microsecond) => 1_000_000,
        _ => 1_000_000_000,
    };
    let units = cast(array, value_type(array.data_type()))?;
    let units = cast(&units, &DataType::Int64)?;
    let intervals = units.as_primitive::<Int64Type>().iter().map(|units| {
        let Some(units) = units else { return Ok(None) };
        let (days, rest) = (
            units / (DAY_SECONDS * per_second),
            units % (DAY_SECONDS * per_second),
        );
        let days = i32::try_from(days).map_err(|_| {
            arrow::error::ArrowError::ArithmeticOverflow("days of an interval".to_owned())
        })?;
        let nanos = rest * (1_000_000_000 / per_second);
        Ok(Some(IntervalMonthDayNano::new(0, days, nanos)))
    });
    let intervals: Result<IntervalMonthDayNanoArray, arrow::error::ArrowError> =
        intervals.collect();
    Ok(Arc::new(intervals?))
}

/// Casts, and casts back to see that nothing was rounded.
fn exact(field: &Field, array: &ArrayRef, form: &DataType, first_row: u64) -> Result<ArrayRef> {
    let result = cast(array, form).map_err(|_| {
        unfit(
            field,
            &sql_name(form),
            first_bad_row(array, form, first_row),
        )
    })?;
    let back = cast(&result, array.data_type()).map_err(|_| {
        unfit(
            field,
            &sql_name(form),
            first_bad_row(&result, array.data_type(), first_row),
        )
    })?;
    if let Some(row) = first_difference(array, &back) {
        return Err(unfit(field, &sql_name(form), first_row + row as u64));
    }
    Ok(result)
}

/// Dates or times of day, or the row whose text is not exactly one. Arrow's own casts take longer
/// text as well and leave the rest of it out.
fn parsed(array: &ArrayRef, form: &DataType) -> Result<ArrayRef, u64> {
    // Dictionaries and views as plain text; that cannot fail.
    let texts = cast(array, &DataType::Utf8).map_err(|_| 0u64)?;
    let texts = texts.as_string::<i32>();
    if *form == DataType::Date32 {
        let values = texts.iter().enumerate().map(|(row, text)| {
            text.map(|text| time::date(text).ok_or(row as u64))
                .transpose()
        });
        return Ok(Arc::new(values.collect::<Result<Date32Array, _>>()?));
    }
    let mut moment = String::new();
    let values = texts.iter().enumerate().map(|(row, text)| {
        let Some(text) = text else { return Ok(None) };
        // A time of day is what it is on the first day that is counted.
        moment.clear();
        moment.push_str("1970-01-01T");
        moment.push_str(text);
        time::timestamp(&moment).map(Some).ok_or(row as u64)
    });
    Ok(Arc::new(
        values.collect::<Result<Time64MicrosecondArray, _>>()?,
    ))
}

/// The first row whose time has more digits of a second than `target` keeps: PostgreSQL would
/// round it.
fn first_with_more_digits(array: &ArrayRef, target: &PgType) -> Option<usize> {
    let PgType::Limited(_, Some(digits)) = target else {
        return None;
    };
    let unit = 10i64.pow(MICROSECOND_DIGITS.saturating_sub(*digits));
    let more = |row: usize| match array.data_type() {
        DataType::Time64(_) => array.as_primitive::<Time64MicrosecondType>().value(row) % unit != 0,
        DataType::Timestamp(..) => {
            array.as_primitive::<TimestampMicrosecondType>().value(row) % unit != 0
        }
        DataType::Interval(_) => {
            array
                .as_primitive::<IntervalMonthDayNanoType>()
                .value(row)
                .nanoseconds
                % (unit * 1_000)
                != 0
        }
        _ => true,
    };
    (0..array.len()).find(|&row| array.is_valid(row) && more(row))
}

fn first_difference(one: &ArrayRef, other: &ArrayRef) -> Option<usize> {
    let same_number = |row: usize| match one.data_type() {
        // NaN differs from itself, and is kept.
        DataType::Float64 => {
            let (a, b) = (
                one.as_primitive::<Float64Type>().value(row),
                other.as_primitive::<Float64Type>().value(row),
            );
            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
        }
        DataType::Float32 => {
            let (a, b) = (
                one.as_primitive::<Float32Type>().value(row),
                other.as_primitive::<Float32Type>().value(row),
            );
            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
        }
        // 2^63 as a double casts back saturated to i64::MAX.
        DataType::Int64 => {
            let (a, b) = (
                one.as_primitive::<Int64Type>().value(row),
                other.as_primitive::<Int64Type>().value(row),
            );
            a == b && a != i64::MAX
        }
        _ => one.slice(row, 1).to_data() == other.slice(row, 1).to_data(),
    };
    (0..one.len()).find(|&row| one.is_valid(row) && !(other.is_valid(row) && same_number(row)))
}

/// The row (counted from `first_row`) at which a cast fails.
fn first_bad_row(array: &ArrayRef, form: &DataType, first_row: u64) -> u64 {
    let bad = (0..array.len()).find(|&row| cast(&array.slice(row, 1), form).is_err());
    first_row + bad.unwrap_or_default() as u64
}

fn refuse(field: &Field, target: &PgType) -> Error {
    let name = field.name();
    let hint = match (value_type(field.data_type()), target.wire()) {
        (from, PgType::Numeric(limit)) if from.is_floating() => {
            let limit = match limit {
                Some((precision, scale)) => format!("numeric({precision},{scale})"),
                None => "numeric(38,6)".to_owned(),
            };
            format!(
                "declare `columns: {{{name}: \"{limit}\"}}` for the source, which keeps every digit that the API \
                 writes, or CAST the column AS {limit} in the module's SQL, which may round"
            )
        }
        (DataType::Timestamp(_, Some(_)), PgType::Timestamp) => format!(
            "CAST({name} AS timestamp) in the module's SQL writes its time in UTC; or make the table's column \
             timestamptz"
        ),
        _ => "CAST the column in the module's SQL, or change the column's type in the table"
            .to_owned(),
    };
    let error = Error::new(
        ErrorKind::Value,
        Stage::Encode,
        format!(
            "column {name}: {} cannot be written to a column of type {} without change",
            field_type(field),
            target.sql()
        ),
    );
    error.hint(hint)
}

fn unfit(field: &Field, wanted: &str, row: u64) -> Error {
    Error::new(
        ErrorKind::Value,
        Stage::Encode,
        format!(
            "column {}, row {row} of the result: the {} does not fit {wanted} without change",
            field.name(),
            field_type(field)
        ),
    )
    .hint(
        "round or CAST the column in the module's SQL (date_trunc('microsecond', …) for \
           nanoseconds, 'millisecond' for timestamp(3)), or widen the table's column",
    )
}

/// How SQL names what a column has.
fn field_type(field: &Field) -> Cow<'static, str> {
    match PgType::of_field(field) {
        Some(pg_type) => pg_type.sql(),
        None => sql_name(field.data_type()),
    }
}
