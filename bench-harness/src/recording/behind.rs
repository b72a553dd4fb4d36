//! What lies behind the last page of a source that numbers its pages.

use apitap_core::source::pagination::Pagination;
use url::form_urlencoded;

use super::file::Exchange;

/// The parameter that numbers pages or rows, and the one that says by how much, where it is not one.
pub(super) fn numbering(pagination: &Pagination) -> Option<(&str, Option<&str>)> {
    match pagination {
        Pagination::PageNumber { page_param, .. } => Some((page_param, None)),
        Pagination::LimitOffset {
            limit_param,
            offset_param,
            ..
        } => Some((offset_param, Some(limit_param))),
        _ => None,
    }
}

pub(super) fn number_of(target: &str, parameter: &str) -> Option<u64> {
    let (_, query) = target.split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == parameter)?.1.parse().ok()
}

pub(super) fn with_parameter(target: &str, parameter: &str, value: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = form_urlencoded::parse(query.as_bytes());
    let pairs = pairs.map(|(name, old)| match name == parameter {
        true => (name, value.to_owned()),
        false => (name, old.into_owned()),
    });
    let mut changed = form_urlencoded::Serializer::new(String::new());
    changed.extend_pairs(pairs);
    format!("{path}?{}", changed.finish())
}

/// Whether an answer is that to a page behind the last.
pub(super) fn has_no_rows(answer: &Exchange, data_path: &str) -> bool {
    if !(200..300).contains(&answer.status) {
        // Of those that are sent again, another attempt may have rows.
        return !matches!(answer.status, 408 | 429 | 500..) && !(300..400).contains(&answer.status);
    }
    let text = answer.body.trim();
    if text.is_empty() {
        return true;
    }
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    match value.as_ref().map(|value| value.pointer(data_path)) {
        Some(Some(serde_json::Value::Array(rows))) => rows.is_empty(),
        Some(Some(serde_json::Value::Object(row))) => row.is_empty(),
        Some(Some(serde_json::Value::Null) | None) => true,
        Some(Some(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::exchange;
    use super::*;

    #[test]
    fn a_page_behind_the_last_has_no_rows_or_is_refused() {
        for (status, body, data_path, expected) in [
            (200, "[]", "", true),
            (200, " ", "", true),
            (204, "", "", true),
            (404, "[1]", "", true),
            (200, "{\"data\":[]}", "/data", true),
            (200, "{\"data\":null}", "/data", true),
            (200, "{}", "/data", true),
            (200, "{\"data\":[1]}", "/data", false),
            (200, "[{}]", "", false),
            (200, "{\"a\":1}\n{\"a\":2}", "", false),
            (429, "", "", false),
            (503, "", "", false),
            (302, "", "", false),
        ] {
            let answer = exchange("/items?page=9", status, body);
            assert_eq!(has_no_rows(&answer, data_path), expected, "{status} {body}");
        }
    }

    #[test]
    fn numbers_in_requests_are_read_and_changed() {
        assert_eq!(number_of("/x?a=1&page=12", "page"), Some(12));
        assert_eq!(number_of("/x", "page"), None);
        assert_eq!(
            with_parameter("/x?a=b+c&page=1", "page", "2"),
            "/x?a=b+c&page=2"
        );
    }
}
