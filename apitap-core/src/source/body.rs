//! Bodies as they are sent: content encodings undone, within a limit of bytes.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use reqwest::header::{self, HeaderMap};

use super::media::shown;

/// What requests say may be used.
pub(super) const ACCEPTED_ENCODINGS: &str = "gzip, br, zstd, deflate";

/// The byte order mark of UTF-8, which some servers put in front.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Room that an encoding without a length begins with.
const FIRST_RESERVE_BYTES: usize = 64 << 10;

/// Why a body cannot be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// An encoding that is not known, by its name.
    Encoding(String),
    /// More bytes than the limit.
    TooLarge,
    /// Bytes that are not what their encoding says, or only a part of it.
    Damaged(io::Error),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Damaged(error)
    }
}

/// How bytes may be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The body that `sent` stands for: its encodings undone, the last first, and without a byte order
/// mark.
pub(super) fn decoded(headers: &HeaderMap, sent: Bytes, limit: usize) -> Result<Bytes, Unreadable> {
    let mut body = sent;
    for encoding in encodings(headers)?.into_iter().rev() {
        // A status without content may still name its encoding.
        if !body.is_empty() {
            body = encoding.decode(&body, limit)?.into();
        }
    }
    Ok(match body.starts_with(MARK) {
        true => body.slice(MARK.len()..),
        false => body,
    })
}

fn encodings(headers: &HeaderMap) -> Result<Vec<Encoding>, Unreadable> {
    let mut encodings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.as_bytes().split(|&byte| byte == b',') {
            let name = name.trim_ascii();
            match name.to_ascii_lowercase().as_slice() {
                b"" | b"identity" => {}
                b"gzip" | b"x-gzip" => encodings.push(Encoding::Gzip),
                b"deflate" => encodings.push(Encoding::Deflate),
                b"br" => encodings.push(Encoding::Brotli),
                b"zstd" => encodings.push(Encoding::Zstd),
                _ => return Err(Unreadable::Encoding(shown(name))),
            }
        }
    }
    Ok(encodings)
}

impl Encoding {
    fn decode(self, body: &[u8], limit: usize) -> Result<Vec<u8>, Unreadable> {
        match self {
            Self::Gzip => read(MultiGzDecoder::new(body), limit),
            Self::Brotli => read(brotli::Decompressor::new(body, 4096), limit),
            Self::Zstd => read(zstd::stream::read::Decoder::new(body)?, limit),
            // The standard means zlib; some servers send what is inside.
            Self::Deflate => match inflate(body, true, limit) {
                Err(Unreadable::Damaged(_)) => inflate(body, false, limit),
                done => done,
            },
        }
    }
}

fn read(from: impl Read, limit: usize) -> Result<Vec<u8>, Unreadable> {
    let mut body = Vec::new();
    // One byte more tells a body at its limit from one beyond it.
    from.take(limit as u64 + 1).read_to_end(&mut body)?;
    match body.len() > limit {
        true => Err(Unreadable::TooLarge),
        false => Ok(body),
    }
}

