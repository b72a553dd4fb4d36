//! Pages over real HTTP: retries, limits, credentials and faults of servers.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use apitap_core::error::ErrorKind;
use apitap_core::metrics::Metrics;
use apitap_core::secret::Secret;
use apitap_core::source::pagination::Pagination;
use apitap_core::source::{Auth, PageFormat, RowBudget, pages};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::api::{
    answer, config, ids, json, limit_offset, load, load_with, offsets, page_number, parameter, raw,
    rows, spec,
};

const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x8b\xae\x56\x4a\x54\xb2\x32\xac\xd5\x01\xd3\x46\xb5\xb1\x00\x63\xad\x77\xc7\x11\x00\x00\x00";

#[tokio::test]
async fn a_server_that_caps_its_pages_loses_no_rows() {
    let server = offsets(95, 7).await;
    let mut spec = spec(&server.uri());
    spec.pagination = limit_offset();
    let pages = load(spec).await.unwrap();
    assert_eq!(ids(&pages), (0..95).collect::<Vec<_>>());
    assert!(pages.iter().map(|page| page.index).is_sorted());
}

#[tokio::test]
async fn a_row_limit_fetches_no_page_too_many() {
    let server = offsets(1_000, 10).await;
    let mut spec = spec(&server.uri());
    spec.pagination = limit_offset();
    let (pages, metrics) = load_with(spec, config(8, 10), Some(25)).await;
    assert_eq!(pages.unwrap().len(), 3);
    assert_eq!(metrics.source.requests.load(SeqCst), 3);
}

#[tokio::test]
async fn a_server_that_ignores_the_offset_is_an_error() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(json(rows(0..10)))
        .mount(&server)
        .await;
    let mut spec = spec(&server.uri());
    spec.pagination = limit_offset();
    let error = load(spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pagination);
    assert!(
        error
            .to_string()
            .contains("source orders: page 2 holds the same rows as page 1"),
        "{error}"
    );
}

#[tokio::test]
async fn an_error_on_a_later_page_is_not_the_end() {
    for status in [400, 404, 403] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(move |request: &Request| match parameter(request, "page") {
                1 => json(rows(0..10)),
                _ => ResponseTemplate::new(status),
            })
            .mount(&server)
            .await;
        let mut spec = spec(&format!("{}/x?key=s3cr3t", server.uri()));
        spec.pagination = page_number();
        let error = load(spec).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HttpStatus);
        let text = format!("{error:?}");
        assert!(
            text.contains("source orders, page 2") && text.contains(&status.to_string()),
            "{text}"
        );
        assert!(
            !text.contains("s3cr3t") && error.next_step().is_some(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn requests_run_ahead_but_no_more_than_allowed() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(|request: &Request| {
            let page = parameter(request, "page");
            let ids = if page <= 20 {
                page * 10..page * 10 + 10
            } else {
                0..0
            };
            json(rows(ids)).set_delay(Duration::from_millis(50))
        })
        .mount(&server)
        .await;
    let mut spec = spec(&server.uri());
    spec.pagination = page_number();
    let start = Instant::now();
    let (pages, metrics) = load_with(spec, config(5, 10), None).await;
    assert_eq!(pages.unwrap().len(), 20);
    // 21 needed, one after the other: over 1 s.
    assert!(
        start.elapsed() < Duration::from_millis(800),
        "{:?}",
        start.elapsed()
    );
    assert!(metrics.source.requests.load(SeqCst) <= 25);
}

#[tokio::test]
async fn a_consumer_that_waits_bounds_the_requests() {
    let server = offsets(10_000, 10).await;
    let mut spec = spec(&server.uri());
    spec.pagination = limit_offset();
    let metrics = Arc::new(Metrics::default());
    let mut stream = Box::pin(pages(
        Arc::new(spec),
        config(3, 10),
        Arc::clone(&metrics),
        RowBudget::unlimited(),
    ));
    stream.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        metrics.source.requests.load(SeqCst),
        4,
        "one page handed on, three waiting"
    );
}

