//! Measures `apitap-core` on real servers and says what its figures are worth.
//!
//! ```text
//! experiment ──▶ measure ──▶ samples ──▶ judge ──▶ report
//!                   │                      └─────▶ gate
//!                   └──▶ profile
//! ```
//!
//! | room | what it is for |
//! |---|---|
//! | [`measure`] | take samples: one fresh process per load, in a seeded order, each one verified |
//! | [`judge`] | turn samples into findings: verdicts, comparisons of runs, changes over time |
//! | [`profile`] | say where time and memory went, and why one arm is faster |
//! | [`report`] | show findings to people: HTML, Markdown, terminal |
//! | [`gate`] | say whether a change made the engine slower |
//!
//! All rooms use [`experiment`] (what is compared), [`samples`], [`run_record`] and [`run_folder`] (what
//! a run leaves behind), [`fingerprint`] (where it ran), [`metric`], [`mod@format`] and [`stats`], which is
//! pure. [`cli`] is the `apitap-bench` command. Servers, mock APIs and workloads are in the crate
//! `testkit`, which knows nothing of the engine.

mod atomic_write;
pub mod cli;
pub mod experiment;
pub mod fingerprint;
pub mod format;
pub mod gate;
pub mod judge;
pub mod measure;
pub mod metric;
pub mod profile;
pub mod report;
pub mod run_folder;
pub mod run_record;
pub mod samples;
mod schema_version;
pub mod stats;
