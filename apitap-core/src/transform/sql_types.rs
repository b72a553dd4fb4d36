//! DataFusion's messages in the words of SQL.

use crate::encode::pg_type::sql_name;
use arrow::datatypes::DataType;

/// The message with SQL's names for Arrow's types. Quoted text stays as it is: it is the user's.
pub(super) fn with_sql_types(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' | '`' => quoted(rest, first),
            _ if first.is_ascii_alphanumeric() => {
                let (length, name) = word(rest);
                if let Some(name) = name {
                    out.push_str(&name);
                    rest = &rest[length..];
                    continue;
                }
                length
            }
            other => other.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// The length of a quoted text, or of its quote where none closes it.
fn quoted(text: &str, quote: char) -> usize {
    match text[1..].find(quote) {
        Some(end) => end + 2,
        None => 1,
    }
}

/// The length of a word, with its parameters if it names a type of Arrow, and that type's name in SQL.
fn word(text: &str) -> (usize, Option<String>) {
    let plain = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let takes_parameters = [
        "Timestamp",
        "Decimal128",
        "Decimal256",
        "Interval",
        "Duration",
        "Time32",
        "Time64",
    ];
    let length = match text[plain..].find(')') {
        Some(end)
            if takes_parameters.contains(&&text[..plain]) && text[plain..].starts_with('(') =>
        {
            plain + end + 1
        }
        _ => plain,
    };
    let name = match text[..length].parse::<DataType>() {
        // `Null` and `Date` are words of SQL too.
        Ok(data_type) if data_type != DataType::Null => Some(sql_name(&data_type).into_owned()),
        _ => None,
    };
    (length, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_sql_names_them() {
        for (message, expected) in [
            (
                "Cannot infer common argument type for comparison operation Utf8View = Int64",
                "Cannot infer common argument type for comparison operation text = bigint",
            ),
            (
                "Timestamp(µs, \"+00:00\") + Timestamp(ns), Decimal128(38, 2)",
                "timestamptz + timestamp, numeric(38,2)",
            ),
            (
                "column 'Int64' and \"Utf8\" of Utf8_table are Null, it's Boolean",
                "column 'Int64' and \"Utf8\" of Utf8_table are Null, it's boolean",
            ),
            ("Timestamp( is not", "Timestamp( is not"),
        ] {
            assert_eq!(with_sql_types(message), expected);
        }
    }
}
