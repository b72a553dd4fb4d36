//! Text of others on a terminal: an API or a server may send characters that move its cursor, change its
//! title, or let a line read as another.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text on one line, for people: `\n` and `\u{1b}` stand for what a terminal would obey.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    replace(text, |character, out| {
        out.extend(character.escape_default())
    })
}

/// The same within JSON, where such characters are only in strings.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    replace(text, |character, out| {
        // All of them are in the first plane, so one escape is enough.
        let _ = write!(out, "\\u{:04x}", u32::from(character));
    })
}

fn replace(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_obeyed(character) {
            true => escape(character, &mut out),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// C0, DEL and C1; ends of line and of paragraph; marks, embeddings, overrides and isolates of the
/// bidirectional algorithm (UAX #9, table 1).
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let sent = "a\u{1b}[2Jb\rc\nd\u{7}\u{7f}\u{9b}31m\u{202e}e\u{2066}\u{2028}";
        let shown = line(sent);
        assert_eq!(
            shown,
            r"a\u{1b}[2Jb\rc\nd\u{7}\u{7f}\u{9b}31m\u{202e}e\u{2066}\u{2028}"
        );
        assert!(!shown.contains(is_obeyed));
    }

    #[test]
    fn json_means_the_same_and_is_printable() {
        let sent = "\u{1b}[2J\u{7f}\u{9b}\u{202e}\n\"ü\"";
        let written = serde_json::to_string(sent).unwrap();
        let shown = json(&written);
        assert!(!shown.contains(is_obeyed), "{shown:?}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), sent);
    }

    #[test]
    fn other_text_is_as_it_was() {
        for text in ["", "naïve 数据 👩‍💻 \"x\"", "a\\u001b"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
            assert!(matches!(json(text), Cow::Borrowed(same) if same == text));
        }
    }
}
