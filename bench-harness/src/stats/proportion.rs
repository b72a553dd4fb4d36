//! How often something happens, from how often it did.
//!
//! Source: Clopper and Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of
//! the Binomial", Biometrika 26 (1934). Its interval is exact: it has at least the confidence that is
//! asked for, however few the trials and however rare the event.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::Interval;

/// Steps of bisection: more would be below the resolution of an `f64`.
const STEPS: usize = 60;

/// A share of trials, with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proportion {
    /// Trials in which it happened.
    pub events: usize,
    /// All trials.
    pub trials: usize,
    /// The exact interval of the share, 0 to 1.
    pub interval: Interval,
}

/// The share of `events` in `trials`, at a `confidence` such as 0.95; `None` without a trial, or with
/// more events than trials.
#[must_use]
pub(crate) fn proportion(events: usize, trials: usize, confidence: f64) -> Option<Proportion> {
    if trials == 0 || events > trials {
        return None;
    }
    let tail = (1.0 - confidence) / 2.0;
    // Where so many events or more, or so many or fewer, become as rare as the tail.
    let low = match events {
        0 => 0.0,
        _ => bisect(|share| 1.0 - at_most(events - 1, trials, share) < tail),
    };
    let high = match events {
        all if all == trials => 1.0,
        _ => bisect(|share| at_most(events, trials, share) >= tail),
    };
    Some(Proportion {
        events,
        trials,
        interval: Interval { low, high },
    })
}

/// The share up to which `holds` is true.
fn bisect(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The probability of at most so many events in so many trials of a `share`.
fn at_most(events: usize, trials: usize, share: f64) -> f64 {
    // In logarithms: of hundreds of trials, single terms vanish otherwise.
    let (ln_yes, ln_no) = (share.ln(), (1.0 - share).ln());
    let mut ln_choose = 0.0;
    let mut sum = 0.0;
    for k in 0..=events {
        if k > 0 {
            ln_choose += ((trials - k + 1) as f64).ln() - (k as f64).ln();
        }
        sum += (ln_choose + k as f64 * ln_yes + (trials - k) as f64 * ln_no).exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_as_published() {
        // R: binom.test(0, 100), binom.test(1, 100), binom.test(95, 100), binom.test(7, 20).
        for (events, trials, low, high) in [
            (0, 100, 0.0, 0.036_216_7),
            (1, 100, 0.000_253_2, 0.054_459_4),
            (95, 100, 0.887_165_1, 0.983_568_1),
            (7, 20, 0.153_909_2, 0.592_188_5),
            (20, 20, 0.831_566_5, 1.0),
        ] {
            let found = proportion(events, trials, 0.95).unwrap().interval;
            assert!((found.low - low).abs() < 1e-6, "{events}: {found:?}");
            assert!((found.high - high).abs() < 1e-6, "{events}: {found:?}");
        }
        assert_eq!(proportion(0, 0, 0.95), None);
        assert_eq!(proportion(2, 1, 0.95), None);
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_share_and_mirrors(
            (events, trials) in (1..200usize).prop_flat_map(|trials| (0..=trials, Just(trials))),
        ) {
            let share = events as f64 / trials as f64;
            let found = proportion(events, trials, 0.95).unwrap().interval;
            prop_assert!(found.low <= share && share <= found.high);
            let mirrored = proportion(trials - events, trials, 0.95).unwrap().interval;
            prop_assert!((found.low - (1.0 - mirrored.high)).abs() < 1e-9);
        }
    }
}
