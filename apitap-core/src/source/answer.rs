//! What answers say beside their rows: single values, content types and links.

use reqwest::header::{self, HeaderMap};

use super::PageFormat;

/// The text of a JSON string or number; none for anything else, and for an empty string.
pub(super) fn scalar(raw: &[u8]) -> Option<String> {
    match serde_json::from_slice(raw).ok()? {
        serde_json::Value::String(text) if !text.is_empty() => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number of rows, as servers write it.
pub(super) fn count(text: String) -> Option<u64> {
    text.trim().parse().ok()
}

/// How the rows of an answer are written, by its content type.
pub(super) fn format_of(headers: &HeaderMap) -> PageFormat {
    let content_type = headers.get(header::CONTENT_TYPE);
    let essence = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    match essence.as_deref() {
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

/// The target of the link with relation `rel` in a `Link` header (RFC 8288).
pub(super) fn link(value: &str, rel: &str) -> Option<String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        // Parameters reach to the next link; a quoted one may hold a comma or a semicolon.
        let mut quoted = false;
        let end = after
            .find(|char| {
                quoted ^= char == '"';
                char == ',' && !quoted
            })
            .unwrap_or(after.len());
        let is_wanted = after[..end].split(';').any(|parameter| {
            let Some((name, value)) = parameter.split_once('=') else {
                return false;
            };
            let relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel")
                && relations.into_iter().any(|it| it.eq_ignore_ascii_case(rel))
        });
        if is_wanted {
            return Some(target.trim().to_owned());
        }
        rest = &after[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_by_relation() {
        let value = r#"</x?page=1>; rel=first, </x?a=1,2&page=3>; title="a, b"; rel="last next", <y>; rel="prev""#;
        assert_eq!(link(value, "first").as_deref(), Some("/x?page=1"));
        assert_eq!(link(value, "next").as_deref(), Some("/x?a=1,2&page=3"));
        assert_eq!(link(value, "prev").as_deref(), Some("y"));
        assert_eq!(link(value, "self"), None);
        assert_eq!(link("<broken", "next"), None);
    }

    #[test]
    fn scalars_become_text() {
        assert_eq!(scalar(br#""a\u0062""#).as_deref(), Some("ab"));
        assert_eq!(
            scalar(b"12345678901234567890").as_deref(),
            Some("12345678901234567890")
        );
        for raw in [&b"null"[..], b"\"\"", b"{}", b"false", b"[1]"] {
            assert_eq!(scalar(raw), None);
        }
    }
}
