//! Pure statistics of a run: what one arm's samples look like ([`sample`]), how two arms differ
//! ([`mod@compare`]), and what that amounts to ([`mod@verdict`]).
//!
//! | module | what it decides |
//! |---|---|
//! | [`mod@verdict`], [`claim`] | whether a difference matters; whether a gain is what was claimed |
//! | [`mod@holm`], [`family`] | how sure one must be when many comparisons are made at once |
//! | [`noise`] | how large a difference must be to matter on this machine |
//! | [`power`] | how small an effect so many blocks can find |
//! | [`unpaired`] | how two arms differ that did not run block by block |
//! | [`mod@proportion`] | how often something happens, such as a false alarm |
//! | [`change_point`] | where a series of results changes its level |
//!
//! Nothing here reads a clock, a file or a random number that a fixed seed does not give, so every
//! result can be checked against published tables. Everything is non-parametric: run times on
//! shared machines have heavy right tails, and a method that trusts a mean or a normal distribution
//! reports differences between identical programs.

pub mod change_point;
pub mod claim;
pub mod compare;
pub mod family;
pub mod holm;
pub mod noise;
pub mod power;
pub mod proportion;
pub mod sample;
pub mod unpaired;
pub mod verdict;

#[cfg(test)]
mod simulation;

pub use change_point::{ChangePoint, MIN_SEGMENT, SIGNIFICANCE, change_points};
pub use claim::{ClaimVerdict, Expected, claim_verdict};
pub use compare::{Comparison, Interval, Location, blocks_needed, compare, location, log_ratio};
pub use family::{Correction, Judged, judge_family};
pub use noise::{learned_threshold, threshold};
pub use power::{blocks_for, scale, smallest_detectable};
pub use proportion::{Proportion, proportion};
pub use sample::Summary;
pub use unpaired::{Unpaired, UnpairedJudged, compare_unpaired, judge_unpaired};
pub use verdict::{FLOOR, Threshold, UNCALIBRATED, Verdict, is_beyond, verdict};

/// Confidence asked of every family of intervals.
pub const CONFIDENCE_LEVEL: f64 = 0.95;
