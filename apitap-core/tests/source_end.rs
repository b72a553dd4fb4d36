//! The end of a source: it comes for a reason that can be named, and never by accident.

use std::io;
use std::sync::{Arc, Mutex};

use apitap_core::error::{Error, ErrorKind};
use apitap_core::source::SourceSpec;
use apitap_core::source::pagination::Pagination;
use wiremock::http::HeaderValue;
use wiremock::{MockServer, Request, ResponseTemplate};

use crate::api::{
    config, ids, json, limit_offset, load, load_with, page_number, parameter, rows, serve, spec,
};

/// What was logged while a test ran.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn paged_by(server: &MockServer, pagination: Pagination) -> SourceSpec {
    let mut spec = spec(&format!("{}/orders", server.uri()));
    spec.pagination = pagination;
    spec
}

fn cursor(path: &str) -> Pagination {
    Pagination::Cursor {
        cursor_param: "cursor".into(),
        page_size_param: None,
        cursor_paths: vec![path.into()],
    }
}

/// The rows of page `page` of `total` rows, ten a page.
fn page_of(page: u64, total: u64) -> String {
    rows((page * 10 - 10).min(total)..(page * 10).min(total))
}

fn items(page: u64, total: u64, beside: &str) -> ResponseTemplate {
    json(format!("{{\"items\":{}{beside}}}", page_of(page, total)))
}

async fn load_items(server: &MockServer, pagination: Pagination) -> Result<Vec<u64>, Error> {
    let mut spec = paged_by(server, pagination);
    spec.data_path = "/items".into();
    load(spec).await.map(|pages| ids(&pages))
}

/// Pages by cursor: the first names `next`, the second is the last.
async fn chained(next: &'static str) -> MockServer {
    serve(move |request: &Request| match request.url.query() {
        None => items(1, 20, &format!(",\"next\":{next}")),
        Some(_) => items(2, 20, ",\"next\":null"),
    })
    .await
}

/// Three pages by `Link`, whose value for the page `next` is made by `link`.
async fn linked(link: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> MockServer {
    serve(move |request: &Request| {
        let page = parameter(request, "page").max(1);
        let answer = json(page_of(page, 30));
        match page {
            3 => answer,
            _ => answer.append_header("Link", HeaderValue::from_bytes(&link(page + 1)).unwrap()),
        }
    })
    .await
}

#[tokio::test]
async fn links_are_followed_however_they_are_written() {
    let all = (0..30).collect::<Vec<_>>();
    for form in [
        "<?page=%>; rel=next",
        "<?page=%>; rel='next'",
        "<?page=1>; rel=\"prev\"; title=\"see; rel=next, <?page=9>\", <?page=%>;rel=\"prefetch Next\"",
        "</orders?f=a,b;c&page=%>; title=\"N\u{e4}chste\"; rel=\"next\"",
        "<?page=%&ort=K\u{f6}ln>; rel=\"next\"",
        "<?page=1>; rel=\"next\"; anchor=\"#other\", <?page=%>; rel=\"next\"",
        "<?page=%>; rel=\"next\", <?page=%>; rel=\"next\"",
        "<?page=%>; rel=\"next\"; anchor=\"\"",
    ] {
        let server = linked(move |page| form.replace('%', &page.to_string()).into_bytes()).await;
        let pages = load(paged_by(&server, Pagination::LinkHeader)).await;
        assert_eq!(ids(&pages.unwrap()), all, "{form}");
    }
    let server =
        linked(|page| [format!("<?page={page}&q=").as_bytes(), b"\xf6>; rel=next"].concat());
    let pages = load(paged_by(&server.await, Pagination::LinkHeader)).await;
    assert_eq!(ids(&pages.unwrap()), all);
}

#[tokio::test]
async fn a_link_that_cannot_be_read_is_an_error() {
    for form in [
        "<?page=%; rel=next",
        "?page=%; rel=next",
        "<?page=%>; rel='next",
        "<?page=%>; title=\"x; rel=next",
    ] {
        let server = linked(move |page| form.replace('%', &page.to_string()).into_bytes()).await;
        // Of numbered pages it may name the last.
        for pagination in [Pagination::LinkHeader, page_number()] {
            let error = load(paged_by(&server, pagination)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Pagination);
            let text = error.to_string();
            assert!(
                text.contains("source orders, page 1: the Link header"),
                "{text}"
            );
        }
    }
    let server =
        linked(|page| format!("<?page={page}>; rel=next, <?page=9>; rel=next").into()).await;
    let error = load(paged_by(&server, Pagination::LinkHeader))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("two next pages"), "{error}");
}

