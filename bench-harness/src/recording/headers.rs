//! The headers that pass between engine and API, and what they say.

use std::time::SystemTime;

use apitap_core::source::retry::retry_after;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers of a connection and not of what is sent over it, and cookies, which are credentials.
const LEFT_OUT: &[&str] = &[
    "alt-svc",
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers that are sent on to the API. Of the encodings that the engine takes only gzip is asked for,
/// which is unpacked to look for links and secrets.
pub(super) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    let takes_gzip = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            value.windows(4).any(|part| part == b"gzip")
        });
    for name in LEFT_OUT {
        passed.remove(*name);
    }
    let encoding = if takes_gzip { "gzip" } else { "identity" };
    passed.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    passed
}

/// The headers of an answer that are kept. A time to wait for that is a date becomes one in seconds: in a
/// replay the date has gone by.
pub(super) fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in LEFT_OUT {
        kept.remove(*name);
    }
    let is_date = |value: &&HeaderValue| !value.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let date = headers.get(header::RETRY_AFTER).filter(is_date);
    if let Some(wait) = date.and_then(|date| retry_after(date.as_bytes(), SystemTime::now()))
        && let Ok(seconds) = HeaderValue::from_str(&format!("{:.3}", wait.as_secs_f64()))
    {
        kept.insert(header::RETRY_AFTER, seconds);
    }
    kept
}

pub(super) fn is_gzipped(headers: &HeaderMap) -> bool {
    text(headers, &header::CONTENT_ENCODING).is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
}

pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

pub(super) fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let all = headers.iter();
    all.map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_to_wait_for_becomes_seconds_and_cookies_go() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
        );
        headers.insert(header::SET_COOKIE, HeaderValue::from_static("a=b"));
        let kept = kept(&headers);
        assert_eq!(kept[header::RETRY_AFTER], "0.000");
        assert_eq!(kept.len(), 1);
    }
}
