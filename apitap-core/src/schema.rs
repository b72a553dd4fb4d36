//! The types that a column of a source can have, and their Arrow fields.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result, Stage};

/// The type of a source's column: inferred, or declared in the pipeline file by the name
/// that PostgreSQL gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ColumnType {
    /// `boolean`
    Boolean,
    /// `bigint`
    BigInt,
    /// `double precision`
    Double,
    /// `numeric(precision, scale)`, at most 38 digits
    Numeric(u8, i8),
    /// `text`
    Text,
    /// `timestamptz`, from RFC 3339 strings
    TimestampTz,
    /// `timestamp`, from strings without an offset
    Timestamp,
    /// `date`, from `YYYY-MM-DD`
    Date,
    /// `jsonb`: any JSON value, kept as it was written
    Jsonb,
}

/// Arrow's canonical extension type for JSON text.
const JSON_EXTENSION: (&str, &str) = ("ARROW:extension:name", "arrow.json");

impl ColumnType {
    /// The Arrow field of a column of this type.
    pub fn field(self, name: &str) -> Field {
        let data_type = match self {
            Self::Boolean => DataType::Boolean,
            Self::BigInt => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Numeric(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Text | Self::Jsonb => DataType::Utf8,
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Date => DataType::Date32,
        };
        let field = Field::new(name, data_type, true);
        if self == Self::Jsonb {
            let (key, value) = JSON_EXTENSION;
            field.with_metadata(HashMap::from([(key.to_owned(), value.to_owned())]))
        } else {
            field
        }
    }
}

/// Whether a text field holds JSON.
pub fn is_json(field: &Field) -> bool {
    let (key, value) = JSON_EXTENSION;
    field.metadata().get(key).is_some_and(|name| name == value)
}

/// The Arrow schema of columns in order.
pub fn arrow_schema(columns: &[(String, ColumnType)]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column_type)| column_type.field(name))
        .collect();
    Arc::new(Schema::new(fields))
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::BigInt => f.write_str("bigint"),
            Self::Double => f.write_str("double precision"),
            Self::Numeric(precision, scale) => write!(f, "numeric({precision},{scale})"),
            Self::Text => f.write_str("text"),
            Self::TimestampTz => f.write_str("timestamptz"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Date => f.write_str("date"),
            Self::Jsonb => f.write_str("jsonb"),
        }
    }
}

impl FromStr for ColumnType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let lower = name.trim().to_ascii_lowercase();
        Ok(match lower.as_str() {
            "boolean" | "bool" => Self::Boolean,
            "bigint" | "int8" | "integer" | "int" | "int4" => Self::BigInt,
            "double precision" | "double" | "float8" => Self::Double,
            "text" | "varchar" => Self::Text,
            "timestamptz" | "timestamp with time zone" => Self::TimestampTz,
            "timestamp" | "timestamp without time zone" => Self::Timestamp,
            "date" => Self::Date,
            "jsonb" | "json" => Self::Jsonb,
            _ => parse_numeric(&lower).ok_or_else(|| {
                Error::new(
                    ErrorKind::Config,
                    Stage::Config,
                    format!("unknown column type `{name}`"),
                )
                .hint(
                    "use boolean, bigint, double precision, numeric(precision,scale) of at most \
                     38 digits, text, timestamptz, timestamp, date or jsonb",
                )
            })?,
        })
    }
}

fn parse_numeric(name: &str) -> Option<ColumnType> {
    let inner = name
        .strip_prefix("numeric")
        .or_else(|| name.strip_prefix("decimal"))?
        .trim()
        .strip_prefix('(')?
        .strip_suffix(')')?;
    let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: i8 = scale.trim().parse().ok()?;
    let valid = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
    valid.then_some(ColumnType::Numeric(precision, scale))
}

impl TryFrom<String> for ColumnType {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<ColumnType> for String {
    fn from(column_type: ColumnType) -> Self {
        column_type.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for column_type in [
            ColumnType::Boolean,
            ColumnType::BigInt,
            ColumnType::Double,
            ColumnType::Numeric(12, 2),
            ColumnType::Text,
            ColumnType::TimestampTz,
            ColumnType::Timestamp,
            ColumnType::Date,
            ColumnType::Jsonb,
        ] {
            assert_eq!(
                column_type.to_string().parse::<ColumnType>().unwrap(),
                column_type
            );
        }
        assert_eq!(
            "NUMERIC(5)".parse::<ColumnType>().unwrap(),
            ColumnType::Numeric(5, 0)
        );
        assert!("numeric(39,0)".parse::<ColumnType>().is_err());
        assert!("money".parse::<ColumnType>().is_err());
    }
}
