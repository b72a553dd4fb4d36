//! Which configuration suits a workload, or a pipeline of a user's own.
//!
//! ```text
//! candidates ──▶ search ──▶ confirm ──▶ report
//!                  └─────┬─────┘
//!                bench: workload or pipeline
//! ```
//!
//! [`search`] and [`confirm`] decide what to load with, and know neither processes nor servers: they use a
//! [`bench::Bench`]. There are two real ones: `workload` takes samples as `run` does, and
//! `pipeline` loads from the user's API into a scratch table on the user's server.

mod bench;
mod candidates;
mod clock;
mod confirm;
mod contest;
mod pipeline;
mod report;
pub(crate) mod scratch;
mod search;
pub(crate) mod session;
pub(crate) mod worker;
mod workload;

#[cfg(test)]
mod tests;

pub(crate) use candidates::kept;
pub(crate) use report::{text, yaml};
