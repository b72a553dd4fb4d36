//! What an answer says: its rows, the next page, the total, and whether there are more.

use std::ops::Range;

use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::http::{Answer, Fetcher};
use super::link::links;
use super::media::{format_of, instead_of_json, media_type};
use super::pagination::{Emptiness, Facts, Next, Pagination};
use super::spec::SourceSpec;
use super::{Page, PageFormat, value};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::json::{self, Envelope, JsonError};

/// Where APIs commonly say whether there are more rows.
const HAS_MORE_PATHS: [&str; 6] = [
    "/has_more",
    "/hasMore",
    "/meta/has_more",
    "/pagination/has_more",
    "/paging/has_more",
    "/response_metadata/has_more",
];

/// Finds rows and facts in an answer.
///
/// # Errors
/// An answer that is not what the source describes, or that says something of the next page or the
/// total that cannot be understood: that must not pass for the end.
pub(super) fn examine(
    spec: &SourceSpec,
    fetcher: &Fetcher,
    index: u64,
    answer: Answer,
) -> Result<(Page, Facts)> {
    let media_type = media_type(&answer.headers);
    let format = format_of(media_type.as_deref());
    let (rows, mut facts) = if answer.status == StatusCode::NO_CONTENT {
        (0..0, empty(Emptiness::NoContent))
    } else if answer.status.is_success() {
        match format {
            PageFormat::Ndjson => lines(spec, &answer.body)?,
            PageFormat::Json => document(spec, &answer.body, media_type.as_deref())?,
        }
    } else {
        // A refusal comes this far only where it lies beyond the end.
        (0..0, empty(Emptiness::Refused(answer.status.as_u16())))
    };
    check_limits(spec, &answer.body, facts.row_count)?;
    facts.rows_hash = xxh3_64(answer.body.get(rows.clone()).unwrap_or_default());
    if facts.total.is_none() {
        facts.total = value::total_header(&answer.headers, &spec.total.header)?;
    }
    read_links(spec, &answer.headers, &answer.url, &mut facts)?;
    let is_url = match spec.pagination {
        Pagination::LinkHeader | Pagination::NextLink { .. } => true,
        Pagination::None
        | Pagination::PageNumber { .. }
        | Pagination::LimitOffset { .. }
        | Pagination::Cursor { .. } => false,
    };
    if is_url && let Next::At(link) = &facts.next {
        facts.next = Next::At(fetcher.resolve(&answer.url, link)?.into());
    }
    let page = Page {
        index,
        rows,
        row_count: facts.row_count,
        body: answer.body,
        format,
    };
    Ok((page, facts))
}

fn empty(emptiness: Emptiness) -> Facts {
    Facts {
        emptiness,
        ..Facts::default()
    }
}

fn invalid(cause: &JsonError) -> Error {
    let hint = cause.hint();
    Error::new(ErrorKind::InvalidJson, Stage::Source, cause.to_string()).hint(hint)
}

/// The rows of NDJSON, which has no place for anything beside them.
fn lines(spec: &SourceSpec, body: &[u8]) -> Result<(Range<usize>, Facts)> {
    if let Some(pointer) = spec.body_pointer() {
        let what = format!("the answer is NDJSON, which has no place for {pointer}");
        return Err(
            Error::new(ErrorKind::Pagination, Stage::Source, what).hint(
                "ask for JSON (a header `Accept: application/json`), or page by number, offset or link_header without total_path and data_path",
            ),
        );
    }
    let facts = Facts {
        row_count: json::scan_lines(body).map_err(|cause| invalid(&cause))?,
        ..Facts::default()
    };
    Ok((0..body.len(), facts))
}

