//! Whether a change made anything slower: two revisions, or one and stored results, and a verdict.
//!
//! Quantities are judged in the order in which they can be believed: counters that do not vary,
//! processor time by row, wall time. Whether a difference is one, [`crate::stats`] decides, as in
//! every report; what follows from it is decided here.

pub mod export;
mod metric;
mod results;

#[cfg(test)]
pub(crate) mod example;

pub use metric::{GateMetric, Tier};
pub use results::{
    Change, Check, Explanation, GateOutcome, GateResults, GatedRevision, GatedScenario, Growth,
    SCHEMA_VERSION, ScenarioOutcome,
};
