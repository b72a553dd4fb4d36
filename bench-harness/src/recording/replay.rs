//! Servers that answer as a recording does: what it holds, and when.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use testkit::api_process::{ApiProcess, serve_until_ended};
use tokio::process::Command;
use url::form_urlencoded;

use super::file::{Exchange, Recording};
use super::server::{Answer, Answers, Asked, Server};
use super::source::RecordedSource;

/// What a request is answered with that the recording does not have. The engine neither sends it again nor
/// takes it for the end of the pages.
const UNKNOWN: StatusCode = StatusCode::GONE;

/// The servers. Dropping them closes their ports.
pub(crate) struct Replay {
    servers: Vec<Server>,
    recorded: Arc<Recorded>,
}

/// What a replay says on standard output once it answers: one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The servers, such as `http://127.0.0.1:40123`.
    pub(crate) servers: Vec<String>,
    /// The URL of each source.
    pub(crate) sources: BTreeMap<String, String>,
}

struct Recorded {
    sources: Vec<RecordedSource>,
    requests: HashMap<Request, Attempts>,
    /// What is said of requests that the recording does not have.
    unknown: Mutex<BTreeSet<String>>,
}

/// A request as it is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Request {
    server: usize,
    method: String,
    path: String,
    /// In the order of their names.
    parameters: Vec<(String, String)>,
}

/// The answers to the attempts of a request, in their order. Behind the last comes the first again: another
/// load has begun.
struct Attempts {
    answers: Vec<Prepared>,
    next: AtomicUsize,
    is_behind: bool,
}

/// An answer that only has to be sent.
struct Prepared {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    is_cut: bool,
    first_byte: Duration,
    end: Duration,
}

impl Replay {
    /// Starts a server for each one of the recording.
    ///
    /// # Errors
    /// When there is no port to be had, or an answer cannot be sent.
    pub(crate) async fn start(recording: Recording) -> Result<Self> {
        let origins = recording.header.origins;
        let recorded = Arc::new(Recorded::new(recording)?);
        let mut servers = Vec::new();
        for number in 0..origins {
            servers.push(Server::start(recorded.clone(), number).await?);
        }
        Ok(Self { servers, recorded })
    }

    /// Where it answers.
    pub(crate) fn ready(&self) -> Ready {
        let servers: Vec<String> = self
            .servers
            .iter()
            .map(|one| one.url().to_owned())
            .collect();
        let sources = self.recorded.sources.iter();
        let sources = sources.filter_map(|source| {
            let server = servers.get(source.origin)?;
            Some((source.name.clone(), format!("{server}{}", source.target)))
        });
        Ready {
            sources: sources.collect(),
            servers,
        }
    }

    /// What is said of requests that the recording does not have; nothing where none came.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let unknown = self.recorded.unknown.lock();
        let unknown = unknown.unwrap_or_else(PoisonError::into_inner);
        unknown.iter().cloned().collect()
    }
}

/// `apitap-bench replay`: serves a recording until interrupted.
///
/// # Errors
/// Those of [`Replay::start`], and when the file cannot be read or standard output is closed.
pub(crate) async fn run(file: &Path, exit_with_stdin: bool) -> Result<()> {
    let replay = Replay::start(Recording::read(file)?).await?;
    serve_until_ended(&replay.ready(), exit_with_stdin).await
}

/// A running `apitap-bench replay`. It is killed on drop.
pub(crate) struct ReplayProcess {
    process: ApiProcess,
    ready: Ready,
}

impl ReplayProcess {
    /// Starts one with `program`, an `apitap-bench`.
    ///
    /// # Errors
    /// When it cannot be started, or ends before it is ready. Its standard error is passed on.
    pub(crate) async fn start(program: &Path, file: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("replay").arg(file).arg("--exit-with-stdin");
        let what = format!("the replay of {}", file.display());
        let (process, ready) = ApiProcess::start(command, &what).await?;
        Ok(Self { process, ready })
    }

