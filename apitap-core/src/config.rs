//! Every knob of the engine: one struct per stage, each field with its default and why.
//!
//! A [`Config`] comes from a preset, is changed by `stage.knob=value` settings and is
//! validated once; errors name the field.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result, Stage};

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
    /// The times, latencies and activities of the run report stay at zero: for measuring what they
    /// cost.
    Off,
}

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
    /// Idle connections kept per host; others are closed. Default 10. What is asked next does not
    /// wait for a connection that is about to be idle, so up to `concurrency` + 1 are in use.
    pub pool_idle_per_host: usize,
    /// Limit for setting up a connection. Default 10 s.
    #[serde(with = "seconds")]
    pub connect_timeout: Duration,
    /// Limit for silence while a body is read. Default 30 s. A long body that keeps
    /// arriving is never cut.
    #[serde(with = "seconds")]
    pub read_timeout: Duration,
    /// Limit for one request and its body. None by default.
    #[serde(with = "optional_seconds")]
    pub total_timeout: Option<Duration>,
    /// Bytes that one answer may have, decompressed; at least 1,024. Default 256 MiB: far more
    /// than a page needs, and little enough that `concurrency` of them fit a machine.
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
    /// What happens to keys that the sampled rows lacked, where the query asks for every column by `*`.
    /// Default `refuse`, because a column would be lost without a word.
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
    /// A `serde_json::Value` per row, sent through a channel one by one: the "before" way.
    Rows,
}

/// What happens to keys that the schema does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownFields {
    /// They are passed over.
    Ignore,
    /// They are an error that names source, page, row and key.
    Refuse,
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
    /// grow while PostgreSQL is slow. A message weighs its rows, or its KiB if that is more, so
    /// the limit means the same to single rows and to batches; a batch larger than the whole
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
    /// 1 MiB. Default 64 MiB. Sorts, groups and shared sources spill to disk what does not fit. One
    /// side of a join and what is gathered within a group, as for `count(DISTINCT …)`, must fit.
    pub memory_limit_bytes: NonZeroUsize,
    /// Whether results are written while the plan still runs. Default true.
    pub streaming: bool,
    /// Under which names the sources stand in the query's context. Default `source`: a run has a
    /// context of its own, in which nothing else could have their names.
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

/// Under which names the sources' tables are registered for a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableNames {
    /// Those of the sources.
    Source,
    /// Random ones, new in every run; the query's names lead to them: the "before" way.
    Unique,
}

/// How rows reach PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WriteConfig {
    /// Default `copy-binary`.
    pub method: WriteMethod,
    /// Rows per flush, 1 to 1,000,000. Default 1,000: no method gained by more when the
    /// suite compared them. A statement that would need more than 65,535 parameters is
    /// split.
    pub batch_rows: NonZeroUsize,
    /// Flushes under way on one connection. Default 2: one is sent while the next is encoded.
    pub in_flight: NonZeroUsize,
    /// Connections that load. Default 1.
    pub connections: NonZeroUsize,
    /// What happens to rows already there. Default: `merge` where the source names its
    /// primary key, else `append`.
    pub mode: Option<WriteMode>,
}

impl Default for WriteConfig {
    fn default() -> Self {
        Self {
            method: WriteMethod::CopyBinary,
            batch_rows: rows(1_000),
            in_flight: rows(2),
            connections: rows(1),
            mode: None,
        }
    }
}

/// The six ways of writing rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteMethod {
    /// Multi-row `INSERT`, its SQL rebuilt and parsed for every statement.
    Insert,
    /// Multi-row `INSERT`, prepared once.
    Prepared,
    /// `INSERT … SELECT FROM unnest($1, …)`: one array parameter per column.
    Unnest,
    /// `COPY … (FORMAT csv)`.
    CopyCsv,
    /// `COPY … (FORMAT text)`.
    CopyText,
    /// `COPY … (FORMAT binary)`.
    CopyBinary,
}

impl WriteMethod {
    /// Every method, slowest idea first.
    pub const ALL: [Self; 6] = [
        Self::Insert,
        Self::Prepared,
        Self::Unnest,
        Self::CopyCsv,
        Self::CopyText,
        Self::CopyBinary,
    ];

    /// The name used in configuration and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Prepared => "prepared",
            Self::Unnest => "unnest",
            Self::CopyCsv => "copy-csv",
            Self::CopyText => "copy-text",
            Self::CopyBinary => "copy-binary",
        }
    }

    /// By which command, and in which form, its rows reach the server.
    pub fn command(self) -> WriteCommand {
        match self {
            Self::Insert => WriteCommand::Statement(StatementForm::Insert),
            Self::Prepared => WriteCommand::Statement(StatementForm::Prepared),
            Self::Unnest => WriteCommand::Statement(StatementForm::Unnest),
            Self::CopyCsv => WriteCommand::Copy(CopyFormat::Csv),
            Self::CopyText => WriteCommand::Copy(CopyFormat::Text),
            Self::CopyBinary => WriteCommand::Copy(CopyFormat::Binary),
        }
    }
}

/// The command by which rows reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCommand {
    /// Statements that bind rows as parameters.
    Statement(StatementForm),
    /// One `COPY … FROM STDIN` per connection.
    Copy(CopyFormat),
}

/// How a statement takes its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementForm {
    /// A parameter per cell; the SQL is sent with every statement.
    Insert,
    /// A parameter per cell; the SQL is prepared once.
    Prepared,
    /// An array parameter per column; the SQL is prepared once.
    Unnest,
}

