//! Single values of an answer: the next cursor or link, totals, and whether there are more.

use reqwest::header::{self, HeaderMap};
use serde_json::Value;

use super::pagination::{Next, Pagination};
use crate::error::{Error, ErrorKind, Result, Stage};

/// What a page says of the next one, by the values at the pointers where it may.
///
/// The first that leads on counts. One that cannot be understood is an error rather than the end.
pub(super) fn next<'a>(
    found: impl Iterator<Item = (&'a String, Option<&'a [u8]>)>,
    pagination: &Pagination,
) -> Result<Next> {
    let mut next = Ok(Next::Absent);
    for (pointer, raw) in found {
        let Some(raw) = raw else { continue };
        match read_next(raw, pagination) {
            Ok(Next::At(place)) => return Ok(Next::At(place)),
            Ok(ended) if next == Ok(Next::Absent) => next = Ok(ended),
            Ok(_) => {}
            Err(what) => next = Err((pointer, what)),
        }
    }
    next.map_err(|(pointer, what)| {
        let (name, hint) = match pagination {
            Pagination::Cursor { .. } => (
                "the cursor",
                "point cursor_path at the string or number that the API wants back; for a link use `kind: next_link`",
            ),
            _ => (
                "the next link",
                "point next_path at the URL of the next page; for a cursor use `kind: cursor`",
            ),
        };
        Error::new(
            ErrorKind::Pagination,
            Stage::Source,
            format!("{name} at {pointer} is {what}"),
        )
        .hint(hint)
    })
}

/// One such value, or what it is instead.
fn read_next(raw: &[u8], pagination: &Pagination) -> Result<Next, &'static str> {
    let is_link = matches!(pagination, Pagination::NextLink { .. });
    let value: Value = serde_json::from_slice(raw).map_err(|_| "not JSON")?;
    let value = match value {
        // As in HAL and JSON:API: {"href": "…"}.
        Value::Object(mut link) if is_link => {
            link.remove("href").ok_or("an object without href")?
        }
        value => value,
    };
    match value {
        Value::Null | Value::Bool(false) => Ok(Next::Ended),
        Value::String(text) if text.is_empty() => Ok(Next::Ended),
        Value::String(text) if text.trim().is_empty() => Err("white space only"),
        Value::String(text) => Ok(Next::At(text)),
        Value::Number(_) if is_link => Err("a number, not a URL"),
        // To the digit, as it is written.
        Value::Number(_) => Ok(Next::At(String::from_utf8_lossy(raw).into_owned())),
        Value::Bool(true) => Err("`true`"),
        Value::Array(_) => Err("an array"),
        Value::Object(_) => Err("an object"),
    }
}

/// The total at a pointer; none where nothing or `null` stands there.
pub(super) fn total(pointer: &str, raw: Option<&[u8]>) -> Result<Option<u64>> {
    let Some(raw) = raw else { return Ok(None) };
    let text = match serde_json::from_slice(raw) {
        Ok(Value::Null) => return Ok(None),
        Ok(Value::String(text)) => Some(text),
        Ok(Value::Number(_)) => Some(String::from_utf8_lossy(raw).into_owned()),
        Ok(Value::Bool(_) | Value::Array(_) | Value::Object(_)) | Err(_) => None,
    };
    let total = text.as_deref().and_then(count);
    total.map(Some).ok_or_else(|| {
        Error::new(
            ErrorKind::Pagination,
            Stage::Source,
            format!("the total at {pointer} is not a number of rows"),
        )
        .hint("point total_path at the number of all rows, written in digits, or leave it out")
    })
}

/// The total in a header; none where it is missing or blank. Of `Content-Range` it is the part
/// behind the slash, where `*` means that the server does not know.
pub(super) fn total_header(headers: &HeaderMap, name: &str) -> Result<Option<u64>> {
    let mut total = None;
    for value in headers.get_all(name) {
        let text = std::str::from_utf8(value.as_bytes()).map(str::trim);
        if text == Ok("") {
            continue;
        }
        let read = text.ok().and_then(|text| match is_range(name) {
            true => match text.rsplit_once('/')?.1.trim() {
                "*" => Some(None),
                size => count(size).map(Some),
            },
            false => count(text).map(Some),
        });
        let same = |read: &Option<u64>| total.is_none() || *read == total;
        let Some(read) = read.filter(same) else {
            let what = format!("the header {name} does not hold one number of rows");
            return Err(Error::new(ErrorKind::Pagination, Stage::Source, what).hint(
                "name the header with the number of all rows in total_header; if there is none, any name that the API does not use",
            ));
        };
        total = read;
    }
    Ok(total)
}

fn is_range(name: &str) -> bool {
    name.eq_ignore_ascii_case(header::CONTENT_RANGE.as_str())
}

/// A number of rows, as servers write it: digits, perhaps with a fraction of zero.
fn count(text: &str) -> Option<u64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    whole.parse().ok().filter(|_| is_whole)
}

