//! A strict JSON scanner over text already known to be UTF-8.
//!
//! It validates what it reads and hands out slices; it never builds a tree.

mod balanced;
mod envelope;
mod text;

use std::fmt;
use std::ops::Range;

use wide::u8x16;

use self::balanced::balanced_end;
pub use self::envelope::{Envelope, longer_string, scan_lines};
use self::text::unicode_escape;
pub(crate) use self::text::{RawStr, Unstorable, replace_unstorable};

/// How deep arrays and objects may be nested, as in `serde_json`.
const MAX_DEPTH: usize = 128;

/// The longest number: what PostgreSQL's `numeric` may have before and behind the point
/// (<https://www.postgresql.org/docs/current/datatype-numeric.html>), with sign, point and exponent.
const MAX_NUMBER_BYTES: usize = 131_072 + 16_383 + 8;

pub(crate) const NESTED_TOO_DEEPLY: &str = "nested more than 128 deep";
const TOO_LONG: &str = "a number with more digits than PostgreSQL has room for";

/// Where a document stops being JSON, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// Bytes from the start of the document.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl JsonError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self.what {
            NESTED_TOO_DEEPLY | TOO_LONG => {
                "this limit is fixed: leave such rows out, or ask the API for them in another form"
            }
            _ => "check url and data_path, and that the API answers in JSON",
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for JsonError {}

type Result<T> = std::result::Result<T, JsonError>;

/// A cursor over JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    unstorable: Unstorable,
    /// Objects around what is read, which count for how deep it may be nested.
    outer_depth: usize,
}

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RawNumber<'a> {
    pub(crate) text: &'a str,
    /// Neither fraction nor exponent.
    pub(crate) integer: bool,
}

/// A value, arrays and objects as raw text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RawValue<'a> {
    Null,
    Bool(bool),
    Number(RawNumber<'a>),
    String(RawStr<'a>),
    Nested(&'a str),
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, at: usize) -> Self {
        let unstorable = Unstorable::default();
        Self {
            text,
            at,
            unstorable,
            outer_depth: 0,
        }
    }

    /// What was passed over since the last call.
    #[inline]
    pub(crate) fn take_unstorable(&mut self) -> Unstorable {
        std::mem::take(&mut self.unstorable)
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    #[inline]
    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    pub(crate) fn error(&self, what: &'static str) -> JsonError {
        JsonError {
            offset: self.at,
            what,
        }
    }

    /// The next byte that is not white space; it is not consumed.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8> {
        while let Some(byte) = self.byte() {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                _ => return Ok(byte),
            }
        }
        Err(self.error("unexpected end"))
    }

    #[inline]
    pub(crate) fn expect(&mut self, wanted: u8, what: &'static str) -> Result<()> {
        if self.peek()? == wanted {
            self.at += 1;
            Ok(())
        } else {
            Err(self.error(what))
        }
    }

    /// Consumes the bracket that opens a row.
    #[inline]
    pub(crate) fn enter_row(&mut self) -> Result<()> {
        self.expect(b'{', "expected `{`")?;
        self.outer_depth = 1;
        Ok(())
    }

    /// The row is over.
    #[inline]
    pub(crate) fn leave_row(&mut self) {
        self.outer_depth = 0;
    }

    /// Consumes `wanted` if it comes next.
    #[inline]
    pub(crate) fn eat(&mut self, wanted: u8) -> Result<bool> {
        let found = self.peek()? == wanted;
        self.at += usize::from(found);
        Ok(found)
    }

    /// Consumes `wanted`, which begins with no white space, if it comes next.
    #[inline]
    pub(crate) fn eat_text(&mut self, wanted: &str) -> Result<bool> {
        self.peek()?;
        let found = self.bytes()[self.at..].starts_with(wanted.as_bytes());
        if found {
            self.at += wanted.len();
        }
        Ok(found)
    }

    /// Only white space may follow.
    pub(crate) fn end(&mut self) -> Result<()> {
        match self.peek() {
            Ok(_) => Err(self.error("more text after the end of the document")),
            Err(_) => Ok(()),
        }
    }

    /// An object's key and the colon behind it.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<RawStr<'a>> {
        if self.peek()? != b'"' {
            return Err(self.error("expected a key in quotes"));
        }
        let key = self.string()?;
        self.expect(b':', "expected `:`")?;
        Ok(key)
    }

    /// A comma, or the `close` that ends the container: true when more follows.
    #[inline]
    pub(crate) fn more(&mut self, close: u8) -> Result<bool> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b',' {
            Ok(true)
        } else if byte == close {
            Ok(false)
        } else {
            self.at -= 1;
            Err(self.error("expected `,` or the end of an array or object"))
        }
    }

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

    /// Any value.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<RawValue<'a>> {
        match self.peek()? {
            b'"' => Ok(RawValue::String(self.string()?)),
            b'-' | b'0'..=b'9' => Ok(RawValue::Number(self.number()?)),
            b'{' | b'[' => {
                let start = self.at;
                self.skip_nested()?;
                Ok(RawValue::Nested(&self.text[start..self.at]))
            }
            b't' => self.literal("true").map(|()| RawValue::Bool(true)),
            b'f' => self.literal("false").map(|()| RawValue::Bool(false)),
            b'n' => self.literal("null").map(|()| RawValue::Null),
            _ => Err(self.error("expected a value")),
        }
    }

    /// Any value, and its text as it is written.
    #[inline]
    pub(crate) fn value_and_text(&mut self) -> Result<(RawValue<'a>, &'a str)> {
        self.peek()?;
        let start = self.at;
        let value = self.value()?;
        Ok((value, &self.text[start..self.at]))
    }

    /// Passes over any value and says where it stood.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<Range<usize>> {
        self.peek()?;
        let start = self.at;
        self.value()?;
        Ok(start..self.at)
    }

    /// Passes over any value. Of an array or object only the brackets are looked at.
    #[inline]
    pub(crate) fn skip_unchecked(&mut self) -> Result<()> {
        if !matches!(self.peek()?, b'{' | b'[') {
            return self.value().map(drop);
        }
        let end = balanced_end(self.bytes(), self.at);
        self.at = end.ok_or_else(|| self.error("unexpected end"))?;
        Ok(())
    }

    /// Checks the escape at `at` and returns the offset behind it.
    #[cold]
    fn escape(&mut self, bytes: &[u8], at: usize) -> Result<usize> {
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

    fn literal(&mut self, word: &'static str) -> Result<()> {
        if self.bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.error("expected a value"))
        }
    }

    /// An array or object; the cursor is on its bracket. Iterative, so that depth costs
    /// no stack; bit `depth` of `objects` says what the container at that depth is.
    fn skip_nested(&mut self) -> Result<()> {
        let mut objects = 0u128;
        let mut depth = 0usize;
        loop {
            // At a value.
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    if self.outer_depth + depth == MAX_DEPTH {
                        return Err(self.error(NESTED_TOO_DEEPLY));
                    }
                    self.at += 1;
                    let object = open == b'{';
                    objects = (objects & !(1 << depth)) | (u128::from(object) << depth);
                    depth += 1;
                    if !self.eat(if object { b'}' } else { b']' })? {
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                    depth -= 1;
                }
                b'"' => {
                    self.string()?;
                }
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                }
                _ => {
                    self.value()?;
                }
            }
            // Behind a value: leave containers until one goes on.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let object = objects >> (depth - 1) & 1 == 1;
                if self.more(if object { b'}' } else { b']' })? {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                depth -= 1;
            }
        }
    }
}

