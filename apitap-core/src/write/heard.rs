//! The errors of a server, overheard where its bytes arrive.
//!
//! `tokio_postgres` shows the error of a COPY only when its rows have ended, and the reason for which the
//! server ended an idle session to nobody. Both are messages of type ErrorResponse (PostgreSQL's
//! documentation, "Message Formats"), so they are read here too, beside the client.

use tokio::sync::watch;

use super::server_error::ServerError;

/// What a connection has said of itself.
#[derive(Debug, Default)]
struct State {
    error: Option<ServerError>,
    is_closed: bool,
}

/// What the server has said on one connection.
#[derive(Debug, Default)]
pub(super) struct Heard(watch::Sender<State>);

impl Heard {
    /// The last error, if there was one.
    pub(super) fn error(&self) -> Option<ServerError> {
        self.0.borrow().error.clone()
    }

    /// Whether there was an error, or the connection has ended.
    pub(super) fn is_refused(&self) -> bool {
        let state = self.0.borrow();
        state.error.is_some() || state.is_closed
    }

    /// Waits for an error, or for the end of the connection.
    pub(super) async fn refused(&self) {
        let mut receiver = self.0.subscribe();
        // The sender is `self`, so it lives.
        let _ = receiver
            .wait_for(|state| state.error.is_some() || state.is_closed)
            .await;
    }

    pub(super) fn closed(&self) {
        self.0.send_modify(|state| state.is_closed = true);
    }

    fn hear(&self, error: ServerError) {
        self.0.send_modify(|state| state.error = Some(error));
    }
}

/// Type and length of a message.
const HEADER_BYTES: usize = 5;

/// Bytes of an error that are kept. A message quotes statements and values, which may be long.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Follows what is received, from message to message.
#[derive(Debug, Default)]
pub(super) struct Received {
    has_begun: bool,
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    /// Bytes of the current message's contents that are left.
    contents_bytes: usize,
    /// The contents of an error, as far as they have come.
    error: Option<Vec<u8>>,
}

impl Received {
    /// Takes the bytes of one read.
    pub(super) fn follow(&mut self, mut bytes: &[u8], heard: &Heard) {
        if !self.has_begun {
            // The answer to the question for TLS is a byte that is no message. The client reads it alone.
            if matches!(bytes, [b'N' | b'S']) {
                return;
            }
            self.has_begun = true;
        }
        while let Some(first) = bytes.first() {
            if self.contents_bytes > 0 {
                let count = self.contents_bytes.min(bytes.len());
                if let Some(error) = &mut self.error {
                    let room = MAX_ERROR_BYTES.saturating_sub(error.len());
                    error.extend_from_slice(&bytes[..count.min(room)]);
                }
                self.contents_bytes -= count;
                bytes = &bytes[count..];
                if self.contents_bytes == 0 {
                    self.ended(heard);
                }
                continue;
            }
            self.header[self.header_bytes] = *first;
            self.header_bytes += 1;
            bytes = &bytes[1..];
            if self.header_bytes == HEADER_BYTES {
                let [of_type, a, b, c, d] = self.header;
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                // The length counts itself.
                self.contents_bytes = length.saturating_sub(size_of::<u32>());
                self.header_bytes = 0;
                self.error = (of_type == b'E').then(Vec::new);
                if self.contents_bytes == 0 {
                    self.ended(heard);
                }
            }
        }
    }

    fn ended(&mut self, heard: &Heard) {
        if let Some(contents) = self.error.take() {
            heard.hear(ServerError::parse(&contents));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(of_type: u8, contents: &[u8]) -> Vec<u8> {
        let length = (contents.len() + 4) as u32;
        [&[of_type][..], &length.to_be_bytes(), contents].concat()
    }

    fn error(text: &str) -> Vec<u8> {
        message(
            b'E',
            format!("SFATAL\0VFATAL\0C57P01\0M{text}\0\0").as_bytes(),
        )
    }

    #[test]
    fn an_error_is_heard_wherever_reads_are_cut() {
        let answer = [
            message(b'R', &[0; 4]),
            message(b'D', b"E\0\0\0\x05E"),
            message(b'1', b""),
            error("the end"),
            message(b'Z', b"I"),
        ]
        .concat();
        for cut in 0..answer.len() {
            let (heard, mut received) = (Heard::default(), Received::default());
            received.follow(b"N", &heard);
            received.follow(&answer[..cut], &heard);
            received.follow(&answer[cut..], &heard);
            let error = heard.error().unwrap();
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                ("57P01", "the end"),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn nothing_is_heard_of_rows_and_notices() {
        let (heard, mut received) = (Heard::default(), Received::default());
        for answer in [
            message(b'R', &[0; 4]),
            message(b'D', &error("row")),
            message(b'N', b"SNOTICE\0Mhello\0\0"),
        ] {
            received.follow(&answer, &heard);
        }
        assert!(!heard.is_refused());
        received.follow(&error("x"), &heard);
        assert!(heard.is_refused());
        let heard = Heard::default();
        heard.closed();
        assert!(heard.is_refused());
    }
}
