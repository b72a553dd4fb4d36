//! From a request to its page.

use std::fmt::Write as _;
use std::time::Duration;

use wiremock::{Request, Respond, ResponseTemplate};

use super::rows::RenderedRows;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

pub(super) struct PageResponder {
    /// `/orders`.
    pub(super) root: String,
    pub(super) rows: RenderedRows,
    pub(super) page_rows: u64,
    pub(super) max_page_rows: u64,
    pub(super) latency: Duration,
    pub(super) total_count: bool,
}

/// What surrounds the rows of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Envelope {
    Array,
    Link,
    Next,
    Cursor,
    Object,
    All,
    Lines,
}

#[derive(Default)]
struct Parameters {
    page: Option<u64>,
    per_page: Option<u64>,
    limit: Option<u64>,
    offset: Option<u64>,
    /// The row at which the page begins.
    cursor: Option<u64>,
    page_size: Option<u64>,
    by_cursor: bool,
}

/// The rows that a request means, and the queries of its neighbours.
struct Window {
    first: u64,
    count: u64,
    page: u64,
    next: Option<String>,
    last: String,
}

impl Respond for PageResponder {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let response = self.answer(request).unwrap_or_else(|(status, complaint)| {
            let body = format!("{{\"error\":\"{complaint}\"}}");
            ResponseTemplate::new(status).set_body_raw(body, JSON)
        });
        if self.latency.is_zero() {
            response
        } else {
            response.set_delay(self.latency)
        }
    }
}

impl PageResponder {
    fn answer(&self, request: &Request) -> Result<ResponseTemplate, (u16, &'static str)> {
        let path = request.url.path();
        let rest = path
            .strip_prefix(self.root.as_str())
            .ok_or((404, "no such workload"))?;
        let parameters = Parameters::new(request)?;
        let envelope = match rest {
            "" | "/" if parameters.by_cursor => Envelope::Cursor,
            "" | "/" => Envelope::Array,
            "/link" => Envelope::Link,
            "/next" => Envelope::Next,
            "/cursor" => Envelope::Cursor,
            "/object" => Envelope::Object,
            "/all" => Envelope::All,
            ".ndjson" => Envelope::Lines,
            _ => return Err((404, "no such endpoint")),
        };
        let whole = envelope == Envelope::All
            || (envelope == Envelope::Lines && request.url.query().is_none());
        let window = if whole {
            Window {
                first: 0,
                count: self.rows.len(),
                page: 1,
                next: None,
                last: String::new(),
            }
        } else {
            self.window(&parameters)
        };

        let mut response = ResponseTemplate::new(200);
        if self.total_count {
            response = response.insert_header("x-total-count", self.rows.len());
        }
        let url = |query: &str| {
            // As the client spelled it, so that a proxy in between stays in between.
            let host = request
                .headers
                .get("host")
                .and_then(|host| host.to_str().ok());
            format!("http://{}{path}?{query}", host.unwrap_or_default())
        };
        if envelope == Envelope::Link {
            let mut link = format!("<{}>; rel=\"last\"", url(&window.last));
            if let Some(next) = &window.next {
                link = format!("<{}>; rel=\"next\", {link}", url(next));
            }
            response = response.insert_header("link", link);
        }
        let next_url = window.next.as_deref().map(url);
        let body = self.body(envelope, &window, next_url.as_deref());
        let mime = if envelope == Envelope::Lines {
            NDJSON
        } else {
            JSON
        };
        Ok(response.set_body_raw(body, mime))
    }

