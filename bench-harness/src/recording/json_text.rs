//! JSON as text in which some strings and numbers are replaced; all else stays byte for byte.
//!
//! Neither the order of keys nor the digits of numbers survive a parser and a writer.

use anyhow::{Result, bail, ensure};

/// A string or number where a text has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    /// As it is written, with its quotes.
    String(&'a str),
    /// As it is written.
    Number(&'a str),
}

/// Where a value is: the keys and positions that lead to it.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a [Container]);

/// An RFC 6901 pointer, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

#[derive(Debug)]
enum Container {
    /// With the position of the value that is read.
    Array(usize),
    /// With its key; none where a key comes next.
    Object(Option<String>),
}

impl Pointer {
    pub(super) fn new(text: &str) -> Self {
        let parts = text.split('/').skip(1);
        let part = |part: &str| part.replace("~1", "/").replace("~0", "~");
        Self(parts.map(part).collect())
    }

    /// The pointer to `key` of the value.
    pub(super) fn to(&self, key: &str) -> Self {
        Self([&self.0[..], &[key.to_owned()]].concat())
    }
}

impl Place<'_> {
    /// Whether `pointer` leads here.
    pub(super) fn is(&self, pointer: &Pointer) -> bool {
        self.0.len() == pointer.0.len() && self.is_within(pointer)
    }

    /// Whether `pointer` leads here, or to what this is a part of.
    pub(super) fn is_within(&self, pointer: &Pointer) -> bool {
        let mut parts = self.0.iter().zip(&pointer.0);
        self.0.len() >= pointer.0.len()
            && parts.all(|(at, part)| match at {
                Container::Array(position) => part.parse() == Ok(*position),
                Container::Object(key) => key.as_ref() == Some(part),
            })
    }
}

/// The text with what `replace` returns in the place of strings and numbers; those of which it returns none
/// stay. Several values may follow each other, as lines of NDJSON do.
///
/// # Errors
/// Text that is no JSON. Some that is none passes.
pub(super) fn rewrite(
    text: &str,
    mut replace: impl FnMut(&Place<'_>, Scalar<'_>) -> Result<Option<String>>,
) -> Result<String> {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut open: Vec<Container> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let begin = at;
        at += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b':' => continue,
            b'{' => open.push(Container::Object(None)),
            b'[' => open.push(Container::Array(0)),
            b'}' => ensure!(
                matches!(open.pop(), Some(Container::Object(_))),
                "a bracket that closes nothing"
            ),
            b']' => ensure!(
                matches!(open.pop(), Some(Container::Array(_))),
                "a bracket that closes nothing"
            ),
            b',' => match open.last_mut() {
                Some(Container::Array(position)) => *position += 1,
                Some(Container::Object(key)) => *key = None,
                None => bail!("a comma between documents"),
            },
            b'"' => {
                at = string_end(bytes, at)?;
                let written = &text[begin..at];
                if let Some(Container::Object(key @ None)) = open.last_mut() {
                    *key = Some(serde_json::from_str(written)?);
                    continue;
                }
                if let Some(other) = replace(&Place(&open), Scalar::String(written))? {
                    out.push_str(&text[copied..begin]);
                    out.push_str(&other);
                    copied = at;
                }
            }
            b'-' | b'0'..=b'9' => {
                let is_part =
                    |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                at += bytes[at..].iter().take_while(is_part).count();
                let written = &text[begin..at];
                if let Some(other) = replace(&Place(&open), Scalar::Number(written))? {
                    out.push_str(&text[copied..begin]);
                    out.push_str(&other);
                    copied = at;
                }
            }
            b't' | b'f' | b'n' => {
                at += bytes[at..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_lowercase())
                    .count();
            }
            _ => bail!("unexpected text"),
        }
    }
    ensure!(open.is_empty(), "a bracket is not closed");
    out.push_str(&text[copied..]);
    Ok(out)
}

/// Behind the quote that ends the string whose text begins `at` there.
fn string_end(bytes: &[u8], mut at: usize) -> Result<usize> {
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => bail!("a string has no end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_by_place_and_the_rest_stays() {
        let text = "{ \"a/b\": [1.50, {\"c\":\"x\\\"y\"}],\n \"n\" : null, \"c\":\"x\" }\n[7]";
        let mut seen = Vec::new();
        let same = rewrite(text, |_, scalar| {
            seen.push(format!("{scalar:?}"));
            Ok(None)
        });
        assert_eq!(same.unwrap(), text);
        assert_eq!(
            seen,
            [
                "Number(\"1.50\")",
                r#"String("\"x\\\"y\"")"#,
                "String(\"\\\"x\\\"\")",
                "Number(\"7\")"
            ]
        );
        let inner = Pointer::new("/a~1b/1").to("c");
        let outer = Pointer::new("/a~1b");
        let changed = rewrite(text, |place, _| {
            Ok(match (place.is(&inner), place.is_within(&outer)) {
                (true, _) => Some("\"z\"".to_owned()),
                (false, true) => Some("2".to_owned()),
                (false, false) => None,
            })
        });
        let expected = text.replace("1.50", "2").replace(r#""x\"y""#, "\"z\"");
        assert_eq!(changed.unwrap(), expected);
    }

    #[test]
    fn the_whole_document_is_within_the_empty_pointer() {
        let all = Pointer::new("");
        let rows = rewrite("[1]", |place, _| {
            assert!(place.is_within(&all) && !place.is(&all));
            Ok(Some("2".to_owned()))
        });
        assert_eq!(rows.unwrap(), "[2]");
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["<html>", "{\"a\":\"b", "[1", "]", "{]", "1,2"] {
            assert!(rewrite(text, |_, _| Ok(None)).is_err(), "{text}");
        }
    }
}
