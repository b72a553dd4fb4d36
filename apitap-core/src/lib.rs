//! ApiTap's engine: rows from HTTP JSON APIs, through SQL, into PostgreSQL.
//!
//! ```text
//! source ──pages──▶ decode ──batches──▶ transform ──batches──▶ encode ──chunks──▶ write
//! HTTP bytes        JSON → Arrow        DataFusion SQL        Arrow → PG wire     PostgreSQL
//! ```
//!
//! | module | what lives there |
//! |---|---|
//! | [`config`] | every knob, its default and why |
//! | [`pipeline_file`], [`module`], [`schedule`] | what users write: `pipelines.yaml`, SQL modules, their schedules |
//! | [`source`] | pages of an API, in order: HTTP, pagination, retry |
//! | [`json`] | the scanner under source, inference and decoding |
//! | [`infer`], [`schema`] | sampled rows to a schema |
//! | [`decode`] | JSON to Arrow, the fast way and the "before" way |
//! | [`transform`] | SQL over sources, by DataFusion |
//! | [`encode`] | Arrow to PostgreSQL's wire formats; the only table of types |
//! | [`mod@write`] | rows into tables, all or nothing |
//! | [`channel`] | bounded queues |
//! | [`metrics`], [`concurrency_time`], [`stage`] | what is counted and timed; what goes on at the same time; the frame, span and clock of each stage |
//! | [`job`] | a module with its sources and its table: what a run needs |
//! | [`pipeline`] | builds the stages of a run, and commits or rolls back |
//! | [`run_report`], [`timeline`] | what a run did, as a whole and over time |
//! | [`prometheus`], [`trace`] | the same for Prometheus while it goes, and its spans for Perfetto |
//!
//! Data flows one way, and an arrow of the picture is the only way one stage knows of another.

pub mod channel;
#[cfg(feature = "cli")]
pub mod cli;
pub mod concurrency_time;
pub mod config;
pub mod decode;
pub mod encode;
pub mod error;
pub mod infer;
pub mod job;
pub mod json;
pub mod metrics;
pub mod module;
pub mod pipeline;
pub mod pipeline_file;
pub mod prometheus;
pub mod run_report;
pub mod schedule;
pub mod schema;
pub mod secret;
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