/// The first byte at or after `at` that a string cannot hold as it is.
#[inline]
fn plain_run_end(bytes: &[u8], mut at: usize) -> usize {
    const LAST_CONTROL: u8 = 0x1F;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let chunk = u8x16::new(*chunk);
        let control = chunk.min(u8x16::splat(LAST_CONTROL)).simd_eq(chunk);
        let quote = chunk.simd_eq(u8x16::splat(b'"'));
        let backslash = chunk.simd_eq(u8x16::splat(b'\\'));
        let found = (control | quote | backslash).to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += size_of::<u8x16>();
    }
    let is_plain = |byte: &&u8| **byte > LAST_CONTROL && !matches!(byte, b'"' | b'\\');
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(is_plain).count()
}

/// Goes to the next line; only blanks may come before it.
pub(crate) fn line_end(scanner: &mut Scanner<'_>) -> Result<()> {
    while let Some(byte) = scanner.byte() {
        match byte {
            b' ' | b'\t' | b'\r' => scanner.at += 1,
            b'\n' => {
                scanner.at += 1;
                return Ok(());
            }
            _ => return Err(scanner.error("two values on one line")),
        }
    }
    Ok(())
}

/// The text of a body.
pub(crate) fn utf8(body: &[u8]) -> Result<&str> {
    std::str::from_utf8(body).map_err(|error| JsonError {
        offset: error.valid_up_to(),
        what: "invalid UTF-8",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skip(text: &str) -> Result<()> {
        let mut scanner = Scanner::new(text, 0);
        scanner.skip()?;
        scanner.end()
    }

    #[test]
    fn depth_is_limited() {
        assert!(skip(&("[".repeat(128) + &"]".repeat(128))).is_ok());
        assert!(skip(&("[".repeat(129) + &"]".repeat(129))).is_err());
    }

    #[test]
    fn numbers_are_limited() {
        assert!(skip(&"1".repeat(MAX_NUMBER_BYTES)).is_ok());
        let error = skip(&format!("[{}]", "1".repeat(MAX_NUMBER_BYTES + 1))).unwrap_err();
        assert_eq!(error.offset, 1);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map(".*", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn accepts_what_serde_json_writes(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert!(skip(&text).is_ok(), "{text}");
            if let serde_json::Value::String(string) = &value {
                let mut scanner = Scanner::new(&text, 0);
                prop_assert_eq!(scanner.string().unwrap().decoded(), string.as_str());
            }
        }

        #[test]
        fn agrees_with_serde_json_on_damage(value in json(), at: prop::sample::Index, with in r#"[ \[\]{},:"\\0-9eE.+tfnu-]"#) {
            let text = serde_json::to_string(&value).unwrap();
            let mut chars: Vec<char> = text.chars().collect();
            let index = at.index(chars.len());
            chars[index] = with.chars().next().unwrap();
            let text: String = chars.into_iter().collect();
            let oracle = serde_json::from_str::<serde_json::Value>(&text);
            prop_assert_eq!(skip(&text).is_ok(), oracle.is_ok(), "{}: {:?}", text, oracle);
        }
    }
}
