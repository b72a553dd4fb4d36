//! Every knob of the engine: one struct per stage, each field with its default and why.
//!
//! A [`Config`] comes from a preset and is changed by `stage.knob=value` settings, each of which is
//! checked; errors name the knob. [`knobs`] lists them.

pub mod knobs;
mod write;

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result, Stage};

pub use write::{
    CopyFormat, StatementForm, WriteCommand, WriteCommit, WriteConfig, WriteMethod, WriteMode,
};

/// The configuration of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Fetching.
    pub source: SourceConfig,
    /// JSON to Arrow.
    pub decode: DecodeConfig,
    /// Schema inference.
    pub infer: InferConfig,
    /// Queues between stages.
    pub channel: ChannelConfig,
    /// How rows are counted while they pass.
    pub counter: Counter,
    /// SQL.
    pub transform: TransformConfig,
    /// PostgreSQL.
    pub write: WriteConfig,
    /// Whether the run watches itself.
    pub observe: Observe,
}

/// Whether a run takes the times of its stages and of what goes on at the same time.
///
/// Counters of rows, bytes, pages and statements are kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observe {
    /// Clocks are read once per page, batch, flush and poll. The default.
    #[default]
    On,
    /// The times, latencies and activities of the run report stay at zero: to measure what they
    /// cost.
    Off,
}

/// The largest limit of a body: text of an Arrow batch, which holds no more than a page, has offsets of
/// 32 bits.
pub(crate) const MAX_BODY_BYTES: usize = i32::MAX as usize;

/// How pages are fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// Requests in flight for one source. Default 4: enough to hide a page's latency
    /// while memory stays at a few pages.
    pub concurrency: NonZeroUsize,
    /// Rows asked for in one page, where the pagination has such a parameter. Default 1,000.
    pub page_rows: NonZeroUsize,
    /// Whether requests share one client and its connections. Default true.
    pub reuse_connections: bool,
    /// Idle connections kept per host; others are closed. Default 10. The next request does not wait
    /// for a connection that is about to be idle, so up to `concurrency` + 1 are in use.
    pub pool_idle_per_host: usize,
    /// Limit for setting up a connection. Default 10 s.
    #[serde(with = "seconds")]
    pub connect_timeout: Duration,
    /// Limit for silence, before the answer and while its body is read. Default 30 s. A long body
    /// that keeps arriving is never cut.
    #[serde(with = "seconds")]
    pub read_timeout: Duration,
    /// Limit for one request and its body. None by default.
    #[serde(with = "optional_seconds")]
    pub total_timeout: Option<Duration>,
    /// Most bytes of one response, as sent and decompressed; from 1,024 to 2 GiB less one. Default 256 MiB: far more than a
    /// page needs, and `concurrency` of them still fit a machine.
    pub max_body_bytes: NonZeroUsize,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            concurrency: rows(4),
            page_rows: rows(1_000),
            reuse_connections: true,
            pool_idle_per_host: 10,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            total_timeout: None,
            max_body_bytes: rows(256 << 20),
        }
    }
}

/// How JSON becomes Arrow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeConfig {
    /// Which decoder. Default `tape`.
    pub path: DecodePath,
    /// Rows in a batch at most. Default 8,192. The tape path ends a batch with its page.
    pub batch_rows: NonZeroUsize,
    /// What happens to keys that the sampled rows did not have, when the query selects `*`. Default
    /// `refuse`, because otherwise a column would be lost silently.
    pub unknown_fields: UnknownFields,
}

impl Default for DecodeConfig {
    fn default() -> Self {
        Self {
            path: DecodePath::Tape,
            batch_rows: rows(8_192),
            unknown_fields: UnknownFields::Refuse,
        }
    }
}

/// The two ways from JSON to Arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecodePath {
    /// Bytes straight into column builders.
    Tape,
    /// An owned value per row, sent through a channel one by one: the "before" way.
    Rows,
}

/// What happens to keys that the schema does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownFields {
    /// They are ignored.
    Ignore,
    /// They are an error that names source, page, row and key.
    Refuse,
}

/// What happens to escapes that no text of PostgreSQL can hold: `\u0000`, and halves of surrogate pairs
/// such as `\ud800`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadText {
    /// They are an error that names the place, where the query reads them. The default.
    #[default]
    Fail,
    /// U+FFFD, the replacement character, takes their place.
    Replace,
}

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "fail",
            Self::Replace => "replace",
        })
    }
}

/// How a schema is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InferConfig {
    /// Rows looked at. Default 100.
    pub sample_rows: NonZeroUsize,
    /// Where inferred schemas are kept. Default `off`.
    pub cache: SchemaCacheMode,
    /// Whether RFC 3339 strings become timestamps. Default true.
    pub timestamps: bool,
}

