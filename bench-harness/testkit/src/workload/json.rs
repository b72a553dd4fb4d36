//! Two spellings of one value: JSON as an API sends it, and JSON as JSONB prints it.

use std::io::Write as _;

use chrono::{DateTime, SecondsFormat};

use super::definition::{Escapes, Field, Precision};
use super::generate::{Value, write_decimal};
use super::random::SplitMix64;

/// Writes compact JSON. With [`Escapes::Varied`] every character's spelling is drawn from `random`.
#[derive(Debug)]
pub(super) struct WireWriter<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) escapes: Escapes,
    pub(super) random: SplitMix64,
}

impl WireWriter<'_> {
    /// A row, or any object: members in the order of the definition, absent ones left out.
    pub(super) fn object(&mut self, fields: &[Field], values: &[Value<'_>]) {
        let mut separator = b'{';
        for (field, value) in fields.iter().zip(values) {
            if *value == Value::Absent {
                continue;
            }
            self.out.extend_from_slice(&[separator, b'"']);
            self.out.extend_from_slice(field.name.as_bytes());
            self.out.extend_from_slice(b"\":");
            self.value(value);
            separator = b',';
        }
        self.out
            .extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
    }

    /// Any value but [`Value::Absent`], which is written as null.
    pub(super) fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Text(text) => match self.escapes {
                Escapes::Minimal => minimal_string(text, self.out),
                Escapes::Varied => self.varied_string(text),
            },
            Value::Timestamp { micros, precision } => {
                self.out.push(b'"');
                write_timestamp(*micros, *precision, self.out);
                self.out.push(b'"');
            }
            Value::Object(shape, members) => self.object(&shape.fields, members),
            Value::Array(items) => {
                self.out.push(b'[');
                for (nth, item) in items.iter().enumerate() {
                    if nth > 0 {
                        self.out.push(b',');
                    }
                    self.value(item);
                }
                self.out.push(b']');
            }
            scalar => write_scalar(scalar, self.out),
        }
    }

    fn varied_string(&mut self, text: &str) {
        self.out.push(b'"');
        for character in text.chars() {
            let draw = self.random.below(64);
            let escape = match character {
                '"' | '\\' | '\u{0}'..='\u{1f}' => {
                    if draw < 32 && short_escape(character).is_some() {
                        let short = short_escape(character).unwrap_or_default();
                        self.out.extend_from_slice(&[b'\\', short]);
                        continue;
                    }
                    true
                }
                '/' if draw < 32 => {
                    self.out.extend_from_slice(b"\\/");
                    continue;
                }
                '\u{20}'..='\u{7f}' => draw == 0,
                _ => draw < 32,
            };
            if escape {
                self.unicode_escape(character, draw.is_multiple_of(2));
            } else {
                self.out
                    .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        self.out.push(b'"');
    }

    fn unicode_escape(&mut self, character: char, upper: bool) {
        // Beyond the basic plane this is the surrogate pair that JSON asks for.
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a Vec cannot fail.
            let _ = if upper {
                write!(self.out, "\\u{unit:04X}")
            } else {
                write!(self.out, "\\u{unit:04x}")
            };
        }
    }
}

/// Appends the text of `value` as `jsonb_out` prints it: keys in JSONB's order, `", "` and `": "`
/// as separators, numbers as they were sent (they never carry an exponent here), and texts as
/// `escape_json` escapes them, which is [`Escapes::Minimal`].
pub(super) fn write_jsonb(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => minimal_string(text, out),
        Value::Timestamp { micros, precision } => {
            out.push(b'"');
            write_timestamp(*micros, *precision, out);
            out.push(b'"');
        }
        Value::Object(shape, members) => {
            let mut separator: &[u8] = b"{\"";
            for &index in &shape.jsonb_order {
                if members[index] == Value::Absent {
                    continue;
                }
                out.extend_from_slice(separator);
                out.extend_from_slice(shape.fields[index].name.as_bytes());
                out.extend_from_slice(b"\": ");
                write_jsonb(&members[index], out);
                separator = b", \"";
            }
            out.extend_from_slice(if separator == b"{\"" { b"{}" } else { b"}" });
        }
        Value::Array(items) => {
            out.push(b'[');
            for (nth, item) in items.iter().enumerate() {
                if nth > 0 {
                    out.extend_from_slice(b", ");
                }
                write_jsonb(item, out);
            }
            out.push(b']');
        }
        scalar => write_scalar(scalar, out),
    }
}

/// Appends an instant in RFC 3339 with `Z`.
pub(super) fn write_timestamp(micros: i64, precision: Precision, out: &mut Vec<u8>) {
    let instant = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    let format = match precision {
        Precision::Millis => SecondsFormat::Millis,
        Precision::Micros => SecondsFormat::Micros,
    };
    out.extend_from_slice(instant.to_rfc3339_opts(format, true).as_bytes());
}

fn write_scalar(value: &Value<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = match value {
        Value::Bool(bool) => write!(out, "{bool}"),
        Value::Int(int) => write!(out, "{int}"),
        Value::Float(float) => write!(out, "{float:?}"),
        Value::Decimal { units, scale } => {
            write_decimal(*units, *scale, out);
            Ok(())
        }
        _ => write!(out, "null"),
    };
}

/// A JSON string with nothing escaped but what must be.
fn minimal_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..index]);
        copied = index + 1;
        match short_escape(char::from(byte)) {
            Some(short) => out.extend_from_slice(&[b'\\', short]),
            None => {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

fn short_escape(character: char) -> Option<u8> {
    Some(match character {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        _ => return None,
    })
}
