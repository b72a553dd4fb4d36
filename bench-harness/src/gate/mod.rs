//! Whether a change made anything slower: two revisions, or one and stored results, and a verdict.
//!
//! Quantities are judged in the order in which they can be believed: counters that do not vary,
//! processor time by row, wall time. Whether a difference is one, [`crate::stats`] decides, as in
//! every report; what follows from it is decided here.
//!
//! | module | what lives there |
//! |---|---|
//! | [`scenario`] | what is loaded: `fixtures/gate.toml` |
//! | [`revision`] | programs of revisions, built apart and kept by their sources |
//! | [`metric`], [`policy`] | what is judged, by which limits, and what is waived |
//! | [`counts`], [`baseline`] | counters that need a run of their own; results stored for later |
//! | [`mod@judge`], [`explain`], [`results`] | from samples to verdicts; why it grew; what was found |
//! | [`measure`], `more_blocks` | a gate from its first sample to its findings; what is measured on |
//! | [`export`] | the findings as files, and on a terminal |
//! | [`selftest`] | how often the gate is wrong |

pub(crate) mod baseline;
pub(crate) mod counts;
#[cfg(test)]
pub(crate) mod example;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod judge;
pub(crate) mod measure;
mod more_blocks;
pub(crate) mod policy;
pub(crate) mod results;
pub(crate) mod revision;
pub(crate) mod scenario;
pub(crate) mod selftest;

pub(crate) use results::{
    Change, Check, Explanation, GateOutcome, GatedRevision, GatedScenario, Growth,
};
pub use results::{GateResults, ScenarioOutcome};
