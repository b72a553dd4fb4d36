//! Values in place of others: of the same kind, spelling and length, and different where those differ.
//!
//! A [`Permutation`] moves every letter within its alphabet and every digit among the digits, by an amount
//! that the rest of the value decides: once from its beginning and once from its end, so that a value that
//! begins like another does not after it. Each step can be undone by who has the key, so no two values
//! become one; the key is drawn at random and kept nowhere.

use std::hash::{BuildHasher as _, RandomState};

use chrono::{Datelike as _, NaiveDate};

/// What moves values.
#[derive(Default)]
pub(super) struct Permutation {
    /// Keyed at random.
    key: RandomState,
}

/// A part of a value that is one of `size` others.
struct Part {
    at: u64,
    size: u64,
}

impl Permutation {
    /// Another text of the same letters, digits and signs by place.
    pub(super) fn text(&self, text: &str) -> String {
        if let Some(instant) = Instant::read(text) {
            return self.instant(instant);
        }
        let is_uuid = is_uuid(text);
        let chars: Vec<char> = text.chars().collect();
        let alphabet = |char: char| Alphabet::of(char, is_uuid);
        let parts = chars.iter().map(|char| alphabet(*char).part(*char));
        let moved = self.moved(parts.collect());
        let back = chars.iter().zip(moved);
        back.map(|(char, at)| alphabet(*char).char(at, *char))
            .collect()
    }

    /// Another number with as many digits, as JSON writes it.
    ///
    /// Zeros at the end of a fraction stay, so that 1.5 and 1.50 become one number again, and what a 64-bit
    /// integer holds it holds afterwards.
    pub(super) fn number(&self, number: &str) -> String {
        let is_negative = number.starts_with('-');
        let begin = usize::from(is_negative);
        let end = number.find(['e', 'E']).unwrap_or(number.len());
        let mantissa = &number[begin..end];
        let whole = mantissa.find('.').unwrap_or(mantissa.len());
        let fraction_end = match mantissa.find('.') {
            Some(_) => mantissa.trim_end_matches('0').len(),
            None => mantissa.len(),
        };
        let fixed = fixed_digits(&mantissa[..whole]);
        let is_plain = end == number.len() && whole == mantissa.len();
        let part = |(at, byte): (usize, u8)| {
            let digit = u64::from(byte.wrapping_sub(b'0'));
            let is_first = at == 0 && (whole > 1 || is_negative || !is_plain);
            let is_last = at + 1 == fraction_end && at > whole;
            match byte {
                b'0'..=b'9' if at < fixed => Part::fixed(),
                // A zero there means something else than a digit.
                b'0' if is_first => Part::fixed(),
                b'1'..=b'8' if is_first && whole == LONGEST_DIGITS => Part::new(digit - 1, 8),
                b'1'..=b'9' if is_first || is_last => Part::new(digit - 1, 9),
                b'0'..=b'9' => Part::new(digit, 10),
                _ => Part::fixed(),
            }
        };
        let digits = &mantissa[..fraction_end];
        let parts: Vec<Part> = digits.bytes().enumerate().map(part).collect();
        let sizes: Vec<u64> = parts.iter().map(|part| part.size).collect();
        let moved = self.moved(parts);
        let mut out = number[..begin].to_owned();
        for ((byte, size), at) in digits.bytes().zip(sizes).zip(moved) {
            let digit = match size {
                1 => None,
                8 | 9 => Some(at + 1),
                _ => Some(at),
            };
            let digit = digit.and_then(|digit| char::from_digit(digit as u32, 10));
            out.push(digit.unwrap_or(char::from(byte)));
        }
        out + &number[begin + fraction_end..]
    }

    /// Another instant of the same century, in the same spelling.
    fn instant(&self, instant: Instant<'_>) -> String {
        let Instant {
            days,
            first,
            in_century,
            clock,
            rest,
        } = instant;
        let digits = rest.bytes().map(|byte| match byte {
            b'0'..=b'9' => Part::new(u64::from(byte - b'0'), 10),
            _ => Part::fixed(),
        });
        // The digits of the offset stay: they are behind the fraction.
        let fraction = rest.find(|c: char| c != '.' && !c.is_ascii_digit());
        let fraction = fraction.unwrap_or(rest.len());
        let time = clock.iter().flat_map(|(parts, _)| parts.iter());
        let time = time.map(|(at, size)| Part::new(*at, *size));
        let mut parts = vec![Part::new(days, in_century)];
        parts.extend(time);
        parts.extend(digits.take(fraction));
        let moved = self.moved(parts);
        let date = first + chrono::Days::new(moved[0]);
        let mut out = date.format("%Y-%m-%d").to_string();
        let mut used = 1;
        if let Some((time, separator)) = clock {
            let [hour, minute, second] = [moved[1], moved[2], moved[3]];
            // A leap second stays one.
            let second = if time[2].1 == 1 { time[2].0 } else { second };
            out += &format!("{separator}{hour:02}:{minute:02}:{second:02}");
            used = 4;
        }
        for (byte, at) in rest.bytes().zip(&moved[used..]) {
            out.push(match byte {
                b'0'..=b'9' => char::from(b'0' + *at as u8),
                other => char::from(other),
            });
        }
        out + &rest[fraction..]
    }

