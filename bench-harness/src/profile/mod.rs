//! Profiles: why one arm is faster than another, and what to try next.
//!
//! ```text
//! worker ──▶ sampler, heap, looks at the server ──▶ record ──▶ attribution, delta, budget ──▶ results
//! ```
//!
//! | module | what it knows |
//! |---|---|
//! | [`sampler`], [`perf`] | stacks by processor time, with how many were missed |
//! | [`statistics`] | what PostgreSQL counted meanwhile |
//! | [`heap`] | where memory is allocated |
//! | [`record`] | the raw observations of every load, one line each |
//! | [`stacks`], [`frame`], [`marker`] | stacks, and what the name of a frame says |
//! | [`attribution`] | processor time by stage, twice |
//! | [`advice`] | what to try next about a part of the time |
//! | [`delta`] | functions and crates that grew or shrank |
//! | [`flamegraph`], [`protobuf`] | pictures, and the format of pprof |
//! | [`results`] | all of it for one pair of arms. Pure |
//!
//! Looks at the server ([`apitap_core::server_watch`]) and the budget of the wall time ([`apitap_core::budget`])
//! are the engine's, which explains its own runs by them.
//!
//! Separate loads serve separate ends: what is sampled is not watched, what is watched is not
//! sampled, and neither enters a comparison.

pub(crate) mod advice;
pub(crate) mod attribution;
pub(crate) mod delta;
pub mod flamegraph;
pub(crate) mod frame;
pub mod heap;
pub(crate) mod marker;
pub(crate) mod perf;
pub(crate) mod pprof;
pub(crate) mod record;
pub(crate) mod results;
pub mod sampler;
pub(crate) mod stacks;
pub(crate) mod statistics;

/// µs per 1,000 rows.
fn per_thousand(seconds: f64, rows: u64) -> f64 {
    seconds * 1e9 / rows.max(1) as f64
}

#[cfg(test)]
pub(crate) mod example;
