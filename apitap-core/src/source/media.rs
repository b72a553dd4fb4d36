//! What kind of text an answer is, and how much of foreign text a message may show.

use reqwest::header::{self, HeaderMap};

use super::PageFormat;

/// Characters of foreign text in a message.
const SHOWN_CHARS: usize = 60;

/// Bytes at the beginning of a body in which its first words are looked for.
const SEARCHED_BYTES: usize = 4096;

/// The type that an answer says it has, in lower case and without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let essence = value.split(|&byte| byte == b';').next()?.trim_ascii();
    let essence = String::from_utf8_lossy(essence).to_ascii_lowercase();
    Some(essence).filter(|essence| !essence.is_empty())
}

/// How the rows of an answer of that type are written.
pub(super) fn format_of(media_type: Option<&str>) -> PageFormat {
    match media_type {
        Some(
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines"
            | "application/json-lines"
            | "application/stream+json",
        ) => PageFormat::Ndjson,
        _ => PageFormat::Json,
    }
}

/// What a body that is no JSON is instead, if that can be told.
///
/// The first words of a page for people are shown as `hide` leaves them.
pub(super) fn instead_of_json(
    media_type: Option<&str>,
    body: &[u8],
    hide: impl Fn(&str) -> String,
) -> Option<String> {
    let start = body.trim_ascii_start();
    if start.is_empty() {
        return Some("the body is empty".to_owned());
    }
    if start.starts_with(b"\xFF\xFE") || start.starts_with(b"\xFE\xFF") {
        return Some("the body is UTF-16, not UTF-8".to_owned());
    }
    let is_html = matches!(media_type, Some("text/html" | "application/xhtml+xml"));
    if is_html || (start.starts_with(b"<") && !is_xml(media_type, start)) {
        let words = shown(hide(&first_words(start)).as_bytes());
        return Some(format!(
            "the answer is HTML, not JSON: \u{201c}{words}\u{201d}"
        ));
    }
    if start.starts_with(b"<") {
        return Some("the answer is XML, not JSON".to_owned());
    }
    let other = media_type.filter(|known| !known.contains("json"))?;
    Some(format!(
        "the answer is {}, not JSON",
        shown(other.as_bytes())
    ))
}

fn is_xml(media_type: Option<&str>, start: &[u8]) -> bool {
    start.starts_with(b"<?xml") || media_type.is_some_and(|known| known.ends_with("xml"))
}

/// The first words of a page as a browser would show them, its title first.
fn first_words(html: &[u8]) -> String {
    // Half a word would not be known for a secret.
    let cut = html.get(..SEARCHED_BYTES).map(|start| {
        let end = start.iter().rposition(u8::is_ascii_whitespace);
        &start[..end.unwrap_or(0)]
    });
    let text = String::from_utf8_lossy(cut.unwrap_or(html));
    let mut parts = text.split('<');
    let mut words = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        words.push(' ');
        // A part that has no end of its tag is not text yet.
        words.push_str(part.split_once('>').map_or("", |(_, text)| text));
    }
    words
}

/// Foreign text as a message may show it: one short line without anything that a terminal would
/// obey.
pub(super) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let words: Vec<_> = text.split_whitespace().collect();
    let words = words.join(" ");
    let mut chars = words.chars().filter(|&char| is_harmless(char));
    let mut line: String = chars.by_ref().take(SHOWN_CHARS).collect();
    if chars.next().is_some() {
        line.push('\u{2026}');
    }
    line
}

/// Neither a control character nor one that hides text or turns its direction.
fn is_harmless(char: char) -> bool {
    !char.is_control()
        && !matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_bytes() {
        let mut headers = HeaderMap::new();
        assert_eq!(media_type(&headers), None);
        for (value, format) in [
            (
                &b"Application/X-NDJSON; charset=utf-8"[..],
                PageFormat::Ndjson,
            ),
            (
                b"application/x-ndjson; profile=\"N\xe4he\"",
                PageFormat::Ndjson,
            ),
            (b"application/json", PageFormat::Json),
            (b"", PageFormat::Json),
        ] {
            let value = header::HeaderValue::from_bytes(value).unwrap();
            headers.insert(header::CONTENT_TYPE, value);
            assert_eq!(format_of(media_type(&headers).as_deref()), format);
        }
    }

    #[test]
    fn what_is_no_json_is_called_what_it_is() {
        let instead =
            |kind, body: &str| instead_of_json(Some(kind), body.as_bytes(), str::to_owned).unwrap();
        assert_eq!(
            instead(
                "text/html",
                "<!doctype html><html><head><title>Sign\n in</title></head><body class=\"x\">to go on</body>"
            ),
            "the answer is HTML, not JSON: \u{201c}Sign in to go on\u{201d}"
        );
        assert!(instead("application/json", "<html>Bad gateway</html>").contains("Bad gateway"));
        assert!(instead("text/html", "Bad gateway").contains("Bad gateway"));
        assert_eq!(
            instead("application/xml", "<a/>"),
            "the answer is XML, not JSON"
        );
        assert_eq!(
            instead("text/csv", "id\n1"),
            "the answer is text/csv, not JSON"
        );
        assert_eq!(instead("application/json", " \n"), "the body is empty");
        let json = Some("application/json");
        assert_eq!(instead_of_json(json, b"{]", str::to_owned), None);
        assert_eq!(instead_of_json(None, b"{]", str::to_owned), None);
    }

    #[test]
    fn a_secret_is_hidden_before_the_text_is_cut() {
        let html = format!("<p>{} s3cr3t", "x".repeat(SHOWN_CHARS - 4));
        let hide = |text: &str| text.replace("s3cr3t", "[hidden]");
        let what = instead_of_json(None, html.as_bytes(), hide).unwrap();
        assert!(what.contains("x [hi\u{2026}"), "{what}");
        let html = format!("<p>{} s3cr3t", " ".repeat(SEARCHED_BYTES - 7));
        let what = instead_of_json(None, html.as_bytes(), hide).unwrap();
        assert!(!what.contains("s3"), "{what}");
    }

    #[test]
    fn foreign_text_is_short_and_harmless() {
        let text = format!("a\x1b[31m\u{202e}b\u{9b}\0 {}", "x".repeat(100));
        let line = shown(text.as_bytes());
        assert!(
            line.starts_with("a[31mb xxx") && line.ends_with("x\u{2026}"),
            "{line}"
        );
        assert_eq!(line.chars().count(), SHOWN_CHARS + 1);
    }
}
