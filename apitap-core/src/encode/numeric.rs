//! PostgreSQL's `numeric`: groups of four decimal digits.

use arrow::datatypes::i256;
use bytes::{BufMut, BytesMut};

/// Decimal digits in a group, and the base they make: `numeric.c`, DEC_DIGITS and NBASE.
const GROUP_DIGITS: i32 = 4;
const BASE: i128 = 10_000;
const NEGATIVE: u16 = 0x4000;

/// Appends the binary form of `unscaled · 10^-scale`, as `numeric_recv` reads it: the number of
/// groups, the weight of the first (a power of the base), the sign, the digits behind the point
/// to display, and the groups from the most significant.
pub(super) fn binary(unscaled: i256, scale: i8, out: &mut BytesMut) {
    let negative = unscaled.is_negative();
    // Groups are aligned at the point: the last one is padded with zeros on its right.
    let scale = i32::from(scale);
    let padding = (-scale).rem_euclid(GROUP_DIGITS);
    let mut lowest_weight = (-scale - padding) / GROUP_DIGITS;
    let mut groups = [0u16; 24];
    let mut count = 0;
    // Unsigned, because the padding may carry the magnitude past what is left of the sign.
    let mut rest = unscaled.wrapping_abs();
    let first_divisor = 10i128.pow((GROUP_DIGITS - padding) as u32);
    let mut divisor = first_divisor;
    while rest != i256::ZERO {
        let (quotient, remainder) = divide(rest, divisor);
        let group = if divisor == first_divisor {
            remainder * 10i128.pow(padding as u32)
        } else {
            remainder
        };
        groups[count] = group as u16;
        count += 1;
        rest = quotient;
        divisor = BASE;
    }
    // Zeros at the low end need not be sent.
    let trailing = groups[..count]
        .iter()
        .take_while(|&&group| group == 0)
        .count();
    lowest_weight += trailing as i32;
    let sent = &groups[trailing..count];
    let weight = if sent.is_empty() {
        0
    } else {
        lowest_weight + sent.len() as i32 - 1
    };
    out.put_u16(sent.len() as u16);
    out.put_i16(weight as i16);
    out.put_u16(if negative { NEGATIVE } else { 0 });
    out.put_u16(scale.max(0) as u16);
    for &group in sent.iter().rev() {
        out.put_u16(group);
    }
}

/// Appends `unscaled · 10^-scale` in decimal.
pub(super) fn text(unscaled: i256, scale: i8, out: &mut BytesMut) {
    let digits = unscaled.to_string();
    let digits = match digits.strip_prefix('-') {
        Some(digits) => {
            out.put_u8(b'-');
            digits
        }
        None => &digits,
    };
    let scale = i32::from(scale);
    if scale <= 0 {
        out.put_slice(digits.as_bytes());
        if digits != "0" {
            out.put_bytes(b'0', scale.unsigned_abs() as usize);
        }
        return;
    }
    let scale = scale as usize;
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    out.put_slice(if whole.is_empty() {
        b"0"
    } else {
        whole.as_bytes()
    });
    out.put_u8(b'.');
    out.put_bytes(b'0', scale - fraction.len());
    out.put_slice(fraction.as_bytes());
}

fn divide(value: i256, divisor: i128) -> (i256, i128) {
    match value.to_i128() {
        Some(value) => (i256::from_i128(value / divisor), value % divisor),
        None => {
            let divisor = i256::from_i128(divisor);
            let remainder = value.wrapping_rem(divisor).to_i128().unwrap_or_default();
            (value.wrapping_div(divisor), remainder)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(unscaled: i128, scale: i8) -> (i16, Vec<u16>, String) {
        let mut out = BytesMut::new();
        binary(i256::from_i128(unscaled), scale, &mut out);
        let words: Vec<u16> = out
            .chunks(2)
            .map(|word| u16::from_be_bytes([word[0], word[1]]))
            .collect();
        let mut decimal = BytesMut::new();
        text(i256::from_i128(unscaled), scale, &mut decimal);
        (
            words[1] as i16,
            words[4..].to_vec(),
            String::from_utf8(decimal.to_vec()).unwrap(),
        )
    }

    #[test]
    fn groups_are_aligned_at_the_point() {
        assert_eq!(encoded(0, 2), (0, vec![], "0.00".into()));
        assert_eq!(encoded(12_345, 2), (0, vec![123, 4500], "123.45".into()));
        assert_eq!(
            encoded(-12_345_678, 0),
            (1, vec![1234, 5678], "-12345678".into())
        );
        assert_eq!(encoded(5, 4), (-1, vec![5], "0.0005".into()));
        assert_eq!(encoded(5, 5), (-2, vec![5000], "0.00005".into()));
        assert_eq!(encoded(1, 1), (-1, vec![1000], "0.1".into()));
        assert_eq!(encoded(10_000, 0), (1, vec![1], "10000".into()));
        assert_eq!(encoded(7, -3), (0, vec![7000], "7000".into()));
        assert_eq!(encoded(7, -5), (1, vec![70], "700000".into()));
    }
}
