//! A strict JSON scanner over text already known to be UTF-8.
//!
//! It validates what it reads and hands out slices; it never builds a tree.

mod balanced;
mod envelope;
mod error;
mod scalar;
mod text;

use std::ops::Range;

use self::balanced::balanced_end;
pub use self::envelope::{Envelope, longer_string, scan_lines};
pub use self::error::JsonError;
pub(crate) use self::error::NESTED_TOO_DEEPLY;
pub(crate) use self::scalar::{PlainNumber, RawNumber};
pub(crate) use self::text::{RawStr, Unstorable, replace_unstorable};

/// How deep arrays and objects may be nested, as in `serde_json`.
const MAX_DEPTH: usize = 128;

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
    // The fast check does not say where it fails.
    let checked = simdutf8::basic::from_utf8(body).or_else(|_| std::str::from_utf8(body));
    checked.map_err(|error| JsonError {
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
