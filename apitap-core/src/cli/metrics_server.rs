//! `--metrics-addr`: what runs measure, over HTTP, for Prometheus.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::prometheus::{CONTENT_TYPE, Exposition};
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Connections at a time. Others wait in the kernel's queue, where they take no descriptor of the runs.
const CONNECTIONS: usize = 4;
/// From a connection to the end of its answer. It is Prometheus's usual limit for a scrape.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Serves `/metrics` while the runtime lives. Returns the address; port 0 takes a free port. A port alone is
/// one of this machine's loopback.
///
/// # Errors
/// The address cannot be bound.
pub(super) async fn serve(address: &str, exposition: Arc<Exposition>) -> io::Result<SocketAddr> {
    serve_within(TIME_LIMIT, address, exposition).await
}

async fn serve_within(
    time_limit: Duration,
    address: &str,
    exposition: Arc<Exposition>,
) -> io::Result<SocketAddr> {
    let listener = match address.strip_prefix(':').unwrap_or(address).parse::<u16>() {
        Ok(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?,
        Err(_) => TcpListener::bind(address).await?,
    };
    let bound = listener.local_addr()?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .with_state(exposition);
    let limited = Limited {
        listener,
        places: Arc::new(Semaphore::new(CONNECTIONS)),
        time_limit,
    };
    // It never ends by itself: axum waits when a connection cannot be accepted.
    tokio::spawn(axum::serve(limited, router).into_future());
    Ok(bound)
}

async fn metrics(State(exposition): State<Arc<Exposition>>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::CONNECTION, "close"),
    ];
    (headers, exposition.text())
}

/// A listener whose clients cannot take many descriptors, or any for long.
struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
    time_limit: Duration,
}

impl Listener for Limited {
    type Io = Exchange;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Exchange, SocketAddr) {
        // Nobody closes the semaphore.
        let place = self.places.clone().acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let exchange = Exchange {
            stream,
            time_limit: Box::pin(sleep(self.time_limit)),
            _place: place,
        };
        (exchange, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its time is over.
struct Exchange {
    stream: TcpStream,
    time_limit: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Exchange {
    fn poll_late<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let late = self.time_limit.as_mut().poll(context);
        late.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Exchange {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.poll_late(context),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl AsyncWrite for Exchange {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.poll_late(context),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn scrape(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        // To the end: the server closes, although HTTP/1.1 would keep the connection.
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_port_alone_is_on_loopback() {
        for address in ["0", ":0", "127.0.0.1:0"] {
            let bound = serve(address, Arc::default()).await.unwrap();
            assert!(bound.ip().is_loopback(), "{address}: {bound}");
            assert!(scrape(bound).await.starts_with("HTTP/1.1 200"));
        }
        assert!(serve("nonsense", Arc::default()).await.is_err());
    }

    #[tokio::test]
    async fn silent_clients_lose_their_places() {
        let soon = Duration::from_millis(500);
        let bound = serve_within(soon, "0", Arc::default()).await.unwrap();
        let mut silent = Vec::new();
        for _ in 0..3 * CONNECTIONS {
            silent.push(TcpStream::connect(bound).await.unwrap());
        }
        assert!(scrape(bound).await.starts_with("HTTP/1.1 200"));
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        }
    }

    #[tokio::test]
    async fn clients_take_only_so_many_descriptors() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut limited = Limited {
            listener,
            places: places.clone(),
            time_limit: TIME_LIMIT,
        };
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(TcpStream::connect(address).await.unwrap());
            clients.push(TcpStream::connect(address).await.unwrap());
            // Kept, as a connection that sends nothing would be.
            std::mem::forget(limited.accept().await);
        }
        assert_eq!(places.available_permits(), 0);
        let one_more = std::pin::pin!(limited.accept());
        assert!(futures::poll!(one_more).is_pending());
    }
}
