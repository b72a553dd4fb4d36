//! What a request of a source looks like: its URL and its headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::body::ACCEPTED_ENCODINGS;
use super::pagination::{Pagination, Request};
use super::spec::{Auth, SourceSpec};
use crate::error::{Error, ErrorKind, Result, Stage};

/// The fault of a next link that cannot be followed.
pub(super) fn not_a_url(cause: url::ParseError) -> Error {
    Error::new(
        ErrorKind::Pagination,
        Stage::Source,
        "the next link is not a URL",
    )
    .hint("this is a fault of the API; another kind of pagination may work with it")
    .caused_by(cause)
}

/// The URL of a request.
pub(super) fn url(spec: &SourceSpec, page_rows: usize, request: &Request) -> Result<Url> {
    let mut url = spec.url.clone();
    if let Request::Url(next) = request {
        url = Url::parse(next).map_err(not_a_url)?;
        // A server rarely repeats the key in its links.
        if let Some(Auth::ApiKey {
            name,
            value,
            in_query: true,
        }) = &spec.auth
            && !url.query_pairs().any(|(key, _)| key == name.as_str())
        {
            url.query_pairs_mut().append_pair(name, value.expose());
        }
        return Ok(url);
    }
    let mut parameters: Vec<(&str, String)> = Vec::new();
    match (&spec.pagination, request) {
        (
            Pagination::PageNumber {
                page_param,
                per_page_param,
                ..
            },
            Request::Numbered(page),
        ) => {
            parameters.push((page_param, page.to_string()));
            parameters.extend(
                per_page_param
                    .as_deref()
                    .map(|it| (it, page_rows.to_string())),
            );
        }
        (
            Pagination::LimitOffset {
                limit_param,
                offset_param,
                ..
            },
            Request::Numbered(offset),
        ) => {
            parameters.push((limit_param, page_rows.to_string()));
            parameters.push((offset_param, offset.to_string()));
        }
        (
            Pagination::Cursor {
                cursor_param,
                page_size_param,
                ..
            },
            request,
        ) => {
            parameters.extend(
                page_size_param
                    .as_deref()
                    .map(|it| (it, page_rows.to_string())),
            );
            if let Request::Cursor(cursor) = request {
                parameters.push((cursor_param, cursor.clone()));
            }
        }
        _ => {}
    }
    let key = match &spec.auth {
        Some(Auth::ApiKey {
            name,
            value,
            in_query: true,
        }) => Some((name.as_str(), value.expose())),
        _ => None,
    };
    let fixed = spec
        .query
        .iter()
        .map(|(key, value)| (key.as_str(), value.expose()));
    // What pagination sets takes the place of a parameter of that name in the file.
    let fixed: Vec<_> = fixed
        .filter(|(key, _)| !parameters.iter().any(|(name, _)| name == key))
        .chain(key)
        .collect();
    if !fixed.is_empty() || !parameters.is_empty() {
        let mut pairs = url.query_pairs_mut();
        pairs.extend_pairs(fixed);
        pairs.extend_pairs(&parameters);
    }
    Ok(url)
}

/// The headers of every request.
///
/// # Errors
/// A name or value that HTTP does not allow.
pub(super) fn headers(spec: &SourceSpec) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str, hidden: bool| {
        let invalid = |what: &str| {
            Error::new(
                ErrorKind::Config,
                Stage::Source,
                format!("{what} of header `{name}` is not valid"),
            )
            .at(format_args!("source {}", spec.name))
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("the name"))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid("the value"))?;
        value.set_sensitive(hidden);
        headers.append(key, value);
        Ok(())
    };
    for (name, value) in &spec.headers {
        add(name, value.expose(), true)?;
    }
    match &spec.auth {
        None | Some(Auth::ApiKey { in_query: true, .. }) => {}
        Some(Auth::Basic { username, password }) => {
            let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
            add("authorization", &format!("Basic {pair}"), true)?;
        }
        Some(Auth::Bearer { token }) => {
            add("authorization", &format!("Bearer {}", token.expose()), true)?;
        }
        Some(Auth::ApiKey { name, value, .. }) => add(name, value.expose(), true)?,
    }
    if !headers.contains_key(header::ACCEPT) {
        // Lines have no place for anything beside the rows.
        let accept = match spec.body_pointer() {
            Some(_) => "application/json, */*;q=0.5",
            None => "application/json, application/x-ndjson;q=0.9, */*;q=0.5",
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    }
    if !headers.contains_key(header::ACCEPT_ENCODING) {
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static(ACCEPTED_ENCODINGS),
        );
    }
    Ok(headers)
}
