//! Strings and numbers under the cursor.

use super::error::TOO_LONG;
use super::text::{RawStr, plain_run_end, unicode_escape};
use super::{JsonError, Result, Scanner};

/// The longest number: what PostgreSQL's `numeric` may have before and behind the point
/// (<https://www.postgresql.org/docs/current/datatype-numeric.html>), with sign, point and exponent.
const MAX_NUMBER_BYTES: usize = 131_072 + 16_383 + 8;

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RawNumber<'a> {
    pub(crate) text: &'a str,
    /// Neither fraction nor exponent.
    pub(crate) integer: bool,
}

impl<'a> Scanner<'a> {
    /// A string; the cursor is on its opening quote.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<RawStr<'a>> {
        let bytes = self.bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at = plain_run_end(bytes, at);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(RawStr {
                        raw: &self.text[start..at],
                        escaped,
                    });
                }
                Some(b'\\') => {
                    escaped = true;
                    at = self.escape(bytes, at)?;
                }
                Some(_) => {
                    return Err(JsonError {
                        offset: at,
                        what: "control character in a string",
                    });
                }
                None => {
                    return Err(JsonError {
                        offset: at,
                        what: "unexpected end in a string",
                    });
                }
            }
        }
    }

    /// What stands between the quotes of a string without escapes. The cursor stays where it is if something else
    /// comes next.
    #[inline]
    pub(crate) fn plain_string(&mut self) -> Option<&'a str> {
        if self.byte() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let end = plain_run_end(self.bytes(), start);
        if self.bytes().get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        Some(&self.text[start..end])
    }

    /// An integer of at most 18 digits, which any `i64` holds. The cursor stays where it is if something else comes
    /// next.
    #[inline]
    pub(crate) fn plain_integer(&mut self) -> Option<i64> {
        const MOST_DIGITS: usize = 18;
        let rest = &self.bytes()[self.at..];
        let negative = rest.first() == Some(&b'-');
        let digits = &rest[usize::from(negative)..];
        let mut value = 0;
        let mut count = 0;
        while let Some(digit) = digits.get(count).map(|byte| byte.wrapping_sub(b'0')) {
            if digit > 9 || count == MOST_DIGITS {
                break;
            }
            value = value * 10 + i64::from(digit);
            count += 1;
        }
        let goes_on = matches!(digits.get(count), Some(b'0'..=b'9' | b'.' | b'e' | b'E'));
        let has_leading_zero = count > 1 && digits[0] == b'0';
        if count == 0 || goes_on || has_leading_zero {
            return None;
        }
        self.at += usize::from(negative) + count;
        Some(if negative { -value } else { value })
    }

    /// A number; the cursor is on its first character.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<RawNumber<'a>> {
        let bytes = self.bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let invalid = |offset| JsonError {
            offset,
            what: "invalid number",
        };
        let first = at;
        at = digits(at);
        if at == first || (at > first + 1 && bytes[first] == b'0') {
            return Err(invalid(first));
        }
        let mut integer = true;
        if bytes.get(at) == Some(&b'.') {
            integer = false;
            let fraction = at + 1;
            at = digits(fraction);
            if at == fraction {
                return Err(invalid(at));
            }
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            integer = false;
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            let exponent = at;
            at = digits(at);
            if at == exponent {
                return Err(invalid(at));
            }
        }
        if at - start > MAX_NUMBER_BYTES {
            return Err(JsonError {
                offset: start,
                what: TOO_LONG,
            });
        }
        self.at = at;
        Ok(RawNumber {
            text: &self.text[start..at],
            integer,
        })
    }

    /// Checks the escape at `at` and returns the offset behind it.
    #[cold]
    pub(super) fn escape(&mut self, bytes: &[u8], at: usize) -> Result<usize> {
        let invalid = JsonError {
            offset: at,
            what: "invalid escape in a string",
        };
        match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                let (character, width) = unicode_escape(bytes, at).ok_or(invalid)?;
                match character {
                    None => self.unstorable.lone_surrogate = true,
                    Some('\0') => self.unstorable.nul = true,
                    Some(_) => {}
                }
                Ok(at + width)
            }
            _ => Err(invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_limited() {
        let number = |digits| Scanner::new(&"1".repeat(digits), 0).number().map(drop);
        assert!(number(MAX_NUMBER_BYTES).is_ok());
        assert_eq!(number(MAX_NUMBER_BYTES + 1).unwrap_err().offset, 0);
    }

    #[test]
    fn plain_values_are_read_or_left_alone() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1,", Some(-1)),
            ("12}", Some(12)),
            ("123456789012345678 ", Some(123_456_789_012_345_678)),
            ("1234567890123456789", None),
            ("01", None),
            ("-", None),
            ("1.5", None),
            ("1e3", None),
            ("\"1\"", None),
            ("null", None),
        ] {
            let mut scanner = Scanner::new(text, 0);
            assert_eq!(scanner.plain_integer(), expected, "{text}");
            assert_eq!(scanner.offset() == 0, expected.is_none(), "{text}");
        }
        for (text, expected) in [
            (r#""","#, Some("")),
            (
                r#""a long string without any escape""#,
                Some("a long string without any escape"),
            ),
            (r#""a\n""#, None),
            ("\"a\n\"", None),
            ("\"a", None),
            ("1", None),
        ] {
            let mut scanner = Scanner::new(text, 0);
            assert_eq!(scanner.plain_string(), expected, "{text}");
            assert_eq!(scanner.offset() == 0, expected.is_none(), "{text}");
        }
    }
}
