//! Sockets to a server, with the options that `tokio_postgres` sets on those that it opens itself.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// An open socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

/// Does the same with either kind.
macro_rules! either {
    ($socket:expr, $stream:ident => $work:expr) => {
        match $socket.get_mut() {
            Socket::Tcp($stream) => $work,
            #[cfg(unix)]
            Socket::Unix($stream) => $work,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}

/// Opens a socket to `host`: a name, an address, or the folder of a Unix socket. Each address has until `limit`
/// to accept.
///
/// # Errors
/// The error of the last address, when no address of the host answers.
pub(super) async fn dial(host: &str, port: u16, limit: Duration) -> io::Result<Socket> {
    #[cfg(unix)]
    if host.starts_with('/') {
        let path = std::path::Path::new(host).join(format!(".s.PGSQL.{port}"));
        let stream = in_time(limit, tokio::net::UnixStream::connect(path)).await?;
        return Ok(Socket::Unix(stream));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in in_time(limit, lookup_host((host, port))).await? {
        match in_time(limit, open(address)).await {
            Ok(stream) => return Ok(Socket::Tcp(stream)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_keepalive(true)?;
    let stream = socket.connect(address).await?;
    // Every write is a whole request, or a piece of a COPY that should leave at once.
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn in_time<S>(
    limit: Duration,
    opening: impl Future<Output = io::Result<S>>,
) -> io::Result<S> {
    let opened = tokio::time::timeout(limit, opening).await;
    opened.unwrap_or_else(|_| {
        let text = format!("no answer within {limit:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_host_is_reached_by_name_and_by_folder() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stream, accepted) = tokio::join!(dial("localhost", port, LIMIT), listener.accept());
        stream.unwrap().write_all(b"x").await.unwrap();
        assert_eq!(accepted.unwrap().0.read_u8().await.unwrap(), b'x');

        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5433")).unwrap();
        let host = folder.path().to_str().unwrap();
        let (stream, accepted) = tokio::join!(dial(host, 5433, LIMIT), listener.accept());
        stream.unwrap().write_all(b"y").await.unwrap();
        assert_eq!(accepted.unwrap().0.read_u8().await.unwrap(), b'y');
    }

    #[tokio::test]
    async fn a_host_that_nobody_listens_on_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = dial("127.0.0.1", port, LIMIT).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