/// The rows of a JSON document, and what stands beside them.
fn document(
    spec: &SourceSpec,
    body: &[u8],
    media_type: Option<&str>,
) -> Result<(Range<usize>, Facts)> {
    let next_paths = spec.pagination.next_paths();
    let wanted: Vec<&str> = next_paths
        .iter()
        .chain(&spec.total.path)
        .map(String::as_str)
        .chain(HAS_MORE_PATHS)
        .collect();
    let found = Envelope::scan(body, &spec.data_path, &wanted);
    let found =
        found.map_err(
            |cause| match instead_of_json(media_type, body, |text| spec.hide(text)) {
                Some(what) => Error::new(ErrorKind::InvalidJson, Stage::Source, what)
                    .caused_by(cause)
                    .hint("check url, headers and auth, and that the API answers in JSON"),
                None => invalid(&cause),
            },
        )?;
    let mut raw = found
        .values
        .iter()
        .map(|span| span.clone().and_then(|span| body.get(span)));
    let next = next_paths.iter().zip(raw.by_ref());
    let next = value::next(next, &spec.pagination)?;
    let total = match &spec.total.path {
        Some(path) => value::total(path, raw.next().flatten())?,
        None => None,
    };
    let facts = Facts {
        row_count: found.row_count,
        emptiness: match found.rows.is_empty() {
            true => Emptiness::Null,
            false => Emptiness::NoRows,
        },
        next,
        total,
        has_more: raw.flatten().find_map(value::has_more),
        ..Facts::default()
    };
    Ok((found.rows, facts))
}

fn check_limits(spec: &SourceSpec, body: &[u8], rows: usize) -> Result<()> {
    let beyond = |what: String, limit: &str| {
        Error::new(ErrorKind::Resources, Stage::Source, what).hint(format!(
            "if that is right, raise limits.{limit} of the source"
        ))
    };
    let limit = spec.limits.rows.get();
    if rows > limit {
        let what = format!("the page has {rows} rows, more than {limit}");
        return Err(beyond(what, "rows"));
    }
    let limit = spec.limits.string_bytes.get();
    // No string is longer than its page, so most pages need no second look.
    if body.len() > limit
        && let Some(offset) = json::longer_string(body, limit)
    {
        let what = format!("a string has more than {limit} bytes, at byte {offset}");
        return Err(beyond(what, "string_bytes"));
    }
    Ok(())
}

/// Takes what `Link` headers say. Links from elsewhere than the page itself do not count.
fn read_links(spec: &SourceSpec, headers: &HeaderMap, page: &Url, facts: &mut Facts) -> Result<()> {
    let fault = |what: String| {
        Error::new(ErrorKind::Pagination, Stage::Source, what)
            .hint("the API's header is at fault: ask its owner, or page in another way")
    };
    let mut next: Option<String> = None;
    for value in headers.get_all(header::LINK) {
        let links = match (links(value.as_bytes()), &spec.pagination) {
            (Ok(links), _) => links,
            // Nothing depends on it.
            (
                Err(_),
                Pagination::None | Pagination::Cursor { .. } | Pagination::NextLink { .. },
            ) => {
                continue;
            }
            (
                Err(why),
                Pagination::PageNumber { .. }
                | Pagination::LimitOffset { .. }
                | Pagination::LinkHeader,
            ) => return Err(fault(why.to_string())),
        };
        let is_of_page = |anchor: &String| page.join(anchor).is_ok_and(|from| from == *page);
        let links = links
            .into_iter()
            .filter(|link| link.anchor.as_ref().is_none_or(is_of_page));
        for link in links {
            if link.has_relation("last") && facts.last_link.is_none() {
                facts.last_link = Some(link.target.clone());
            }
            if link.has_relation("next") {
                let is_other = next.as_ref().is_some_and(|known| *known != link.target);
                if is_other && spec.pagination == Pagination::LinkHeader {
                    let what = "the Link header names two next pages";
                    return Err(fault(what.to_owned()));
                }
                next = Some(link.target);
            }
        }
    }
    facts.has_next_link = next.is_some();
    if spec.pagination == Pagination::LinkHeader
        && let Some(next) = next
    {
        facts.next = Next::At(next);
    }
    Ok(())
}
