//! Through the proxy into a file and out of it again, over sockets.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use apitap_core::secret::Secret;
use apitap_core::source::pagination::Pagination;
use apitap_core::source::{Auth, SourceSpec};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use url::Url;

use super::example;
use super::file::Recording;
use super::proxy::{Proxy, origins};
use super::replay::Replay;
use super::secrets::Secrets;
use super::server::{Answer, Answers, Asked, Server};
use super::source::RecordedSource;

const KEY: &str = "k3y-0f-the-api";

/// Two pages that name each other by absolute links, in a header and in the body; the second is refused once.
struct Api {
    refused: Mutex<bool>,
}

impl Answers for Api {
    async fn answer(&self, _: usize, asked: Asked) -> Answer {
        let now = Instant::now();
        let host = asked.headers[header::HOST].to_str().unwrap();
        let answer = |status, headers, body: Vec<u8>| Answer {
            status,
            headers,
            body: body.into(),
            first_byte: now + std::time::Duration::from_millis(3),
            end: now + std::time::Duration::from_millis(6),
            is_cut: false,
        };
        let mut headers = HeaderMap::new();
        if !asked.target.contains(KEY) {
            return answer(StatusCode::UNAUTHORIZED, headers, Vec::new());
        }
        let is_second = asked.target.contains("page=2");
        if is_second && std::mem::take(&mut *self.refused.lock().unwrap()) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
            return answer(StatusCode::TOO_MANY_REQUESTS, headers, Vec::new());
        }
        let path = asked.target.split('?').next().unwrap();
        let next = format!("http://{host}{path}?api_key={KEY}&page=2");
        let body = match is_second {
            true => "{\"rows\":[2],\"next\":null}".to_owned(),
            false => {
                format!("{{\"rows\":[1.50],\"next\":\"{next}\",\"self\":\"/x?api_key={KEY}\"}}")
            }
        };
        if !is_second {
            let link = HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).unwrap();
            headers.insert(header::LINK, link);
        }
        headers.insert(
            header::SET_COOKIE,
            HeaderValue::from_static("session=c00kie"),
        );
        let accepts = &asked.headers[header::ACCEPT_ENCODING];
        assert_eq!(accepts, "gzip");
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(body.as_bytes()).unwrap();
        answer(StatusCode::OK, headers, packed.finish().unwrap())
    }
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: String,
}

/// As the engine asks.
async fn get(url: &str) -> Got {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(url).header(header::ACCEPT_ENCODING, "br, gzip");
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    let mut body = String::new();
    match headers.contains_key(header::CONTENT_ENCODING) {
        true => GzDecoder::new(&bytes[..])
            .read_to_string(&mut body)
            .unwrap(),
        false => (&bytes[..]).read_to_string(&mut body).unwrap(),
    };
    Got {
        status,
        headers,
        body,
    }
}

fn source(api: &str, path: &str, pagination: Pagination) -> Arc<SourceSpec> {
    let mut source = SourceSpec::new(path, Url::parse(&format!("{api}/{path}")).unwrap());
    source.pagination = pagination;
    source.auth = Some(Auth::ApiKey {
        name: "api_key".to_owned(),
        value: Secret(KEY.to_owned()),
        in_query: true,
    });
    Arc::new(source)
}

