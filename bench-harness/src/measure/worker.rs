//! `apitap-bench worker`: the process in which one sample runs.
//!
//! It reads one job as JSON on standard input, runs the engine once, and prints the engine's report
//! as JSON on standard output. A fresh process per sample keeps caches, connections and the
//! allocator's state of one sample from helping or hurting the next.
//!
//! There are two wall times. The engine's own (`wall_seconds` of its report) is from the start of the
//! run to its commit, with the connections to API and server: this one is judged. The parent's, of the
//! whole process, also has the start of a program and of a runtime, which a service pays once and a
//! user of `apitap` pays per run: it is recorded too.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use apitap_core::budget::Seen;
use apitap_core::config::WriteMode;
use apitap_core::metrics::Metrics;
use apitap_core::prometheus::Exposition;
use apitap_core::server_watch::{Opened, ServerWatch};
use apitap_core::source::SourceSpec;
use apitap_core::source::pagination::Pagination;
use apitap_core::timeline::{self, Moment, Timeline};
use apitap_core::trace::{TraceGuard, chrome_trace};
use apitap_core::write::TargetSpec;
use apitap_core::write::{EmptyLoad, Sink, TableName};
use apitap_core::{Config, Engine, Job, RunReport};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};
use url::Url;

use crate::experiment::Attachment;
use crate::profile::sampler::{FREQUENCY_HZ, Sampled, Sampler};
use crate::recording::Header;

/// Time between two looks at the server.
///
/// A look costs client and server together 0.4 ms, as measured on two busy cores; a load of half a
/// second is seen some dozens of times, and an arm is loaded ten times.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One run of the engine. It has no `Debug`, because it contains a password.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerJob {
    /// URL of the workload's endpoint in the mock API, such as `http://127.0.0.1:40123/orders`.
    pub source_url: String,
    /// Name of the workload: that of the source, and so of the table that the SQL reads.
    pub workload: String,
    /// How the pages of the source follow each other.
    pub pages: PageKind,
    /// The module's query.
    pub sql: String,
    /// The database to load, with user and password.
    pub database_url: String,
    /// The table to load.
    pub table: String,
    /// What happens to rows that are already there.
    pub mode: WriteMode,
    /// The columns that identify a row; may be empty.
    pub key: Vec<String>,
    /// Name of the engine's preset to start from.
    pub preset: String,
    /// Changes to the preset, as `stage.knob=value`.
    pub settings: Vec<String>,
    /// What the worker watches meanwhile.
    pub watch: Watch,
    /// What observes the engine, as users may do it.
    pub attach: Vec<Attachment>,
    /// The recording that answers in place of the workload. Programs from before there were any refuse a job
    /// that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RecordedLoad>,
}

/// A recording, and the servers that replay it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedLoad {
    /// The file.
    pub file: PathBuf,
    /// The servers, by number, such as `http://127.0.0.1:40123`.
    pub servers: Vec<String>,
    /// Settings of the recorded load without which requests or rows would be others.
    pub settings: Vec<String>,
}

impl RecordedLoad {
    /// The sources and the query that the recording is of.
    pub(crate) fn read(&self) -> Result<(Vec<Arc<SourceSpec>>, String)> {
        let header = Header::read(&self.file)?;
        let sources = header.sources.iter().map(|source| {
            let server = self.servers.get(source.origin);
            let server = server.context("a source of the recording has no server")?;
            Ok(Arc::new(source.at(server)?))
        });
        Ok((sources.collect::<Result<_>>()?, header.sql))
    }
}

/// What a worker watches while it runs. Unless it is nothing, its figures are not for comparisons.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// Nothing: it prints the engine's report.
    Nothing,
    /// Its own stacks. It prints a `WatchedReport`, as it does below.
    Stacks,
    /// The server, asked over a connection of its own, and the load over time.
    Server {
        /// The database, with user and password, without a relay.
        url: String,
    },
}

/// What a worker prints that watched something.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatchedReport {
    /// The engine's report.
    pub(crate) report: RunReport,
    /// Its stacks.
    pub(crate) sampled: Option<Sampled>,
    /// Looks at the server.
    pub(crate) looks: Vec<Seen>,
    /// The load over time.
    pub(crate) timeline: Vec<Moment>,
}

/// A pagination that the mock API serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageKind {
    /// `?page=&per_page=`
    PageNumber,
    /// `?limit=&offset=`
    LimitOffset,
    /// `/cursor?cursor=&page_size=`
    Cursor,
    /// `/link`, followed by the `Link` header.
    LinkHeader,
    /// `/next`, followed by a URL in the body.
    NextLink,
    /// `/all`, everything in one response.
    Whole,
}

