//! One page over HTTP: its attempts, and the body as a whole.

use std::error::Error as StdError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, StatusCode};
use rustls::ClientConfig;
use url::Url;

use super::body::{self, Unreadable};
use super::client::{Origins, client, tls};
use super::pagination::{Planned, Request};
use super::pause::Pause;
use super::spec::{SourceSpec, shown_url};
use super::{request, retry};
use crate::config::SourceConfig;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;

/// As much of an announced length as is reserved before any of it has arrived.
const RESERVE_LIMIT_BYTES: u64 = 16 << 20;

/// A complete answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Where the answer came from, redirects followed.
    pub(super) url: Url,
}

/// Whether a server says by this status that a page lies beyond the last.
///
/// 416 says so by itself, of any page but the first. Others may as well mean a wrong address, and count
/// only where everything announced has come.
fn is_beyond(status: StatusCode, planned: &Planned) -> bool {
    match status {
        StatusCode::RANGE_NOT_SATISFIABLE => {
            planned.confirms
                || (planned.index > 1 && matches!(planned.request, Request::Numbered(_)))
        }
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => planned.confirms,
        _ => false,
    }
}

/// The requests of one source.
pub(super) struct Fetcher {
    client: Option<Client>,
    config: SourceConfig,
    headers: HeaderMap,
    origins: Origins,
    tls: ClientConfig,
    pause: Pause,
    max_body_bytes: usize,
}

/// An attempt that failed.
struct Attempt {
    failure: Failure,
    cause: Box<dyn StdError + Send + Sync>,
    /// Those of a refusal.
    headers: HeaderMap,
    is_final: bool,
}

/// How an attempt failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// No answer, or only a part of one.
    Incomplete,
    /// An answer that refuses.
    Refused(StatusCode),
    /// A body of more than so many bytes.
    TooLarge(usize),
    /// A body in an encoding that is not known; the cause names it.
    UnknownEncoding,
}

impl Fetcher {
    /// Checks headers and builds the client.
    pub(super) fn new(spec: &SourceSpec, config: &SourceConfig) -> Result<Self> {
        let origins = Origins::new(spec);
        let tls = tls()?;
        let client = match config.reuse_connections {
            true => Some(client(config, &origins, &tls)?),
            false => None,
        };
        Ok(Self {
            client,
            config: config.clone(),
            headers: request::headers(spec)?,
            origins,
            tls,
            pause: Pause::default(),
            max_body_bytes: spec
                .limits
                .body_bytes
                .unwrap_or(config.max_body_bytes)
                .get(),
        })
    }