#[tokio::test]
async fn pages_statuses_and_links_come_back_without_their_key() {
    let refused = Mutex::new(true);
    let api = Server::start(Arc::new(Api { refused }), 0).await.unwrap();
    let next_paths = vec!["/next".to_owned()];
    let sources = [
        source(api.url(), "headed", Pagination::LinkHeader),
        source(api.url(), "linked", Pagination::NextLink { next_paths }),
    ];
    let proxy = Proxy::start(&sources).await.unwrap();
    let urls = proxy.urls();
    assert_eq!(urls[0], urls[1], "one server");
    let mut asked = Vec::new();
    for path in ["headed", "linked"] {
        let first = get(&format!("{}/{path}?api_key={KEY}", urls[0])).await;
        let target = format!("/{path}?api_key={KEY}&page=2");
        assert_eq!(
            first.headers[header::LINK],
            format!("<{target}>; rel=\"next\"")
        );
        // Both sources have one server, whose bodies may have links.
        let body: serde_json::Value = serde_json::from_str(&first.body).unwrap();
        assert_eq!(body["next"], target);
        assert!(first.body.contains("[1.50]"), "{}", first.body);
        assert!(!first.headers.contains_key(header::SET_COOKIE));
        asked.push(first);
        asked.push(get(&format!("{}{target}", urls[0])).await);
        if asked.last().unwrap().status == 429 {
            asked.push(get(&format!("{}{target}", urls[0])).await);
        }
    }
    let mut exchanges = proxy.finish().await.unwrap();
    let statuses: Vec<u16> = asked.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [200, 429, 200, 200, 200]);
    let kept: Vec<u16> = exchanges.iter().map(|one| one.status).collect();
    assert_eq!(kept, statuses);
    for exchange in &exchanges {
        assert!(
            exchange.first_byte_ms >= 3.0 && exchange.end_ms >= 6.0,
            "{exchange:?}"
        );
    }

    let specs = || sources.iter().map(|one| &**one);
    let secrets = Secrets::new(specs(), "", |_| None);
    let numbers = origins(specs());
    let recorded: Vec<RecordedSource> = specs()
        .zip(numbers)
        .map(|(spec, number)| RecordedSource::new(spec, number, &secrets))
        .collect();
    for exchange in &mut exchanges {
        exchange.hide(&secrets, &recorded);
    }
    let mut header = example::recording().header;
    header.sources = recorded;
    header.exchanges = exchanges.len();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("api.rec");
    Recording { header, exchanges }.write(&file).unwrap();
    let mut text = String::new();
    let bytes = std::fs::read(&file).unwrap();
    GzDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    for secret in [KEY, "c00kie"] {
        assert!(!text.contains(secret), "{secret}");
    }

    let recording = Recording::read(&file).unwrap();
    let key = recording.header.sources[0].key.clone().unwrap().1;
    let replay = Replay::start(recording).await.unwrap();
    let server = replay.ready().servers[0].clone();
    let mut again = Vec::new();
    for path in ["headed", "linked"] {
        let first = get(&format!("{server}/{path}?api_key={key}")).await;
        let body: serde_json::Value = serde_json::from_str(&first.body).unwrap();
        let next = format!("{server}{}", body["next"].as_str().unwrap());
        let link = first.headers[header::LINK].to_str().unwrap();
        assert!(link.contains(body["next"].as_str().unwrap()), "{link}");
        again.push(first);
        again.push(get(&next).await);
        if again.last().unwrap().status == 429 {
            again.push(get(&next).await);
        }
    }
    assert!(replay.unknown().is_empty(), "{:?}", replay.unknown());
    for (live, replayed) in asked.iter().zip(&again) {
        assert_eq!(live.status, replayed.status);
        assert_eq!(live.body.replace(KEY, &key), replayed.body);
        let retry = |got: &Got| got.headers.get(header::RETRY_AFTER).cloned();
        assert_eq!(retry(live), retry(replayed));
    }
}

#[tokio::test]
async fn an_api_that_is_gone_is_a_bad_gateway_and_one_elsewhere_is_named() {
    let gone = Server::start(
        Arc::new(Api {
            refused: Mutex::new(false),
        }),
        0,
    )
    .await;
    let gone = gone.unwrap().url().to_owned();
    let proxy = Proxy::start(&[source(&gone, "x", Pagination::None)])
        .await
        .unwrap();
    tokio::task::yield_now().await;
    let got = get(&format!("{}/x", proxy.urls()[0])).await;
    assert_eq!(got.status, 502);
    let exchanges = proxy.finish().await.unwrap();
    assert_eq!((exchanges.len(), exchanges[0].status), (1, 502));

    struct Elsewhere;
    impl Answers for Elsewhere {
        async fn answer(&self, _: usize, asked: Asked) -> Answer {
            let location = HeaderValue::from_static("http://other.test/x");
            Answer {
                status: StatusCode::FOUND,
                headers: HeaderMap::from_iter([(header::LOCATION, location)]),
                body: "".into(),
                first_byte: asked.at,
                end: asked.at,
                is_cut: false,
            }
        }
    }
    let api = Server::start(Arc::new(Elsewhere), 0).await.unwrap();
    let proxy = Proxy::start(&[source(api.url(), "x", Pagination::None)])
        .await
        .unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let url = format!("{}/x", proxy.urls()[0]);
    assert_eq!(client.get(url).send().await.unwrap().status(), 302);
    let error = proxy.finish().await.unwrap_err().to_string();
    assert!(error.contains("leads on to http://other.test"), "{error}");
}
