//! PostgreSQL's errors in our terms.

use tokio_postgres::error::DbError;

use crate::error::{Error, ErrorKind, Stage};

/// What the server says of an error, as far as it may be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    pub(super) is_fatal: bool,
    /// SQLSTATE.
    pub(super) code: String,
    pub(super) message: String,
    pub(super) column: Option<String>,
    /// The line and the column of a COPY.
    pub(super) place: Option<CopyPlace>,
}

impl ServerError {
    /// Reads the contents of an ErrorResponse: fields, each a letter with a text that ends with NUL.
    pub(super) fn parse(contents: &[u8]) -> Self {
        let mut error = Self::default();
        for field in contents.split(|byte| *byte == 0) {
            let Some((letter, text)) = field.split_first() else {
                continue;
            };
            let text = String::from_utf8_lossy(text);
            match letter {
                b'V' => error.is_fatal = matches!(text.as_ref(), "FATAL" | "PANIC"),
                b'C' => error.code = text.into_owned(),
                b'M' => error.message = text.into_owned(),
                b'c' => error.column = Some(text.into_owned()),
                b'W' => error.place = CopyPlace::of(&text),
                // Severity in the user's language, details, positions in the source of the server.
                _ => {}
            }
        }
        // Poolers may send the severity in one form only.
        if let Some(severity) = contents.strip_prefix(b"S") {
            error.is_fatal |= severity.starts_with(b"FATAL\0") || severity.starts_with(b"PANIC\0");
        }
        error
    }

    pub(super) fn of(error: &DbError) -> Self {
        use tokio_postgres::error::Severity;
        Self {
            is_fatal: matches!(
                error.parsed_severity(),
                Some(Severity::Fatal | Severity::Panic)
            ),
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            column: error.column().map(str::to_owned),
            place: error.where_().and_then(CopyPlace::of),
        }
    }

    /// Whether a row is at fault: its values, a constraint of the table, or what a trigger says of it.
    pub(super) fn is_about_rows(&self) -> bool {
        self.code.starts_with("22") || self.code.starts_with("23") || self.code == "P0001"
    }

    /// The error of the engine, `doing` something.
    ///
    /// Messages about data quote the data, so only their kind, column and line are kept.
    pub(super) fn while_doing(&self, doing: &str) -> Error {
        let about_data = self.code.starts_with("22");
        let mut detail = doing.to_owned();
        let in_copy = self.place.as_ref();
        if let Some(place) = in_copy {
            detail.push_str(&format!(", row {} of the result", place.row));
        }
        let column = in_copy.and_then(|place| place.column.as_ref());
        if let Some(column) = column.or(self.column.as_ref()) {
            detail.push_str(&format!(", column {column}"));
        }
        detail.push_str(": ");
        if about_data {
            detail.push_str("PostgreSQL refused a value");
            if let Some(reason) = data_exception(&self.code) {
                detail.push_str(&format!(": {reason}"));
            }
        } else {
            detail.push_str(&self.message);
        }
        detail.push_str(&format!(" (SQLSTATE {})", self.code));
        let kind = if about_data {
            ErrorKind::Value
        } else {
            ErrorKind::Database
        };
        Error::new(kind, Stage::Write, detail).hint(self.next_step())
    }

    fn next_step(&self) -> &'static str {
        match self.code.as_str() {
            "23505" => "use mode merge with the primary key, or remove duplicates in the SQL",
            "23502" => "filter or COALESCE the column in the module's SQL",
            code if code.starts_with("23") => "filter or correct such rows in the module's SQL",
            code if code.starts_with("22") => {
                "CAST or clean the column in the module's SQL, or change its type in the table"
            }
            "42501" => "grant the target's user the right to do so",
            "53100" | "53200" => "free disk or memory on the server",
            "53300" => "lower write.connections, or raise max_connections on the server",
            "55P03" => "run it again when the lock is free, or raise the target's lock_timeout",
            "57014" => "raise statement_timeout for the target's user, or run it again",
            "25P03" => "raise idle_in_transaction_session_timeout for the target's user",
            "25006" => "name a server that may be written to: this one is read-only",
            "40001" | "40P01" => "run it again: another session changed the same rows",
            "57P01" | "57P02" | "57P03" | "57P05" => {
                "the table is as it was; run it again when the server is ready"
            }
            _ if self.message.contains("statement pooling mode") => {
                "a load needs a transaction: use the pooler in transaction or session mode"
            }
            "08P01" => "see the log of the server, or of the pooler in front of it",
            _ => "see the server's log",
        }
    }
}

