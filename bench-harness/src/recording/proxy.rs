//! Servers in front of the APIs of a pipeline, which keep what is asked and answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use apitap_core::source::SourceSpec;
use apitap_core::source::pagination::Pagination;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tokio::sync::watch;
use url::Url;

use super::behind::{has_no_rows, number_of, numbering, with_parameter};
use super::file::Exchange;
use super::headers::{is_gzipped, kept, passed_on, text, texts};
use super::links::{self, Led, lead};
use super::server::{Answer, Answers, Asked, Server};

/// How long a connection to an API may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests that the engine has given up may still take.
const END_WITHIN: Duration = Duration::from_secs(60);

/// The servers. Dropping them closes their ports.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    servers: Vec<Server>,
    sources: Vec<Arc<SourceSpec>>,
}

struct Shared {
    client: reqwest::Client,
    /// By number.
    origins: Vec<Origin>,
    begun: Instant,
    exchanges: Mutex<Vec<Exchange>>,
    /// Headers of the last request for a path of a server.
    headers: Mutex<BTreeMap<(usize, String), HeaderMap>>,
    /// Other servers that answers led to.
    elsewhere: Mutex<BTreeSet<String>>,
    /// Paths with answers that are no text.
    unreadable: Mutex<BTreeSet<String>>,
    under_way: watch::Sender<usize>,
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// An API's server.
struct Origin {
    /// Scheme, host and port. A redirect may change the scheme.
    base: Mutex<Url>,
    /// Where its bodies have links.
    next_paths: Vec<String>,
}

/// How far a recording is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// Requests so far.
    pub(crate) requests: u64,
    /// Bytes of their bodies.
    pub(crate) bytes: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the server of each source: those of one scheme, host and port have the same.
pub(crate) fn origins<'a>(sources: impl Iterator<Item = &'a SourceSpec>) -> Vec<usize> {
    let mut known = Vec::new();
    let number = |source: &SourceSpec| {
        let origin = source.url.origin();
        let found = known.iter().position(|one| *one == origin);
        found.unwrap_or_else(|| {
            known.push(origin);
            known.len() - 1
        })
    };
    sources.map(number).collect()
}

impl Proxy {
    /// Starts one server for each API of `sources`.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub(crate) async fn start(sources: &[Arc<SourceSpec>]) -> Result<Self> {
        // An error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .context("no HTTP client")?;
        let numbers = origins(sources.iter().map(|source| &**source));
        let count = numbers.iter().max().map_or(0, |most| most + 1);
        let origin = |number: usize| -> Result<Origin> {
            let own = sources.iter().zip(&numbers);
            let own = own
                .filter(|(_, at)| **at == number)
                .map(|(source, _)| source);
            let first = own.clone().next().context("a server has no source")?;
            let links = own.filter(|one| matches!(one.pagination, Pagination::NextLink { .. }));
            Ok(Origin {
                base: Mutex::new(first.url.clone()),
                next_paths: links
                    .flat_map(|one| one.pagination.next_paths().to_vec())
                    .collect(),
            })
        };
        let shared = Arc::new(Shared {
            client,
            origins: (0..count).map(origin).collect::<Result<_>>()?,
            begun: Instant::now(),
            exchanges: Mutex::default(),
            headers: Mutex::default(),
            elsewhere: Mutex::default(),
            unreadable: Mutex::default(),
            under_way: watch::Sender::new(0),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let mut servers = Vec::new();
        for number in 0..count {
            servers.push(Server::start(Arc::new(Through(shared.clone())), number).await?);
        }
        Ok(Self {
            shared,
            servers,
            sources: sources.to_vec(),
        })
    }

    /// The URL of the server of each source, in their order.
    pub(crate) fn urls(&self) -> Vec<String> {
        let numbers = origins(self.sources.iter().map(|source| &**source));
        let urls = numbers.iter().map(|number| self.servers[*number].url());
        urls.map(str::to_owned).collect()
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            requests: self.shared.requests.load(Relaxed),
            bytes: self.shared.bytes.load(Relaxed),
        }
    }