#[tokio::test]
async fn a_cursor_that_is_none_is_an_error_and_not_the_end() {
    for (next, what) in [
        ("[10,\"x\"]", "an array"),
        ("{\"after\":\"x\"}", "an object"),
        ("true", "`true`"),
        ("\"  \"", "white space only"),
    ] {
        let server = chained(next).await;
        let error = load_items(&server, cursor("/next")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Pagination);
        let text = error.to_string();
        let wanted = format!("source orders, page 1: the cursor at /next is {what}");
        assert!(text.contains(&wanted), "{text}");
    }
}

#[tokio::test]
async fn cursors_and_links_are_followed_as_they_are_written() {
    for next in ["0", "9007199254740993", "1e22", "\"a+b/c==&x=1 %41\u{fc}\""] {
        let server = chained(next).await;
        let found = load_items(&server, cursor("/next")).await.unwrap();
        assert_eq!(found.len(), 20, "{next}");
        let requests = server.received_requests().await.unwrap();
        let sent = requests[1].url.query_pairs().next().unwrap().1.into_owned();
        assert_eq!(sent, next.trim_matches('"'));
    }
    let server = chained("{\"href\":\"/orders?page=2\"}").await;
    let next_link = Pagination::NextLink {
        next_paths: vec!["/next".into()],
    };
    assert_eq!(load_items(&server, next_link).await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_cursor_path_that_page_1_does_not_have_is_an_error() {
    // Nothing else says that the first page is the last.
    let server = serve(|_: &Request| items(1, 10, ",\"paging\":{\"cursor\":\"c2\"}")).await;
    let error = load_items(&server, cursor("/next")).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("source orders, page 1: nothing at cursor_path /next"),
        "{text}"
    );
    let mut lenient = paged_by(&server, cursor("/next"));
    lenient.data_path = "/items".into();
    lenient.total.allow_shortfall = true;
    assert_eq!(ids(&load(lenient).await.unwrap()).len(), 10);
    // Something else does.
    for beside in [
        ",\"next\":null",
        ",\"next\":false",
        ",\"next\":\"\"",
        ",\"has_more\":false",
    ] {
        let server = serve(move |_: &Request| items(1, 10, beside)).await;
        let found = load_items(&server, cursor("/next")).await;
        assert_eq!(found.unwrap().len(), 10, "{beside}");
    }
    let server = serve(|_: &Request| json("{\"items\":[]}")).await;
    assert!(
        load_items(&server, cursor("/next"))
            .await
            .unwrap()
            .is_empty()
    );
    let server = serve(|_: &Request| items(1, 10, "").insert_header("X-Total-Count", "10")).await;
    assert_eq!(
        load_items(&server, cursor("/next")).await.unwrap().len(),
        10
    );
}

#[tokio::test]
async fn a_page_that_says_there_are_more_is_not_the_last() {
    let server = serve(|_: &Request| items(1, 10, ",\"has_more\":true,\"next\":null")).await;
    for pagination in [cursor("/next"), Pagination::LinkHeader] {
        let error = load_items(&server, pagination).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("page 1 says that there are more rows"),
            "{text}"
        );
    }
    let server = serve(|request: &Request| match parameter(request, "page") {
        2 => json("{\"items\":[],\"has_more\":true}"),
        page => items(page, 30, ",\"has_more\":true"),
    })
    .await;
    let error = load_items(&server, page_number()).await.unwrap_err();
    assert!(error.to_string().contains("page 2 is empty"), "{error}");
}

#[tokio::test]
async fn an_empty_page_that_names_itself_is_the_end() {
    let (log, _guard) = Log::start();
    let server = serve(|request: &Request| match request.url.query() {
        None => items(1, 20, ",\"next\":\"a\""),
        Some("cursor=a") => items(2, 20, ",\"next\":\"b\""),
        _ => json("{\"items\":[],\"next\":\"b\"}"),
    })
    .await;
    assert_eq!(
        load_items(&server, cursor("/next")).await.unwrap().len(),
        20
    );
    let reason = "source orders: end of data: page 3 is empty and names itself as the next";
    assert!(log.text().contains(reason), "{}", log.text());
}

#[tokio::test]
async fn lines_have_no_place_for_a_cursor() {
    let server = serve(|_: &Request| {
        ResponseTemplate::new(200).set_body_raw("{\"id\":1}\n{\"id\":2}\n", "application/x-ndjson")
    })
    .await;
    let error = load(paged_by(&server, cursor("/next"))).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("source orders, page 1: the answer is NDJSON")
            && text.contains("cursor_path"),
        "{text}"
    );
    let mut counted = paged_by(&server, page_number());
    counted.total.path = Some("/total".into());
    assert!(
        load(counted)
            .await
            .unwrap_err()
            .to_string()
            .contains("total_path")
    );
    let requests = server.received_requests().await.unwrap();
    assert!(
        !requests[0].headers["accept"]
            .to_str()
            .unwrap()
            .contains("ndjson")
    );
}