    /// Where each part is moved to.
    fn moved(&self, mut parts: Vec<Part>) -> Vec<u64> {
        // What does not move counts too: the shapes of values.
        let shape: Vec<u64> = parts.iter().map(|part| part.size).collect();
        let mut state = self.key.hash_one((shape, "forward"));
        for part in &mut parts {
            state = part.step(&self.key, state);
        }
        let mut state = self.key.hash_one("backward");
        for part in parts.iter_mut().rev() {
            state = part.step(&self.key, state);
        }
        parts.into_iter().map(|part| part.at).collect()
    }
}

impl Part {
    fn new(at: u64, size: u64) -> Self {
        Self { at, size }
    }

    fn fixed() -> Self {
        Self { at: 0, size: 1 }
    }

    /// Moves by what came before; returns what comes before the next.
    fn step(&mut self, key: &RandomState, state: u64) -> u64 {
        self.at = (self.at + state % self.size) % self.size;
        key.hash_one((state, self.at))
    }
}

/// Decimal digits of the largest 64-bit integer.
const LONGEST_DIGITS: usize = 19;

/// How many leading digits of a whole number stay, so that it remains a 64-bit integer.
fn fixed_digits(whole: &str) -> usize {
    const TOP: &str = "922";
    match whole.len() == LONGEST_DIGITS && whole.starts_with('9') {
        true if whole.starts_with(TOP) => LONGEST_DIGITS,
        true => TOP.len(),
        false => 0,
    }
}

/// What a letter may become.
#[derive(Clone, Copy)]
enum Alphabet {
    /// So many characters from this one on.
    From(u32, u32),
    /// Digits of a UUID.
    Hex,
    /// It stays.
    Sign,
}

impl Alphabet {
    fn of(char: char, is_uuid: bool) -> Self {
        match char {
            '0'..='9' | 'a'..='f' if is_uuid => Self::Hex,
            '0'..='9' => Self::From('0'.into(), 10),
            'a'..='z' => Self::From('a'.into(), 26),
            'A'..='Z' => Self::From('A'.into(), 26),
            '\0'..='\u{9f}' => Self::Sign,
            // 32 neighbours: as many bytes in UTF-8, and of one script as a rule.
            other => Self::From(u32::from(other) & !31, 32),
        }
    }

    fn part(self, char: char) -> Part {
        match self {
            Self::From(first, size) => Part::new((u32::from(char) - first).into(), size.into()),
            Self::Hex => Part::new(char.to_digit(16).unwrap_or(0).into(), 16),
            Self::Sign => Part::fixed(),
        }
    }