    fn window(&self, parameters: &Parameters) -> Window {
        let size = |asked: Option<u64>| asked.unwrap_or(self.page_rows).min(self.max_page_rows);
        let total = self.rows.len();
        if parameters.limit.is_some() || parameters.offset.is_some() {
            let (first, count) = (parameters.offset.unwrap_or(0), size(parameters.limit));
            let end = first.saturating_add(count);
            let next = (end < total).then(|| format!("limit={count}&offset={end}"));
            let last = total.saturating_sub(1) / count.max(1) * count;
            let page = first / count.max(1) + 1;
            return Window {
                first,
                count,
                page,
                next,
                last: format!("limit={count}&offset={last}"),
            };
        }
        if parameters.by_cursor {
            let (first, count) = (parameters.cursor.unwrap_or(0), size(parameters.page_size));
            let end = first.saturating_add(count);
            let next = (end < total).then(|| format!("cursor=r{end}&page_size={count}"));
            let page = first / count.max(1) + 1;
            return Window {
                first,
                count,
                page,
                next,
                last: String::new(),
            };
        }
        let (page, count) = (parameters.page.unwrap_or(1), size(parameters.per_page));
        let first = (page - 1).saturating_mul(count);
        let last = total.div_ceil(count.max(1)).max(1);
        let query = |page: u64| match parameters.per_page {
            Some(per_page) => format!("page={page}&per_page={per_page}"),
            None => format!("page={page}"),
        };
        let next = (page < last).then(|| query(page + 1));
        Window {
            first,
            count,
            page,
            next,
            last: query(last),
        }
    }

    fn body(&self, envelope: Envelope, window: &Window, next_url: Option<&str>) -> Vec<u8> {
        let (first, count) = (window.first, window.count);
        let total = self.rows.len();
        let rows = self.rows.joined(first, count);
        let (mut head, mut tail) = (String::new(), String::new());
        // Writing to a String cannot fail.
        let _ = match envelope {
            Envelope::Lines => {
                // The commas between rows are no use here: row by row.
                let mut lines = Vec::with_capacity(rows.len() + 1);
                for row in self.rows.each(first, count) {
                    lines.extend_from_slice(row);
                    lines.push(b'\n');
                }
                return lines;
            }
            Envelope::Array | Envelope::Link | Envelope::All => {
                head.push('[');
                write!(tail, "]")
            }
            Envelope::Next => {
                head.push_str("{\"data\":[");
                match next_url {
                    Some(url) => write!(tail, "],\"next\":\"{url}\",\"total\":{total}}}"),
                    None => write!(tail, "],\"next\":null,\"total\":{total}}}"),
                }
            }
            Envelope::Cursor => {
                head.push_str("{\"data\":[");
                match first.saturating_add(count) {
                    end if end < total => write!(tail, "],\"next_cursor\":\"r{end}\"}}"),
                    _ => write!(tail, "],\"next_cursor\":null}}"),
                }
            }
            Envelope::Object => {
                tail.push_str("]}}");
                let page = window.page;
                write!(
                    head,
                    "{{\"meta\":{{\"page\":{page},\"total\":{total}}},\"result\":{{\"items\":["
                )
            }
        };
        [head.as_bytes(), rows, tail.as_bytes()].concat()
    }
}

impl Parameters {
    fn new(request: &Request) -> Result<Self, (u16, &'static str)> {
        const BAD: (u16, &str) = (400, "a pagination parameter is no valid number");
        let mut parameters = Self::default();
        for (name, value) in request.url.query_pairs() {
            let slot = match name.as_ref() {
                "page" => &mut parameters.page,
                "per_page" => &mut parameters.per_page,
                "limit" => &mut parameters.limit,
                "offset" => &mut parameters.offset,
                "page_size" => {
                    parameters.by_cursor = true;
                    &mut parameters.page_size
                }
                "cursor" => {
                    parameters.by_cursor = true;
                    // A client without a cursor yet may send an empty one.
                    if !value.is_empty() {
                        let row = value.strip_prefix('r').and_then(|row| row.parse().ok());
                        parameters.cursor = Some(row.ok_or(BAD)?);
                    }
                    continue;
                }
                _ => continue,
            };
            *slot = Some(value.parse().map_err(|_| BAD)?);
        }
        let sizes = [
            parameters.page,
            parameters.per_page,
            parameters.limit,
            parameters.page_size,
        ];
        if sizes.contains(&Some(0)) {
            return Err((400, "pages and their sizes count from 1"));
        }
        Ok(parameters)
    }
}
