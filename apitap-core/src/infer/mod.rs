//! Sampled rows to a schema: one lattice of types, joined value by value.
//!
//! ```text
//! null < boolean            < text < jsonb
//! null < bigint < double    < text
//!             \ < numeric   < text
//! null < timestamptz        < text
//! ```
//!
//! A column of nulls alone is text. Arrays and objects make a column jsonb, whatever else it
//! holds. Numbers widen only as far as they keep every digit.

mod cache;

pub use cache::{SchemaCache, fingerprint};

use crate::config::InferConfig;
use crate::decode::{ByName, Fault, PageRows, exact_f64};
use crate::error::Result;
use crate::json::{RawNumber, RawValue, Scanner};
use crate::schema::ColumnType;
use crate::source::Page;
use crate::time;

/// Columns in order, with their types.
pub type Columns = Vec<(String, ColumnType)>;

/// The columns of `source`: those of the first rows of `pages`, in the order in which they
/// first appear, with `declared` types in place of what the sample shows.
///
/// # Errors
/// Text that is not JSON, a row that is no object, or a key that appears twice in a row, with
/// its place.
pub fn infer(
    source: &str,
    pages: &[Page],
    declared: &[(String, ColumnType)],
    config: &InferConfig,
) -> Result<Columns> {
    let mut sample = Sample::default();
    let mut left = config.sample_rows.get();
    for page in pages {
        let mut row = 0;
        sample
            .page(page, left, &mut row)
            .map_err(|fault| fault.in_page(source, page, row))?;
        left -= row.min(left);
        if left == 0 {
            break;
        }
    }
    let mut columns: Columns = sample
        .names
        .into_iter()
        .zip(&sample.kinds)
        .map(|(name, kind)| (name, kind.column_type(config.timestamps)))
        .collect();
    for (name, column_type) in declared {
        match columns.iter_mut().find(|(known, _)| known == name) {
            Some((_, inferred)) => *inferred = *column_type,
            None => columns.push((name.clone(), *column_type)),
        }
    }
    Ok(columns)
}

#[derive(Default)]
struct Sample {
    names: Vec<String>,
    kinds: Vec<Kind>,
    by_name: ByName,
    /// The row in which each column was last seen, counted over all pages.
    seen: Vec<u64>,
    row: u64,
}

impl Sample {
    /// Looks at up to `limit` rows; `row` counts them and names the one at fault.
    fn page(&mut self, page: &Page, limit: usize, row: &mut usize) -> Result<(), Fault> {
        let mut rows = PageRows::new(page)?;
        while *row < page.row_count.min(limit) {
            *row += 1;
            self.row(rows.scanner())?;
            rows.leave()?;
        }
        Ok(())
    }

    fn row(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        self.row += 1;
        if scanner.peek()? != b'{' {
            return Err(Fault::NotAnObject);
        }
        scanner.enter_row()?;
        if scanner.eat(b'}')? {
            return Ok(());
        }
        loop {
            let name = scanner.key()?.name().into_owned();
            let value = scanner.value()?;
            let index = *self.by_name.entry(name).or_insert_with_key(|name| {
                self.names.push(name.clone());
                self.kinds.push(Kind::Null);
                self.seen.push(0);
                self.kinds.len() - 1
            });
            if std::mem::replace(&mut self.seen[index], self.row) == self.row {
                return Err(Fault::KeyTwice(self.names[index].clone()));
            }
            self.kinds[index] = self.kinds[index].join(Kind::from_value(value));
            if !scanner.more(b'}')? {
                return Ok(());
            }
        }
    }
}

/// An element of the lattice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Number(Digits),
    Timestamp,
    Text,
    Json,
}

/// What a type must hold to keep the numbers seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digits {
    /// All fit a bigint.
    bigint: bool,
    /// A double keeps every digit of all of them.
    double: bool,
    /// Digits before and behind the point; none where one was written with an exponent.
    decimal: Option<(u8, u8)>,
}

impl Kind {
    fn from_value(value: RawValue<'_>) -> Self {
        match value {
            RawValue::Null => Self::Null,
            RawValue::Bool(_) => Self::Bool,
            RawValue::Number(number) => Self::Number(Digits::from_number(number)),
            RawValue::String(text) if time::timestamp_with_zone(&text.decoded()).is_some() => {
                Self::Timestamp
            }
            RawValue::String(_) => Self::Text,
            RawValue::Nested(_) => Self::Json,
        }
    }

    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (Self::Json, _) | (_, Self::Json) => Self::Json,
            (Self::Number(one), Self::Number(other)) => Self::Number(one.join(other)),
            (one, other) if one == other => one,
            _ => Self::Text,
        }
    }

    fn column_type(self, timestamps: bool) -> ColumnType {
        match self {
            Self::Bool => ColumnType::Boolean,
            Self::Number(digits) => digits.column_type(),
            Self::Timestamp if timestamps => ColumnType::TimestampTz,
            Self::Timestamp | Self::Text | Self::Null => ColumnType::Text,
            Self::Json => ColumnType::Jsonb,
        }
    }
}

impl Digits {
    fn from_number(number: RawNumber<'_>) -> Self {
        let length = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
        let decimal = (!number.text.contains(['e', 'E'])).then(|| {
            let text = number.text.trim_start_matches('-');
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            (length(whole), length(fraction))
        });
        Self {
            bigint: number.integer && number.text.parse::<i64>().is_ok(),
            double: exact_f64(number).is_some(),
            decimal,
        }
    }

    fn join(self, other: Self) -> Self {
        Self {
            bigint: self.bigint && other.bigint,
            double: self.double && other.double,
            decimal: self
                .decimal
                .zip(other.decimal)
                .map(|(one, other)| (one.0.max(other.0), one.1.max(other.1))),
        }
    }