    /// Its servers, such as `http://127.0.0.1:40123`.
    pub(crate) fn servers(&self) -> &[String] {
        &self.ready.servers
    }

    /// The URL of each source, by name.
    pub(crate) fn sources(&self) -> &BTreeMap<String, String> {
        &self.ready.sources
    }

    /// Ends it and waits until it is gone.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

impl Recorded {
    fn new(recording: Recording) -> Result<Self> {
        let mut requests: HashMap<Request, Attempts> = HashMap::new();
        for exchange in recording.exchanges {
            let request = Request::new(exchange.origin, &exchange.method, &exchange.target);
            let attempts = requests.entry(request).or_insert_with(|| Attempts {
                answers: Vec::new(),
                next: AtomicUsize::new(0),
                is_behind: false,
            });
            attempts.is_behind |= exchange.is_behind;
            let target = exchange.target.clone();
            let prepared = Prepared::new(exchange);
            attempts
                .answers
                .push(prepared.with_context(|| format!("the answer to {target}"))?);
        }
        Ok(Self {
            sources: recording.header.sources,
            requests,
            unknown: Mutex::default(),
        })
    }

    fn find(&self, request: &Request) -> Option<&Attempts> {
        self.requests.get(request).or_else(|| self.behind(request))
    }

    /// The answer to a page behind the last, if `request` is for one of a higher number.
    fn behind(&self, request: &Request) -> Option<&Attempts> {
        let names = self
            .sources
            .iter()
            .filter(|one| one.origin == request.server);
        let mut names = names.filter_map(RecordedSource::number_parameter);
        names.find_map(|name| {
            let number = request.number(name)?;
            let mut behind = self
                .requests
                .iter()
                .filter(|(_, attempts)| attempts.is_behind);
            let found = behind.find(|(known, _)| {
                known.number(name).is_some_and(|last| last <= number)
                    && known.without(name) == request.without(name)
            });
            found.map(|(_, attempts)| attempts)
        })
    }

    /// Why the recording does not have a request.
    fn explain(&self, request: &Request) -> String {
        let own: Vec<&Request> = self
            .requests
            .keys()
            .filter(|known| known.server == request.server && known.path == request.path)
            .collect();
        let mut text = format!("{request} is not in the recording");
        let has =
            |parameter: &(String, String)| own.iter().any(|one| one.parameters.contains(parameter));
        let strange = request.parameters.iter().find(|parameter| !has(parameter));
        let sizes = self
            .sources
            .iter()
            .filter_map(RecordedSource::size_parameter);
        let is_size = |name: &str| sizes.clone().any(|size| size == name);
        match strange {
            _ if own.is_empty() => text += ": it has no request for this path",
            Some((name, _)) if is_size(name) => {
                let recorded = own.iter().find_map(|one| one.value(name));
                text += &format!(
                    ", whose pages were asked for with {name}={}: keep source.page_rows at that",
                    recorded.unwrap_or_default()
                );
            }
            Some((name, _)) => {
                text += &format!(", nor is any request with that {name}: record the load again");
            }
            None => text += ": record the load again",
        }
        text
    }
}

impl Answers for Recorded {
    async fn answer(&self, server: usize, asked: Asked) -> Answer {
        let request = Request::new(server, asked.method.as_str(), &asked.target);
        let Some(attempts) = self.find(&request) else {
            let text = self.explain(&request);
            let body = format!("{}\n", serde_json::json!({ "error": text }));
            let unknown = self.unknown.lock();
            let is_new = unknown
                .unwrap_or_else(PoisonError::into_inner)
                .insert(text.clone());
            if is_new {
                eprintln!("error: {text}");
            }
            return Answer {
                status: UNKNOWN,
                headers: HeaderMap::new(),
                body: body.into(),
                first_byte: asked.at,
                end: asked.at,
                is_cut: false,
            };
        };
        let attempt = attempts.next.fetch_add(1, Relaxed) % attempts.answers.len();
        let answer = &attempts.answers[attempt];
        Answer {
            status: answer.status,
            headers: answer.headers.clone(),
            body: answer.body.clone(),
            first_byte: asked.at + answer.first_byte,
            end: asked.at + answer.end,
            is_cut: answer.is_cut,
        }
    }
}

impl Prepared {
    fn new(exchange: Exchange) -> Result<Self> {
        let milliseconds = |ms: f64| {
            let time = Duration::try_from_secs_f64(ms / 1e3);
            time.context("a latency is no time")
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &exchange.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).context("a header's name")?;
            let value = HeaderValue::from_bytes(value.as_bytes()).context("a header's value")?;
            headers.append(name, value);
        }
        let mut body = exchange.body.into_bytes();
        if exchange.is_gzipped {
            // As fast as most servers pack what they make anew for each request.
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&body)?;
            body = packed.finish()?;
        }
        Ok(Self {
            status: StatusCode::from_u16(exchange.status).context("a status")?,
            headers,
            body: body.into(),
            is_cut: exchange.is_cut,
            first_byte: milliseconds(exchange.first_byte_ms)?,
            end: milliseconds(exchange.end_ms)?,
        })
    }
}

