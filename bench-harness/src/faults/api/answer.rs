//! What the API answers, as bytes. Pure.

use std::io::Write as _;
use std::net::SocketAddr;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::faults::fault::{ApiFault, Body, Refusal};
use crate::faults::rows::{FAULTY_PAGE, PAGE_ROWS, PAGES, TOO_MUCH, page, page_with};

/// What a bomb swells to.
const BOMB_BYTES: usize = 32 << 20;

/// More than the memory that the load may have; less than a page may have.
const BLANK_BYTES: usize = 250 << 20;

const DEPTH: usize = 10_000;
const DIGITS: usize = 50_000_000;

/// From which page on the total of an API whose count shrinks is smaller.
const SHRUNK_FROM: u64 = 4;

const JSON: &str = "application/json";

/// Bytes, and what becomes of the connection after them.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    KeepAlive,
    Close,
    Reset,
    /// It stays open, and nothing follows.
    Stall,
    /// The bytes come one at a time.
    Drip,
}

/// The answer to a request for a page that was asked for so many times `before`.
pub(super) fn answer(
    fault: Option<ApiFault>,
    number: u64,
    before: usize,
    elsewhere: Option<SocketAddr>,
) -> Answer {
    let well = || ok(JSON, &[], page(number).as_bytes());
    match fault {
        Some(ApiFault::ShrinkingCount) => {
            let rows = PAGES * PAGE_ROWS;
            let total = if number < SHRUNK_FROM { rows } else { rows / 2 };
            let header = format!("x-total-count: {total}");
            ok(JSON, &[&header], page(number).as_bytes())
        }
        Some(ApiFault::EmptyFirstPage) => ok(JSON, &[], b"[]"),
        Some(fault) if number == FAULTY_PAGE => faulty(fault, before, elsewhere, well),
        _ => well(),
    }
}

fn faulty(
    fault: ApiFault,
    before: usize,
    elsewhere: Option<SocketAddr>,
    well: impl Fn() -> Answer,
) -> Answer {
    let target = format!("/items?page={FAULTY_PAGE}&per_page={PAGE_ROWS}");
    match fault {
        ApiFault::Reset => half(true, Then::Reset),
        ApiFault::CutWithLength => half(true, Then::Close),
        ApiFault::CutWithoutLength => half(false, Then::Close),
        ApiFault::Stall => half(true, Then::Stall),
        ApiFault::Silent => Answer {
            bytes: Vec::new(),
            then: Then::Stall,
        },
        ApiFault::Drip => Answer {
            then: Then::Drip,
            ..well()
        },
        ApiFault::BadChunk => {
            let body = b"4\r\n[{\"i\r\nnone\r\nd\":1}]\r\n0\r\n\r\n";
            raw(
                "200 OK",
                &[
                    "content-type: application/json",
                    "transfer-encoding: chunked",
                ],
                body,
                Then::Close,
            )
        }
        ApiFault::Status(refusal) => refused(refusal, before).unwrap_or_else(well),
        ApiFault::RedirectLoop => redirect(&target),
        ApiFault::RedirectElsewhere | ApiFault::RedirectAllowed => match elsewhere {
            Some(address) => redirect(&format!("http://{address}{target}")),
            None => well(),
        },
        ApiFault::Body(body) => with_body(body),
        ApiFault::RepeatedPage => ok(JSON, &[], page(FAULTY_PAGE - 1).as_bytes()),
        ApiFault::NoContent => raw("204 No Content", &[], b"", Then::KeepAlive),
        // These concern no page, or every one.
        ApiFault::Refused | ApiFault::ShrinkingCount | ApiFault::EmptyFirstPage => well(),
    }
}

fn refused(refusal: Refusal, before: usize) -> Option<Answer> {
    if refusal.times.is_some_and(|times| before >= times) {
        return None;
    }
    let retry_after = refusal
        .retry_after
        .map(|seconds| format!("retry-after: {seconds}"));
    let headers: Vec<&str> = ["content-length: 0"]
        .into_iter()
        .chain(retry_after.as_deref())
        .collect();
    Some(raw(refusal.status, &headers, b"", Then::KeepAlive))
}

fn redirect(location: &str) -> Answer {
    let location = format!("location: {location}");
    raw(
        "302 Found",
        &[&location, "content-length: 0"],
        b"",
        Then::KeepAlive,
    )
}

/// Half of the page.
fn half(has_length: bool, then: Then) -> Answer {
    let body = page(FAULTY_PAGE);
    let length = format!("content-length: {}", body.len());
    let mut headers = vec!["content-type: application/json"];
    if has_length {
        headers.push(&length);
    } else {
        headers.push("connection: close");
    }
    raw("200 OK", &headers, &body.as_bytes()[..body.len() / 2], then)
}

