//! Whatever headers an API sends, a source ends: with all rows, or with an error that names it.
//!
//! `fixtures/fuzz/headers` keeps what was once wrong, or might be. Each file is the headers of a first
//! page; inputs are these, and changes of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use apitap_core::config::SourceConfig;
use apitap_core::source::pagination::Pagination;
use apitap_core::source::retry::RetryPolicy;
use apitap_core::source::{RowBudget, SourceSpec, pages};
use apitap_core::{Error, ErrorKind};
use futures::StreamExt as _;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Requests that a source of two pages may need: each page, a confirmation of the end, and requests ahead.
const MOST_REQUESTS: usize = 24;

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/fuzz/headers");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 10);
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// An API whose first page has these header lines, and whose second is the last.
struct Api {
    url: String,
    requests: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Api {
    async fn start(headers: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/items", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        let mut lines = Vec::new();
        for line in headers.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                lines.extend_from_slice(line);
                lines.extend_from_slice(b"\r\n");
            }
        }
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                // A client that goes away is its own business.
                let _ = answer(stream, &lines).await;
            }
        });
        Self {
            url,
            requests,
            task,
        }
    }
}

async fn answer(mut stream: TcpStream, headers: &[u8]) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let page = |number: u32| {
        let part = format!("page={number}");
        head.lines().next().is_some_and(|line| line.contains(&part))
    };
    let (headers, body) = match (page(2), page(3)) {
        (true, _) => (&b""[..], r#"[{"id":2}]"#),
        (_, true) => (&b""[..], "[]"),
        _ => (headers, r#"[{"id":1}]"#),
    };
    let length = format!(
        "content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let whole = [b"HTTP/1.1 200 OK\r\n", headers, length.as_bytes()].concat();
    stream.write_all(&whole).await?;
    stream.shutdown().await
}

/// How many rows come, and how many requests that took.
async fn read(headers: &[u8], pagination: Pagination) -> (Result<usize, Error>, usize) {
    let api = Api::start(headers).await;
    let mut spec = SourceSpec::new("items", api.url.parse().unwrap());
    spec.pagination = pagination;
    spec.retry = RetryPolicy {
        max_attempts: 1,
        ..RetryPolicy::default()
    };
    let stream = pages(
        Arc::new(spec),
        SourceConfig::default(),
        Arc::default(),
        RowBudget::unlimited(),
    );
    let mut stream = Box::pin(stream);
    let mut rows = Ok(0);
    while let Some(page) = stream.next().await {
        rows = match (rows, page) {
            (Ok(rows), Ok(page)) => Ok(rows + page.row_count),
            (_, Err(error)) | (Err(error), _) => Err(error),
        };
    }
    let requests = api.requests.load(SeqCst);
    (rows, requests)
}

fn kinds() -> [Pagination; 2] {
    let numbered = Pagination::PageNumber {
        page_param: "page".to_owned(),
        per_page_param: None,
        start: 1,
    };
    [Pagination::LinkHeader, numbered]
}

fn check(headers: &[u8]) {
    for pagination in kinds() {
        let (rows, requests) = block_on(read(headers, pagination));
        assert!(requests <= MOST_REQUESTS, "{requests} requests");
        if let Err(error) = rows {
            assert_ne!(error.kind(), ErrorKind::Internal, "{}", error.chain());
            assert!(error.chain().contains("source items"), "{}", error.chain());
            assert!(error.next_step().is_some(), "{}", error.chain());
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

#[test]
fn the_kept_headers_end_with_rows_or_an_error() {
    for headers in corpus() {
        check(&headers);
    }
}

/// A few bytes of a kept file replaced, inserted or taken out.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b'"'),
        Just(b'\''),
        Just(b';'),
        Just(b','),
        Just(b'<'),
        Just(b'>'),
        Just(b'='),
        Just(b' '),
        Just(b'\\'),
        Just(b'%'),
        any::<u8>(),
    ];
    let change = (any::<prop::sample::Index>(), 0_usize..3, byte);
    let changes = prop::collection::vec(change, 0..6);
    (prop::sample::select(corpus()), changes).prop_map(|(mut text, changes)| {
        for (place, what, byte) in changes {
            let at = place.index(text.len() + 1);
            match what {
                0 if at < text.len() => text[at] = byte,
                1 if at < text.len() => {
                    text.remove(at);
                }
                _ => text.insert(at, byte),
            }
        }
        text
    })
}

/// A `Link` header as RFC 8288 has it, whose one target with `rel="next"` is page 2.
fn link() -> impl Strategy<Value = String> {
    let token = "[a-z]{1,6}";
    let quoted = r#""([a-z ,;=<>]|\\"){0,8}""#;
    let parameter = (
        token,
        prop_oneof![token.prop_map(String::from), quoted.prop_map(String::from)],
    )
        .prop_filter("rel is ours", |(name, _)| {
            name != "rel" && name != "rev" && name != "anchor"
        })
        .prop_map(|(name, value)| format!("; {name}={value}"));
    let parameters = prop::collection::vec(parameter, 0..3).prop_map(|all| all.concat());
    let rel = prop::sample::select(vec![
        "; rel=next",
        "; rel=\"next\"",
        "; REL=\"Next\"",
        ";rel = \"prev next\"",
        "; rel=\"next last\"",
    ]);
    let other = prop::option::of(Just("</items?page=1>; rel=\"first\""));
    let query = "(&[a-z]=[a-z,;']{0,3}){0,2}";
    (other, query, parameters.clone(), rel, parameters).prop_map(
        |(other, query, before, rel, after)| {
            let next = format!("</items?page=2{query}>{before}{rel}{after}");
            let all: Vec<&str> = other.into_iter().chain([next.as_str()]).collect();
            format!("Link: {}\n", all.join(", "))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn changed_headers_end_with_rows_or_an_error(headers in changed()) {
        check(&headers);
    }

    #[test]
    fn a_next_link_is_followed_or_an_error(header in link()) {
        let (rows, _) = block_on(read(header.as_bytes(), Pagination::LinkHeader));
        if let Ok(rows) = rows {
            prop_assert_eq!(rows, 2, "{}", header);
        }
    }
}
