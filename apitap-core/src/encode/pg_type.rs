//! The one table of types: which PostgreSQL type an Arrow type lands as, and what each
//! PostgreSQL type takes on the wire.

use std::borrow::Cow;

use arrow::datatypes::{DataType, Field};
use tokio_postgres::types::Type;

use crate::schema::is_json;

/// A PostgreSQL type, as far as writing must distinguish it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PgType {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric`, with precision and scale where they are limited
    Numeric(Option<(u16, i16)>),
    /// `text` and what shares its wire format: `varchar`, `char(n)`, `citext`, enums
    Text,
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`
    Timestamp,
    /// `timestamptz`
    TimestampTz,
    /// `interval`
    Interval,
    /// `uuid`
    Uuid,
    /// `json`
    Json,
    /// `jsonb`
    Jsonb,
    /// One of the time types that keeps fewer than six digits of a second, and how many; none for
    /// intervals of some fields only (`interval day to minute`)
    Limited(&'static PgType, Option<u32>),
    /// Any other, written as text that the server parses; named as SQL names it
    Other(String),
}

impl PgType {
    /// The type of a new column for an Arrow field; none for types that have no counterpart.
    pub fn of_field(field: &Field) -> Option<Self> {
        Some(match value_type(field.data_type()) {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Self::Int2,
            DataType::UInt16 | DataType::Int32 => Self::Int4,
            DataType::UInt32 | DataType::Int64 => Self::Int8,
            DataType::UInt64 => Self::Numeric(Some((20, 0))),
            DataType::Float16 | DataType::Float32 => Self::Float4,
            DataType::Float64 => Self::Float8,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => {
                Self::Numeric((*scale >= 0).then_some((u16::from(*precision), i16::from(*scale))))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_json(field) => {
                Self::Jsonb
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                Self::Text
            }
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Bytea,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::TimestampTz,
            DataType::Interval(_) | DataType::Duration(_) => Self::Interval,
            nested if is_nested(nested) => Self::Jsonb,
            _ => return None,
        })
    }

    /// The type of an existing column, by the OID of its type (of the base type for domains)
    /// and its modifier; `name` is how SQL names it.
    pub fn of_column(oid: u32, modifier: i32, is_enum: bool, name: &str) -> Self {
        let limited = |base: &'static Self| match second_digits(base, modifier) {
            Some(MICROSECOND_DIGITS..) => base.clone(),
            digits => Self::Limited(base, digits),
        };
        match Type::from_oid(oid) {
            Some(Type::BOOL) => Self::Bool,
            Some(Type::INT2) => Self::Int2,
            Some(Type::INT4) => Self::Int4,
            Some(Type::INT8) => Self::Int8,
            Some(Type::FLOAT4) => Self::Float4,
            Some(Type::FLOAT8) => Self::Float8,
            Some(Type::NUMERIC) => Self::Numeric(numeric_modifier(modifier)),
            Some(Type::TEXT | Type::VARCHAR | Type::BPCHAR) => Self::Text,
            Some(Type::BYTEA) => Self::Bytea,
            Some(Type::DATE) => Self::Date,
            Some(Type::TIME) => limited(&Self::Time),
            Some(Type::TIMESTAMP) => limited(&Self::Timestamp),
            Some(Type::TIMESTAMPTZ) => limited(&Self::TimestampTz),
            Some(Type::INTERVAL) => limited(&Self::Interval),
            Some(Type::UUID) => Self::Uuid,
            Some(Type::JSON) => Self::Json,
            Some(Type::JSONB) => Self::Jsonb,
            _ if is_enum || name == "citext" => Self::Text,
            _ => Self::Other(name.to_owned()),
        }
    }

    /// How SQL names the type.
    pub fn sql(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Numeric(None) => "numeric",
            Self::Numeric(Some((precision, scale))) => {
                return Cow::Owned(format!("numeric({precision},{scale})"));
            }
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Limited(base, Some(digits)) => {
                return Cow::Owned(format!("{}({digits})", base.sql()));
            }
            Self::Limited(base, None) => {
                return Cow::Owned(format!("{} of some fields", base.sql()));
            }
            Self::Other(name) => return Cow::Owned(name.clone()),
        })
    }

    /// The type without its limits, which decides the form on the wire.
    pub(crate) fn wire(&self) -> &Self {
        match self {
            Self::Limited(base, _) => base,
            plain => plain,
        }
    }

    /// The type and the array type of a bind parameter; what is written as text goes as text.
    pub(crate) fn parameter(&self) -> (Type, Type) {
        match self {
            Self::Limited(base, _) => base.parameter(),
            Self::Bool => (Type::BOOL, Type::BOOL_ARRAY),
            Self::Int2 => (Type::INT2, Type::INT2_ARRAY),
            Self::Int4 => (Type::INT4, Type::INT4_ARRAY),
            Self::Int8 => (Type::INT8, Type::INT8_ARRAY),
            Self::Float4 => (Type::FLOAT4, Type::FLOAT4_ARRAY),
            Self::Float8 => (Type::FLOAT8, Type::FLOAT8_ARRAY),
            Self::Numeric(_) => (Type::NUMERIC, Type::NUMERIC_ARRAY),
            Self::Text | Self::Other(_) => (Type::TEXT, Type::TEXT_ARRAY),
            Self::Bytea => (Type::BYTEA, Type::BYTEA_ARRAY),
            Self::Date => (Type::DATE, Type::DATE_ARRAY),
            Self::Time => (Type::TIME, Type::TIME_ARRAY),
            Self::Timestamp => (Type::TIMESTAMP, Type::TIMESTAMP_ARRAY),
            Self::TimestampTz => (Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY),
            Self::Interval => (Type::INTERVAL, Type::INTERVAL_ARRAY),
            Self::Uuid => (Type::UUID, Type::UUID_ARRAY),
            Self::Json => (Type::JSON, Type::JSON_ARRAY),
            Self::Jsonb => (Type::JSONB, Type::JSONB_ARRAY),
        }
    }

    /// Whether a binary COPY can write it.
    pub(crate) fn has_binary(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

/// How SQL names the type that an Arrow type lands as.
pub(crate) fn sql_name(data_type: &DataType) -> Cow<'static, str> {
    match PgType::of_field(&Field::new("", data_type.clone(), true)) {
        Some(pg_type) => pg_type.sql(),
        None => Cow::Owned(data_type.to_string()),
    }
}

/// The type behind a dictionary or run-end encoding.
pub(crate) fn value_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => value_type(values),
        DataType::RunEndEncoded(_, values) => value_type(values.data_type()),
        plain => plain,
    }
}

/// Whether values of the type are written as JSON.
pub(crate) fn is_nested(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
            | DataType::Struct(_)
            | DataType::Map(..)
    )
}

/// Precision and scale of a numeric column: `numeric.c`, `make_numeric_typmod`. The scale is
/// eleven bits wide and signed since PostgreSQL 15.
fn numeric_modifier(modifier: i32) -> Option<(u16, i16)> {
    const HEADER: i32 = 4;
    let packed = modifier - HEADER;
    (packed >= 0).then(|| {
        let precision = (packed >> 16 & 0xFFFF) as u16;
        let scale = ((packed & 0x7FF) ^ 1024) - 1024;
        (precision, scale as i16)
    })
}

/// What a microsecond takes, PostgreSQL's finest.
pub(crate) const MICROSECOND_DIGITS: u32 = 6;

/// The digits of a second that a column of a time type keeps; none if its modifier leaves out
/// whole fields: `timestamp.c`, `intervaltypmodin`.
fn second_digits(base: &PgType, modifier: i32) -> Option<u32> {
    const FULL_PRECISION: u32 = 0xFFFF;
    const FULL_RANGE: u32 = 0x7FFF;
    const SECOND: u32 = 1 << 12;
    let Ok(modifier) = u32::try_from(modifier) else {
        return Some(MICROSECOND_DIGITS);
    };
    if *base != PgType::Interval {
        return Some(modifier);
    }
    let range = modifier >> 16 & FULL_RANGE;
    let precision = modifier & FULL_PRECISION;
    // What ends in seconds loses nothing but digits.
    (range & SECOND != 0).then_some(precision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_modifiers_are_unpacked() {
        assert_eq!(numeric_modifier(-1), None);
        assert_eq!(numeric_modifier(((10 << 16) | 2) + 4), Some((10, 2)));
        assert_eq!(
            numeric_modifier(((3 << 16) | (-2i32 & 0x7FF)) + 4),
            Some((3, -2))
        );
    }

    #[test]
    fn digits_of_a_second_are_kept() {
        let of = |pg_type: Type, modifier| PgType::of_column(pg_type.oid(), modifier, false, "");
        assert_eq!(of(Type::TIMESTAMP, -1), PgType::Timestamp);
        assert_eq!(of(Type::TIME, 6), PgType::Time);
        assert_eq!(of(Type::TIMESTAMPTZ, 3).sql(), "timestamptz(3)");
        let interval = |range: i32, precision: i32| of(Type::INTERVAL, range << 16 | precision);
        let (all, day_to_second, day_to_minute) = (0x7FFF, 0x1C08, 0x0C08);
        assert_eq!(interval(all, 0xFFFF), PgType::Interval);
        assert_eq!(
            interval(all, 2),
            PgType::Limited(&PgType::Interval, Some(2))
        );
        assert_eq!(interval(day_to_second, 0xFFFF), PgType::Interval);
        assert_eq!(
            interval(day_to_minute, 0xFFFF),
            PgType::Limited(&PgType::Interval, None)
        );
    }

    #[test]
    fn dictionaries_land_as_their_values() {
        let dictionary =
            DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8View));
        assert_eq!(
            PgType::of_field(&Field::new("a", dictionary, true)),
            Some(PgType::Text)
        );
    }
}
