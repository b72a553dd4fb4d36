//! Pure statistics of a run: what one arm's samples look like ([`sample`]), how two arms differ
//! ([`mod@compare`]), and the verdict on that ([`mod@verdict`]).
//!
//! | module | what it decides |
//! |---|---|
//! | [`mod@verdict`], [`claim`] | whether a difference matters; whether a gain is what was claimed |
//! | [`mod@holm`], [`family`] | how sure one must be when many comparisons are made at once |
//! | [`sessions`], [`discovery`] | how two arms differ over several starts of the server, and many of them at once |
//! | [`noise`] | how large a difference must be to matter on this machine |
//! | [`power`] | how small an effect so many blocks can find |
//! | [`sequential`] | when a gate has measured enough, and what it says then |
//! | [`unpaired`] | how two arms differ that did not run block by block |
//! | [`mod@proportion`] | how often something happens, such as a false alarm |
//! | [`change_point`] | where a series of results changes its level |
//! | [`mod@trend`] | whether a series of readings grows |
//! | [`least_squares`] | what each unit of several costs, from sums of costs |
//! | [`conformal`] | how far a prediction may be off |
//!
//! Nothing here reads a clock, a file or a random number that a fixed seed does not give, so every
//! result can be checked against published tables. Everything about blocks is non-parametric: run times on
//! shared machines have heavy right tails, and a method that trusts a mean or a normal distribution
//! reports differences between identical programs. Sessions are too few for that; `simulation.rs` shows that
//! the intervals over their estimates hold.

pub(crate) mod change_point;
pub(crate) mod claim;
pub(crate) mod compare;
pub(crate) mod conformal;
pub(crate) mod discovery;
pub(crate) mod family;
pub(crate) mod holm;
pub(crate) mod least_squares;
pub(crate) mod noise;
pub(crate) mod power;
pub(crate) mod proportion;
pub(crate) mod sample;
pub(crate) mod sequential;
pub(crate) mod sessions;
mod student;
pub(crate) mod trend;
pub(crate) mod unpaired;
pub(crate) mod verdict;

#[cfg(test)]
mod simulation;

pub(crate) use change_point::{MIN_SEGMENT, SIGNIFICANCE, change_points};
pub(crate) use claim::{ClaimVerdict, Expected, claim_verdict};
pub use compare::Interval;
pub(crate) use compare::{Comparison, Location, blocks_needed, compare, location, log_ratio};
pub(crate) use discovery::{Limits, judge_sessions};
pub(crate) use family::{Correction, Judged, judge_family};
pub(crate) use noise::{learned_threshold, threshold};
pub(crate) use power::{blocks_for, scale};
pub(crate) use proportion::{Proportion, proportion};
pub(crate) use sample::Summary;
pub(crate) use sequential::{Decision, Design, FALSE_ALARM, Looks, MOST_BLOCKS, SESSION_BLOCKS};
pub(crate) use sessions::{
    BLOCKS_PER_SESSION, LEAST_SESSIONS, compare_sessions, sessions_to_decide,
};
pub(crate) use trend::trend;
pub(crate) use unpaired::{Unpaired, UnpairedJudged, compare_unpaired, judge_unpaired};
pub(crate) use verdict::{FLOOR, SMALLEST_EFFECT, Threshold, is_within, verdict};
pub use verdict::{UNCALIBRATED, Verdict};

/// Confidence asked of every family of intervals.
pub(crate) const CONFIDENCE_LEVEL: f64 = 0.95;
