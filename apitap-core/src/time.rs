//! Dates and timestamps from text, to the microsecond that PostgreSQL keeps.

const DAY_US: i64 = 86_400_000_000;

/// Microseconds since 1970 of an RFC 3339 timestamp; none if it is not one, or has more than
/// microseconds.
pub(crate) fn timestamp_with_zone(text: &str) -> Option<i64> {
    let (local, rest) = local_timestamp(text.as_bytes())?;
    let offset_minutes = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (pair([*h1, *h2])?, pair([*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 60 + minutes;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    Some(local - offset_minutes * 60_000_000)
}

/// Microseconds since 1970 of a timestamp without an offset.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    match local_timestamp(text.as_bytes())? {
        (local, []) => Some(local),
        _ => None,
    }
}

/// Days since 1970 of `YYYY-MM-DD`.
pub(crate) fn date(text: &str) -> Option<i32> {
    match date_prefix(text.as_bytes())? {
        (days, []) => i32::try_from(days).ok(),
        _ => None,
    }
}

fn local_timestamp(text: &[u8]) -> Option<(i64, &[u8])> {
    let (days, rest) = date_prefix(text)?;
    let [
        b'T' | b't' | b' ',
        h1,
        h2,
        b':',
        m1,
        m2,
        b':',
        s1,
        s2,
        rest @ ..,
    ] = rest
    else {
        return None;
    };
    let (hour, minute, second) = (pair([*h1, *h2])?, pair([*m1, *m2])?, pair([*s1, *s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, rest) = fraction(rest)?;
    let seconds = (hour * 60 + minute) * 60 + second;
    Some((days * DAY_US + seconds * 1_000_000 + micros, rest))
}

fn date_prefix(text: &[u8]) -> Option<(i64, &[u8])> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, rest @ ..] = text else {
        return None;
    };
    let year = pair([*y1, *y2])? * 100 + pair([*y3, *y4])?;
    let (month, day) = (pair([*m1, *m2])?, pair([*d1, *d2])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > last {
        return None;
    }
    Some((days_from_civil(year, month, day), rest))
}

/// A fraction of a second in microseconds; further digits must be zero.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', digits @ ..] = text else {
        return Some((0, text));
    };
    let length = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if length == 0 || digits[..length].iter().skip(6).any(|&digit| digit != b'0') {
        return None;
    }
    let micros = (0..6).fold(0, |sum, place| {
        let digit = digits[..length].get(place).map_or(0, |byte| byte - b'0');
        sum * 10 + i64::from(digit)
    });
    Some((micros, &digits[length..]))
}

fn pair(digits: [u8; 2]) -> Option<i64> {
    let [tens, ones] = digits.map(|byte| byte.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar: Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms".
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a day since 1970-01-01: the inverse, from the same source.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_whole_timestamps_count() {
        assert_eq!(timestamp_with_zone("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(
            timestamp_with_zone("1970-01-01T01:00:00.5+01:00"),
            Some(500_000)
        );
        assert_eq!(timestamp_with_zone("1969-12-31 23:59:59.999999z"), Some(-1));
        assert_eq!(
            timestamp_with_zone("2024-02-29T12:00:00.123456000Z"),
            Some(1_709_208_000_123_456)
        );
        for text in [
            "2023-02-29T12:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.1234567Z",
            "2024-01-01T00:00:00+0100",
            "2024-1-1T00:00:00Z",
            "2024-01-01",
            "",
        ] {
            assert_eq!(timestamp_with_zone(text), None, "{text}");
        }
        assert_eq!(timestamp("1970-01-01T00:00:01"), Some(1_000_000));
        assert_eq!(timestamp("1970-01-01T00:00:01Z"), None);
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("1970-01-02T"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_chrono(micros in -62_135_596_800_000_000i64..253_402_300_800_000_000) {
            let text = DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339();
            prop_assert_eq!(timestamp_with_zone(&text), Some(micros));
        }

        #[test]
        fn days_are_dates_and_back(days in -2_451_545i64..2_147_483_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
