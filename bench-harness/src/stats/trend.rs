//! Whether a series of readings grows: the slope of Theil and Sen.
//!
//! The slope is the median of the slopes of all pairs of readings, so that no third of wild readings can
//! make one. Its interval is of those slopes' order statistics, with the variance of Kendall's S.
//!
//! Source: Sen, "Estimates of the regression coefficient based on Kendall's tau", Journal of the American
//! Statistical Association 63 (1968), section 5. Ties are not corrected for, which only makes the interval
//! wider.

use super::compare::Interval;
use super::power::upper_normal_quantile;
use super::sample::quantile;

/// A slope with its interval, in units of `y` for one of `x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trend {
    pub(crate) slope: f64,
    pub(crate) interval: Interval,
}

/// The trend of points `(x, y)`; none for fewer than three with different `x`, or where one is not a
/// finite number.
pub(crate) fn trend(points: &[(f64, f64)], confidence: f64) -> Option<Trend> {
    let are_finite = points.iter().all(|(x, y)| x.is_finite() && y.is_finite());
    let mut slopes = Vec::new();
    for (nth, (x, y)) in points.iter().enumerate() {
        for (later_x, later_y) in &points[nth + 1..] {
            if later_x != x {
                slopes.push((later_y - y) / (later_x - x));
            }
        }
    }
    if !are_finite || slopes.len() < 3 {
        return None;
    }
    slopes.sort_by(f64::total_cmp);
    let count = points.len() as f64;
    let deviation = (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    let reach = upper_normal_quantile((1.0 - confidence) / 2.0) * deviation;
    let pairs = slopes.len() as f64;
    let at = |rank: f64| {
        let last = slopes.len() - 1;
        slopes[(rank.max(0.0) as usize).min(last)]
    };
    Some(Trend {
        slope: quantile(&slopes, 0.5)?,
        interval: Interval {
            // Ranks count from 1 in the source.
            low: at(((pairs - reach) / 2.0).floor() - 1.0),
            high: at(((pairs + reach) / 2.0).ceil()),
        },
    })
}

#[cfg(test)]
mod tests {
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn series(count: u32, mut y: impl FnMut(f64) -> f64) -> Vec<(f64, f64)> {
        (0..count)
            .map(|x| (f64::from(x), y(f64::from(x))))
            .collect()
    }

    #[test]
    fn a_line_has_its_slope_and_no_doubt() {
        let found = trend(&series(10, |x| 3.0 + 2.0 * x), 0.95).unwrap();
        assert_eq!(
            (found.slope, found.interval.low, found.interval.high),
            (2.0, 2.0, 2.0)
        );
    }

    /// Sen's own example, section 6: the slope is 4, and its interval of 93 % goes from 3.71 to 4.38.
    #[test]
    fn the_example_of_the_source() {
        let x = [1.0, 2.0, 3.0, 4.0, 10.0, 12.0, 18.0];
        let y = [9.0, 15.0, 19.0, 20.0, 45.0, 55.0, 78.0];
        let points: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
        let found = trend(&points, 0.93).unwrap();
        assert_eq!(found.slope, 4.0);
        assert_eq!(found.interval.low, 26.0 / 7.0);
        assert_eq!(found.interval.high, 35.0 / 8.0);
    }

    #[test]
    fn a_few_wild_readings_change_nothing() {
        let wild = |x: f64| if x % 7.0 == 3.0 { 1e6 } else { x };
        let found = trend(&series(30, wild), 0.95).unwrap();
        assert!((found.slope - 1.0).abs() < 0.2, "{found:?}");
    }

    #[test]
    fn noise_without_a_trend_seldom_has_one() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let has_trend = (0..400)
            .filter(|_| {
                let points = series(20, |_| random.random::<f64>());
                let found = trend(&points, 0.95).unwrap();
                !found.interval.contains(0.0)
            })
            .count();
        // One in twenty, and four standard deviations more.
        assert!(has_trend < 38, "{has_trend}");
    }

    #[test]
    fn too_little_or_broken_data_has_no_trend() {
        assert_eq!(trend(&series(2, |x| x), 0.95), None);
        assert_eq!(trend(&[(1.0, 1.0); 9], 0.95), None);
        assert_eq!(trend(&series(9, |_| f64::NAN), 0.95), None);
    }
}
