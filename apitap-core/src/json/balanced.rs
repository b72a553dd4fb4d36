//! The end of an array or object, by its brackets alone.

use wide::u8x16;

/// Bytes that are looked at together: one bit each in a `u64`.
const BLOCK_BYTES: usize = 64;
const LANE_BYTES: usize = 16;

/// The offset behind the array or object that begins at `start`. If it is not JSON, the offset means nothing; none
/// where it does not end.
///
/// 64 bytes at a time, after Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (2019), section 3.1: a byte is
/// inside a string if an odd number of quotes came before it.
pub(super) fn balanced_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut strings = Strings::default();
    let mut depth = 0;
    let mut at = start;
    loop {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let block = match rest.first_chunk() {
            Some(block) => Block::new(block),
            None => {
                let mut padded = [b' '; BLOCK_BYTES];
                padded[..rest.len()].copy_from_slice(rest);
                Block::new(&padded)
            }
        };
        let outside = !strings.inside(&block);
        let (opening, closing) = (block.opening & outside, block.closing & outside);
        // Most blocks cannot reach the end.
        if closing.count_ones() < depth {
            depth = depth + opening.count_ones() - closing.count_ones();
        } else if let Some(offset) = end_within(opening, closing, &mut depth) {
            return Some(at + offset);
        }
        at += BLOCK_BYTES;
    }
}

/// The offset behind the bracket that takes `depth` to zero.
fn end_within(opening: u64, closing: u64, depth: &mut u32) -> Option<usize> {
    let mut brackets = opening | closing;
    while brackets != 0 {
        let bit = brackets.trailing_zeros();
        if opening >> bit & 1 == 1 {
            *depth += 1;
        } else {
            *depth -= 1;
            if *depth == 0 {
                return Some(bit as usize + 1);
            }
        }
        brackets &= brackets - 1;
    }
    None
}

/// Which of 64 bytes are what; the first byte is the lowest bit.
struct Block {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Block {
    #[inline]
    fn new(bytes: &[u8; BLOCK_BYTES]) -> Self {
        // A bracket and a brace differ in one bit.
        const BRACE_BIT: u8 = b'{' ^ b'[';
        let mut block = Self {
            quotes: 0,
            backslashes: 0,
            opening: 0,
            closing: 0,
        };
        for (nth, lane) in bytes.as_chunks::<LANE_BYTES>().0.iter().enumerate() {
            let lane = u8x16::new(*lane);
            let braces = lane | u8x16::splat(BRACE_BIT);
            let bits = |lane: u8x16, byte: u8| {
                let equal = lane.simd_eq(u8x16::splat(byte));
                u64::from(equal.to_bitmask()) << (nth * LANE_BYTES)
            };
            block.quotes |= bits(lane, b'"');
            block.backslashes |= bits(lane, b'\\');
            block.opening |= bits(braces, b'{');
            block.closing |= bits(braces, b'}');
        }
        block
    }
}

/// What goes on from one block to the next.
#[derive(Default)]
struct Strings {
    /// All bits if the block before ends inside a string, else none.
    is_inside: u64,
    /// The lowest bit, if the block before ends with a backslash that escapes what follows.
    escapes: u64,
}

impl Strings {
    /// The bytes inside of strings, with the quote that opens each.
    #[inline]
    fn inside(&mut self, block: &Block) -> u64 {
        let mut inside = block.quotes & !self.escaped(block.backslashes);
        // Each bit becomes the parity of itself and those below.
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        inside ^= self.is_inside;
        self.is_inside = (inside.cast_signed() >> (u64::BITS - 1)).cast_unsigned();
        inside
    }

    /// The bytes that a backslash escapes: those behind a run of backslashes of odd length.
    #[inline]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        if backslashes == 0 {
            return std::mem::take(&mut self.escapes);
        }
        const EVEN_BITS: u64 = 0x5555_5555_5555_5555;
        let backslashes = backslashes & !self.escapes;
        let follows = backslashes << 1 | self.escapes;
        // Adding to a run carries to the bit behind it; whether that is odd or even tells its length, given the
        // parity of its start.
        let odd_starts = backslashes & !EVEN_BITS & !follows;
        let (behind_odd_starts, carries) = odd_starts.overflowing_add(backslashes);
        self.escapes = u64::from(carries);
        (EVEN_BITS ^ (behind_odd_starts << 1)) & follows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::Scanner;

    #[test]
    fn brackets_in_strings_and_escapes_do_not_count() {
        for text in [
            "{}",
            "[]",
            r#"{"a":"}"}"#,
            r#"["]\"]"]"#,
            r#"["\\"]"#,
            r#"["\\\"]"]"#,
            r#"{"a":[{"b":"\\\\"},{}],"c":[[]]}"#,
        ] {
            for before in 0..70 {
                let padded = format!("{}{text}]]}}}}", " ".repeat(before));
                let end = balanced_end(padded.as_bytes(), before);
                assert_eq!(end, Some(before + text.len()), "{padded}");
            }
        }
        for text in ["[", r#"["]"#, r#"{"a":"\"}"#, ""] {
            assert_eq!(balanced_end(text.as_bytes(), 0), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn finds_the_end_that_the_scanner_finds(
            strings in prop::collection::vec(r#"([\[\]{}"a]|\\){0,40}"#, 1..12),
            before in 0usize..70,
        ) {
            let value = strings.iter().fold(serde_json::json!({}), |value, string| {
                serde_json::json!([{ string.as_str(): value }, string])
            });
            let text = format!("{}{value}]}}\"", " ".repeat(before));
            let mut scanner = Scanner::new(&text, before);
            let end = scanner.skip().unwrap().end;
            prop_assert_eq!(balanced_end(text.as_bytes(), before), Some(end));
        }
    }
}