#[tokio::test]
async fn retried_statuses_recover_and_retry_after_is_kept() {
    for status in [408, 429, 500, 503] {
        let server = MockServer::start().await;
        let calls = AtomicUsize::new(0);
        Mock::given(method("GET"))
            .respond_with(move |_: &Request| match calls.fetch_add(1, SeqCst) {
                0 => ResponseTemplate::new(status).insert_header("Retry-After", "1"),
                _ => json(rows(0..3)),
            })
            .mount(&server)
            .await;
        let start = Instant::now();
        let (pages, metrics) = load_with(spec(&server.uri()), config(1, 10), None).await;
        assert_eq!(ids(&pages.unwrap()), [0, 1, 2]);
        assert!(start.elapsed() >= Duration::from_secs(1));
        assert_eq!(metrics.source.retries.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn the_last_attempt_says_what_failed() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(502))
        .expect(3)
        .mount(&server)
        .await;
    let error = load(spec(&server.uri())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HttpStatus);
    assert!(
        error
            .to_string()
            .contains("502 Bad Gateway after 3 attempts"),
        "{error}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?key=s3cr3t", listener.local_addr().unwrap());
    drop(listener);
    let error = load(spec(&url)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error.to_string().contains("source orders, page 1")
            && !format!("{error:?}").contains("s3cr3t"),
        "{error:?}"
    );
}

#[tokio::test]
async fn bodies_cut_short_are_fetched_again() {
    let whole = answer(
        "Content-Type: application/json\r\nContent-Length: 10",
        b"[{\"id\":1}]",
    );
    for cut in [
        answer("Content-Length: 100", b"[{\"id\":1}]"),
        answer("Transfer-Encoding: chunked", b"5\r\n[{\"id\r\n"),
        answer(
            &format!(
                "Content-Encoding: gzip\r\nContent-Length: {}",
                GZIP.len() - 12
            ),
            &GZIP[..GZIP.len() - 12],
        ),
    ] {
        let pages = load(spec(&raw(vec![cut.clone(), whole.clone()]).await))
            .await
            .unwrap();
        assert_eq!(ids(&pages), [1]);
        let error = load(spec(&raw(vec![cut]).await)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(!format!("{error:?}").contains("s3cr3t"));
    }
}

#[tokio::test]
async fn a_compressed_body_is_read() {
    let url = raw(vec![answer(
        &format!("Content-Encoding: gzip\r\nContent-Length: {}", GZIP.len()),
        GZIP,
    )])
    .await;
    assert_eq!(load(spec(&url)).await.unwrap()[0].row_count, 2);
}

/// A gzip stream of a space and `repeats` times 258 more, 13 bits each.
fn gzip_bomb(repeats: usize) -> Vec<u8> {
    let (mut bytes, mut filled) = (GZIP[..10].to_vec(), 0);
    let mut push = |bits: &str| {
        for bit in bits.bytes() {
            if filled % 8 == 0 {
                bytes.push(0);
            }
            *bytes.last_mut().unwrap() |= (bit - b'0') << (filled % 8);
            filled += 1;
        }
    };
    // The last block, with the fixed codes; a literal; then a length of 258 at distance 1.
    push("110");
    push("01010000");
    (0..repeats).for_each(|_| push("1100010100000"));
    push("0000000");
    bytes
}

#[tokio::test]
async fn a_body_over_the_limit_is_an_error_and_not_retried() {
    let plain = format!("[{}{{}}]", "{},".repeat(1_000)).into_bytes();
    let bomb = gzip_bomb(40_000);
    assert!(bomb.len() < 1 << 17, "it swells to 10 MB");
    let chunked = [
        format!("{:x}\r\n", plain.len()).as_bytes(),
        &plain,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let length = |body: &[u8]| format!("Content-Length: {}", body.len());
    for (headers, body, limit) in [
        (length(&plain), &plain, plain.len() - 1),
        (
            "Transfer-Encoding: chunked".to_owned(),
            &chunked,
            plain.len() - 1,
        ),
        (
            format!("Content-Encoding: gzip\r\n{}", length(&bomb)),
            &bomb,
            1 << 20,
        ),
    ] {
        let url = raw(vec![answer(&headers, body)]).await;
        let mut config = config(1, 10);
        config.max_body_bytes = NonZeroUsize::new(limit).unwrap();
        let (pages, metrics) = load_with(spec(&url), config, None).await;
        let error = pages.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Resources);
        let text = error.to_string();
        assert!(
            text.contains("source orders, page 1: ") && text.contains(&limit.to_string()),
            "{text}"
        );
        assert!(error.next_step().unwrap().contains("source.max_body_bytes"));
        assert_eq!(metrics.source.requests.load(SeqCst), 1);
        assert_eq!(metrics.source.body_bytes.load(SeqCst), 0);
        assert!(!format!("{error:?}").contains("s3cr3t"));
    }
    let url = raw(vec![answer(&length(&plain), &plain)]).await;
    let mut config = config(1, 10);
    config.max_body_bytes = NonZeroUsize::new(plain.len()).unwrap();
    assert_eq!(
        load_with(spec(&url), config, None).await.0.unwrap()[0].row_count,
        1_001
    );
}

#[tokio::test]
async fn a_source_that_ends_before_its_total_is_an_error_unless_allowed() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(|request: &Request| {
            let first = parameter(request, "offset");
            json(rows(first..30.min(first + 10))).insert_header("X-Total-Count", "100")
        })
        .mount(&server)
        .await;
    let mut spec = spec(&server.uri());
    spec.pagination = limit_offset();
    let error = load(spec.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pagination);
    let text = error.to_string();
    assert!(
        text.contains("source orders: 100 rows were announced, but only 30 came"),
        "{text}"
    );
    assert!(error.next_step().unwrap().contains("allow_shortfall: true"));
    let (pages, _) = load_with(spec.clone(), config(4, 10), Some(25)).await;
    assert_eq!(ids(&pages.unwrap()).len(), 30, "stopped by its budget");
    spec.total.allow_shortfall = true;
    assert_eq!(ids(&load(spec).await.unwrap()), (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refused_page_behind_the_total_confirms_it() {
    for (total, fine) in [("10", true), ("11", false)] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(move |request: &Request| match parameter(request, "page") {
                1 => json(rows(0..10)).insert_header("X-Total-Count", total),
                _ => ResponseTemplate::new(404),
            })
            .expect(2)
            .mount(&server)
            .await;
        let mut spec = spec(&server.uri());
        spec.pagination = page_number();
        let (pages, _) = load_with(spec, config(1, 10), None).await;
        assert_eq!(
            pages.map(|pages| ids(&pages).len()).ok(),
            fine.then_some(10)
        );
    }
}

#[tokio::test]
async fn a_total_that_counts_the_page_loses_no_rows() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(|request: &Request| {
            let first = parameter(request, "offset");
            let last = 95.min(first + 10);
            json(rows(first..last))
                .insert_header("X-Total-Count", (last - first.min(last)).to_string())
        })
        .mount(&server)
        .await;
    let mut spec = spec(&server.uri());
    spec.pagination = limit_offset();
    assert_eq!(ids(&load(spec).await.unwrap()), (0..95).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_body_that_keeps_arriving_is_not_killed_and_a_silent_one_is() {
    for (pause, fine) in [(100, true), (2_000, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let _ = socket.read(&mut [0; 4096]).await;
                    let _ = socket.write_all(&answer("Content-Length: 10", b"")).await;
                    for byte in b"[{\"id\":1}]" {
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                        let _ = socket.write_all(&[*byte]).await;
                    }
                });
            }
        });
        let mut config = config(1, 10);
        config.read_timeout = Duration::from_millis(500);
        let (pages, _) = load_with(spec(&url), config, None).await;
        assert_eq!(pages.is_ok(), fine);
    }
}

