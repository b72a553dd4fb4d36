//! What servers send as bodies: encodings, marks, other formats, and more than is good.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use apitap_core::config::InferConfig;
use apitap_core::error::ErrorKind;
use apitap_core::infer::infer;
use apitap_core::secret::Secret;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::net::TcpListener;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::api::{
    config, ids, json, load, load_with, page_number, parameter, raw, rows, serve, spec,
};

const ROWS: &[u8] = b"[{\"id\":1},{\"id\":2}]";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: Vec<u8>) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_raw(body, "application/json")
        .insert_header("Content-Encoding", encoding)
}

async fn load_one(answer: ResponseTemplate) -> Result<Vec<u64>, apitap_core::Error> {
    let server = serve(move |_: &Request| answer.clone()).await;
    let pages = load(spec(&format!("{}/x?key=s3cr3t", server.uri()))).await;
    pages.map(|pages| ids(&pages))
}

#[tokio::test]
async fn encodings_are_offered_and_undone() {
    let server = serve(|request: &Request| {
        let offered = request.headers["accept-encoding"].to_str().unwrap();
        for encoding in ["gzip", "br", "zstd", "deflate"] {
            assert!(offered.contains(encoding), "{offered}");
        }
        encoded("gzip", [gzip(&ROWS[..9]), gzip(&ROWS[9..])].concat())
    })
    .await;
    assert_eq!(ids(&load(spec(&server.uri())).await.unwrap()), [1, 2]);
}

#[tokio::test]
async fn an_unknown_encoding_is_named_and_not_retried() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(encoded("gzip, X-LZMA", ROWS.to_vec()))
        .expect(1)
        .mount(&server)
        .await;
    let error = load(spec(&server.uri())).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("source orders, page 1") && text.contains("content encoding `X-LZMA`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    let marked = [b"\xEF\xBB\xBF", ROWS].concat();
    let plain = ResponseTemplate::new(200).set_body_raw(marked.clone(), "application/json");
    assert_eq!(load_one(plain).await.unwrap(), [1, 2]);
    assert_eq!(
        load_one(encoded("gzip", gzip(&marked))).await.unwrap(),
        [1, 2]
    );
}

#[tokio::test]
async fn a_page_for_people_is_called_that() {
    let html = "<!doctype html><title>Sign in\x1b[2J</title><p>key s3cr3t is not valid";
    let answer = ResponseTemplate::new(200).set_body_raw(html, "text/html; charset=utf-8");
    let server = serve(move |_: &Request| answer.clone()).await;
    let mut spec = spec(&server.uri());
    spec.query.push(("key".into(), Secret("s3cr3t".into())));
    let error = load(spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidJson);
    let text = error.to_string();
    assert!(
        text.contains("source orders, page 1: the answer is HTML, not JSON: \u{201c}Sign in[2J key [hidden] is not valid\u{201d}"),
        "{text}"
    );
    assert!(!format!("{error:?}").contains("s3cr3t") && !text.contains('\x1b'));
}

#[tokio::test]
async fn an_empty_body_is_called_that() {
    let error = load_one(json("")).await.unwrap_err();
    assert!(
        error.to_string().contains("page 1: the body is empty"),
        "{error}"
    );
}

#[tokio::test]
async fn what_would_exhaust_memory_or_stack_is_an_error() {
    let deep = |open: &str, close: &str| {
        format!(
            "[{{\"a\":{}{}}}]",
            open.repeat(10_000),
            close.repeat(10_000)
        )
    };
    let number = format!("[{{\"a\":{}}}]", "1".repeat(50 << 20));
    for (body, what) in [
        (deep("[", "]"), "nested more than 128 deep"),
        (deep("{\"a\":", "}"), "nested more than 128 deep"),
        ("[".repeat(10_000), "nested more than 128 deep"),
        (number, "more digits"),
    ] {
        let server = serve(move |_: &Request| json(body.clone())).await;
        // Rows are checked when they are read.
        let read = load(spec(&server.uri()))
            .await
            .and_then(|pages| infer("orders", &pages, &[], &InferConfig::default()));
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidJson);
        assert!(
            error.to_string().contains("source orders, page 1") && error.to_string().contains(what),
            "{error}"
        );
        assert!(error.next_step().unwrap().contains("fixed"));
    }
}

