//! ApiTap's engine: rows from HTTP JSON APIs, through SQL, into PostgreSQL.
//!
//! ```text
//! source ──pages──▶ decode ──batches──▶ transform ──batches──▶ encode ──chunks──▶ write
//! HTTP bytes        JSON → Arrow        DataFusion SQL        Arrow → PG wire     PostgreSQL
//! ```
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | every knob, its default and why |
//! | [`pipeline_file`], [`module`], [`schedule`] | what users write: `pipelines.yaml`, SQL modules, their schedules |
//! | [`job`] | a module with its sources and its table: what a run needs |
//! | [`pipeline`] | builds the stages of a run, and commits or rolls back |
//! | [`source`] | pages of an API, in order: HTTP, pagination, retry |
//! | [`json`] | the scanner under source, inference and decoding |
//! | [`infer`], [`schema`] | from sampled rows to a schema |
//! | [`decode`] | from JSON to Arrow, by the fast path and the "before" path |
//! | [`transform`] | SQL over sources, by DataFusion |
//! | [`encode`] | from Arrow to PostgreSQL's wire formats; the only table of types |
//! | [`write`](mod@write) | rows into tables, all or nothing |
//! | [`channel`] | bounded queues |
//! | [`error`], [`secret`] | errors with what to do about them; texts that are never printed |
//! | [`stage`], [`metrics`], [`concurrency_time`] | frame, span and clock of each stage; counters and times; which activities overlapped |
//! | [`run_report`], [`timeline`] | what a run did, as a whole and over time |
//! | [`budget`] | where its wall time went: parts that add up to it, and what a change could gain |
//! | [`server_watch`] | what the server did meanwhile, looked up now and then |
//! | [`explain`], [`run_outcome`] | what bounds a run, and the change that would help most; how modules ended |
//! | [`prometheus`], [`trace`] | the same for Prometheus during the run, and its spans for Perfetto |
//! | `cli` | the `apitap` command, with the feature `cli` |
//!
//! Data flows one way. A stage knows only the stages that an arrow of the picture connects it with.

pub mod budget;
pub mod channel;
#[cfg(feature = "cli")]
pub mod cli;
pub mod concurrency_time;
pub mod config;
pub mod decode;
pub mod encode;
pub mod error;
pub mod explain;
pub mod infer;
pub mod job;
pub mod json;
pub mod metrics;
pub mod module;
pub mod pipeline;
pub mod pipeline_file;
pub mod prometheus;
pub mod run_outcome;
pub mod run_report;
pub mod schedule;
pub mod schema;
pub mod secret;
pub mod server_watch;
pub mod source;
mod source_table;
pub mod stage;
mod template;
mod time;
pub mod timeline;
pub mod trace;
pub mod transform;
pub mod write;

pub use config::Config;
pub use error::{Error, ErrorKind, Result, Stage};
pub use job::Job;
pub use pipeline::Engine;
pub use run_report::RunReport;
