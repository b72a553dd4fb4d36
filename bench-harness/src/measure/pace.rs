//! How fast a run goes, to estimate the time that is left.

use std::time::Duration;

use super::progress::about_left;

/// The samples that were taken, and their time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    samples: usize,
    elapsed: Duration,
}

impl Pace {
    /// Counts `samples` that took `elapsed`, everything included.
    pub(super) fn took(&mut self, samples: usize, elapsed: Duration) {
        self.samples += samples;
        self.elapsed += elapsed;
    }

    /// The time for `samples` at this pace, as the end of a line; empty before the first sample.
    pub(super) fn left(&self, samples: usize) -> String {
        if self.samples == 0 {
            return String::new();
        }
        about_left(self.elapsed.mul_f64(samples as f64 / self.samples as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_a_sample_as_what_was_taken() {
        let mut pace = Pace::default();
        assert_eq!(pace.left(10), "");
        pace.took(10, Duration::from_secs(20));
        pace.took(20, Duration::from_secs(10));
        assert_eq!(pace.left(90), ", about 1 min 30 s left");
    }
}