/// Undoes deflate, with or without zlib's frame. flate2's readers take a stream that is cut short for
/// a complete one.
fn inflate(body: &[u8], has_frame: bool, limit: usize) -> Result<Vec<u8>, Unreadable> {
    let mut inflate = Decompress::new(has_frame);
    let mut out = Vec::new();
    loop {
        let before = (inflate.total_in(), inflate.total_out());
        out.reserve(out.len().max(FIRST_RESERVE_BYTES));
        let rest = body.get(before.0 as usize..).unwrap_or_default();
        let status = inflate.decompress_vec(rest, &mut out, FlushDecompress::None);
        let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if out.len() > limit {
            return Err(Unreadable::TooLarge);
        }
        if status == Status::StreamEnd && inflate.total_in() == body.len() as u64 {
            return Ok(out);
        }
        if before == (inflate.total_in(), inflate.total_out()) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = br#"[{"id":1},{"id":2},{"id":1},{"id":2},{"id":1},{"id":2}]"#;

    fn headers(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| {
            let value = header::HeaderValue::from_str(value).unwrap();
            (header::CONTENT_ENCODING, value)
        });
        values.collect()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(text: &[u8]) -> Vec<u8> {
        let mut sent = Vec::new();
        let mut encoder = brotli::CompressorWriter::new(&mut sent, 4096, 5, 20);
        encoder.write_all(text).unwrap();
        drop(encoder);
        sent
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(text, 3).unwrap()
    }

    fn all(text: &[u8]) -> [(&'static str, Vec<u8>); 5] {
        [
            ("gzip", gzip(text)),
            ("deflate", zlib(text)),
            ("deflate", raw_deflate(text)),
            ("br", brotli(text)),
            ("zstd", zstd(text)),
        ]
    }

    fn decode(encoding: &str, sent: Vec<u8>, limit: usize) -> Result<Bytes, Unreadable> {
        decoded(&headers(&[encoding]), sent.into(), limit)
    }

    #[test]
    fn encodings_are_undone() {
        for (encoding, sent) in all(TEXT) {
            assert_eq!(
                decode(encoding, sent, TEXT.len()).unwrap(),
                TEXT,
                "{encoding}"
            );
        }
        assert_eq!(decode("identity", TEXT.to_vec(), 9).unwrap(), TEXT);
        assert_eq!(decode("X-GZip", gzip(TEXT), 1 << 20).unwrap(), TEXT);
        assert_eq!(decode("gzip", Vec::new(), 9).unwrap(), "");
    }

    #[test]
    fn several_members_and_several_encodings_are_undone() {
        let (first, second) = TEXT.split_at(9);
        let members = [gzip(first), gzip(b""), gzip(second)].concat();
        assert_eq!(decode("gzip", members, 1 << 20).unwrap(), TEXT);
        let frames = [zstd(first), zstd(second)].concat();
        assert_eq!(decode("zstd", frames, 1 << 20).unwrap(), TEXT);
        let twice = brotli(&gzip(TEXT));
        assert_eq!(decode("gzip, br", twice.clone(), 1 << 20).unwrap(), TEXT);
        let lines = headers(&["gzip", "identity,br"]);
        assert_eq!(decoded(&lines, twice.into(), 1 << 20).unwrap(), TEXT);
    }

    #[test]
    fn what_is_cut_short_is_damaged_wherever_it_is_cut() {
        for (encoding, sent) in all(TEXT) {
            for length in 1..sent.len() {
                let cut = decode(encoding, sent[..length].to_vec(), 1 << 20);
                let is_damaged = matches!(cut, Err(Unreadable::Damaged(_)));
                assert!(is_damaged, "{encoding}, {length} bytes: {cut:?}");
            }
        }
        let members = [gzip(TEXT), gzip(TEXT)].concat();
        let cut = decode("gzip", members[..members.len() - 9].to_vec(), 1 << 20);
        assert!(matches!(cut, Err(Unreadable::Damaged(_))));
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let plain = decode(encoding, TEXT.to_vec(), 1 << 20);
            assert!(
                matches!(plain, Err(Unreadable::Damaged(_))),
                "{encoding}: {plain:?}"
            );
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let bomb = vec![b' '; 1 << 20];
        for (encoding, sent) in all(&bomb) {
            assert!(sent.len() < 1 << 14);
            let swollen = decode(encoding, sent.clone(), (1 << 20) - 1);
            assert!(matches!(swollen, Err(Unreadable::TooLarge)), "{encoding}");
            assert_eq!(decode(encoding, sent, 1 << 20).unwrap().len(), 1 << 20);
        }
    }

    #[test]
    fn an_unknown_encoding_is_named() {
        let unknown = decode("gzip, \tCompress", gzip(TEXT), 1 << 20);
        assert!(matches!(unknown, Err(Unreadable::Encoding(name)) if name == "Compress"));
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let marked = [MARK, TEXT].concat();
        assert_eq!(decode("identity", marked.clone(), 9).unwrap(), TEXT);
        assert_eq!(decode("gzip", gzip(&marked), 1 << 20).unwrap(), TEXT);
    }
}