impl Request {
    fn new(server: usize, method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parameters = form_urlencoded::parse(query.as_bytes()).into_owned();
        let mut parameters: Vec<(String, String)> = parameters.collect();
        parameters.sort();
        Self {
            server,
            method: method.to_owned(),
            path: path.to_owned(),
            parameters,
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }

    fn without(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.parameters.retain(|(one, _)| one != name);
        other
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (nth, (name, value)) in self.parameters.iter().enumerate() {
            write!(f, "{}{name}={value}", if nth == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::example;
    use super::*;

    async fn get(url: &str) -> (u16, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn attempts_come_in_their_order_and_again_for_the_next_load() {
        let recording = example::recording();
        let took_ms = recording.exchanges[0].end_ms;
        let replay = Replay::start(recording).await.unwrap();
        let ready = replay.ready();
        assert_eq!(
            ready.sources["items"],
            format!("{}/items?status=open", ready.servers[0])
        );
        // In another order than the recording's.
        let first = format!("{}/items?page=1&per_page=2&status=open", ready.servers[0]);
        let begun = Instant::now();
        for status in [429, 200, 429, 200] {
            assert_eq!(get(&first).await.0, status);
        }
        assert!(begun.elapsed().as_secs_f64() * 1e3 >= 4.0 * took_ms);
        assert!(replay.unknown().is_empty());
    }

    #[tokio::test]
    async fn every_page_behind_the_last_is_empty_and_others_are_explained() {
        let replay = Replay::start(example::recording()).await.unwrap();
        let server = replay.ready().servers[0].clone();
        let page = async |query: &str| get(&format!("{server}/items?{query}")).await;
        assert_eq!(
            page("status=open&page=9&per_page=2").await,
            (200, "[]".to_owned())
        );
        for (query, reason) in [
            (
                "status=open&page=1&per_page=50",
                "per_page=2: keep source.page_rows at that",
            ),
            (
                "status=new&page=1&per_page=2",
                "any request with that status",
            ),
            (
                "status=open&page=0&per_page=2",
                "any request with that page",
            ),
        ] {
            let (status, body) = page(query).await;
            assert!(
                status == 410 && body.contains(reason),
                "{query}: {status} {body}"
            );
        }
        let (_, body) = get(&format!("{server}/other")).await;
        assert!(body.contains("no request for this path"), "{body}");
        assert_eq!(replay.unknown().len(), 4);
    }

    #[tokio::test]
    async fn a_connection_that_broke_breaks_again() {
        let mut recording = example::recording();
        recording.exchanges[2].is_cut = true;
        let replay = Replay::start(recording).await.unwrap();
        let server = replay.ready().servers[0].clone();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{server}/items?status=open&page=2&per_page=2");
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.text().await.is_err());
    }
}
