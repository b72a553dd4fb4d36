//! Whether a change made anything slower: compares two revisions, or one with stored results.
//!
//! Metrics are judged in the order of their repeatability: counters, CPU time per row, wall time.
//! [`crate::stats`] decides what is a difference, as in every report; this room decides what
//! follows from it.
//!
//! | module | content |
//! |---|---|
//! | [`scenario`] | the loads: `fixtures/gate.toml` |
//! | [`revision`] | programs of revisions, built once and cached by their sources |
//! | [`policy`], [`claim`] | limits and waivers; what a change promises |
//! | [`counts`], [`baseline`] | counters that need a run of their own; stored results |
//! | [`mod@judge`], [`explain`], [`results`] | from samples to verdicts; why a time grew; the findings |
//! | [`measure`], `next_session` | a gate from its first sample to its findings; what to measure next |
//! | [`export`] | the findings as files, and on a terminal |
//! | [`selftest`], [`mod@bisect`] | how often the gate is wrong; the first commit that makes it red |

pub(crate) mod baseline;
pub(crate) mod bisect;
pub(crate) mod claim;
pub(crate) mod counts;
#[cfg(test)]
pub(crate) mod example;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod judge;
pub(crate) mod measure;
mod next_session;
pub(crate) mod policy;
pub(crate) mod results;
pub(crate) mod revision;
pub(crate) mod scenario;
pub(crate) mod selftest;

pub(crate) use results::{
    Change, Check, Explanation, GateOutcome, GatedClaim, GatedRevision, GatedScenario, Growth,
};
pub use results::{GateResults, ScenarioOutcome};