#[tokio::test]
async fn limits_of_a_page_are_kept_and_named() {
    let count = |count| NonZeroUsize::new(count).unwrap();
    let body = format!("[{{\"id\":1,\"a\":\"{}\"}},{{\"id\":2}}]", "x".repeat(100));
    let server = serve({
        let body = body.clone();
        move |_: &Request| json(body.clone())
    })
    .await;
    let mut spec = spec(&server.uri());
    spec.limits.rows = count(2);
    spec.limits.string_bytes = count(100);
    spec.limits.body_bytes = Some(count(body.len()));
    assert_eq!(ids(&load(spec.clone()).await.unwrap()), [1, 2]);
    for (limit, what) in [
        ("rows", "2 rows, more than 1"),
        ("string_bytes", "more than 99 bytes"),
        ("body_bytes", "bytes"),
    ] {
        let mut spec = spec.clone();
        match limit {
            "rows" => spec.limits.rows = count(1),
            "string_bytes" => spec.limits.string_bytes = count(99),
            _ => spec.limits.body_bytes = Some(count(body.len() - 1)),
        }
        let error = load(spec).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Resources, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(
            error
                .next_step()
                .unwrap()
                .contains(&format!("limits.{limit}"))
        );
    }
}

#[tokio::test]
async fn a_redirect_carries_no_referer() {
    let other = serve(|request: &Request| match request.headers.get("referer") {
        Some(_) => ResponseTemplate::new(400),
        None => json(rows(0..1)),
    })
    .await;
    let target = format!("{}/there", other.uri());
    let server = serve(move |_: &Request| {
        ResponseTemplate::new(302).insert_header("Location", target.as_str())
    })
    .await;
    let mut spec = spec(&format!("{}/x?key=s3cr3t", server.uri()));
    spec.allowed_hosts = vec![other.address().to_string()];
    assert_eq!(ids(&load(spec).await.unwrap()), [0]);
}

#[tokio::test]
async fn pages_ahead_wait_when_one_is_told_to_slow_down() {
    let closed_until = Mutex::new(None);
    let (second, third) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let server = serve(move |request: &Request| {
        let page = parameter(request, "page");
        let mut until = closed_until.lock().unwrap();
        match page {
            2 if second.fetch_add(1, SeqCst) == 0 => {
                *until = Some(Instant::now() + Duration::from_millis(1_500));
                ResponseTemplate::new(429).insert_header("Retry-After", "2.0")
            }
            // Page 2 has been refused when this comes, and it asks for no time of its own.
            3 if third.fetch_add(1, SeqCst) == 0 => {
                ResponseTemplate::new(503).set_delay(Duration::from_millis(700))
            }
            // Whoever asks again before the time is over is refused for good.
            3 if until.is_some_and(|until| Instant::now() < until) => ResponseTemplate::new(403),
            1..=3 => json(rows(page * 10..page * 10 + 10)),
            _ => json("[]"),
        }
    })
    .await;
    let mut spec = spec(&server.uri());
    spec.pagination = page_number();
    let (pages, _) = load_with(spec, config(2, 10), None).await;
    assert_eq!(ids(&pages.unwrap()).len(), 30);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?key=s3cr3t", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = listener.accept().await {
            held.push(connection);
        }
    });
    let mut config = config(1, 10);
    config.read_timeout = Duration::from_millis(100);
    let (pages, _) = load_with(spec(&url), config, None).await;
    let error = pages.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(!format!("{error:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn a_type_that_is_not_ascii_is_still_a_type() {
    let headers = b"Content-Type: application/x-ndjson; title=\"N\xe4he\"\r\nContent-Length: 18";
    let body = b"{\"id\":1}\n{\"id\":2}\n";
    let head = [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n",
        &headers[..],
        b"\r\n\r\n",
    ]
    .concat();
    let url = raw(vec![[&head[..], body].concat()]).await;
    assert_eq!(load(spec(&url)).await.unwrap()[0].row_count, 2);
}

/// The database is never reached; that the API is asked shows that the client could be built.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_over_http_needs_no_certificates() {
    let server = serve(|_: &Request| json(rows(0..1))).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "m.sql",
        "{{ sink('pg') }}SELECT * FROM {{ use_source('s') }}",
    );
    let url = server.uri();
    write(
        "p.yaml",
        &format!(
            "sources: [{{name: s, url: \"{url}\"}}]\ntargets: [{{type: postgres, name: pg, host: 127.0.0.1, port: 1, database: d, auth: {{username: u}}, sslmode: disable}}]\n"
        ),
    );
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_apitap"))
        .args(["-m", ".", "-y", "p.yaml"])
        .current_dir(folder.path())
        .env("SSL_CERT_FILE", folder.path().join("none"))
        .env("SSL_CERT_DIR", folder.path().join("none"))
        .output()
        .await
        .unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1, "{output:?}");
}