impl PageKind {
    /// The path between the workload's endpoint and the query.
    fn path(self) -> &'static str {
        match self {
            Self::PageNumber | Self::LimitOffset => "",
            Self::Cursor => "/cursor",
            Self::LinkHeader => "/link",
            Self::NextLink => "/next",
            Self::Whole => "/all",
        }
    }

    fn data_path(self) -> &'static str {
        match self {
            Self::Cursor | Self::NextLink => "/data",
            _ => "",
        }
    }

    fn pagination(self) -> Pagination {
        match self {
            Self::PageNumber => Pagination::PageNumber {
                page_param: "page".to_owned(),
                per_page_param: Some("per_page".to_owned()),
                start: 1,
            },
            Self::LimitOffset => Pagination::LimitOffset {
                limit_param: "limit".to_owned(),
                offset_param: "offset".to_owned(),
                start: 0,
            },
            Self::Cursor => Pagination::Cursor {
                cursor_param: "cursor".to_owned(),
                page_size_param: Some("page_size".to_owned()),
                cursor_paths: vec!["/next_cursor".to_owned()],
            },
            Self::LinkHeader => Pagination::LinkHeader,
            Self::NextLink => Pagination::NextLink {
                next_paths: vec!["/next".to_owned()],
            },
            Self::Whole => Pagination::None,
        }
    }
}

/// Reads a job from standard input, runs it on `runtime`, and prints the engine's report.
///
/// # Errors
/// When the job is not valid or the engine fails; the message ends with the engine's hint.
pub fn run(runtime: &mut tokio::runtime::Builder) -> Result<()> {
    let runtime = runtime.enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime.block_on(run_job())
}

async fn run_job() -> Result<()> {
    let text = std::io::read_to_string(std::io::stdin()).context("cannot read the job")?;
    // The error of serde_json names line and column, and quotes only field names of a job.
    let job: WorkerJob = serde_json::from_str(&text).context("the job is not valid")?;
    let trace = job.start_log()?;
    let json = match &job.watch {
        Watch::Nothing => serde_json::to_string(&job.load(Arc::default()).await?),
        Watch::Stacks => serde_json::to_string(&job.sampled().await?),
        Watch::Server { url } => serde_json::to_string(&job.watched(url).await?),
    };
    let json = json.context("cannot serialise the engine's report")?;
    if let Some(trace) = trace {
        trace.finish()?;
    }
    writeln!(std::io::stdout(), "{json}").context("standard output is closed")
}

/// The log, on standard error: warnings, or what `APITAP_LOG` says.
pub(crate) fn log<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let filter = EnvFilter::try_from_env("APITAP_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_filter(filter)
}

/// Renders the metrics as often as a timeline looks at them.
async fn scrape(metrics: Arc<Metrics>) {
    let exposition = Exposition::new();
    let _watched = exposition.watch("sample", metrics);
    let mut clock = tokio::time::interval(timeline::INTERVAL);
    loop {
        clock.tick().await;
        std::hint::black_box(exposition.text());
    }
}

/// A trace in a temporary file.
struct Trace {
    guard: TraceGuard,
    file: NamedTempFile,
}

impl Trace {
    fn finish(self) -> Result<()> {
        self.guard.finish().context("cannot write the trace")?;
        self.file.close().context("cannot remove the trace")
    }
}

impl WorkerJob {
    fn attaches(&self, attachment: Attachment) -> bool {
        self.attach.contains(&attachment)
    }

    /// Starts the log, and a trace if the job asks for one.
    fn start_log(&self) -> Result<Option<Trace>> {
        let registry = tracing_subscriber::registry().with(log());
        if !self.attaches(Attachment::Trace) {
            registry.init();
            return Ok(None);
        }
        let file = NamedTempFile::new().context("cannot make a file for the trace")?;
        let (layer, guard) = chrome_trace(file.path()).context("cannot trace")?;
        registry.with(layer).init();
        Ok(Some(Trace { guard, file }))
    }

    /// Runs the engine beside its attachments.
    async fn load(&self, metrics: Arc<Metrics>) -> Result<RunReport> {
        let engine = Engine::new(self.config()?);
        let job = self.engine_job()?;
        let timeline = self
            .attaches(Attachment::Timeline)
            .then(|| Timeline::start(metrics.clone(), timeline::INTERVAL));
        let scraped = self
            .attaches(Attachment::Metrics)
            .then(|| tokio::spawn(scrape(metrics.clone())));
        let report = engine.run(&job, metrics).await;
        if let Some(timeline) = timeline {
            timeline.stop();
        }
        if let Some(scraped) = scraped {
            scraped.abort();
        }
        report.map_err(|error| engine_error(&error))
    }

