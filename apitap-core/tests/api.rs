//! What the tests of sources share: specifications, servers, and pages loaded from them.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use apitap_core::config::SourceConfig;
use apitap_core::error::Error;
use apitap_core::metrics::Metrics;
use apitap_core::source::SourceSpec;
use apitap_core::source::pagination::Pagination;
use apitap_core::source::retry::RetryPolicy;
use apitap_core::source::{Page, RowBudget, pages};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

pub(crate) fn spec(url: &str) -> SourceSpec {
    let mut spec = SourceSpec::new("orders", url.parse().unwrap());
    spec.retry = RetryPolicy {
        max_attempts: 3,
        min_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(5),
    };
    spec
}

pub(crate) fn config(concurrency: usize, page_rows: usize) -> SourceConfig {
    SourceConfig {
        concurrency: NonZeroUsize::new(concurrency).unwrap(),
        page_rows: NonZeroUsize::new(page_rows).unwrap(),
        ..SourceConfig::default()
    }
}

pub(crate) async fn load_with(
    spec: SourceSpec,
    config: SourceConfig,
    limit: Option<u64>,
) -> (Result<Vec<Page>, Error>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let budget = RowBudget::unlimited();
    budget.set(limit);
    let stream = pages(Arc::new(spec), config, Arc::clone(&metrics), budget);
    let mut stream = Box::pin(stream);
    let mut loaded = Vec::new();
    while let Some(page) = stream.next().await {
        match page {
            Ok(page) => loaded.push(page),
            Err(error) => return (Err(error), metrics),
        }
    }
    (Ok(loaded), metrics)
}

pub(crate) async fn load(spec: SourceSpec) -> Result<Vec<Page>, Error> {
    load_with(spec, config(4, 10), None).await.0
}

pub(crate) fn ids(pages: &[Page]) -> Vec<u64> {
    let rows = pages.iter().flat_map(|page| {
        serde_json::from_slice::<Vec<serde_json::Value>>(&page.body[page.rows.clone()]).unwrap()
    });
    rows.map(|row| row["id"].as_u64().unwrap()).collect()
}

pub(crate) fn rows(ids: impl Iterator<Item = u64>) -> String {
    let rows: Vec<_> = ids.map(|id| format!("{{\"id\":{id}}}")).collect();
    format!("[{}]", rows.join(","))
}

pub(crate) fn json(body: impl Into<String>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.into(), "application/json")
}

pub(crate) fn parameter(request: &Request, name: &str) -> u64 {
    let found = request.url.query_pairs().find(|(key, _)| key == name);
    found.map_or(0, |(_, value)| value.parse().unwrap())
}

pub(crate) fn limit_offset() -> Pagination {
    Pagination::LimitOffset {
        limit_param: "limit".into(),
        offset_param: "offset".into(),
        start: 0,
    }
}

pub(crate) fn page_number() -> Pagination {
    Pagination::PageNumber {
        page_param: "page".into(),
        per_page_param: Some("per".into()),
        start: 1,
    }
}

/// Serves `total` rows, `cap` a page at most, whatever is asked for.
pub(crate) async fn offsets(total: u64, cap: u64) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(move |request: &Request| {
            let first = parameter(request, "offset");
            let last = total.min(first + cap.min(parameter(request, "limit")));
            json(rows(first..last))
        })
        .mount(&server)
        .await;
    server
}

/// Answers each connection in turn with raw bytes, the last for ever.
pub(crate) async fn raw(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/orders?key=s3cr3t",
        listener.local_addr().unwrap()
    );
    tokio::spawn(async move {
        for index in 0.. {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let answer = &answers[std::cmp::min(index, answers.len() - 1)];
            let _ = socket.write_all(answer).await;
            let _ = socket.shutdown().await;
        }
    });
    url
}

pub(crate) fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    [
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}\r\n\r\n").as_bytes(),
        body,
    ]
    .concat()
}

/// A server that answers each request by `respond`.
pub(crate) async fn serve(
    respond: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static,
) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(respond)
        .mount(&server)
        .await;
    server
}