    fn column_type(self) -> ColumnType {
        const DECIMAL128_DIGITS: u8 = 38;
        match self.decimal {
            _ if self.bigint => ColumnType::BigInt,
            _ if self.double => ColumnType::Double,
            // All digits that are left go before the point: rows behind the sample may be larger.
            Some((whole, fraction)) if whole.saturating_add(fraction) <= DECIMAL128_DIGITS => {
                ColumnType::Numeric(DECIMAL128_DIGITS, fraction as i8)
            }
            _ => ColumnType::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json;
    use crate::source::PageFormat;

    fn types(rows: &str) -> Vec<String> {
        let page = page(rows);
        let columns = infer("test", &[page], &[], &InferConfig::default()).unwrap();
        columns
            .into_iter()
            .map(|(name, column_type)| format!("{name} {column_type}"))
            .collect()
    }

    fn page(rows: &str) -> Page {
        let envelope = json::Envelope::scan(rows.as_bytes(), "", &[]).unwrap();
        Page {
            index: 1,
            body: Bytes::copy_from_slice(rows.as_bytes()),
            rows: envelope.rows,
            row_count: envelope.row_count,
            format: PageFormat::Json,
        }
    }

    #[test]
    fn columns_join_over_rows_in_the_order_they_appear() {
        assert_eq!(
            types(
                r#"[{"b":null,"a":1,"t":"2024-01-01T00:00:00Z"},
                    {"a":2.5,"c":{"x":1},"t":null,"m":true,"b":null},
                    {"c":[],"m":"yes","s":"x"}]"#
            ),
            [
                "b text",
                "a double precision",
                "t timestamptz",
                "c jsonb",
                "m text",
                "s text"
            ]
        );
    }

    #[test]
    fn nulls_in_the_first_rows_decide_nothing() {
        assert_eq!(types(r#"[{"a":null},{"a":7}]"#), ["a bigint"]);
    }

    #[test]
    fn numbers_widen_only_as_far_as_they_keep_every_digit() {
        assert_eq!(types(r#"[{"a":9223372036854775807}]"#), ["a bigint"]);
        assert_eq!(types(r#"[{"a":9223372036854775808}]"#), ["a numeric(38,0)"]);
        assert_eq!(
            types(r#"[{"a":100000000000000000000}]"#),
            ["a double precision"]
        );
        assert_eq!(
            types(r#"[{"a":9007199254740993},{"a":0.5}]"#),
            ["a numeric(38,1)"]
        );
        assert_eq!(
            types(r#"[{"a":0.30000000000000004}]"#),
            ["a double precision"]
        );
        assert_eq!(
            types(r#"[{"a":0.1234567890123456789}]"#),
            ["a numeric(38,19)"]
        );
        assert_eq!(
            types(&format!(r#"[{{"a":{}.5}}]"#, "1".repeat(38))),
            ["a text"]
        );
        assert_eq!(types(r#"[{"a":1e400}]"#), ["a text"]);
    }

    #[test]
    fn mixed_scalars_are_text_and_nested_wins() {
        assert_eq!(types(r#"[{"a":1},{"a":"x"}]"#), ["a text"]);
        assert_eq!(types(r#"[{"a":true},{"a":0}]"#), ["a text"]);
        assert_eq!(
            types(r#"[{"a":"2024-01-01T00:00:00Z"},{"a":"soon"}]"#),
            ["a text"]
        );
        assert_eq!(types(r#"[{"a":1},{"a":{}}]"#), ["a jsonb"]);
    }

    #[test]
    fn declared_types_win_and_may_name_columns_the_sample_lacks() {
        let declared = [
            ("a".to_owned(), ColumnType::Text),
            ("z".to_owned(), ColumnType::Date),
        ];
        let columns = infer(
            "test",
            &[page(r#"[{"a":1}]"#)],
            &declared,
            &InferConfig::default(),
        );
        assert_eq!(columns.unwrap(), declared);
    }

    #[test]
    fn timestamps_can_be_switched_off() {
        let config = InferConfig {
            timestamps: false,
            ..InferConfig::default()
        };
        let page = page(r#"[{"t":"2024-01-01T00:00:00Z"}]"#);
        assert_eq!(
            infer("test", &[page], &[], &config).unwrap(),
            [("t".to_owned(), ColumnType::Text)]
        );
    }

    #[test]
    fn only_the_sample_counts() {
        let config = InferConfig::default();
        let rows: Vec<_> = (0..101)
            .map(|row| {
                if row < 100 {
                    r#"{"a":1}"#
                } else {
                    r#"{"a":"x"}"#
                }
            })
            .collect();
        let page = page(&format!("[{}]", rows.join(",")));
        assert_eq!(
            infer("test", &[page], &[], &config).unwrap(),
            [("a".to_owned(), ColumnType::BigInt)]
        );
    }

    #[test]
    fn a_key_that_appears_twice_in_a_row_is_named() {
        let page = page(r#"[{"a":1,"b":2},{"b":1,"a":1,"\u0062":"x"}]"#);
        let error = infer("test", &[page], &[], &InferConfig::default());
        assert_eq!(
            error.unwrap_err().to_string(),
            "decode: source test, page 1, row 2, column b: the key appears twice in the row"
        );
    }

    #[test]
    fn a_row_that_is_no_object_is_named() {
        let error = infer(
            "test",
            &[page(r#"[{"a":1},2]"#)],
            &[],
            &InferConfig::default(),
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "decode: source test, page 1, row 2: the row is not a JSON object"
        );
    }
}
