//! One connection through the relay: two sockets, and a delay line in each direction.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use tokio::net::TcpSocket;

use super::delay_line::{Arrival, CHUNK_BYTES, DelayLine};
use super::spawn;

/// How often a write to a peer that does not read looks whether the connection was given up.
const WRITE_POLL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Connection {
    client: TcpStream,
    server: TcpStream,
    pub(super) to_server: DelayLine,
    pub(super) to_client: DelayLine,
}

impl Connection {
    pub(super) fn new(client: TcpStream, server: TcpStream, one_way: Duration) -> io::Result<Self> {
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
            socket.set_write_timeout(Some(WRITE_POLL))?;
        }
        Ok(Self {
            client,
            server,
            to_server: DelayLine::new(one_way),
            to_client: DelayLine::new(one_way),
        })
    }

    /// Hands bytes on until both directions have ended.
    pub(super) fn run(&self) -> io::Result<()> {
        let (client, server) = (&self.client, &self.server);
        thread::scope(|scope| {
            let spawned = spawn(scope, || self.deliver(&self.to_server, server))
                .and_then(|()| spawn(scope, || self.deliver(&self.to_client, client)))
                .and_then(|()| spawn(scope, || receive(server, &self.to_client)));
            match spawned {
                Ok(()) => receive(client, &self.to_server),
                Err(_) => self.abort(),
            }
            spawned
        })
    }

    /// Ends both directions now. Both peers see a reset once the sockets are closed, which happens
    /// when [`Connection::run`] has returned.
    pub(super) fn abort(&self) {
        self.to_server.abandon();
        self.to_client.abandon();
        for socket in [&self.client, &self.server] {
            reset_on_close(socket);
            // Wakes a blocked read and sends nothing. Shutting down the other direction would send
            // an orderly end first, which an HTTP client may take for that of a body.
            let _ = socket.shutdown(Shutdown::Read);
        }
    }

    fn deliver(&self, line: &DelayLine, to: &TcpStream) {
        wake_on_time();
        while let Some(arrival) = line.next_due() {
            match arrival {
                Arrival::Bytes(bytes) => {
                    if write_all(to, &bytes, line).is_err() {
                        // The peer's refusal takes its time to travel back, as all else does.
                        line.pause();
                        return self.abort();
                    }
                }
                Arrival::End => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Arrival::Reset => return self.abort(),
            }
        }
    }
}

fn receive(mut from: &TcpStream, line: &DelayLine) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while line.wait_for_room() {
        match from.read(&mut buffer) {
            Ok(0) => return line.push(Instant::now(), Arrival::End),
            Ok(read) => line.push(Instant::now(), Arrival::Bytes(buffer[..read].into())),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return line.push(Instant::now(), Arrival::Reset),
        }
    }
}

fn write_all(mut to: &TcpStream, mut bytes: &[u8], line: &DelayLine) -> io::Result<()> {
    while !bytes.is_empty() && !line.is_abandoned() {
        match to.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Has the peer see a reset, and not an orderly end, when the socket is closed.
pub(super) fn reset_on_close(socket: &TcpStream) {
    // The option is not stable in the standard library; it belongs to the socket that both
    // descriptors share.
    if let Ok(shared) = socket.try_clone() {
        let _ = TcpSocket::from_std_stream(shared).set_zero_linger();
    }
}

/// Has this thread wake when its time has come and not up to 50 µs later, which is the kernel's
/// default slack for saving wake-ups (prctl(2), `PR_SET_TIMERSLACK`). Where that is refused, bytes
/// are as much later.
fn wake_on_time() {
    let Ok(thread) = fs::read_link("/proc/thread-self") else {
        return;
    };
    if let Some(id) = thread.file_name() {
        let _ = fs::write(Path::new("/proc").join(id).join("timerslack_ns"), "1");
    }
}