/// Where in a COPY a row was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyPlace {
    /// The row, from 1.
    pub(super) row: u64,
    pub(super) column: Option<String>,
}

impl CopyPlace {
    /// From the context of an error: the line `COPY t, line N, column c: "value"`, among others. The
    /// value follows the column.
    fn of(context: &str) -> Option<Self> {
        let line = context.lines().find_map(|line| {
            let (_, place) = line.strip_prefix("COPY ")?.split_once(", line ")?;
            Some(place)
        })?;
        let digits = line.find(|c: char| !c.is_ascii_digit());
        let (row, rest) = line.split_at(digits.unwrap_or(line.len()));
        let column = rest.strip_prefix(", column ").map(|rest| {
            // A name may have a colon; the value begins with a quote, and NULL has none.
            let end = rest
                .find(": \"")
                .or_else(|| rest.find(": null input"))
                .unwrap_or(rest.len());
            rest[..end].to_owned()
        });
        Some(Self {
            row: row.parse().ok()?,
            column,
        })
    }
}

/// Conditions of SQLSTATE class 22: PostgreSQL's documentation, appendix A.
fn data_exception(code: &str) -> Option<&'static str> {
    Some(match code {
        "22001" => "text longer than its column allows",
        "22003" => "number out of range",
        "22007" => "invalid date or time",
        "22008" => "date or time out of range",
        "22021" | "22P05" => "a character that the database's encoding does not have",
        "22023" => "invalid parameter",
        "22030" | "22032" => "invalid JSON",
        "22P02" => "text that its column's type cannot read",
        "22P03" => "bytes that its column's type cannot read",
        "22P04" => "malformed COPY data",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_and_values_are_not() {
        let place = |context: &str| CopyPlace::of(context).map(|place| (place.row, place.column));
        for (context, expected) in [
            (
                "COPY t, line 12, column price: \"secret\"",
                Some((12, Some("price"))),
            ),
            ("COPY t, line 3: \"secret\"", Some((3, None))),
            (
                "JSON data, line 1: secret\nCOPY t, line 7, column j: \"secret, line 9\"",
                Some((7, Some("j"))),
            ),
            (
                "COPY t, line 4, column a:b: \"secret: \"\"\"",
                Some((4, Some("a:b"))),
            ),
            ("COPY t, line 4, column a: null input", Some((4, Some("a")))),
            ("COPY t, line 5, column a", Some((5, Some("a")))),
            ("SQL statement", None),
        ] {
            let expected = expected.map(|(row, column)| (row, column.map(str::to_owned)));
            assert_eq!(place(context), expected, "{context}");
        }
    }

    #[test]
    fn a_message_about_data_is_not_shown() {
        let contents = b"SERROR\0VERROR\0C22P02\0Minvalid input: \"secret\"\0WCOPY t, line 2, column n: \"secret\"\0\0";
        let error = ServerError::parse(contents);
        assert!(!error.is_fatal);
        let text = error.while_doing("loading table t").to_string();
        assert_eq!(
            text,
            "write: loading table t, row 2 of the result, column n: PostgreSQL refused a value: text that its column's type cannot read (SQLSTATE 22P02)"
        );
        let fatal = ServerError::parse(b"SFATAL\0C57P01\0Mterminating connection\0\0");
        assert!(fatal.is_fatal);
    }
}