#[tokio::test]
async fn a_total_that_counts_page_1_ends_nothing() {
    // The server caps the size that is asked for, and counts each page's own rows.
    let in_header = serve(|request: &Request| {
        let body = page_of(parameter(request, "page"), 25);
        let count = body.matches("id").count().to_string();
        json(body).insert_header("X-Total-Count", count.as_str())
    })
    .await;
    let (found, _) = load_with(paged_by(&in_header, page_number()), config(4, 1_000), None).await;
    assert_eq!(ids(&found.unwrap()), (0..25).collect::<Vec<_>>());
    let in_body = serve(|request: &Request| {
        let body = page_of(parameter(request, "page"), 25);
        let count = body.matches("id").count();
        json(format!("{{\"items\":{body},\"total\":\"{count}\"}}"))
    })
    .await;
    let mut spec = paged_by(&in_body, page_number());
    spec.data_path = "/items".into();
    spec.total.path = Some("/total".into());
    let (found, _) = load_with(spec, config(1, 1_000), None).await;
    assert_eq!(ids(&found.unwrap()), (0..25).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_total_that_cannot_be_read_is_named() {
    let server = serve(|request: &Request| {
        json(page_of(parameter(request, "page"), 25)).insert_header("X-Total-Count", "1,025")
    })
    .await;
    let error = load(paged_by(&server, page_number())).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("page 1: the header X-Total-Count"),
        "{error}"
    );
    let mut other = paged_by(&server, page_number());
    other.total.header = "X-Rows".into();
    assert_eq!(ids(&load(other).await.unwrap()).len(), 25);
}

/// As PostgREST: the total stands in `Content-Range`, and beyond it is 416.
async fn ranged(total: u64, shown: &'static str) -> MockServer {
    serve(move |request: &Request| {
        let first = parameter(request, "offset");
        let last = total.min(first + 10);
        match first < total {
            true => ResponseTemplate::new(206)
                .set_body_raw(rows(first..last), "application/json")
                .insert_header("Content-Range", format!("{first}-{}/{shown}", last - 1)),
            false => {
                ResponseTemplate::new(416).insert_header("Content-Range", format!("*/{shown}"))
            }
        }
    })
    .await
}

#[tokio::test]
async fn status_416_beyond_the_end_is_the_end() {
    for concurrency in [1, 4] {
        for (total, shown) in [(25, "*"), (30, "*"), (25, "25"), (30, "30")] {
            let server = ranged(total, shown).await;
            let mut spec = paged_by(&server, limit_offset());
            spec.total.header = "Content-Range".into();
            let (found, _) = load_with(spec, config(concurrency, 10), None).await;
            assert_eq!(ids(&found.unwrap()), (0..total).collect::<Vec<_>>());
        }
    }
    let server = ranged(20, "3573").await;
    let mut spec = paged_by(&server, limit_offset());
    spec.total.header = "Content-Range".into();
    let error = load(spec).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("3573 rows were announced, but only 20 came")
    );
    let server = serve(|_: &Request| ResponseTemplate::new(416)).await;
    let error = load(paged_by(&server, limit_offset())).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::HttpStatus,
        "page 1 cannot be beyond the end"
    );
}

#[tokio::test]
async fn a_page_without_content_between_full_ones_is_named() {
    for (hole, what) in [
        (204, "status 204, no content"),
        (200, "null instead of rows"),
    ] {
        let server = serve(move |request: &Request| match parameter(request, "page") {
            6 if hole == 204 => ResponseTemplate::new(204),
            6 => json("null"),
            page => json(page_of(page, 100)),
        })
        .await;
        for concurrency in [1, 4] {
            let (found, _) = load_with(
                paged_by(&server, page_number()),
                config(concurrency, 10),
                None,
            )
            .await;
            let error = found.unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains(&format!("page 7 has rows although page 6 is empty: {what}")),
                "{text}"
            );
            assert!(!error.next_step().unwrap().contains("concurrency"));
        }
    }
}

#[tokio::test]
async fn a_page_without_content_behind_the_last_is_the_end() {
    for (status, body) in [(204, ""), (200, "null")] {
        for beyond in [status, 404] {
            let server = serve(move |request: &Request| match parameter(request, "page") {
                page @ 1..=3 => json(page_of(page, 25)),
                4 => ResponseTemplate::new(status).set_body_raw(body, "application/json"),
                _ => ResponseTemplate::new(beyond).set_body_raw(body, "application/json"),
            })
            .await;
            for concurrency in [1, 4] {
                let spec = paged_by(&server, page_number());
                let (found, _) = load_with(spec, config(concurrency, 10), None).await;
                assert_eq!(ids(&found.unwrap()).len(), 25);
            }
        }
    }
}

