//! A longer way to a server: a relay that adds to the round trip of every connection through it.
//!
//! A [`Relay`] listens on a port of 127.0.0.1 and hands every byte on to its target, and every
//! byte of the answer back, half the added round trip after it came. Order, half-closed
//! connections and resets are kept. An experiment sends its 0 ms point through a relay too, so
//! that its points differ in latency alone: the relay itself costs each message two more passes
//! through the loopback and some wake-ups.
//!
//! What it models is distance. What it does not:
//!
//! - No loss, no reordering, no jitter beyond that of the machine's scheduler.
//! - No limit of bandwidth, no slow start, no congestion or receive window. Up to 8 MiB in each
//!   direction of a connection are on their way at a time: 1.6 GB/s at 5 ms one way, beyond what
//!   the loopback carries through a relay. Behind a reader that is slower, a sender gets that much
//!   further ahead than over a link with smaller windows, and is then held back.
//! - No handshake: the kernel accepts a connection at once, where a network takes a round trip.
//!   What is sent over the new connection is delayed as everything else is.
//! - Beneath it is the kernel's loopback: no network card, no segments of 1,500 bytes.
//!
//! Threads that sleep do the work, four for a connection: tokio's timers count whole milliseconds,
//! and a loop that watches the clock would take a core from what is measured. A byte is never early;
//! it is late by some tens of microseconds, by a hundred and more on a busy machine. So a round trip
//! is to be measured ([`measure_postgres_round_trip`], [`measure_http_round_trip`]) and not taken
//! from the delay that was asked for.
//!
//! The kernel's own emulator (netem) is more precise and knows loss and bandwidth, but needs root
//! and network namespaces of its own; a relay works for any user, and in containers.

mod connection;
mod delay_line;
mod round_trip;
mod server_url;

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle, Scope};
use std::time::Duration;

use anyhow::{Context, Result};

use connection::{Connection, reset_on_close};

pub use round_trip::{measure_http_round_trip, measure_postgres_round_trip};
pub use server_url::server_address;

/// What a target may take to accept a connection; one on the same machine takes microseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a connection that could not be accepted, as when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running relay. Dropping it closes its port and resets its connections.
///
/// Drop blocks until the last thread has ended: as a rule some milliseconds, a tenth of a second
/// if a peer does not read, and 5 s if the target just then leaves a connection unanswered.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    added_round_trip: Duration,
    listener: TcpListener,
    connections: Arc<Connections>,
    accepting: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens on a free port of 127.0.0.1 for connections to `target`. The target is asked for the
    /// first time when a connection comes; one that it refuses is reset.
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub fn start(target: SocketAddr, added_round_trip: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("the relay cannot listen on 127.0.0.1")?;
        let address = listener
            .local_addr()
            .context("the relay's port is unknown")?;
        let connections = Arc::new(Connections {
            target,
            one_way: added_round_trip / 2,
            open: Mutex::default(),
        });
        let accepting = {
            let listener = listener
                .try_clone()
                .context("cannot share the relay's port")?;
            let connections = Arc::clone(&connections);
            thread::Builder::new()
                .name("relay".to_owned())
                .spawn(move || connections.accept(&listener))
                .context("cannot start the relay's thread")?
        };
        Ok(Self {
            address,
            added_round_trip,
            listener,
            connections,
            accepting: Some(accepting),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked for; the round trips that were added are a little longer.
    pub fn added_round_trip(&self) -> Duration {
        self.added_round_trip
    }

    /// `url`, of a PostgreSQL server or an HTTP endpoint, with this relay's host and port and all
    /// else as it was. A certificate that names the server does not fit it.
    ///
    /// # Errors
    /// Those of [`server_address`] that concern the URL alone.
    pub fn in_place_of(&self, url: &str) -> Result<String> {
        server_url::with_address(url, self.address)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.connections.close();
        // The standard library cannot shut a listener down. On Linux that ends a blocked accept,
        // where merely closing this descriptor would leave the other one listening.
        if let Ok(listener) = self.listener.try_clone() {
            let _ = TcpStream::from(OwnedFd::from(listener)).shutdown(Shutdown::Both);
        }
        if let Some(accepting) = self.accepting.take()
            && accepting.join().is_err()
        {
            tracing::warn!("a thread of the relay panicked");
        }
    }
}

/// The connections of one relay, and what is the same for all of them.
#[derive(Debug)]
struct Connections {
    target: SocketAddr,
    one_way: Duration,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    closed: bool,
    connections: Vec<Weak<Connection>>,
}

impl Connections {
    /// Accepts until the relay is closed, and returns when the last connection has ended.
    fn accept(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            loop {
                let accepted = listener
                    .accept()
                    .and_then(|(client, _)| spawn(scope, || self.serve(client)));
                match accepted {
                    Ok(()) => {}
                    Err(_) if self.open().closed => break,
                    Err(error) => {
                        tracing::warn!("the relay cannot accept a connection: {error}");
                        thread::sleep(ACCEPT_PAUSE);
                    }
                }
            }
        });
    }

    fn serve(&self, client: TcpStream) {
        let server = match TcpStream::connect_timeout(&self.target, CONNECT_TIMEOUT) {
            Ok(server) => server,
            Err(error) => {
                tracing::warn!("the relay cannot reach {}: {error}", self.target);
                reset_on_close(&client);
                return;
            }
        };
        let served = Connection::new(client, server, self.one_way).and_then(|connection| {
            let connection = Arc::new(connection);
            if !self.add(&connection) {
                return Ok(());
            }
            connection.run()
        });
        if let Err(error) = served {
            tracing::warn!("the relay gave a connection up: {error}");
        }
    }

    /// Whether the relay is still open, so that the connection may run.
    fn add(&self, connection: &Arc<Connection>) -> bool {
        let mut open = self.open();
        open.connections.retain(|other| other.strong_count() > 0);
        open.connections.push(Arc::downgrade(connection));
        !open.closed
    }

    fn close(&self) {
        let mut open = self.open();
        open.closed = true;
        for connection in open.connections.iter().filter_map(Weak::upgrade) {
            connection.abort();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread with the relay's name, so that its CPU time is distinct from that of others.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    thread::Builder::new()
        .name("relay".to_owned())
        .spawn_scoped(scope, work)
        .map(drop)
}

#[cfg(test)]
mod tests;
