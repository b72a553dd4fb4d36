//! The strings of JSON: what they mean, and what of it PostgreSQL cannot hold.

use std::borrow::Cow;

use wide::u8x16;

use super::Scanner;

/// Escapes that JSON allows and that no text of PostgreSQL can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Unstorable {
    /// `\u0000`.
    pub(crate) nul: bool,
    /// Half of a surrogate pair, which is no character.
    pub(crate) lone_surrogate: bool,
}

impl Unstorable {
    #[inline]
    pub(crate) fn any(self) -> bool {
        self.nul | self.lone_surrogate
    }
}

/// A string as it is written between its quotes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RawStr<'a> {
    pub(crate) raw: &'a str,
    pub(crate) escaped: bool,
}

impl<'a> RawStr<'a> {
    /// The string it means.
    pub(crate) fn decoded(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut out = String::with_capacity(self.raw.len());
        self.decode_into(&mut out);
        Cow::Owned(out)
    }

    /// The string it means as a key: with U+FFFD for what no name of PostgreSQL can hold.
    pub(crate) fn name(self) -> Cow<'a, str> {
        if self.unstorable().any() {
            return Cow::Owned(self.decoded().replace('\0', "\u{fffd}"));
        }
        self.decoded()
    }

    /// What it has that no text of PostgreSQL can hold.
    pub(crate) fn unstorable(self) -> Unstorable {
        let mut found = Unstorable::default();
        if self.escaped {
            let mut scanner = Scanner::new(self.raw, 0);
            let bytes = self.raw.as_bytes();
            let mut at = 0;
            while let Some(offset) = memchr::memchr(b'\\', &bytes[at..]) {
                match scanner.escape(bytes, at + offset) {
                    Ok(behind) => at = behind,
                    // The scanner that found the string has refused it.
                    Err(_) => break,
                }
            }
            found = scanner.take_unstorable();
        }
        found
    }

    /// Appends the string it means, with U+FFFD for a lone surrogate. Its escapes have been checked by
    /// the scanner.
    pub(crate) fn decode_into(self, out: &mut String) {
        let bytes = self.raw.as_bytes();
        let mut rest = self.raw;
        while let Some(offset) = rest.find('\\') {
            out.push_str(&rest[..offset]);
            let at = bytes.len() - rest.len() + offset;
            let (character, width) = escaped_char(bytes, at).unwrap_or((None, 2));
            out.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
            rest = &rest[offset + width..];
        }
        out.push_str(rest);
    }
}

/// The first byte at or after `at` that a string cannot hold as it is.
#[inline]
pub(super) fn plain_run_end(bytes: &[u8], mut at: usize) -> usize {
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

/// The character that the backslash at `at` begins, none for half of a surrogate pair, and the bytes it takes. The outer
/// option is none where it is no escape.
#[inline]
pub(super) fn escaped_char(bytes: &[u8], at: usize) -> Option<(Option<char>, usize)> {
    let character = match bytes.get(at + 1)? {
        &same @ (b'"' | b'\\' | b'/') => char::from(same),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(bytes, at),
        _ => return None,
    };
    Some((Some(character), 2))
}

/// The character that `\u` at `at` means, none for a lone surrogate, and the bytes it takes. The outer
/// option is none where it is no such escape.
fn unicode_escape(bytes: &[u8], at: usize) -> Option<(Option<char>, usize)> {
    let code = hex4(bytes, at + 2)?;
    if (0xD800..0xDC00).contains(&code) && bytes.get(at + 6..at + 8) == Some(b"\\u") {
        let low = hex4(bytes, at + 8).filter(|low| (0xDC00..0xE000).contains(low));
        if let Some(low) = low {
            let pair = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
            return Some((char::from_u32(pair), 12));
        }
    }
    Some((char::from_u32(code), 6))
}

/// JSON text with U+FFFD, the replacement character, for each NUL and each lone surrogate in it.
pub(crate) fn replace_unstorable(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut out = String::with_capacity(raw.len());
    let mut kept = 0;
    let mut at = 0;
    // Outside of strings there are no backslashes.
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        let width = match bytes.get(at + 1) {
            Some(b'u') => match unicode_escape(bytes, at) {
                Some((None | Some('\0'), width)) => {
                    out.push_str(&raw[kept..at]);
                    out.push(char::REPLACEMENT_CHARACTER);
                    kept = at + width;
                    width
                }
                Some((Some(_), width)) => width,
                None => 2,
            },
            _ => 2,
        };
        at = (at + width).min(bytes.len());
    }
    out.push_str(&raw[kept..]);
    out
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let mut value = 0;
    for &byte in bytes.get(at..at + 4)? {
        value = value << 4 | char::from(byte).to_digit(16)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::RawValue;

    #[test]
    fn what_no_text_can_hold_is_noticed_decoded_and_replaced() {
        for (raw, nul, lone_surrogate, replaced) in [
            (r#""\ud83d\ude00""#, false, false, r#""\ud83d\ude00""#),
            (r#""\\ud83d \\u0000""#, false, false, r#""\\ud83d \\u0000""#),
            (r#""a\ud83d""#, false, true, "\"a\u{fffd}\""),
            (r#""\uDE00b""#, false, true, "\"\u{fffd}b\""),
            (r#""\ud83d\u0041""#, false, true, "\"\u{fffd}\\u0041\""),
            (
                r#""\ud83d\ud83d\ude00""#,
                false,
                true,
                "\"\u{fffd}\\ud83d\\ude00\"",
            ),
            (
                r#""\ud83dé\u0000\n""#,
                true,
                true,
                "\"\u{fffd}é\u{fffd}\\n\"",
            ),
            (
                r#"{"\u0000":["\udfff",1]}"#,
                true,
                true,
                "{\"\u{fffd}\":[\"\u{fffd}\",1]}",
            ),
        ] {
            let mut scanner = Scanner::new(raw, 0);
            let (value, text) = scanner.value_and_text().unwrap();
            let found = scanner.take_unstorable();
            assert_eq!(
                found,
                Unstorable {
                    nul,
                    lone_surrogate
                },
                "{raw}"
            );
            assert_eq!(replace_unstorable(text), replaced, "{raw}");
            if let RawValue::String(string) = value {
                assert_eq!(string.unstorable(), found, "{raw}");
                let mut scanner = Scanner::new(replaced, 0);
                let expected = scanner.string().unwrap().decoded().into_owned();
                assert_eq!(
                    string.decoded().replace('\0', "\u{fffd}"),
                    expected,
                    "{raw}"
                );
            }
        }
    }
}