/// A format of `COPY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// `FORMAT csv`.
    Csv,
    /// `FORMAT text`.
    Text,
    /// `FORMAT binary`.
    Binary,
}

impl fmt::Display for WriteMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WriteMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|method| method.name()).collect();
                invalid(format!("unknown write method `{name}`"))
                    .hint(format!("use one of {}", known.join(", ")))
            })
    }
}

/// What happens to rows that are already in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteMode {
    /// They stay; new rows are added.
    Append,
    /// A new table takes the place of the old one.
    Replace,
    /// Rows with the same key are updated, others added; the last of a load's duplicates wins.
    Merge,
}

impl Config {
    /// The names [`Config::preset`] knows.
    pub const PRESETS: [&'static str; 2] = ["before", "tuned"];

    /// A named configuration: `before` is the state that the optimization report describes,
    /// `tuned` the best that the benchmark suite has proven.
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
                mode: None,
            },
        }
    }

    /// Changes one knob by its dotted name, as in `write.batch_rows=1000`.
    ///
    /// # Errors
    /// A knob that does not exist, or a value that does not fit it.
    ///
    /// ```
    /// # use apitap_core::Config;
    /// let config = Config::default().with("write.method=copy-text")?.with("counter=mutex")?;
    /// assert_eq!(config.write.method.name(), "copy-text");
    /// # Ok::<(), apitap_core::Error>(())
    /// ```
    pub fn with(self, setting: &str) -> Result<Self> {
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            invalid(format!("setting `{setting}` has no `=`"))
                .hint("write it as stage.knob=value, for example write.batch_rows=1000")
        })?;
        let mut tree = serde_json::to_value(&self).map_err(|e| {
            Error::new(ErrorKind::Internal, Stage::Config, "configuration").caused_by(e)
        })?;
        let pointer = format!("/{}", name.trim().replace('.', "/"));
        let slot = tree
            .pointer_mut(&pointer)
            .filter(|slot| !slot.is_object() || name == "infer.cache");
        let Some(slot) = slot else {
            return Err(invalid(format!("unknown knob `{name}`")).hint(
                "`apitap --help` lists the knobs, for example write.method or source.concurrency",
            ));
        };
        *slot = parse_value(name.trim(), value.trim());
        serde_json::from_value(tree)
            .map_err(|e| invalid(format!("knob `{name}`: {e}")))
            .and_then(Self::validated)
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// Names the field and the values that it allows.
    pub fn validated(self) -> Result<Self> {
        let batch_rows = self.write.batch_rows.get();
        if batch_rows > 1_000_000 {
            return Err(invalid("write.batch_rows must be at most 1000000"));
        }
        if self.source.concurrency.get() > 1_024 {
            return Err(invalid("source.concurrency must be at most 1024"));
        }
        if self.source.max_body_bytes.get() < 1 << 10 {
            return Err(invalid("source.max_body_bytes must be at least 1024"));
        }
        if self.write.connections.get() > 64 {
            return Err(invalid("write.connections must be at most 64"));
        }
        if self.transform.memory_limit_bytes.get() < 1 << 20 {
            return Err(invalid(
                "transform.memory_limit_bytes must be at least 1048576",
            ));
        }
        if self.channel.capacity.get() > u32::MAX as usize {
            return Err(invalid("channel.capacity must be at most 4294967295"));
        }
        Ok(self)
    }
}

fn parse_value(name: &str, value: &str) -> serde_json::Value {
    if name == "infer.cache"
        && let Some(folder) = value.strip_prefix("file:")
    {
        return serde_json::json!({ "file": folder });
    }
    if value == "none" {
        return serde_json::Value::Null;
    }
    match serde_json::from_str(&value.replace('_', "")) {
        Ok(parsed @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => parsed,
        _ => serde_json::Value::String(value.to_owned()),
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
    fn settings_change_one_knob() {
        let config = Config::default()
            .with("write.batch_rows=50_000")
            .unwrap()
            .with("decode.path=rows")
            .unwrap()
            .with("source.total_timeout=1.5")
            .unwrap()
            .with("infer.cache=file:/tmp/schemas")
            .unwrap()
            .with("transform.table_names=unique")
            .unwrap();
        assert_eq!(config.write.batch_rows.get(), 50_000);
        assert_eq!(config.decode.path, DecodePath::Rows);
        assert_eq!(
            config.source.total_timeout,
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(
            config.infer.cache,
            SchemaCacheMode::File("/tmp/schemas".into())
        );
        assert_eq!(config.transform.table_names, TableNames::Unique);
        assert_eq!(
            config.with("infer.cache=off").unwrap().infer.cache,
            SchemaCacheMode::Off
        );
    }

    #[test]
    fn wrong_settings_name_the_knob() {
        for (setting, part) in [
            ("write.batch_rows=0", "write.batch_rows"),
            ("write.batch_rows=2000000", "at most 1000000"),
            ("source.max_body_bytes=1023", "at least 1024"),
            ("write.methods=insert", "unknown knob `write.methods`"),
            ("write=insert", "unknown knob `write`"),
            ("write.method=upsert", "write.method"),
            ("transform.table_names=random", "transform.table_names"),
            ("write.method", "no `=`"),
        ] {
            let error = Config::default().with(setting).unwrap_err();
            assert!(error.is_config());
            assert!(error.to_string().contains(part), "{setting}: {error}");
        }
    }

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