    /// Waits for the answers that nobody waits for any more, asks for what lies behind the last page of
    /// numbered sources, and returns everything in the order of the requests.
    ///
    /// # Errors
    /// When answers led to servers that are not recorded, or were no text.
    pub(crate) async fn finish(self) -> Result<Vec<Exchange>> {
        let mut under_way = self.shared.under_way.subscribe();
        let ended = under_way.wait_for(|count| *count == 0);
        if tokio::time::timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!("answers that the engine did not wait for are left out");
        }
        let numbers = origins(self.sources.iter().map(|source| &**source));
        for (source, number) in self.sources.iter().zip(numbers) {
            self.shared.ask_behind(source, number).await;
        }
        let elsewhere = locked(&self.shared.elsewhere).clone();
        ensure!(
            elsewhere.is_empty(),
            "the API leads on to {}, and only the servers that the pipeline file names are recorded: name that one \
             in url",
            Vec::from_iter(elsewhere).join(", ")
        );
        let unreadable = locked(&self.shared.unreadable).clone();
        ensure!(
            unreadable.is_empty(),
            "answers to {} are no UTF-8, or in an encoding other than gzip, which alone was asked for: they cannot be \
             searched for credentials",
            Vec::from_iter(unreadable).join(", ")
        );
        let mut exchanges = std::mem::take(&mut *locked(&self.shared.exchanges));
        exchanges.sort_by(|a, b| a.started_ms.total_cmp(&b.started_ms));
        Ok(exchanges)
    }
}

/// What the servers answer with.
struct Through(Arc<Shared>);

impl Answers for Through {
    async fn answer(&self, server: usize, asked: Asked) -> Answer {
        let shared = self.0.clone();
        shared.under_way.send_modify(|count| *count += 1);
        let fetch = async move {
            let answer = shared.fetch(server, asked).await;
            shared.under_way.send_modify(|count| *count -= 1);
            answer
        };
        // A task of its own: a request that the engine gives up is recorded to its end.
        let fetched = tokio::spawn(fetch).await;
        fetched.unwrap_or_else(|_| {
            Answer::now(StatusCode::BAD_GATEWAY, HeaderMap::new(), Bytes::new())
        })
    }
}

impl Answer {
    fn now(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        let now = Instant::now();
        Self {
            status,
            headers,
            body,
            first_byte: now,
            end: now,
            is_cut: false,
        }
    }
}

/// What came of a request to the API.
struct Fetched {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    is_cut: bool,
    first_byte: Duration,
    end: Duration,
}

impl Shared {
    /// Fetches from the API, keeps the answer, and hands it on.
    async fn fetch(&self, number: usize, asked: Asked) -> Answer {
        let path = asked
            .target
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        locked(&self.headers).insert((number, path), asked.headers.clone());
        let base = locked(&self.origins[number].base).clone();
        let fetched = self.fetched(&base, &asked).await;
        self.requests.fetch_add(1, Relaxed);
        self.bytes.fetch_add(fetched.body.len() as u64, Relaxed);
        let mut headers = kept(&fetched.headers);
        let here = base.join(&asked.target).unwrap_or(base);
        self.relative_headers(number, &here, &mut headers);
        let sent_bytes = fetched.body.len() as u64;
        let is_gzipped = is_gzipped(&headers);
        let plain = plain(&fetched, is_gzipped).unwrap_or_else(|| {
            // What a refusal says is read by nobody.
            if fetched.status.is_success() {
                locked(&self.unreadable).insert(here.path().to_owned());
            }
            String::new()
        });
        let relative = self.relative_body(number, &here, &plain);
        locked(&self.exchanges).push(Exchange {
            origin: number,
            method: asked.method.to_string(),
            target: asked.target,
            started_ms: (asked.at - self.begun).as_secs_f64() * 1e3,
            status: fetched.status.as_u16(),
            headers: texts(&headers),
            first_byte_ms: fetched.first_byte.as_secs_f64() * 1e3,
            end_ms: fetched.end.as_secs_f64() * 1e3,
            sent_bytes,
            is_gzipped,
            is_cut: fetched.is_cut,
            is_behind: false,
            body: relative.clone().unwrap_or(plain),
        });
        let mut answer = Answer::now(fetched.status, headers, fetched.body);
        if let Some(text) = relative {
            // It is no longer packed.
            answer.headers.remove(header::CONTENT_ENCODING);
            answer.body = text.into();
        }
        answer.is_cut = fetched.is_cut;
        answer
    }

    async fn fetched(&self, base: &Url, asked: &Asked) -> Fetched {
        let none = |cause: String| {
            tracing::warn!(
                "no answer from {}: {cause}",
                base.origin().ascii_serialization()
            );
            let took = asked.at.elapsed();
            Fetched {
                status: StatusCode::BAD_GATEWAY,
                headers: HeaderMap::new(),
                body: Bytes::new(),
                is_cut: false,
                first_byte: took,
                end: took,
            }
        };
        // Not `join`, for which a target that begins with two slashes is another host.
        let origin = base.origin().ascii_serialization();
        let url = match Url::parse(&format!("{origin}{}", asked.target)) {
            Ok(url) => url,
            Err(cause) => return none(cause.to_string()),
        };
        let request = self.client.request(asked.method.clone(), url);
        let sent = request.headers(passed_on(&asked.headers)).send().await;
        let mut response = match sent {
            Ok(response) => response,
            // The URL may hold a key.
            Err(cause) => return none(format!("{:#}", anyhow::Error::new(cause.without_url()))),
        };
        let first_byte = asked.at.elapsed();
        let mut body = Vec::new();
        let is_cut = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        Fetched {
            status: response.status(),
            headers: response.headers().clone(),
            body: body.into(),
            is_cut,
            first_byte,
            end: asked.at.elapsed(),
        }
    }

