//! A small recording for tests.

use apitap_core::source::SourceSpec;
use apitap_core::source::pagination::Pagination;
use url::Url;

use super::file::{Column, Content, Exchange, Header, Recording, SCHEMA_VERSION};
use super::secrets::Secrets;
use super::source::RecordedSource;
use crate::samples::Timestamp;

pub(crate) fn exchange(target: &str, status: u16, body: &str) -> Exchange {
    Exchange {
        origin: 0,
        method: "GET".to_owned(),
        target: target.to_owned(),
        started_ms: 0.0,
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        first_byte_ms: 1.5,
        end_ms: 3.0,
        sent_bytes: body.len() as u64,
        is_gzipped: false,
        is_cut: false,
        is_behind: false,
        body: body.to_owned(),
    }
}

pub(crate) fn source(pagination: Pagination) -> RecordedSource {
    let url = Url::parse("https://api.test/items?status=open").unwrap();
    let mut spec = SourceSpec::new("items", url);
    spec.pagination = pagination;
    let secrets = Secrets::new(std::iter::once(&spec), "", |_| None);
    RecordedSource::new(&spec, 0, &secrets)
}

pub(crate) fn numbered() -> Pagination {
    Pagination::PageNumber {
        page_param: "page".to_owned(),
        per_page_param: Some("per_page".to_owned()),
        start: 1,
    }
}

/// Two pages, the first of which is refused once, and what lies behind them.
pub(crate) fn recording() -> Recording {
    let at = |page: u32| format!("/items?status=open&page={page}&per_page=2");
    let mut refused = exchange(&at(1), 429, "");
    refused
        .headers
        .push(("retry-after".to_owned(), "1".to_owned()));
    let mut behind = exchange(&at(3), 200, "[]");
    behind.is_behind = true;
    let exchanges = vec![
        refused,
        exchange(
            &at(1),
            200,
            "[{\"id\":1,\"name\":\"Ada\"},{\"id\":2,\"name\":\"Bob\"}]",
        ),
        exchange(&at(2), 200, "[{\"id\":3,\"name\":\"Ada\"}]"),
        behind,
    ];
    Recording {
        header: Header {
            schema_version: SCHEMA_VERSION,
            recorded_at: Timestamp::now().to_string().try_into().unwrap(),
            recorded_by: "0.1.0".to_owned(),
            module: "items".to_owned(),
            sql: "SELECT * FROM items".to_owned(),
            table: "items".to_owned(),
            sources: vec![source(numbered())],
            origins: 1,
            preset: "tuned".to_owned(),
            settings: Vec::new(),
            pinned: vec!["source.page_rows=2".to_owned()],
            rows_read: 3,
            wall_seconds: 1.25,
            content: Content {
                rows: 3,
                columns: [("id", "bigint"), ("name", "text")]
                    .map(|(name, kind)| Column {
                        name: name.to_owned(),
                        kind: kind.to_owned(),
                    })
                    .to_vec(),
                changing: Vec::new(),
                checksum: "7".to_owned(),
            },
            replaces: true,
            is_scrubbed: false,
            exchanges: exchanges.len(),
        },
        exchanges,
    }
}
