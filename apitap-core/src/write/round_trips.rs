//! Round trips to PostgreSQL, counted where bytes leave and arrive. The server's errors are overheard there too.
//!
//! A round trip is a request with its answer: the client sent something that the server answers, and
//! then read a part of an answer. The count follows the sent messages one by one (PostgreSQL's
//! documentation, "Frontend/Backend Protocol"), so it does not depend on the size or the time of reads
//! and writes:
//!
//! - A request ends with Query, or with the Sync after Parse, Bind, CopyDone or CopyFail.
//! - The rows of a COPY are no request: the server answers once, when they have ended.
//! - Closing a statement does not count: nobody waits for its answer, and timing decides whether that is
//!   read separately or with the next one.
//! - Connecting does not count: its round trips depend on the server's authentication and not on the
//!   load. For the same reason the handshake of TLS does not count.
//!
//! With one request at a time under way, the count is therefore exact and repeats. With several
//! (`write.in_flight` above 1), those that were sent before an answer was read count as one: then the
//! count depends on timing. Every connection counts for itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use futures::future::{BoxFuture, FutureExt as _, TryFutureExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::heard::{Heard, Received};
use crate::metrics::Metrics;

/// A stream of PostgreSQL's protocol in plain text, whose round trips are counted.
pub(super) struct Counted<S> {
    stream: S,
    sent: Sent,
    received: Received,
    metrics: Arc<Metrics>,
    heard: Arc<Heard>,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S, metrics: Arc<Metrics>, heard: Arc<Heard>) -> Self {
        Self {
            stream,
            sent: Sent::default(),
            received: Received::default(),
            metrics,
            heard,
        }
    }
}

/// TLS below the count: it counts the plain messages and not the encrypted ones.
pub(super) struct CountedTls<T>(pub(super) T);

impl<S, T> TlsConnect<Counted<S>> for CountedTls<T>
where
    T: TlsConnect<S>,
    T::Future: Send + 'static,
{
    type Stream = Counted<T::Stream>;
    type Error = T::Error;
    type Future = BoxFuture<'static, Result<Self::Stream, Self::Error>>;

    fn connect(self, counted: Counted<S>) -> Self::Future {
        let (metrics, heard) = (counted.metrics, counted.heard);
        let encrypted = self.0.connect(counted.stream);
        encrypted
            .map_ok(|stream| Counted::new(stream, metrics, heard))
            .boxed()
    }
}

