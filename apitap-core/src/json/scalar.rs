//! Strings and numbers under the cursor.

use super::error::TOO_LONG;
use super::text::{RawStr, escaped_char, plain_run_end};
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

/// `unscaled · 10^-scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlainNumber {
    pub(crate) unscaled: i64,
    pub(crate) scale: usize,
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

    /// Goes on behind a plain value, whose end one of the functions below has said.
    #[inline]
    pub(crate) fn go_to(&mut self, end: usize) {
        self.at = end;
    }

    /// What stands between the quotes of a string without escapes, and where it ends; none if something else comes
    /// next.
    #[inline]
    pub(crate) fn plain_string(&self) -> Option<(&'a str, usize)> {
        if self.byte() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let end = plain_run_end(self.bytes(), start);
        (self.bytes().get(end) == Some(&b'"')).then(|| (&self.text[start..end], end + 1))
    }

    /// Puts what a string means into `out` and says where it ends; none if something else comes next, or one with
    /// what no text of PostgreSQL can hold.
    pub(crate) fn string_into(&self, out: &mut String) -> Option<usize> {
        if self.byte() != Some(b'"') {
            return None;
        }
        out.clear();
        let bytes = self.bytes();
        let mut run = self.at + 1;
        loop {
            let at = plain_run_end(bytes, run);
            out.push_str(&self.text[run..at]);
            match bytes.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => {
                    let (character, width) = escaped_char(bytes, at)?;
                    out.push(character.filter(|&character| character != '\0')?);
                    run = at + width;
                }
                _ => return None,
            }
        }
    }

    /// A number without exponent and of at most 18 digits, and where it ends; none if something else comes next, or
    /// minus zero.
    #[inline]
    pub(crate) fn plain_number(&self) -> Option<(PlainNumber, usize)> {
        const MOST_DIGITS: usize = 18;
        let bytes = self.bytes();
        let negative = self.byte() == Some(b'-');
        let first = self.at + usize::from(negative);
        let (mut unscaled, mut digits, mut point, mut at) = (0, 0, None, first);
        loop {
            match bytes.get(at) {
                Some(digit @ b'0'..=b'9') if digits < MOST_DIGITS => {
                    unscaled = unscaled * 10 + i64::from(digit - b'0');
                    digits += 1;
                }
                Some(b'.') if point.is_none() => point = Some(at),
                Some(b'0'..=b'9' | b'.' | b'e' | b'E') => return None,
                _ => break,
            }
            at += 1;
        }
        let whole = point.unwrap_or(at) - first;
        let fraction = point.map_or(0, |point| at - point - 1);
        let has_leading_zero = whole > 1 && bytes[first] == b'0';
        let lacks_fraction = point.is_some() && fraction == 0;
        if whole == 0 || has_leading_zero || lacks_fraction || (negative && unscaled == 0) {
            return None;
        }
        let unscaled = if negative { -unscaled } else { unscaled };
        Some((
            PlainNumber {
                unscaled,
                scale: fraction,
            },
            at,
        ))
    }

    /// `true` or `false`, and where it ends; none if something else comes next.
    #[inline]
    pub(crate) fn plain_bool(&self) -> Option<(bool, usize)> {
        let rest = &self.bytes()[self.at..];
        match rest.first()? {
            b't' if rest.starts_with(b"true") => Some((true, self.at + "true".len())),
            b'f' if rest.starts_with(b"false") => Some((false, self.at + "false".len())),
            _ => None,
        }
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
        let (character, width) = escaped_char(bytes, at).ok_or(invalid)?;
        match character {
            None => self.unstorable.lone_surrogate = true,
            Some('\0') => self.unstorable.nul = true,
            Some(_) => {}
        }
        Ok(at + width)
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
    fn plain_numbers_are_read_and_others_left_alone() {
        for (text, expected) in [
            ("0", Some((0, 0))),
            ("-1,", Some((-1, 0))),
            ("12}", Some((12, 0))),
            ("0.50 ", Some((50, 2))),
            ("-10.25", Some((-1025, 2))),
            ("123456789012345678 ", Some((123_456_789_012_345_678, 0))),
            ("12345678.9012345678", Some((123_456_789_012_345_678, 10))),
            ("1234567890123456789", None),
            ("12345678.90123456789", None),
            ("01", None),
            ("00.5", None),
            ("-", None),
            ("-0", None),
            ("-0.0", None),
            (".5", None),
            ("1.", None),
            ("1.5.2", None),
            ("1e3", None),
            ("1.5E3", None),
            ("\"1\"", None),
            ("null", None),
        ] {
            let found = Scanner::new(text, 0).plain_number();
            let number = found.map(|(number, _)| (number.unscaled, number.scale));
            assert_eq!(number, expected, "{text}");
            if let Some((_, end)) = found {
                let mut scanner = Scanner::new(text, 0);
                scanner.number().unwrap();
                assert_eq!(end, scanner.offset(), "{text}");
            }
        }
    }

    #[test]
    fn plain_strings_are_read_and_others_left_alone() {
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
            let found = Scanner::new(text, 0).plain_string();
            assert_eq!(found.map(|(string, _)| string), expected, "{text}");
        }
    }

    #[test]
    fn strings_with_escapes_mean_what_the_careful_way_says() {
        let mut out = String::new();
        for text in [
            r#""""#,
            r#""\\""#,
            r#""tab\t, \"quote\", \/ \\ \b\f\n\r""#,
            r#""caf\u00e9 \ud83d\ude00 \u6771京 é""#,
            r#""a run that is longer than sixteen bytes\n and another one behind it""#,
        ] {
            let end = Scanner::new(text, 0).string_into(&mut out);
            assert_eq!(end, Some(text.len()), "{text}");
            let mut scanner = Scanner::new(text, 0);
            assert_eq!(out, scanner.string().unwrap().decoded(), "{text}");
        }
        for text in [
            r#""\ud83d""#,
            r#""\u0000""#,
            r#""\x""#,
            r#""\u12""#,
            r#""open"#,
            r#""open\"#,
            "\"a\n\"",
            "1",
        ] {
            assert_eq!(Scanner::new(text, 0).string_into(&mut out), None, "{text}");
        }
    }
}