#[tokio::test]
async fn credentials_are_sent() {
    let secret = || Secret("s3cr3t".into());
    let key = |in_query| Auth::ApiKey {
        name: "x-key".into(),
        value: secret(),
        in_query,
    };
    let cases = [
        (
            Auth::Basic {
                username: "me".into(),
                password: secret(),
            },
            Mock::given(header("authorization", "Basic bWU6czNjcjN0")),
        ),
        (
            Auth::Bearer { token: secret() },
            Mock::given(header("authorization", "Bearer s3cr3t")),
        ),
        (key(false), Mock::given(header("x-key", "s3cr3t"))),
        (key(true), Mock::given(query_param("x-key", "s3cr3t"))),
    ];
    for (auth, mock) in cases {
        let server = MockServer::start().await;
        mock.respond_with(json("[{\"id\":1}]")).mount(&server).await;
        let mut spec = spec(&server.uri());
        spec.auth = Some(auth);
        assert_eq!(load(spec).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_invalid_header_is_named() {
    let mut spec = spec("http://127.0.0.1:1/");
    spec.headers
        .push(("X-Key".into(), Secret("s3cr3t\n".into())));
    let error = load(spec).await.unwrap_err();
    assert!(
        error.is_config() && error.to_string().contains("X-Key"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn invalid_json_is_reported_with_its_place_and_not_retried() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(|request: &Request| match parameter(request, "page") {
            7 => json("[{\"id\":1},}"),
            page => json(rows(page * 10..page * 10 + 10)),
        })
        .mount(&server)
        .await;
    let mut spec = spec(&server.uri());
    spec.pagination = page_number();
    let (pages, metrics) = load_with(spec, config(4, 10), None).await;
    let error = pages.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidJson);
    assert!(
        error.to_string().contains("source orders, page 7")
            && error.to_string().contains("byte 10"),
        "{error}"
    );
    assert_eq!(metrics.source.retries.load(SeqCst), 0);
}

#[tokio::test]
async fn links_are_followed_but_not_to_another_host() {
    let server = MockServer::start().await;
    Mock::given(path("/a"))
        .respond_with(json(rows(0..1)).insert_header("Link", "</b?x=1>; rel=\"next\""))
        .mount(&server)
        .await;
    Mock::given(path("/b"))
        .respond_with(json(rows(1..2)).insert_header("Link", "<http://other.test/c>; rel=next"))
        .mount(&server)
        .await;
    let mut spec = spec(&format!("{}/a", server.uri()));
    spec.pagination = Pagination::LinkHeader;
    let error = load(spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pagination);
    assert!(
        error.to_string().contains("page 2") && error.to_string().contains("http://other.test"),
        "{error}"
    );
}

#[tokio::test]
async fn cursors_in_the_body_are_followed() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(|request: &Request| match parameter(request, "after") {
            0 => json("{\"data\":[{\"id\":0}],\"meta\":{\"next_cursor\":\"1\"}}"),
            1 => json("{\"data\":[{\"id\":1}],\"meta\":{\"next_cursor\":2}}"),
            _ => json("{\"data\":[{\"id\":2}],\"meta\":{\"next_cursor\":null}}"),
        })
        .mount(&server)
        .await;
    let mut spec = spec(&server.uri());
    spec.data_path = "/data".into();
    spec.pagination = Pagination::Cursor {
        cursor_param: "after".into(),
        page_size_param: None,
        cursor_paths: vec!["/meta/next_cursor".into()],
    };
    assert_eq!(ids(&load(spec).await.unwrap()), [0, 1, 2]);
}

#[tokio::test]
async fn lines_of_json_are_rows() {
    let server = MockServer::start().await;
    let body = "{\"id\":1}\n{\"id\":2}\n";
    Mock::given(method("GET"))
        .respond_with(
            ResponseTemplate::new(200).set_body_raw(body, "application/x-ndjson; charset=utf-8"),
        )
        .mount(&server)
        .await;
    let pages = load(spec(&server.uri())).await.unwrap();
    assert_eq!(
        (pages[0].format, pages[0].row_count),
        (PageFormat::Ndjson, 2)
    );
}

#[tokio::test]
async fn a_redirect_to_another_host_is_refused() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(302).insert_header("Location", "http://other.test/"))
        .expect(1)
        .mount(&server)
        .await;
    let error = load(spec(&server.uri())).await.unwrap_err();
    assert!(error.chain().contains("another host"), "{}", error.chain());
}

/// Waits until `seen` says so, at most 20 seconds.
async fn wait_until(what: &str, mut seen: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if seen().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 20 s: {what}");
}

/// The database is never reached; the requests to the API show which files the command read.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_again_before_each_scheduled_run_and_an_interrupt_is_reported() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(json(rows(0..1)))
        .mount(&server)
        .await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let yaml = |path: &str| {
        format!(
            "sources: [{{name: s, url: \"{}/{path}\"}}]\ntargets: [{{type: postgres, name: pg, host: 127.0.0.1, port: 1, database: d, auth: {{username: u}}}}]\n",
            server.uri()
        )
    };
    let asked = async |path: &str| {
        let requests = server.received_requests().await.unwrap();
        requests
            .iter()
            .filter(|request| request.url.path() == path)
            .count()
    };
    write(
        "m.sql",
        "{{ sink('pg') }}{{ schedule('* * * * * *') }}SELECT * FROM {{ use_source('s') }}",
    );
    write("p.yaml", &yaml("old"));
    let mut apitap = std::process::Command::new(env!("CARGO_BIN_EXE_apitap"))
        .args(["-m", ".", "-y", "p.yaml", "--schedule"])
        .current_dir(folder.path())
        .env_remove("RUST_LOG")
        .stderr(std::fs::File::create(folder.path().join("errors")).unwrap())
        .spawn()
        .unwrap();
    let errors = || std::fs::read_to_string(folder.path().join("errors")).unwrap();
    wait_until("a scheduled run", async || asked("/old").await > 1).await;
    write("p.yaml", &yaml("new"));
    wait_until("the changed file", async || asked("/new").await > 0).await;
    write("p.yaml", "sources: [}");
    wait_until("the wrong file is reported", async || {
        errors().contains("p.yaml")
    })
    .await;
    write("p.yaml", &yaml("mended"));
    wait_until("the mended file", async || asked("/mended").await > 0).await;
    let id = apitap.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(apitap.wait().unwrap().code(), Some(130));
    assert!(
        errors().contains("SIGINT: what is not committed is rolled back"),
        "{}",
        errors()
    );
}