impl<S: TlsStream + Unpin> TlsStream for Counted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let this = &mut *self;
        let read = &buffer.filled()[before..];
        this.received.follow(read, &this.heard);
        if !read.is_empty() && this.sent.is_answered() {
            this.metrics.write.round_trips.fetch_add(1, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

/// Bytes of a server's last answer that are read at once.
const LAST_ANSWER_BYTES: usize = 4 << 10;

impl<S: AsyncRead + Unpin> Counted<S> {
    /// Reads until the server's side has ended. It has said why, and once sending fails the client reads no more.
    fn poll_last_answer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut room = [0; LAST_ANSWER_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut *self).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

/// Whether the other side has ended the connection, so that reading from it ends too.
fn is_closed_by_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionReset | ConnectionAborted
    )
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(context, bytes)) {
            Ok(count) => {
                self.sent.follow(&bytes[..count]);
                Poll::Ready(Ok(count))
            }
            Err(error) => {
                if is_closed_by_peer(&error) {
                    ready!(self.poll_last_answer(context));
                }
                Poll::Ready(Err(error))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Follows what is sent, from message to message.
#[derive(Debug, Default)]
struct Sent {
    /// Type and length of the current message, as far as they were sent.
    header: [u8; 5],
    header_bytes: usize,
    /// Bytes of its contents that are left.
    contents_bytes: usize,
    /// Whether there was a request since the last Sync.
    asks: bool,
    /// Whether a request has ended and nothing was read since.
    awaits: bool,
}

impl Sent {
    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some(first) = bytes.first() {
            if self.contents_bytes > 0 {
                let count = self.contents_bytes.min(bytes.len());
                self.contents_bytes -= count;
                bytes = &bytes[count..];
                continue;
            }
            self.header[self.header_bytes] = *first;
            self.header_bytes += 1;
            bytes = &bytes[1..];
            // The first messages of a connection have no type, and begin with the first byte of
            // their length: they are far shorter than 16 MiB.
            let of_type = usize::from(self.header[0] != 0);
            let [a, b, c, d] = match of_type {
                1 => self.header[1..].try_into().unwrap_or_default(),
                _ => self.header[..4].try_into().unwrap_or_default(),
            };
            if self.header_bytes == of_type + size_of::<u32>() {
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                // The length counts itself.
                self.contents_bytes = length.saturating_sub(size_of::<u32>());
                self.header_bytes = 0;
                self.began(self.header[0]);
            }
        }
    }

    /// A message of that type is on its way.
    fn began(&mut self, message: u8) {
        match message {
            // Parse, Bind, CopyDone, CopyFail.
            b'P' | b'B' | b'c' | b'f' => self.asks = true,
            b'Q' => self.awaits = true,
            // Sync. Without a request it follows Close.
            b'S' => self.awaits |= std::mem::take(&mut self.asks),
            _ => {}
        }
    }

    /// Something was read: whether it is the first of an answer.
    fn is_answered(&mut self) -> bool {
        std::mem::take(&mut self.awaits)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn message(of_type: u8, contents: &[u8]) -> Vec<u8> {
        let length = (contents.len() + 4) as u32;
        [&[of_type][..], &length.to_be_bytes(), contents].concat()
    }

    fn startup() -> Vec<u8> {
        message(0, b"\0\x03\0\0user\0u\0\0").split_off(1)
    }

    /// Sends each of the pieces, with something read after each, and counts.
    fn round_trips(pieces: &[Vec<u8>]) -> usize {
        let mut sent = Sent::default();
        let answered = pieces.iter().filter(|piece| {
            sent.follow(piece);
            sent.is_answered()
        });
        answered.count()
    }

    #[test]
    fn a_question_counts_when_it_is_answered() {
        let parse = [message(b'P', b"s\0SELECT 1\0\0\0"), message(b'S', b"")].concat();
        let query = message(b'Q', b"COMMIT\0");
        assert_eq!(round_trips(&[parse.clone(), query.clone()]), 2);
        // Sent together, they are answered together.
        assert_eq!(round_trips(&[[parse, query].concat(), vec![]]), 1);
        // An answer that comes in pieces is one.
        assert_eq!(round_trips(&[message(b'Q', b"x\0"), vec![], vec![]]), 1);
    }

    #[tokio::test]
    async fn a_server_that_ends_while_rows_are_sent_is_heard() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let heard = Arc::new(Heard::default());
        let mut counted = Counted::new(client.unwrap(), Arc::default(), heard.clone());
        let mut server = accepted.unwrap().0;
        counted.write_all(&message(b'd', b"a row")).await.unwrap();
        server.readable().await.unwrap();
        let reason = b"SFATAL\0VFATAL\0C57P01\0Mterminated\0\0";
        server.write_all(&message(b'E', reason)).await.unwrap();
        // What it has not read makes its end a reset.
        drop(server);
        while counted.write_all(&message(b'd', b"a row")).await.is_ok() {}
        assert_eq!(heard.error().unwrap().message, "terminated");
    }

    #[test]
    fn connecting_and_closing_statements_do_not_count() {
        let ssl = 8_u32.to_be_bytes().into_iter().chain([4, 210, 22, 47]);
        let close = [message(b'C', b"Ss\0"), message(b'S', b"")].concat();
        let connecting = [ssl.collect(), startup(), message(b'p', b"secret\0")];
        assert_eq!(round_trips(&connecting), 0);
        assert_eq!(round_trips(std::slice::from_ref(&close)), 0);
        let query = message(b'Q', b"COMMIT\0");
        // One trip, whether the answer to Close is read by itself or not.
        assert_eq!(round_trips(&[close.clone(), query.clone(), vec![]]), 1);
        assert_eq!(round_trips(&[[close, query].concat(), vec![]]), 1);
    }

    #[test]
    fn rows_of_a_copy_are_no_question_until_they_end() {
        let rows = message(b'd', &[b'Q'; 100]);
        let done = [message(b'c', b""), message(b'S', b"")].concat();
        assert_eq!(round_trips(&[rows.clone(), rows.clone()]), 0);
        assert_eq!(round_trips(&[rows.clone(), rows, done, vec![]]), 1);
    }

    #[test]
    fn where_writes_are_cut_does_not_matter() {
        let bind = message(b'B', &[b'S'; 300]);
        let question = [bind, message(b'E', b"\0\0\0\0\0"), message(b'S', b"")].concat();
        let whole = [startup(), question].concat();
        for cut in 0..whole.len() {
            // What is read before the end belongs to an earlier answer.
            let pieces = [whole[..cut].to_vec(), whole[cut..].to_vec(), vec![]];
            assert_eq!(round_trips(&pieces), 1, "cut at {cut}");
        }
    }
}
