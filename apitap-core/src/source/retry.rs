//! How often, and how long apart, a request is tried again.

use std::time::{Duration, SystemTime};

use rand::{Rng, RngExt};

/// The longest that `Retry-After` may make a run wait. A server that asks for more is asked
/// again after this time: the attempts run out and the load fails, rather than sleeping for
/// hours unnoticed.
pub const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(300);

/// When to give up on a page and how long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. Default 5; 0 means 1.
    pub max_attempts: u32,
    /// The ceiling of the first delay; it doubles with every attempt. Default 1 s.
    pub min_delay: Duration,
    /// The ceiling of every delay. Default 60 s.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            min_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// How long to wait after `attempt` (from 1) failed, or none if it was the last.
    ///
    /// Without `retry_after` the delay is drawn evenly from zero to
    /// `min(max_delay, min_delay · 2^(attempt - 1))`: the "full jitter" of
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>, which
    /// spreads lanes that failed together. With it, the server's wish is kept, up to
    /// [`RETRY_AFTER_LIMIT`].
    pub fn delay(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
        rng: &mut impl Rng,
    ) -> Option<Duration> {
        if attempt >= self.max_attempts {
            return None;
        }
        if let Some(wish) = retry_after {
            return Some(wish.min(RETRY_AFTER_LIMIT));
        }
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let ceiling = self.min_delay.saturating_mul(factor).min(self.max_delay);
        Some(ceiling.mul_f64(rng.random::<f64>()))
    }
}

/// Whether a status says "try again": 408, 429 and every 5xx.
pub fn is_retried(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// Reads `Retry-After`, in seconds, whole or not, or as an HTTP date; a date gone by means now.
pub fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let value = std::str::from_utf8(value).ok()?.trim();
    if value.starts_with(|char: char| char.is_ascii_digit()) {
        let seconds = value.parse::<f64>().ok()?;
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(RETRY_AFTER_LIMIT));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 4,
        min_delay: Duration::from_secs(2),
        max_delay: Duration::from_secs(5),
    };

    #[test]
    fn the_same_seed_waits_the_same() {
        let delays = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (1..=4)
                .map(|attempt| POLICY.delay(attempt, None, &mut rng))
                .collect::<Vec<_>>()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
        assert_eq!(delays(7)[3], None);
    }

    proptest! {
        #[test]
        fn delays_stay_below_their_ceiling(seed: u64, attempt in 1_u32..1_000) {
            let policy = RetryPolicy { max_attempts: u32::MAX, ..POLICY };
            let delay = policy.delay(attempt, None, &mut StdRng::seed_from_u64(seed)).unwrap();
            prop_assert!(delay <= POLICY.min_delay * 2_u32.saturating_pow(attempt.min(10) - 1));
            prop_assert!(delay <= POLICY.max_delay);
        }
    }

    #[test]
    fn the_servers_wish_counts_up_to_the_limit() {
        let mut rng = StdRng::seed_from_u64(0);
        let mut delay = |wish| POLICY.delay(1, Some(Duration::from_secs(wish)), &mut rng);
        assert_eq!(delay(9), Some(Duration::from_secs(9)));
        assert_eq!(delay(86_400), Some(RETRY_AFTER_LIMIT));
        assert_eq!(POLICY.delay(4, Some(Duration::ZERO), &mut rng), None);
    }

    #[test]
    fn reads_both_forms_of_retry_after() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let read = |value: &str| retry_after(value.as_bytes(), now);
        assert_eq!(read(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(read("1.25"), Some(Duration::from_millis(1_250)));
        assert_eq!(read(&"9".repeat(400)), Some(RETRY_AFTER_LIMIT));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(read("Sat, 06 Nov 1993 08:50:07 GMT"), Some(Duration::ZERO));
        for value in ["soon", "", "-1", "nan", "1 s", "inf"] {
            assert_eq!(read(value), None, "{value}");
        }
        assert_eq!(retry_after(b"\xff", now), None);
    }

    #[test]
    fn statuses() {
        for status in [408, 429, 500, 503, 599] {
            assert!(is_retried(status));
        }
        for status in [200, 301, 400, 401, 403, 404, 409, 422] {
            assert!(!is_retried(status));
        }
    }
}
