//! From a row's number to its values.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::definition::{Field, Generate, Precision, Shape};
use super::random::SplitMix64;
use super::vocabulary::{AWKWARD, AWKWARD_WHOLE, FIRST_NAMES, LAST_NAMES, WORDS};

/// A value before any encoding: JSON, COPY text and the checksum each start from it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'w> {
    /// The member is not there. As a column it lands as NULL.
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Decimal {
        units: i64,
        scale: u8,
    },
    Float(f64),
    Text(Cow<'w, str>),
    Timestamp {
        micros: i64,
        precision: Precision,
    },
    Object(&'w Shape, Vec<Value<'w>>),
    Array(Vec<Value<'w>>),
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// The value of `field` in row `row`, counted from 0.
pub(super) fn field<'w>(field: &'w Field, row: u64, random: &mut SplitMix64) -> Value<'w> {
    if field.null_per_mille + field.absent_per_mille > 0 {
        let draw = random.below(1000);
        if draw < field.absent_per_mille {
            return Value::Absent;
        }
        if draw < field.absent_per_mille + field.null_per_mille {
            return Value::Null;
        }
    }
    value(&field.generate, row, random)
}

fn value<'w>(generate: &'w Generate, row: u64, random: &mut SplitMix64) -> Value<'w> {
    match generate {
        Generate::Sequence => Value::Int(row as i64 + 1),
        Generate::Serial { prefix, digits } => {
            let number = row + 1;
            Value::Text(Cow::Owned(format!("{prefix}{number:0digits$}")))
        }
        Generate::Integer { min, max } => Value::Int(random.between(*min, *max)),
        Generate::Decimal { min, max, scale } => Value::Decimal {
            units: random.between(*min, *max),
            scale: *scale,
        },
        Generate::Float => Value::Float(float(random)),
        Generate::Boolean { true_per_mille } => Value::Bool(random.below(1000) < *true_per_mille),
        Generate::Timestamp(range) => {
            let micros = range.from_micros + random.below(range.span_micros) as i64;
            let micros = match range.precision {
                Precision::Millis => micros - micros.rem_euclid(1000),
                Precision::Micros => micros,
            };
            Value::Timestamp {
                micros,
                precision: range.precision,
            }
        }
        Generate::Pick(choices) => {
            Value::Text(Cow::Borrowed(&choices[random.index(choices.len())]))
        }
        Generate::Name => {
            let first = random.pick(&FIRST_NAMES);
            let last = random.pick(&LAST_NAMES);
            Value::Text(Cow::Owned([first, " ", last].concat()))
        }
        Generate::Email => Value::Text(Cow::Owned(email(random))),
        Generate::Hex { chars } => Value::Text(Cow::Owned(hex(*chars, random))),
        Generate::Text {
            min_chars,
            max_chars,
            awkward_per_mille,
        } => {
            let chars = *min_chars + random.below(max_chars - min_chars + 1);
            Value::Text(text(chars, *awkward_per_mille, random))
        }
        Generate::Object(shape) => {
            let members = shape.fields.iter().map(|member| field(member, row, random));
            Value::Object(shape, members.collect())
        }
        Generate::Array { min, max, of } => {
            let length = min + random.below(max - min + 1);
            Value::Array((0..length).map(|_| value(of, row, random)).collect())
        }
    }
}

/// A double of random sign and fraction, its exponent kept where no reader over- or underflows.
fn float(random: &mut SplitMix64) -> f64 {
    let bits = random.next();
    // 2^±332 is about 10^±100.
    let exponent = (1023 - 332) + random.below(2 * 332);
    f64::from_bits((bits & 0x800f_ffff_ffff_ffff) | (exponent << 52))
}

fn email(random: &mut SplitMix64) -> String {
    let mut email = String::with_capacity(32);
    email.push_str(random.pick(&WORDS));
    email.push('.');
    email.push_str(random.pick(&WORDS));
    // Writing to a String cannot fail.
    let _ = write!(email, "{}@example.com", random.below(10_000));
    email
}

fn hex(chars: usize, random: &mut SplitMix64) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(chars);
    let mut bits = 0;
    for nth in 0..chars {
        if nth % 16 == 0 {
            bits = random.next();
        }
        hex.push(char::from(DIGITS[(bits & 15) as usize]));
        bits >>= 4;
    }
    hex
}

/// At least `chars` characters, ending with the word that reaches them.
fn text(chars: u64, awkward_per_mille: u64, random: &mut SplitMix64) -> Cow<'static, str> {
    if awkward_per_mille > 0 && random.below(16) == 0 {
        return Cow::Borrowed(random.pick(&AWKWARD_WHOLE));
    }
    let mut text = String::with_capacity(chars as usize + 16);
    while (text.len() as u64) < chars {
        if awkward_per_mille > 0 && random.below(1000) < awkward_per_mille {
            text.push_str(random.pick(&AWKWARD));
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(random.pick(&WORDS));
    }
    Cow::Owned(text)
}

/// The double nearest to a decimal. Both operands are exact (see `definition::check`), so that the
/// one rounding of the division is that of reading the decimal text.
pub(super) fn decimal_to_double(units: i64, scale: u8) -> f64 {
    units as f64 / 10_f64.powi(i32::from(scale))
}

/// Appends a decimal as text, with no trailing zeros beyond one digit after the point.
pub(super) fn write_decimal(units: i64, scale: u8, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let power = 10_u64.pow(u32::from(scale));
    let magnitude = units.unsigned_abs();
    let sign = if units < 0 { "-" } else { "" };
    let (whole, fraction) = (magnitude / power, magnitude % power);
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "{sign}{whole}.{fraction:0width$}",
        width = usize::from(scale)
    );
    while out.ends_with(b"0") && !out.ends_with(b".0") {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_print_as_they_are_read() {
        for (units, scale, expected) in [
            (1999, 2, "19.99"),
            (1200, 2, "12.0"),
            (-5, 2, "-0.05"),
            (0, 3, "0.0"),
            (10, 1, "1.0"),
        ] {
            let mut out = Vec::new();
            write_decimal(units, scale, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text, expected);
            assert_eq!(
                text.parse::<f64>().unwrap(),
                decimal_to_double(units, scale)
            );
        }
    }
}