#[tokio::test]
async fn the_page_that_must_confirm_the_end_may_not_fail() {
    let server = serve(|request: &Request| match parameter(request, "page") {
        page @ 1..=3 => json(page_of(page, 30)),
        4 => ResponseTemplate::new(204),
        _ => ResponseTemplate::new(500),
    })
    .await;
    for concurrency in [1, 4] {
        let spec = paged_by(&server, page_number());
        let (found, _) = load_with(spec, config(concurrency, 10), None).await;
        assert!(found.unwrap_err().to_string().contains("500"));
    }
}

#[tokio::test]
async fn a_last_link_never_beats_a_next_one() {
    let server = serve(|request: &Request| {
        let page = parameter(request, "page");
        let next = match page {
            1 | 2 => format!("</orders?page={}>; rel=\"next\", ", page + 1),
            _ => String::new(),
        };
        let link = format!("{next}</orders?page=2>; rel=\"last\"");
        json(page_of(page, 30)).insert_header("Link", link.as_str())
    })
    .await;
    let found = load(paged_by(&server, page_number())).await.unwrap();
    assert_eq!(ids(&found), (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_total_that_changes_is_no_licence_to_stop() {
    let (log, _guard) = Log::start();
    // Ten rows are thought deleted at page 2, and are there all the same.
    let server = serve(|request: &Request| {
        let page = parameter(request, "page");
        let total = if page == 1 { "30" } else { "20" };
        json(page_of(page, 30)).insert_header("X-Total-Count", total)
    })
    .await;
    for concurrency in [1, 4] {
        let spec = paged_by(&server, page_number());
        let (found, _) = load_with(spec, config(concurrency, 10), None).await;
        assert_eq!(ids(&found.unwrap()), (0..30).collect::<Vec<_>>());
    }
    assert!(
        log.text()
            .contains("the total changed while pages were read"),
        "{}",
        log.text()
    );
}

#[tokio::test]
async fn a_row_deleted_between_pages_is_warned_of() {
    let (log, _guard) = Log::start();
    // Row 5 goes after page 1, so that row 10 moves to where it was read already.
    let server = serve(|request: &Request| match parameter(request, "page") {
        1 => json(rows(0..10)).insert_header("X-Total-Count", "30"),
        2 => json(rows(11..21)).insert_header("X-Total-Count", "29"),
        3 => json(rows(21..30)).insert_header("X-Total-Count", "29"),
        _ => json("[]").insert_header("X-Total-Count", "29"),
    })
    .await;
    let found = load(paged_by(&server, page_number())).await.unwrap();
    assert_eq!(ids(&found).len(), 29);
    let text = log.text();
    assert!(
        text.contains("WARN") && text.contains("stable order") && text.contains("cursor"),
        "{text}"
    );
}

#[tokio::test]
async fn every_end_has_its_reason_in_the_log() {
    let server = serve(|request: &Request| {
        let (page, offset) = (parameter(request, "page"), parameter(request, "offset"));
        match request.url.query_pairs().find(|(name, _)| name == "offset") {
            Some(_) => json(rows(offset..25.min(offset + 10))).insert_header("X-Total-Count", "25"),
            None => json(page_of(page.max(1), 20)),
        }
    })
    .await;
    for (pagination, reason) in [
        (Pagination::None, "the source is one request"),
        (Pagination::LinkHeader, "page 1 names no next page"),
        (page_number(), "page 3 is empty"),
        (limit_offset(), "all 25 rows have come that were announced"),
    ] {
        let (log, _guard) = Log::start();
        load(paged_by(&server, pagination)).await.unwrap();
        let line = format!("source orders: end of data: {reason}");
        assert!(log.text().contains(&line), "{line}: {}", log.text());
    }
}

#[tokio::test]
async fn a_source_without_pagination_that_names_a_next_page_is_warned_of() {
    for answer in [
        json(page_of(1, 10)).insert_header("Link", "<?page=2>; rel=next"),
        items(1, 10, ",\"has_more\":true"),
    ] {
        let (log, _guard) = Log::start();
        let server = serve(move |_: &Request| answer.clone()).await;
        load(paged_by(&server, Pagination::None)).await.unwrap();
        assert!(
            log.text().contains("the source has no pagination"),
            "{}",
            log.text()
        );
    }
}