    fn char(self, at: u64, own: char) -> char {
        let at = at as u32;
        match self {
            Self::From(first, _) => char::from_u32(first + at).unwrap_or(own),
            Self::Hex => char::from_digit(at, 16).unwrap_or(own),
            Self::Sign => own,
        }
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Hour, minute and second, each with how many there are, and what stands in front of them.
type Clock = ([(u64, u64); 3], char);

/// A date, perhaps with a time of the day.
struct Instant<'a> {
    /// Days since the century began.
    days: u64,
    /// Its first day.
    first: NaiveDate,
    /// Days of the century.
    in_century: u64,
    clock: Option<Clock>,
    /// A fraction of a second and an offset.
    rest: &'a str,
}

impl<'a> Instant<'a> {
    /// Reads `2024-05-31`, `2024-05-31T12:30:00`, or the latter with more.
    fn read(text: &'a str) -> Option<Self> {
        const DATE: usize = "2024-05-31".len();
        const TIME: usize = "T12:30:00".len();
        let date = text.get(..DATE)?;
        let is_date = date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        let date = NaiveDate::parse_from_str(date, "%Y-%m-%d")
            .ok()
            .filter(|_| is_date)?;
        let behind = text.get(DATE..)?;
        let (clock, rest) = match behind.is_empty() {
            true => (None, ""),
            false => (Some(clock(behind.get(..TIME)?)?), &behind[TIME..]),
        };
        let is_end = rest
            .chars()
            .all(|c| c.is_ascii_digit() || ".Zz+-:".contains(c));
        let century = date.year().div_euclid(100) * 100;
        let first = NaiveDate::from_ymd_opt(century.max(1), 1, 1)?;
        let next = NaiveDate::from_ymd_opt(century + 100, 1, 1)?;
        let since = |day: NaiveDate| u64::try_from((day - first).num_days()).ok();
        Some(Self {
            days: since(date)?,
            first,
            in_century: since(next)?,
            clock,
            rest,
        })
        .filter(|_| is_end)
    }
}

fn clock(text: &str) -> Option<Clock> {
    let bytes = text.as_bytes();
    let separator = bytes[0];
    let number = |at: usize, size: u64| {
        let digits = text.get(at..at + 2)?;
        let number: u64 = digits.parse().ok()?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && number < size).then_some((number, size))
    };
    let second = match text.get(7..9)? {
        "60" => (60, 1),
        _ => number(7, 60)?,
    };
    let is_clock = matches!(separator, b'T' | b't' | b' ') && bytes[3] == b':' && bytes[6] == b':';
    let parts = [number(1, 24)?, number(4, 60)?, second];
    is_clock.then_some((parts, char::from(separator)))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDateTime};
    use proptest::prelude::*;

    use super::*;

    /// Letters and digits by kind, and all else as it is.
    fn shape(text: &str) -> String {
        let kind = |char: char| match char {
            '0'..='9' => '9',
            'a'..='z' => 'a',
            'A'..='Z' => 'A',
            other if other > '\u{9f}' => char::from(b'0' + other.len_utf8() as u8),
            other => other,
        };
        text.chars().map(kind).collect()
    }

    proptest! {
        #[test]
        fn texts_keep_shape_and_length_and_stay_apart(
            a in any::<String>(), b in any::<String>(), near in "[a-c]{1,3}", other in "[a-c]{1,3}",
        ) {
            let permutation = Permutation::default();
            for (one, two) in [(&a, &b), (&near, &other)] {
                let moved = permutation.text(one);
                prop_assert_eq!(moved.len(), one.len());
                prop_assert_eq!(shape(&moved), shape(one));
                prop_assert_eq!(&permutation.text(one), &moved);
                prop_assert_eq!(one == two, moved == permutation.text(two));
            }
        }

        #[test]
        fn numbers_keep_type_and_length_and_stay_apart(
            a in -2_000..2_000_i64,
            b in -2_000..2_000_i64,
            wide in any::<i64>(),
            scale in 0..3_u32,
            exponent in any::<bool>(),
        ) {
            let permutation = Permutation::default();
            let spelled = |value: i64| {
                let text = match scale {
                    0 => value.to_string(),
                    _ => format!("{:.*}", scale as usize, value as f64 / 10_f64.powi(scale as i32)),
                };
                match exponent && scale > 0 {
                    true => format!("{text}e-2"),
                    false => text,
                }
            };
            let (one, two) = (spelled(a), spelled(b));
            let (moved, other) = (permutation.number(&one), permutation.number(&two));
            prop_assert_eq!(moved.len(), one.len());
            prop_assert_eq!(shape(&moved), shape(&one));
            serde_json::from_str::<serde_json::Value>(&moved).unwrap();
            let value = |text: &str| text.parse::<f64>().unwrap();
            let (is_same, stays_same) = (value(&one) == value(&two), value(&moved) == value(&other));
            prop_assert_eq!(is_same, stays_same, "{} {} {} {}", one, two, moved, other);
            let wide = permutation.number(&wide.to_string());
            prop_assert!(wide.parse::<i64>().is_ok(), "{}", wide);
        }

        #[test]
        fn timestamps_stay_timestamps_and_apart(
            a in -2_000_000_000..3_000_000_000_i64, b in -100..100_i64, form in 0..4_usize,
        ) {
            let permutation = Permutation::default();
            let spelled = |seconds: i64| {
                let time = DateTime::from_timestamp(seconds, 123_000_000).unwrap();
                let forms = [
                    "%Y-%m-%d",
                    "%Y-%m-%d %H:%M:%S",
                    "%Y-%m-%dT%H:%M:%S%.3fZ",
                    "%Y-%m-%dT%H:%M:%S%.f+02:00",
                ];
                time.format(forms[form]).to_string()
            };
            let (one, two) = (spelled(a), spelled(a + b));
            let (moved, other) = (permutation.text(&one), permutation.text(&two));
            prop_assert_eq!(shape(&moved), shape(&one));
            prop_assert_eq!(one == two, moved == other);
            prop_assert_eq!(&moved[..2], &one[..2]);
            let is_time = match form {
                0 => NaiveDate::parse_from_str(&moved, "%Y-%m-%d").is_ok(),
                1 => NaiveDateTime::parse_from_str(&moved, "%Y-%m-%d %H:%M:%S").is_ok(),
                _ => DateTime::parse_from_rfc3339(&moved).is_ok(),
            };
            prop_assert!(is_time, "{} from {}", moved, one);
            prop_assert!(form != 3 || moved.ends_with("+02:00"));
        }
    }

    #[test]
    fn digits_with_a_meaning_of_their_own_stay() {
        for _ in 0..50 {
            let permutation = Permutation::default();
            assert_eq!(permutation.number("-0"), "-0");
            assert_eq!(permutation.number("0.0"), "0.0");
            assert_eq!(
                permutation.number("9223372036854775807"),
                "9223372036854775807"
            );
            assert!(permutation.number("1.50").ends_with('0'));
            assert_eq!(permutation.number("1.5").len(), 3);
            assert_eq!(
                format!("{}0", permutation.number("1.5")),
                permutation.number("1.50")
            );
            let uuid = permutation.text("0f8fad5b-d9cb-469f-a165-70867728950e");
            assert!(is_uuid(&uuid), "{uuid}");
            let leap = permutation.text("2016-12-31T23:59:60Z");
            assert!(leap.ends_with(":60Z"), "{leap}");
        }
    }
}