    async fn sampled(&self) -> Result<WatchedReport> {
        let sampler = Sampler::start(FREQUENCY_HZ)?;
        let report = self.load(Arc::default()).await?;
        Ok(WatchedReport {
            report,
            sampled: Some(sampler.stop()?),
            looks: Vec::new(),
            timeline: Vec::new(),
        })
    }

    async fn watched(&self, url: &str) -> Result<WatchedReport> {
        let metrics = Arc::new(Metrics::default());
        let target = TargetSpec::from_url("bench", url).map_err(|error| engine_error(&error))?;
        let server = ServerWatch::start(target, metrics.clone(), LOOK_EVERY, Opened::AtOnce).await;
        let timeline = Timeline::start(metrics.clone(), timeline::INTERVAL);
        let report = self.load(metrics).await;
        let timeline = timeline.stop();
        let looks = server.stop().map_err(|error| engine_error(&error))?;
        Ok(WatchedReport {
            report: report?,
            sampled: None,
            looks: looks.seen,
            timeline,
        })
    }
}

impl WorkerJob {
    /// The engine's configuration: the preset with its changes.
    ///
    /// # Errors
    /// An unknown preset or knob; the message ends with the engine's hint.
    pub fn config(&self) -> Result<Config> {
        let recorded = self.recorded.iter().flat_map(|one| &one.settings);
        let settings: Vec<String> = recorded.chain(&self.settings).cloned().collect();
        config(&self.preset, &settings)
    }

    /// The job for the engine.
    ///
    /// # Errors
    /// A URL or a table's name that is not valid, or a recording that cannot be read.
    pub fn engine_job(&self) -> Result<Job> {
        let sources = match &self.recorded {
            Some(recorded) => recorded.read()?.0,
            None => vec![Arc::new(self.source()?)],
        };
        Ok(Job {
            name: self.workload.clone(),
            sources,
            sql: self.sql.clone(),
            sink: Sink {
                target: TargetSpec::from_url("bench", &self.database_url)
                    .map_err(|error| engine_error(&error))?,
                table: TableName::parse(&self.table).map_err(|error| engine_error(&error))?,
                mode: self.mode,
                key: self.key.clone(),
                empty: EmptyLoad::Usual,
            },
        })
    }

    /// The workload's source in the mock API.
    fn source(&self) -> Result<SourceSpec> {
        let url = format!("{}{}", self.source_url, self.pages.path());
        let url = Url::parse(&url).with_context(|| format!("{url} is not a URL"))?;
        let mut source = SourceSpec::new(&self.workload, url);
        source.pagination = self.pages.pagination();
        source.data_path = self.pages.data_path().to_owned();
        Ok(source)
    }
}

/// The engine's configuration: a preset, changed by settings of the form `stage.knob=value`.
///
/// # Errors
/// When there is no such preset or knob, or the knob has no such value.
pub(crate) fn config(preset: &str, settings: &[String]) -> Result<Config> {
    settings
        .iter()
        .fold(Config::preset(preset), |config, setting| {
            config?.with(setting)
        })
        .map_err(|error| engine_error(&error))
}

/// The engine's error with its causes, and what to do on a second line.
pub(crate) fn engine_error(error: &apitap_core::Error) -> anyhow::Error {
    match error.next_step() {
        Some(hint) => anyhow!("{}\nhint: {hint}", error.chain()),
        None => anyhow!("{}", error.chain()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> WorkerJob {
        WorkerJob {
            source_url: "http://127.0.0.1:1/orders".into(),
            workload: "orders".into(),
            pages: PageKind::NextLink,
            sql: "SELECT * FROM orders".into(),
            database_url: "postgres://u:p%40ss@127.0.0.1:5433/d".into(),
            table: "landed".into(),
            mode: WriteMode::Replace,
            key: Vec::new(),
            preset: "tuned".into(),
            watch: Watch::Nothing,
            attach: Vec::new(),
            settings: vec!["write.batch_rows=50000".into()],
            recorded: None,
        }
    }

    #[test]
    fn a_job_comes_back_as_it_was_sent() {
        let sent = serde_json::to_string(&job()).unwrap();
        let read: WorkerJob = serde_json::from_str(&sent).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), sent);
    }

    #[test]
    fn a_job_names_source_and_target() {
        let job = job().engine_job().unwrap();
        assert_eq!(job.sources[0].url.path(), "/orders/next");
        assert_eq!(job.sources[0].data_path, "/data");
        let target = &job.sink.target;
        assert_eq!((target.port, target.database.as_str()), (5433, "d"));
        assert_eq!(target.password.expose(), "p@ss");
    }

    #[test]
    fn a_wrong_setting_says_what_to_do() {
        let settings = ["write.methods=insert".to_owned()];
        let message = config("tuned", &settings).unwrap_err().to_string();
        assert!(
            message.contains("write.methods") && message.contains("\nhint: "),
            "{message}"
        );
    }
}
