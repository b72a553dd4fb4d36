//! Escaping in place, for the text formats.

use bytes::BytesMut;

/// Puts two bytes in the place of each byte since `start` for which `wide` has some. Most cells
/// have none and are only looked at; the others grow from their end, without a copy elsewhere.
pub(super) fn widen(start: usize, out: &mut BytesMut, wide: impl Fn(u8) -> Option<[u8; 2]>) {
    let extra = out[start..]
        .iter()
        .filter(|&&byte| wide(byte).is_some())
        .count();
    if extra == 0 {
        return;
    }
    let mut from = out.len();
    let mut to = from + extra;
    out.resize(to, 0);
    // Once the moved bytes have caught up, the rest is already in its place.
    while to > from {
        from -= 1;
        match wide(out[from]) {
            Some(pair) => {
                to -= 2;
                out[to..to + 2].copy_from_slice(&pair);
            }
            None => {
                to -= 1;
                out[to] = out[from];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_last_is_widened() {
        let mut out = BytesMut::from("a\"b|\"c\"\"d");
        widen(4, &mut out, |byte| (byte == b'"').then_some(*b"\"\""));
        assert_eq!(out, "a\"b|\"\"c\"\"\"\"d");
    }
}
