//! How fast commands load a workload, whatever they are: `apitap-bench compare --arm COMMAND --arm COMMAND`.
//!
//! ```text
//! arm ──▶ session ──▶ samples ──▶ results ──▶ report
//!            └─ served
//! ```
//!
//! `session` takes samples as `run` does, through [`crate::measure`]; `served` is what the commands load, and what
//! must land. `results` is pure: the same record and samples give the same results.

pub(crate) mod arm;
#[cfg(test)]
mod example;
pub(crate) mod report;
pub(crate) mod results;
mod served;
pub(crate) mod session;