    /// Makes links relative that lead to the API itself, and notes others.
    fn relative_headers(&self, number: usize, here: &Url, headers: &mut HeaderMap) {
        if let Some(location) = text(headers, &header::LOCATION)
            && let Some(relative) = self.relative(number, here, &location, true)
            && let Ok(value) = HeaderValue::from_str(&relative)
        {
            headers.insert(header::LOCATION, value);
        }
        let links: Vec<HeaderValue> = headers
            .get_all(header::LINK)
            .iter()
            .filter_map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes());
                // Only the next page is followed, and that only shows when it is.
                let changed = links::in_header(&text, |link| match lead(here, link) {
                    Led::Here(target) => Some(target),
                    Led::Elsewhere(_) | Led::Nowhere => None,
                });
                HeaderValue::from_bytes(changed.as_bytes()).ok()
            })
            .collect();
        headers.remove(header::LINK);
        for link in links {
            headers.append(header::LINK, link);
        }
    }

    /// A body with its links made relative, where that changes it.
    fn relative_body(&self, number: usize, here: &Url, text: &str) -> Option<String> {
        let paths = &self.origins[number].next_paths;
        let host = here.host_str()?;
        if paths.is_empty() || !text.contains(host) {
            return None;
        }
        let changed = links::in_body(text, paths, |link| self.relative(number, here, link, false));
        changed.ok().filter(|changed| changed != text)
    }

    fn relative(&self, number: usize, here: &Url, link: &str, is_redirect: bool) -> Option<String> {
        match lead(here, link) {
            Led::Here(target) => {
                if is_redirect && link.trim().starts_with("https:") && here.scheme() == "http" {
                    // Relative to http it would lead here again.
                    let _ = locked(&self.origins[number].base).set_scheme("https");
                }
                Some(target)
            }
            Led::Elsewhere(origin) => {
                locked(&self.elsewhere).insert(origin);
                None
            }
            Led::Nowhere => None,
        }
    }

    /// Asks for the page behind the last one of `source`, should its end not be known: a replay with more
    /// requests under way asks for it too.
    async fn ask_behind(&self, source: &SourceSpec, number: usize) {
        let Some((parameter, step)) = numbering(&source.pagination) else {
            return;
        };
        let (at, last) = {
            let mut exchanges = locked(&self.exchanges);
            let own = exchanges.iter_mut().filter(|one| {
                one.origin == number && one.target.split('?').next() == Some(source.url.path())
            });
            let last = own
                .filter_map(|one| Some((number_of(&one.target, parameter)?, one)))
                .max_by_key(|(at, _)| *at);
            let Some((at, last)) = last else {
                return;
            };
            if has_no_rows(last, &source.data_path) {
                last.is_behind = true;
                return;
            }
            (at, last.target.clone())
        };
        let step = step
            .and_then(|size| number_of(&last, size))
            .unwrap_or(1)
            .max(1);
        let behind = at.saturating_add(step).to_string();
        let path = source.url.path().to_owned();
        let headers = locked(&self.headers).get(&(number, path)).cloned();
        let asked = Asked {
            at: Instant::now(),
            method: Method::GET,
            target: with_parameter(&last, parameter, &behind),
            headers: headers.unwrap_or_default(),
        };
        self.fetch(number, asked).await;
        let mut exchanges = locked(&self.exchanges);
        if let Some(answer) = exchanges.last_mut() {
            answer.is_behind = has_no_rows(answer, &source.data_path);
        }
    }
}

/// A body as text; none where it is none. One that broke is text up to there, or nothing where it was packed.
fn plain(fetched: &Fetched, is_gzipped: bool) -> Option<String> {
    let body = &fetched.body;
    if fetched.is_cut {
        let whole = body.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        return Some(if is_gzipped { "" } else { whole }.to_owned());
    }
    // A status without content may still name its encoding.
    if !is_gzipped || body.is_empty() {
        return String::from_utf8(body.to_vec()).ok();
    }
    let mut plain = String::new();
    let read = MultiGzDecoder::new(&body[..]).read_to_string(&mut plain);
    read.is_ok().then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_one_server_have_its_number() {
        let source = |url: &str| SourceSpec::new("x", Url::parse(url).unwrap());
        let urls = [
            "https://a.test/1",
            "http://a.test/1",
            "https://a.test:443/2",
            "https://b.test",
        ];
        let sources = urls.map(source);
        assert_eq!(origins(sources.iter()), [0, 1, 0, 2]);
    }
}
