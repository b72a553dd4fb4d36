//! Measures `apitap-core` on real servers and says what its figures are worth.
//!
//! ```text
//! experiment ──▶ environment ──▶ runner ──▶ measurement ──▶ stats ──▶ results, report
//! ```
//!
//! | module | what lives there |
//! |---|---|
//! | [`experiment`] | what is compared: scenarios and their arms, spelled out as data |
//! | [`environment`] | real servers, the mock API, and the machine's fingerprint |
//! | [`workload`] | seeded rows, and the checksum of what must land |
//! | [`runner`] | one fresh process per sample, in a seeded order, verified after each |
//! | [`measurement`], [`run_record`] | what a run leaves behind: raw samples and their setting |
//! | [`counters`] | what does not vary between runs of one program: round trips, allocations, instructions |
//! | [`profile`] | where time and memory went, and why one arm is faster |
//! | [`stats`], [`results`], [`report`] | pure: samples in, verdicts and text out |
//! | [`across`] | two stored runs side by side, or why they do not compare |
//! | [`history`] | results over time, and where they changed |
//! | [`calibration`] | the noise of a machine, and the thresholds that follow |
//! | [`cli`], [`worker`] | the `apitap-bench` command, and the process that a sample runs in |

pub mod across;
pub mod calibration;
pub mod cli;
pub mod counters;
pub mod environment;
pub mod experiment;
pub mod gate;
pub mod history;
pub mod measurement;
pub mod profile;
pub mod report;
pub mod results;
pub mod run_record;
pub mod runner;
mod schema_version;
pub mod stats;
mod whole_file;
pub mod worker;
pub mod workload;