    /// Fetches a page, as often as the source's policy allows.
    ///
    /// A page beyond the last may be refused: such an answer has no body.
    pub(super) async fn fetch(
        &self,
        spec: &SourceSpec,
        planned: &Planned,
        url: &Url,
        metrics: &Metrics,
    ) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            self.pause.over().await;
            metrics.source.requests.fetch_add(1, Relaxed);
            let start = Instant::now();
            let outcome = self.attempt(url, metrics).await;
            if metrics.is_observed() {
                metrics.source.latency.record(start.elapsed());
            }
            let failed = match outcome {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let (delay, is_asked_to_wait) = match failed.is_final {
                true => (None, false),
                false => {
                    let wish = failed.retry_after(&spec.name);
                    let delay = spec.retry.delay(attempt, wish, &mut rand::rng());
                    (
                        delay,
                        wish.is_some() || failed.is(StatusCode::TOO_MANY_REQUESTS),
                    )
                }
            };
            let Some(delay) = delay else {
                return match failed.failure {
                    Failure::Refused(status) if is_beyond(status, planned) => Ok(Answer {
                        status,
                        headers: failed.headers,
                        body: Bytes::new(),
                        url: url.clone(),
                    }),
                    _ => Err(failed.into_error(url, attempt)),
                };
            };
            if is_asked_to_wait {
                // The limit that one request met is that of the pages ahead, too.
                self.pause.extend(delay);
            }
            tracing::warn!(
                source = %spec.name, page = planned.index, attempt, wait_ms = delay.as_millis() as u64,
                "request failed and will be sent again: {}", failed.cause,
            );
            metrics.source.retries.fetch_add(1, Relaxed);
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, url: &Url, metrics: &Metrics) -> Result<Answer, Attempt> {
        let fresh;
        let client = match &self.client {
            Some(client) => client,
            None => {
                fresh = client(&self.config, &self.origins, &self.tls)
                    .map_err(|cause| Attempt::new(Failure::Incomplete, cause).last())?;
                &fresh
            }
        };
        let request = client.get(url.clone()).headers(self.headers.clone());
        let mut response = request.send().await.map_err(Attempt::from)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Attempt::refused(status, response.headers()));
        }
        let limit = self.max_body_bytes;
        let announced = response.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(Attempt::unreadable(Unreadable::TooLarge, limit));
        }
        let mut sent = BytesMut::with_capacity(announced.min(RESERVE_LIMIT_BYTES) as usize);
        while let Some(chunk) = response.chunk().await.map_err(Attempt::from)? {
            if chunk.len() > limit - sent.len() {
                return Err(Attempt::unreadable(Unreadable::TooLarge, limit));
            }
            sent.extend_from_slice(&chunk);
        }
        let body = body::decoded(response.headers(), sent.freeze(), limit)
            .map_err(|why| Attempt::unreadable(why, limit))?;
        metrics
            .source
            .body_bytes
            .fetch_add(body.len() as u64, Relaxed);
        Ok(Answer {
            status,
            url: response.url().clone(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    /// Resolves a link of the page at `base`.
    ///
    /// # Errors
    /// A link that is no URL, or that leads to a host that may not see the credentials.
    pub(super) fn resolve(&self, base: &Url, link: &str) -> Result<Url> {
        let fault = |what: String| Error::new(ErrorKind::Pagination, Stage::Source, what);
        let url = base.join(link).map_err(request::not_a_url)?;
        if self.origins.allow(&url) {
            return Ok(url);
        }
        let origin = url.origin().ascii_serialization();
        Err(fault(format!("the next link leads to another host, {origin}")).hint(
            "it would be sent the source's credentials; if that is meant, list the host in pagination.allowed_hosts",
        ))
    }
}

impl From<reqwest::Error> for Attempt {
    fn from(cause: reqwest::Error) -> Self {
        let is_final = cause.is_builder() || cause.is_redirect();
        // The URL may hold an API key.
        let attempt = Self::new(Failure::Incomplete, cause.without_url());
        match is_final {
            true => attempt.last(),
            false => attempt,
        }
    }
}

impl Attempt {
    fn new(failure: Failure, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            failure,
            cause: cause.into(),
            headers: HeaderMap::new(),
            is_final: false,
        }
    }

    /// One that is not worth another.
    fn last(self) -> Self {
        Self {
            is_final: true,
            ..self
        }
    }

    fn refused(status: StatusCode, headers: &HeaderMap) -> Self {
        Self {
            headers: headers.clone(),
            is_final: !retry::is_retried(status.as_u16()),
            ..Self::new(
                Failure::Refused(status),
                format!("the server answered {status}"),
            )
        }
    }

    fn unreadable(why: Unreadable, limit: usize) -> Self {
        match why {
            // Another attempt may bring the whole of it.
            Unreadable::Damaged(cause) => Self::new(Failure::Incomplete, cause),
            Unreadable::TooLarge => {
                Self::new(Failure::TooLarge(limit), "the body is too large").last()
            }
            Unreadable::Encoding(name) => Self::new(
                Failure::UnknownEncoding,
                format!("the content encoding `{name}` is not known"),
            )
            .last(),
        }
    }

    fn is(&self, status: StatusCode) -> bool {
        self.failure == Failure::Refused(status)
    }

    /// How long the server wants to be left alone.
    fn retry_after(&self, source: &str) -> Option<Duration> {
        let wish = self.headers.get(header::RETRY_AFTER)?;
        let time = retry::retry_after(wish.as_bytes(), SystemTime::now());
        if time.is_none() {
            tracing::warn!(
                source,
                "Retry-After is neither seconds nor a date, and is ignored"
            );
        }
        time
    }

    fn into_error(self, url: &Url, attempts: u32) -> Error {
        let place = shown_url(url);
        let tries = match attempts {
            1 => String::new(),
            _ => format!(" after {attempts} attempts"),
        };
        let status = match self.failure {
            Failure::Refused(status) => status,
            Failure::TooLarge(limit) => {
                return Error::new(
                    ErrorKind::Resources,
                    Stage::Source,
                    format!("the answer of {place} has more than {limit} bytes, as sent or decompressed"),
                )
                .hint(
                    "ask for less at a time with source.page_rows, or raise limits.body_bytes of the source, or source.max_body_bytes for all",
                );
            }
            Failure::UnknownEncoding => {
                return Error::new(
                    ErrorKind::HttpStatus,
                    Stage::Source,
                    format!("the answer of {place} cannot be read: {}", self.cause),
                )
                .hint("gzip, deflate, br and zstd are; take Accept-Encoding from the source's headers, if it is there");
            }
            Failure::Incomplete => {
                return Error::new(
                    ErrorKind::Unreachable,
                    Stage::Source,
                    format!("no complete answer from {place}{tries}"),
                )
                .hint("check that the API is up and that url is right")
                .caused_by(self.cause);
            }
        };
        let detail = format!("{place} answered {status}{tries}");
        let error = Error::new(ErrorKind::HttpStatus, Stage::Source, detail);
        match status.as_u16() {
            401 | 403 => error.hint("check auth and headers of the source"),
            400 | 404 => error.hint(
                "check url and query_params; an API that answers so beyond its last page needs total_path or total_header",
            ),
            429 => error.hint("lower source.concurrency or raise retry.max_attempts"),
            500.. => error.hint("the API is at fault: try later, or raise retry.max_attempts"),
            _ => error.hint("check url, headers and query_params of the source"),
        }
    }
}
