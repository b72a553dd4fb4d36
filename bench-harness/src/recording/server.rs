//! What proxy and replay have in common: a port of 127.0.0.1, and answers in their own time.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use futures::stream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::wait::wait_until;

/// Bytes of a body that go out at a time.
const PART_BYTES: usize = 64 << 10;

/// A request.
pub(super) struct Asked {
    pub(super) at: Instant,
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
}

/// An answer, and when its parts go out.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) first_byte: Instant,
    pub(super) end: Instant,
    /// Whether the connection breaks behind the body, as if more had to come.
    pub(super) is_cut: bool,
}

/// What answers the requests of servers, which are numbered.
pub(super) trait Answers: Send + Sync + 'static {
    fn answer(&self, server: usize, asked: Asked) -> impl Future<Output = Answer> + Send;
}

/// A running server. Dropping it closes its port.
pub(super) struct Server {
    url: String,
    accepting: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Starts number `number` on a free port.
    pub(super) async fn start(answers: Arc<impl Answers>, number: usize) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("cannot listen on 127.0.0.1")?;
        let address = listener.local_addr().context("the port is unknown")?;
        // Head and body go out in parts, which must not wait for each other's acknowledgement.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let router = Router::new().fallback(move |request: Request| {
            let answers = answers.clone();
            async move { answers.answer(number, asked(request)).await.sent().await }
        });
        Ok(Self {
            url: format!("http://{address}"),
            accepting: tokio::spawn(axum::serve(listener, router).into_future()),
        })
    }

    /// Such as `http://127.0.0.1:40123`.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn asked(request: Request) -> Asked {
    let at = Instant::now();
    let (head, _) = request.into_parts();
    let target = head.uri.path_and_query();
    Asked {
        at,
        method: head.method,
        target: target.map_or_else(|| "/".to_owned(), ToString::to_string),
        headers: head.headers,
    }
}

impl Answer {
    /// Waits until it is time for the head.
    async fn sent(mut self) -> Response {
        let has_body = !(self.status == StatusCode::NO_CONTENT
            || self.status == StatusCode::NOT_MODIFIED
            || self.status.is_informational());
        if has_body {
            let length = self.body.len() + usize::from(self.is_cut);
            self.headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let is_empty = self.body.is_empty() && !self.is_cut;
        wait_until(if is_empty { self.end } else { self.first_byte }).await;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        *response.headers_mut() = std::mem::take(&mut self.headers);
        if has_body && !is_empty {
            *response.body_mut() = self.paced();
        }
        response
    }

    /// The body, evenly from the head to its end.
    fn paced(self) -> Body {
        let parts = self.body.len().div_ceil(PART_BYTES);
        let (begin, time) = (self.first_byte, self.end - self.first_byte);
        let body = self.body;
        let is_cut = self.is_cut;
        Body::from_stream(stream::unfold(0, move |part| {
            let body = body.clone();
            async move {
                if part == parts && is_cut {
                    let broken = io::Error::from(io::ErrorKind::ConnectionAborted);
                    return Some((Err(broken), part + 1));
                }
                if part >= parts {
                    return None;
                }
                let share = (part + 1) as f64 / parts as f64;
                wait_until(begin + time.mul_f64(share)).await;
                let from = part * PART_BYTES;
                let to = body.len().min(from + PART_BYTES);
                Some((Ok(body.slice(from..to)), part + 1))
            }
        }))
    }
}