/// Whether there are more rows, where a value says that in JSON's own words.
pub(super) fn has_more(raw: &[u8]) -> Option<bool> {
    match raw {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn cursor() -> Pagination {
        Pagination::Cursor {
            cursor_param: "c".into(),
            page_size_param: None,
            cursor_paths: vec![],
        }
    }

    fn link() -> Pagination {
        Pagination::NextLink { next_paths: vec![] }
    }

    fn read(pagination: &Pagination, values: &[Option<&str>]) -> Result<Next> {
        let paths: Vec<_> = (0..values.len()).map(|path| format!("/{path}")).collect();
        let values = values.iter().map(|value| value.map(str::as_bytes));
        next(paths.iter().zip(values), pagination)
    }

    #[test]
    fn cursors_are_text_or_numbers_to_the_digit() {
        for (raw, cursor_text) in [
            (r#""a\u0062""#, "ab"),
            (r#"" a""#, " a"),
            ("0", "0"),
            ("-0", "-0"),
            ("1e22", "1e22"),
            ("1.50", "1.50"),
            ("12345678901234567890123", "12345678901234567890123"),
        ] {
            let found = read(&cursor(), &[Some(raw)]).unwrap();
            assert_eq!(found, Next::At(cursor_text.into()), "{raw}");
        }
    }

    #[test]
    fn only_null_false_and_nothing_are_the_end() {
        for raw in ["null", "false", "\"\""] {
            for pagination in [cursor(), link()] {
                assert_eq!(read(&pagination, &[Some(raw)]).unwrap(), Next::Ended);
            }
        }
        assert_eq!(read(&cursor(), &[None]).unwrap(), Next::Absent);
        assert_eq!(
            read(&link(), &[Some("{\"href\":null}")]).unwrap(),
            Next::Ended
        );
    }

    #[test]
    fn what_is_no_cursor_is_an_error_that_names_the_pointer() {
        for (raw, what) in [
            ("true", "`true`"),
            ("[10,\"x\"]", "an array"),
            ("[]", "an array"),
            ("{\"after\":\"x\"}", "an object"),
            ("{}", "an object"),
            ("{\"href\":\"/x\"}", "an object"),
            ("\" \\t\"", "white space only"),
        ] {
            let error = read(&cursor(), &[None, Some(raw)]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("source: the cursor at /1 is {what}")
            );
        }
        for raw in [
            "{}",
            "{\"href\":{}}",
            "{\"href\":true}",
            "[\"/x\"]",
            "7",
            "true",
        ] {
            assert!(read(&link(), &[Some(raw)]).is_err(), "{raw}");
        }
        let href = read(&link(), &[Some("{\"href\":\"/x?page=2\"}")]).unwrap();
        assert_eq!(href, Next::At("/x?page=2".into()));
    }

    #[test]
    fn the_first_place_that_leads_on_counts() {
        let found = read(&link(), &[Some("null"), Some("{}"), None, Some("\"/b\"")]);
        assert_eq!(found.unwrap(), Next::At("/b".into()));
        assert!(read(&link(), &[Some("null"), Some("{}")]).is_err());
        assert_eq!(read(&link(), &[None, Some("null")]).unwrap(), Next::Ended);
    }

    #[test]
    fn totals_are_numbers_of_rows_or_errors() {
        for (raw, count) in [
            ("25", 25),
            ("\"25\"", 25),
            ("25.0", 25),
            ("\" 25 \"", 25),
            ("0", 0),
        ] {
            assert_eq!(total("/t", Some(raw.as_bytes())).unwrap(), Some(count));
        }
        assert_eq!(total("/t", Some(b"null")).unwrap(), None);
        assert_eq!(total("/t", None).unwrap(), None);
        for raw in [
            "\"1,025\"",
            "-1",
            "2.5",
            "25.",
            "1e3",
            "{\"value\":1}",
            "[]",
            "true",
            "\"\"",
        ] {
            let error = total("/t", Some(raw.as_bytes())).unwrap_err();
            assert!(error.to_string().contains("the total at /t"), "{raw}");
        }
    }

    #[test]
    fn totals_in_headers_are_read_or_named() {
        let read = |name: &'static str, values: &[&[u8]]| {
            let values = values.iter().map(|value| {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                (name, HeaderValue::from_bytes(value).unwrap())
            });
            total_header(&values.collect(), name)
        };
        assert_eq!(read("x-total-count", &[]).unwrap(), None);
        assert_eq!(read("x-total-count", &[b""]).unwrap(), None);
        assert_eq!(read("x-total-count", &[b"25", b" 25.0"]).unwrap(), Some(25));
        for values in [
            &[&b"1,025"[..]][..],
            &[b"many"],
            &[b"\xff"],
            &[b"*"],
            &[b"1", b"2"],
        ] {
            let error = read("x-total-count", values).unwrap_err();
            assert!(error.to_string().contains("x-total-count"), "{error}");
        }
        for (value, total) in [
            ("0-24/3573", Some(3573)),
            ("*/25", Some(25)),
            ("0-24/*", None),
            ("items 0-24/25", Some(25)),
        ] {
            assert_eq!(read("content-range", &[value.as_bytes()]).unwrap(), total);
        }
        assert!(read("content-range", &[b"0-24"]).is_err());
    }
}
