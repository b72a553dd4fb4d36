//! An API on sockets of its own, because a server that keeps to HTTP cannot break off within a body.

mod answer;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::answer::{Answer, Then, answer};
use super::fault::ApiFault;
use super::rows::FAULTY_PAGE;

/// Between the bytes of an answer that drips.
const DRIP_INTERVAL: Duration = Duration::from_millis(50);

/// Most bytes of a request's head.
const HEAD_LIMIT: usize = 64 << 10;

/// A running API. Dropping it closes its port and its connections.
pub(super) struct FaultApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) at: Instant,
    pub(super) page: u64,
    /// Request line and headers.
    pub(super) head: String,
}

struct Shared {
    fault: Option<ApiFault>,
    /// Where redirects to another host lead.
    elsewhere: Option<SocketAddr>,
    gate: Option<Gate>,
    requests: Mutex<Vec<Request>>,
}

/// Holds the answer to the faulty page until something has been done meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    reached: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            reached: watch::Sender::new(false),
            open: watch::Sender::new(false),
        }
    }

    /// Waits until the page is asked for.
    pub(super) async fn reached(&self) {
        wait_for_true(&self.reached).await;
    }

    /// Lets the answer go.
    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }

    async fn pass(&self) {
        self.reached.send_replace(true);
        wait_for_true(&self.open).await;
    }
}

async fn wait_for_true(flag: &watch::Sender<bool>) {
    // The sender is here, so it cannot be gone.
    let _ = flag.subscribe().wait_for(|value| *value).await;
}

impl FaultApi {
    /// Listens on a free port of 127.0.0.1.
    pub(super) async fn start(
        fault: Option<ApiFault>,
        elsewhere: Option<SocketAddr>,
        gate: Option<Gate>,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("the API cannot listen on 127.0.0.1")?;
        let address = listener.local_addr().context("the API's port is unknown")?;
        let shared = Arc::new(Shared {
            fault,
            elsewhere,
            gate,
            requests: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, in the order in which they came.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.shared.requests().clone()
    }
}

impl Drop for FaultApi {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the request; returns how often the page was asked for before.
    fn keep(&self, request: Request) -> usize {
        let mut requests = self.requests();
        let page = request.page;
        let before = requests.iter().filter(|one| one.page == page).count();
        requests.push(request);
        before
    }
}

/// Serves connections until it is aborted, and they with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        connections.spawn(async move {
            if let Err(error) = serve(stream, &shared).await {
                tracing::debug!("a client of the API went away: {error}");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut received).await? {
        let page = parameter(&head, "page").unwrap_or(1);
        let before = shared.keep(Request {
            at: Instant::now(),
            page,
            head,
        });
        if page == FAULTY_PAGE
            && let Some(gate) = &shared.gate
        {
            gate.pass().await;
        }
        let answer = answer(shared.fault, page, before, shared.elsewhere);
        if !send(&mut stream, answer).await? {
            break;
        }
    }
    Ok(())
}

/// The next request's head; none at the end of the connection.
async fn read_head(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Option<String>> {
    const END: &[u8] = b"\r\n\r\n";
    loop {
        let found = received.windows(END.len()).position(|part| part == END);
        if let Some(at) = found {
            let head: Vec<u8> = received.drain(..at + END.len()).collect();
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
        if received.len() > HEAD_LIMIT || stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}

/// A number in the query of a request line.
fn parameter(head: &str, name: &str) -> Option<u64> {
    let target = head.split(' ').nth(1)?;
    let (_, query) = target.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name)?.1.parse().ok()
}

/// Whether the connection may be used again.
async fn send(stream: &mut TcpStream, answer: Answer) -> io::Result<bool> {
    match answer.then {
        Then::Reset => {
            stream.write_all(&answer.bytes).await?;
            stream.set_zero_linger()?;
            Ok(false)
        }
        Then::Stall => {
            stream.write_all(&answer.bytes).await?;
            // The client gives up; until then nothing comes.
            while stream.read(&mut [0; 1024]).await? > 0 {}
            Ok(false)
        }
        Then::Drip => {
            for byte in answer.bytes {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(DRIP_INTERVAL).await;
            }
            Ok(false)
        }
        Then::Close => {
            stream.write_all(&answer.bytes).await?;
            stream.shutdown().await?;
            Ok(false)
        }
        Then::KeepAlive => {
            stream.write_all(&answer.bytes).await?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_waits_at_the_gate_and_requests_are_kept() {
        let gate = Gate::new();
        let api = FaultApi::start(None, None, Some(gate.clone()))
            .await
            .unwrap();
        let mut stream = TcpStream::connect(api.address()).await.unwrap();
        let request = format!("GET /items?page={FAULTY_PAGE}&x=y HTTP/1.1\r\nhost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        gate.reached().await;
        assert_eq!(
            stream.try_read(&mut [0; 1]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        gate.open();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        let requests = api.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(
            (requests[0].page, requests[0].head.as_str()),
            (FAULTY_PAGE, request.as_str())
        );
    }

    #[tokio::test]
    async fn a_connection_is_reset_within_a_body() {
        let api = FaultApi::start(Some(ApiFault::Reset), None, None)
            .await
            .unwrap();
        let mut stream = TcpStream::connect(api.address()).await.unwrap();
        let request = format!("GET /items?page={FAULTY_PAGE} HTTP/1.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
