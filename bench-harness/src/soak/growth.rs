//! Whether readings grow. Pure.
//!
//! Only the second half of a run counts: caches and allocators fill in the first. There, readings are the
//! medians of blocks, so that neighbours do not count as several, and their trend is that of Theil and Sen.
//! A quantity grows if even the lower end of the trend's interval would add more than the limit over the
//! half.

use serde::Serialize;

use super::readings::Reading;
use crate::stats::{CONFIDENCE_LEVEL, Summary, trend};

/// What may be added over the second half of a run and still be noise.
pub(crate) const MEMORY_LIMIT_BYTES: f64 = 8.0 * 1024.0 * 1024.0;

/// The same for descriptors, threads and sessions.
pub(crate) const COUNT_LIMIT: f64 = 2.0;

/// Blocks of the second half.
const BLOCKS: usize = 20;

/// With fewer, an interval of 95 % is as wide as all slopes are.
const MIN_BLOCKS: usize = 6;

/// How a quantity changed over the second half of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Growth {
    /// Its name.
    pub(crate) quantity: &'static str,
    /// Its median over the half.
    pub(crate) median: f64,
    /// What the trend adds over the half, with its interval.
    pub(crate) added: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// What it may add.
    pub(crate) limit: f64,
}

impl Growth {
    /// Whether it grows beyond doubt.
    pub(crate) fn is_growing(&self) -> bool {
        self.low > self.limit
    }
}

/// What is watched of a reading.
type Quantity = fn(&Reading) -> u64;

/// How every quantity changed; none where there are too few readings to tell.
pub(super) fn growth(readings: &[Reading]) -> Option<Vec<Growth>> {
    let quantities: [(&'static str, f64, Quantity); 4] = [
        ("memory", MEMORY_LIMIT_BYTES, |reading| reading.memory_bytes),
        ("descriptors", COUNT_LIMIT, |reading| reading.descriptors),
        ("threads", COUNT_LIMIT, |reading| reading.threads),
        ("sessions", COUNT_LIMIT, |reading| reading.sessions),
    ];
    let end = readings.last()?.seconds;
    let half: Vec<&Reading> = readings
        .iter()
        .filter(|one| one.seconds > end / 2.0)
        .collect();
    let per_block = half.len().div_ceil(BLOCKS).max(1);
    let blocks: Vec<&[&Reading]> = half.chunks(per_block).collect();
    if blocks.len() < MIN_BLOCKS {
        return None;
    }
    let found = quantities.into_iter().map(|(quantity, limit, value)| {
        let points: Option<Vec<(f64, f64)>> = blocks
            .iter()
            .map(|block| {
                let median = |what: &dyn Fn(&Reading) -> f64| {
                    let values: Vec<f64> = block.iter().map(|reading| what(reading)).collect();
                    Some(Summary::new(&values)?.median)
                };
                Some((
                    median(&|one| one.seconds)?,
                    median(&|one| value(one) as f64)?,
                ))
            })
            .collect();
        let points = points?;
        let trend = trend(&points, CONFIDENCE_LEVEL)?;
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        let seconds = end / 2.0;
        Some(Growth {
            quantity,
            median: Summary::new(&values)?.median,
            added: trend.slope * seconds,
            low: trend.interval.low * seconds,
            high: trend.interval.high * seconds,
            limit,
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1024.0 * 1024.0;

    fn readings(memory: impl Fn(f64) -> f64, descriptors: impl Fn(f64) -> f64) -> Vec<Reading> {
        (0..200)
            .map(|nth| {
                let seconds = f64::from(nth) * 3.0;
                Reading {
                    seconds,
                    loads: nth as usize,
                    memory_bytes: memory(seconds) as u64,
                    descriptors: descriptors(seconds) as u64,
                    threads: 5,
                    sessions: 1,
                }
            })
            .collect()
    }

    fn growing(readings: &[Reading]) -> Vec<&'static str> {
        let found = growth(readings).unwrap().into_iter();
        found
            .filter(Growth::is_growing)
            .map(|one| one.quantity)
            .collect()
    }

    /// Up and down, without a trend.
    fn noise(seconds: f64) -> f64 {
        (seconds * 12.9898).sin()
    }

    #[test]
    fn noise_and_a_first_half_that_fills_caches_do_not_grow() {
        let steady = |seconds: f64| (100.0 + 20.0 * noise(seconds)) * MIB;
        assert!(growing(&readings(steady, |_| 12.0)).is_empty());
        let fills = |seconds: f64| seconds.min(250.0) * MIB;
        assert!(growing(&readings(fills, |_| 12.0)).is_empty());
        let one_step = |seconds: f64| if seconds > 500.0 { 15.0 } else { 12.0 };
        assert!(growing(&readings(steady, one_step)).is_empty());
    }

    #[test]
    fn a_leak_grows_even_through_noise() {
        let leaks = |seconds: f64| (100.0 + 0.1 * seconds + 5.0 * noise(seconds)) * MIB;
        assert_eq!(growing(&readings(leaks, |_| 12.0)), ["memory"]);
        let descriptors = |seconds: f64| 12.0 + seconds / 60.0 + noise(seconds);
        assert_eq!(growing(&readings(|_| MIB, descriptors)), ["descriptors"]);
    }

    #[test]
    fn the_figures_are_those_of_the_half() {
        let found = growth(&readings(|seconds| seconds * MIB, |_| 12.0)).unwrap();
        let memory = &found[0];
        assert!((memory.added / MIB - 298.5).abs() < 1.0, "{memory:?}");
        assert!((memory.median / MIB - 448.5).abs() < 10.0, "{memory:?}");
        assert_eq!(found[1].added, 0.0);
    }

    #[test]
    fn a_few_readings_tell_nothing() {
        assert_eq!(growth(&readings(|_| MIB, |_| 1.0)[..8]), None);
        assert_eq!(growth(&[]), None);
    }
}