fn with_body(body: Body) -> Answer {
    let replaced = |key: &str, value: &str| {
        page_with(FAULTY_PAGE, |nth, row| match nth {
            1 => replace_value(&row, key, value),
            _ => row,
        })
    };
    let json = |text: String| ok(JSON, &[], text.as_bytes());
    match body {
        Body::Bomb => ok(JSON, &["content-encoding: gzip"], &bomb()),
        Body::Html => ok(
            "text/html; charset=utf-8",
            &[],
            b"<!DOCTYPE html><html><body>Please log in</body></html>",
        ),
        Body::Latin1 => {
            let text = replaced("name", r#""M?ller""#);
            let bytes: Vec<u8> = text
                .bytes()
                .map(|byte| if byte == b'?' { 0xfc } else { byte })
                .collect();
            ok("application/json; charset=iso-8859-1", &[], &bytes)
        }
        Body::Nul => json(replaced("name", r#""a\u0000b""#)),
        Body::Null => json("null".to_owned()),
        Body::Deep => json(replaced("extra", &("[".repeat(DEPTH) + &"]".repeat(DEPTH)))),
        Body::HugeNumber => json(replaced("amount", &"9".repeat(DIGITS))),
        Body::DuplicateKey => json(page_with(FAULTY_PAGE, |nth, row| match nth {
            1 => row.replacen('{', r#"{"id":0,"#, 1),
            _ => row,
        })),
        Body::BadRow => json(replaced("amount", r#""much""#)),
        Body::Refused => json(replaced("amount", TOO_MUCH)),
        Body::Blanks => json(" ".repeat(BLANK_BYTES) + &page(FAULTY_PAGE)),
    }
}

/// A row's text with another value for a key; values contain no comma and no brace before their end.
fn replace_value(row: &str, key: &str, value: &str) -> String {
    let name = format!("\"{key}\":");
    let Some((before, after)) = row.split_once(&name) else {
        return row.to_owned();
    };
    // The last value ends with the row.
    let rest = match key {
        "extra" => "}",
        _ => after.find(",\"").map_or("}", |at| &after[at..]),
    };
    format!("{before}{name}{value}{rest}")
}

fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let blanks = vec![b' '; BOMB_BYTES];
    let written = encoder
        .write_all(&blanks)
        .and_then(|()| encoder.write_all(page(FAULTY_PAGE).as_bytes()));
    // Writing into memory cannot fail.
    debug_assert!(written.is_ok());
    encoder.finish().unwrap_or_default()
}

fn ok(content_type: &str, headers: &[&str], body: &[u8]) -> Answer {
    let content_type = format!("content-type: {content_type}");
    let length = format!("content-length: {}", body.len());
    let headers = [&[content_type.as_str(), &length], headers].concat();
    raw("200 OK", &headers, body, Then::KeepAlive)
}

fn raw(status: &str, headers: &[&str], body: &[u8], then: Then) -> Answer {
    let first = format!("HTTP/1.1 {status}");
    let lines = [&[first.as_str()], headers, &["", ""]].concat();
    let mut bytes = lines.join("\r\n").into_bytes();
    bytes.extend_from_slice(body);
    Answer { bytes, then }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(fault: ApiFault, number: u64) -> String {
        let answer = answer(Some(fault), number, 0, None);
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    #[test]
    fn other_pages_are_well() {
        for fault in [
            ApiFault::Reset,
            ApiFault::Body(Body::Null),
            ApiFault::NoContent,
        ] {
            assert_eq!(body(fault, 1), page(1));
        }
    }

    #[test]
    fn bad_pages_are_bad_in_one_value() {
        for (bad, key, value) in [
            (Body::BadRow, "amount", serde_json::json!("much")),
            (Body::Refused, "amount", serde_json::json!(2_000_000.5)),
            (Body::Nul, "name", serde_json::json!("a\0b")),
        ] {
            let text = body(ApiFault::Body(bad), FAULTY_PAGE);
            let mut rows: serde_json::Value = serde_json::from_str(&text).unwrap();
            let good: serde_json::Value = serde_json::from_str(&page(FAULTY_PAGE)).unwrap();
            assert_eq!(rows[0][key], value);
            rows[0][key] = good[0][key].clone();
            assert_eq!(rows, good);
        }
        let deep = body(ApiFault::Body(Body::Deep), FAULTY_PAGE);
        assert_eq!(deep.matches('[').count(), DEPTH + 1);
        assert!(deep.contains("]]},{"));
        let twice = body(ApiFault::Body(Body::DuplicateKey), FAULTY_PAGE);
        assert!(twice.starts_with(r#"[{"id":0,"id":3"#), "{twice}");
    }

    #[test]
    fn a_refusal_ends_after_its_times() {
        let refusal = Refusal {
            status: "429 Too Many Requests",
            retry_after: Some(1),
            times: Some(1),
        };
        let fault = Some(ApiFault::Status(refusal));
        let first = answer(fault, FAULTY_PAGE, 0, None).bytes;
        let first = String::from_utf8(first).unwrap();
        assert!(
            first.starts_with("HTTP/1.1 429 ") && first.contains("retry-after: 1\r\n"),
            "{first}"
        );
        let second = answer(fault, FAULTY_PAGE, 1, None).bytes;
        assert!(second.starts_with(b"HTTP/1.1 200 "));
    }

    #[test]
    fn a_cut_page_announces_more_than_comes() {
        let text = String::from_utf8(half(true, Then::Close).bytes).unwrap();
        let length = format!("content-length: {}\r\n", page(FAULTY_PAGE).len());
        assert!(text.contains(&length) && !text.ends_with(']'));
    }

    #[test]
    fn a_bomb_is_small() {
        assert!(bomb().len() < BOMB_BYTES / 100);
    }
}