impl Default for InferConfig {
    fn default() -> Self {
        Self {
            sample_rows: rows(100),
            cache: SchemaCacheMode::Off,
            timestamps: true,
        }
    }
}

/// Where inferred schemas are kept between runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaCacheMode {
    /// Each run infers.
    Off,
    /// In the process, by source.
    Memory,
    /// In a folder, one file per source.
    File(std::path::PathBuf),
}

/// Queues between stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelConfig {
    /// Rows that may wait in a channel. Default 8,192: a few pages, so that memory does not
    /// grow while PostgreSQL is slow. A message counts its rows, or its KiB if that is more, so
    /// the limit means the same for single rows and for batches. A batch larger than the whole
    /// capacity passes alone.
    pub capacity: NonZeroUsize,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            capacity: rows(8_192),
        }
    }
}

/// How rows are counted while they pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counter {
    /// A tokio mutex, locked for every row: the "before" way.
    Mutex,
    /// A relaxed atomic.
    #[default]
    Atomic,
}

/// How SQL is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransformConfig {
    /// Lanes of a plan. Default 1: on the order of a core per lane.
    pub partitions: NonZeroUsize,
    /// Rows in a batch that the plan makes itself. Default 8,192.
    pub batch_rows: NonZeroUsize,
    /// Memory for sorts, joins, aggregates and shared sources, divided between lanes; at least
    /// 1 MiB. Default 64 MiB. Sorts, groups and shared sources spill the rest to disk. One side of a
    /// join must fit, and so must the values that a group gathers, as for `count(DISTINCT …)`.
    pub memory_limit_bytes: NonZeroUsize,
    /// Whether results are written while the plan still runs. Default true.
    pub streaming: bool,
    /// The names of the sources in the query's context. Default `source`: a run has a context of its
    /// own, in which nothing else could have their names.
    pub table_names: TableNames,
}

impl Default for TransformConfig {
    fn default() -> Self {
        Self {
            partitions: rows(1),
            batch_rows: rows(8_192),
            memory_limit_bytes: rows(64 << 20),
            streaming: true,
            table_names: TableNames::Source,
        }
    }
}

/// The names under which the sources' tables are registered for a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableNames {
    /// Those of the sources.
    Source,
    /// Random ones, new in every run; the query's names lead to them: the "before" way.
    Unique,
}

impl Config {
    /// The names [`Config::preset`] knows.
    pub const PRESETS: [&'static str; 2] = ["before", "tuned"];

    /// A named configuration: `before` is the state that the optimization report describes,
    /// `tuned` is the best that the benchmark suite has proven.
    ///
    /// # Errors
    /// An unknown name.
    pub fn preset(name: &str) -> Result<Self> {
        match name {
            "before" => Ok(Self::before()),
            "tuned" => Ok(Self::default()),
            _ => Err(invalid(format!("unknown preset `{name}`"))
                .hint(format!("use one of {}", Self::PRESETS.join(", ")))),
        }
    }

    fn before() -> Self {
        Self {
            source: SourceConfig {
                concurrency: rows(1),
                page_rows: rows(50),
                ..SourceConfig::default()
            },
            decode: DecodeConfig {
                path: DecodePath::Rows,
                batch_rows: rows(256),
                ..DecodeConfig::default()
            },
            infer: InferConfig::default(),
            channel: ChannelConfig {
                capacity: rows(256),
            },
            counter: Counter::Mutex,
            observe: Observe::On,
            transform: TransformConfig {
                table_names: TableNames::Unique,
                ..TransformConfig::default()
            },
            write: WriteConfig {
                method: WriteMethod::Insert,
                batch_rows: rows(100),
                in_flight: rows(1),
                connections: rows(1),
                commit: WriteCommit::Load,
                mode: None,
            },
        }
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, Stage::Config, detail)
}

fn rows(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

/// Durations as seconds, whole or not.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// [`seconds`], or nothing.
mod optional_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|duration| duration.as_secs_f64()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(from)?
            .map(|seconds| Duration::try_from_secs_f64(seconds).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_differ_where_the_report_says() {
        let before = Config::preset("before").unwrap();
        assert_eq!(before.write.batch_rows.get(), 100);
        assert_eq!(before.counter, Counter::Mutex);
        assert_eq!(before.transform.table_names, TableNames::Unique);
        assert_eq!(Config::preset("tuned").unwrap(), Config::default());
        assert!(Config::preset("fast").is_err());
    }
}
