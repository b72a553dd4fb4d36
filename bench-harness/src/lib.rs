//! Measures `apitap-core` on real servers and says what its figures are worth.
//!
//! As a library it compares code of your own, for `cargo bench`: [`Comparison`] takes interleaved blocks of samples of
//! arms that are closures, and says which is faster, with an interval. docs/template is a repository that does so.
//! The rest is the `apitap-bench` command.
//!
//! ```text
//! experiment ──▶ measure ──▶ samples ──▶ judge ──▶ report
//!                   │                      └─────▶ gate
//!                   └──▶ profile
//! ```
//!
//! | room | what it is for |
//! |---|---|
//! | `measure` | take samples: one fresh process per load, in a seeded order, each one verified |
//! | `judge` | turn samples into findings: verdicts, comparisons of runs, changes over time |
//! | `profile` | say where time and memory went, and why one arm is faster |
//! | `report` | show findings to people: HTML, Markdown, terminal |
//! | `gate` | say whether a change made the engine slower |
//! | `faults` | load with injected faults, and check that nothing is lost |
//! | `soak` | the same for long, in one process, which must not grow |
//! | `recording` | a load of a user's pipeline as a file, and its replay |
//! | `record` | make one, and verify that a replay comes to the same |
//! | `tune` | say which configuration suits a workload, or a pipeline of a user's own |
//! | `commands` | say which of several commands loads a workload fastest, whatever they are |
//! | `own` | say which of several closures is fastest, for users of this library |
//!
//! All rooms use `experiment` (what is compared), `samples`, `run_record` and `run_folder` (what
//! a run leaves behind), `fingerprint` (where it ran), `metric`, `format` and
//! `stats`, which is pure. `cli` is the `apitap-bench` command. Servers, mock APIs and workloads are in the crate
//! `testkit`, which knows nothing of the engine.

mod atomic_write;
mod cli;
mod commands;
mod experiment;
mod faults;
mod fingerprint;
mod format;
mod gate;
mod judge;
mod measure;
mod metric;
mod own;
mod profile;
mod record;
mod recording;
mod report;
mod run_folder;
mod run_record;
mod samples;
mod schema_version;
mod soak;
mod stats;
mod tune;

// The library.
pub use own::{Against, Compared, Comparison};
pub use stats::{Interval, Verdict};

// What the programs, benchmarks and tests of this package use, and nobody else may rely on. Nothing else is public.
#[doc(hidden)]
pub use apitap_core::budget::{Budget, Part};
#[doc(hidden)]
pub use cli::{command, main};
#[doc(hidden)]
pub use experiment::{
    ArmPlan, Experiment, ExperimentFiles, IDENTICAL, Revision, Scale, ScenarioPlan,
};
#[doc(hidden)]
pub use fingerprint::{Build, Fingerprint, Machine};
#[doc(hidden)]
pub use gate::{GateResults, ScenarioOutcome};
#[doc(hidden)]
pub use judge::Results;
#[doc(hidden)]
pub use judge::compare::RunComparison;
#[doc(hidden)]
pub use judge::history::series::{Direction, History};
#[doc(hidden)]
pub use measure::counters::{Allocations, Kernel, KernelLoad, instructions_per_row};
#[doc(hidden)]
pub use measure::worker;
#[doc(hidden)]
pub use metric::{Metric, Tier};
#[doc(hidden)]
pub use profile::results::ProfileResults;
#[doc(hidden)]
pub use profile::{flamegraph, heap, sampler};
#[doc(hidden)]
pub use report::html::FILE as REPORT_FILE;
#[doc(hidden)]
pub use run_folder::RunFolder;
#[doc(hidden)]
pub use run_record::{
    MockApiCeiling, RUN_FILE, RoundTrip, RunRecord, SCHEMA_VERSION, Scenario, Verification,
};
#[doc(hidden)]
pub use samples::{Measurements, Outcome, SAMPLES_FILE, Sample, Samples, Timestamp};
#[doc(hidden)]
pub use stats::UNCALIBRATED;
