//! Pure statistics of a run: what one arm's samples look like ([`sample`]) and how two arms differ
//! ([`mod@compare`]).
//!
//! Nothing here reads a clock, a file or a random number, so every result can be checked against
//! published tables. Everything is non-parametric: run times on shared machines have heavy right
//! tails, and a method that trusts a mean or a normal distribution reports differences between
//! identical programs.

pub mod compare;
pub mod sample;

pub use compare::{Comparison, Interval, blocks_needed, compare, log_ratio};
pub use sample::Summary;
