//! `apitap-bench worker`: the process in which one sample runs.
//!
//! It reads one job as JSON on standard input, runs the engine once, and prints the engine's report
//! as JSON on standard output. A fresh process per sample keeps caches, connections and the
//! allocator's state of one sample from helping or hurting the next.
//!
//! Two wall times come of it. The engine's own (`wall_seconds` of its report) runs from the start
//! of the run to its commit, connecting to API and server included: it is the one that is judged.
//! The parent's, of the whole process, also holds the start of a program and of a runtime, which a
//! service pays once and a user of `apitap` pays per run: it is recorded beside the first.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use apitap_core::config::WriteMode;
use apitap_core::pipeline_file::{Pagination, SourceSpec, TargetSpec};
use apitap_core::write::{Sink, TableName};
use apitap_core::{Config, Engine, Job};
use serde::{Deserialize, Serialize};
use url::Url;

/// One run of the engine. Holds a password, and so has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerJob {
    /// Of the workload's endpoint in the mock API, such as `http://127.0.0.1:40123/orders`.
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
    /// What stands between the workload's endpoint and the query.
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

/// Reads a job from standard input, runs it, and prints the engine's report.
///
/// # Errors
/// When the job is not valid or the engine fails; the message ends with the engine's hint.
pub async fn run() -> Result<()> {
    let text = std::io::read_to_string(std::io::stdin()).context("cannot read the job")?;
    // The error of serde_json names line and column, and quotes nothing of a job but field names.
    let job: WorkerJob = serde_json::from_str(&text).context("the job is not valid")?;
    let config = job.config()?;
    let engine_job = job.engine_job()?;
    let report = Box::pin(Engine::new(config).run(&engine_job, Arc::default()))
        .await
        .map_err(|error| told(&error))?;
    let json = serde_json::to_string(&report).context("cannot serialise the engine's report")?;
    writeln!(std::io::stdout(), "{json}").context("standard output is closed")
}

impl WorkerJob {
    fn config(&self) -> Result<Config> {
        let preset = Config::preset(&self.preset);
        self.settings
            .iter()
            .fold(preset, |config, setting| config?.with(setting))
            .map_err(|error| told(&error))
    }

    fn engine_job(&self) -> Result<Job> {
        let url = format!("{}{}", self.source_url, self.pages.path());
        let url = Url::parse(&url).with_context(|| format!("{url} is not a URL"))?;
        let mut source = SourceSpec::new(&self.workload, url);
        source.pagination = self.pages.pagination();
        source.data_path = self.pages.data_path().to_owned();
        Ok(Job {
            name: self.workload.clone(),
            sources: vec![Arc::new(source)],
            sql: self.sql.clone(),
            sink: Sink {
                target: TargetSpec::from_url("bench", &self.database_url)
                    .map_err(|error| told(&error))?,
                table: TableName::parse(&self.table).map_err(|error| told(&error))?,
                mode: self.mode,
                key: self.key.clone(),
            },
        })
    }
}

/// The engine's error with its causes, and on a line of its own what to do.
fn told(error: &apitap_core::Error) -> anyhow::Error {
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
            settings: vec!["write.batch_rows=50000".into()],
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
        let mut job = job();
        job.settings.push("write.methods=insert".into());
        let message = job.config().unwrap_err().to_string();
        assert!(
            message.contains("write.methods") && message.contains("\nhint: "),
            "{message}"
        );
    }
}
