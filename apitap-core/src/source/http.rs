//! One page over HTTP: its attempts, and the body as a whole.

use std::error::Error as StdError;
use std::sync::Once;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, StatusCode, redirect};
use url::Url;

use super::pagination::Planned;
use super::spec::{SourceSpec, shown_url};
use super::{request, retry};
use crate::config::SourceConfig;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;

/// As much of an announced length as is reserved before any of it has arrived.
const RESERVE_LIMIT_BYTES: u64 = 16 << 20;

/// Redirects that one request may follow.
const REDIRECT_LIMIT: usize = 10;

/// A complete answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Where the answer came from, redirects followed.
    pub(super) url: Url,
}

impl Answer {
    fn without_body(status: StatusCode, url: &Url) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            url: url.clone(),
        }
    }
}

/// Whether servers answer so to a request for a page beyond the last.
fn is_beyond(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::RANGE_NOT_SATISFIABLE
    )
}

/// The requests of one source.
pub(super) struct Fetcher {
    client: Option<Client>,
    config: SourceConfig,
    headers: HeaderMap,
    origins: Origins,
}

/// An attempt that failed.
struct Attempt {
    failure: Failure,
    cause: Box<dyn StdError + Send + Sync>,
    retry_after: Option<Duration>,
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
}

impl Fetcher {
    /// Checks headers and builds the client.
    pub(super) fn new(spec: &SourceSpec, config: &SourceConfig) -> Result<Self> {
        let origins = Origins::new(spec);
        let client = match config.reuse_connections {
            true => Some(client(config, &origins)?),
            false => None,
        };
        Ok(Self {
            client,
            config: config.clone(),
            headers: request::headers(spec)?,
            origins,
        })
    }

    /// Fetches a page, as often as the source's policy allows.
    ///
    /// A page that only confirms the end may be refused: such an answer has no body.
    pub(super) async fn fetch(
        &self,
        spec: &SourceSpec,
        planned: &Planned,
        url: &Url,
        metrics: &Metrics,
    ) -> Result<Answer> {
        let mut attempt = 1;
        loop {
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
            let delay = match failed.is_final {
                true => None,
                false => spec
                    .retry
                    .delay(attempt, failed.retry_after, &mut rand::rng()),
            };
            let Some(delay) = delay else {
                return match failed.failure {
                    Failure::Refused(status) if planned.confirms && is_beyond(status) => {
                        Ok(Answer::without_body(status, url))
                    }
                    _ => Err(failed.into_error(url, attempt)),
                };
            };
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
                fresh = client(&self.config, &self.origins).map_err(|cause| Attempt {
                    failure: Failure::Incomplete,
                    cause: cause.into(),
                    retry_after: None,
                    is_final: true,
                })?;
                &fresh
            }
        };
        let request = client.get(url.clone()).headers(self.headers.clone());
        let mut response = request.send().await.map_err(Attempt::from)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Attempt::refused(status, response.headers()));
        }
        let limit = self.config.max_body_bytes.get();
        let announced = response.content_length().unwrap_or(0);
        let mut body = BytesMut::with_capacity(announced.min(RESERVE_LIMIT_BYTES) as usize);
        // Chunks come decompressed, so a small answer that swells is stopped in time.
        while let Some(chunk) = response.chunk().await.map_err(Attempt::from)? {
            if chunk.len() > limit - body.len() {
                return Err(Attempt::too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        metrics
            .source
            .body_bytes
            .fetch_add(body.len() as u64, Relaxed);
        Ok(Answer {
            status,
            url: response.url().clone(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }

    /// Resolves a link of the page at `base`.
    ///
    /// # Errors
    /// A link that is no URL, or that leads to a host that may not see the credentials.
    pub(super) fn resolve(&self, base: &Url, link: &str) -> Result<Url> {
        let fault = |what: String| Error::new(ErrorKind::Pagination, Stage::Source, what);
        let url = base
            .join(link)
            .map_err(|cause| fault("the next link is not a URL".to_owned()).caused_by(cause))?;
        if self.origins.allow(&url) {
            return Ok(url);
        }
        let origin = url.origin().ascii_serialization();
        Err(fault(format!("the next link leads to another host, {origin}")).hint(
            "it would be sent the source's credentials; if that is meant, list the host in pagination.allowed_hosts",
        ))
    }
}

fn client(config: &SourceConfig, origins: &Origins) -> Result<Client> {
    static PROVIDER: Once = Once::new();
    // An application that chose a provider before keeps it.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let origins = origins.clone();
    let follow = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECT_LIMIT {
            attempt.error("too many redirects")
        } else if origins.allow(attempt.url()) {
            attempt.follow()
        } else {
            attempt.error("a redirect leads to another host; if that is meant, list it in pagination.allowed_hosts")
        }
    });
    let mut builder = Client::builder()
        .user_agent(concat!("apitap/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout)
        .pool_max_idle_per_host(config.pool_idle_per_host)
        .redirect(follow);
    if let Some(limit) = config.total_timeout {
        builder = builder.timeout(limit);
    }
    builder.build().map_err(|cause| {
        Error::new(
            ErrorKind::Internal,
            Stage::Source,
            "the HTTP client cannot be built",
        )
        .caused_by(cause)
    })
}

/// The hosts that may see a source's credentials.
#[derive(Clone)]
struct Origins {
    own: Url,
    allowed: Vec<String>,
}

impl Origins {
    fn new(spec: &SourceSpec) -> Self {
        Self {
            own: spec.url.clone(),
            allowed: spec.allowed_hosts.clone(),
        }
    }

    /// The same scheme, host and port; the same host when plain HTTP moves to HTTPS; or a
    /// listed `host` or `host:port`. Never from HTTPS to HTTP.
    fn allow(&self, url: &Url) -> bool {
        let upgrade = self.own.scheme() == "http" && url.scheme() == "https";
        if url.origin() == self.own.origin() {
            return true;
        }
        if url.scheme() != self.own.scheme() && !upgrade {
            return false;
        }
        let Some(host) = url.host_str() else {
            return false;
        };
        let defaults = self.own.port().is_none() && url.port().is_none();
        let with_port = url.port().map(|port| format!("{host}:{port}"));
        (upgrade && defaults && self.own.host_str() == Some(host))
            || self
                .allowed
                .iter()
                .any(|allowed| allowed == host || Some(allowed) == with_port.as_ref())
    }
}

impl From<reqwest::Error> for Attempt {
    fn from(cause: reqwest::Error) -> Self {
        Self {
            is_final: cause.is_builder() || cause.is_redirect(),
            // The URL may hold an API key.
            cause: cause.without_url().into(),
            failure: Failure::Incomplete,
            retry_after: None,
        }
    }
}

impl Attempt {
    fn refused(status: StatusCode, headers: &HeaderMap) -> Self {
        let wish = headers.get(header::RETRY_AFTER);
        Self {
            cause: format!("the server answered {status}").into(),
            failure: Failure::Refused(status),
            retry_after: wish
                .and_then(|value| value.to_str().ok())
                .and_then(|value| retry::retry_after(value, SystemTime::now())),
            is_final: !retry::is_retried(status.as_u16()),
        }
    }

    fn too_large(limit: usize) -> Self {
        Self {
            failure: Failure::TooLarge(limit),
            cause: "the body is too large".into(),
            retry_after: None,
            is_final: true,
        }
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
                    format!("the answer of {place} has more than {limit} bytes, decompressed"),
                )
                .hint(
                    "ask for less at a time with source.page_rows, or raise source.max_body_bytes",
                );
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
