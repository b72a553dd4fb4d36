//! COPY's text format, written with no code of the engine: a reference table must not share the
//! engine's mistakes.

use std::io::{self, Write};

use super::Workload;
use super::definition::Escapes;
use super::generate::Value;
use super::json::WireWriter;
use super::random::SplitMix64;

impl Workload {
    /// Writes `rows` rows from `first_row` (counted from 0) on for `COPY … FROM STDIN` in its
    /// default text format, in UTF-8, without the final `\.`.
    ///
    /// # Errors
    /// When `writer` fails.
    pub fn write_copy_text(
        &self,
        first_row: u64,
        rows: u64,
        mut writer: impl Write,
    ) -> io::Result<()> {
        let (mut values, mut field, mut line) = (Vec::new(), Vec::new(), Vec::new());
        for row in first_row..first_row + rows {
            self.fill(row, &mut values);
            line.clear();
            for (nth, value) in values.iter().enumerate() {
                if nth > 0 {
                    line.push(b'\t');
                }
                write_field(value, &mut field, &mut line);
            }
            line.push(b'\n');
            writer.write_all(&line)?;
        }
        Ok(())
    }
}

fn write_field(value: &Value<'_>, field: &mut Vec<u8>, line: &mut Vec<u8>) {
    field.clear();
    match value {
        Value::Null | Value::Absent => {
            line.extend_from_slice(b"\\N");
            return;
        }
        Value::Text(text) => field.extend_from_slice(text.as_bytes()),
        Value::Timestamp { micros, precision } => {
            super::json::write_timestamp(*micros, *precision, field);
        }
        // Scalars are spelled as in JSON, and `jsonb_in` takes any JSON.
        other => WireWriter {
            out: field,
            escapes: Escapes::Minimal,
            random: SplitMix64::for_row(0, 0, 0),
        }
        .value(other),
    }
    for &byte in field.iter() {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            other => line.push(other),
        }
    }
}
