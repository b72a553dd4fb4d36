//! Pages of an API, in order.
//!
//! [`pages`] keeps up to `concurrency` requests in flight, each a task of its own that fetches,
//! retries, validates and hashes one page. Their results are joined in order and shown to the
//! pagination's state machine, which says what to ask for next. At most `concurrency` pages
//! exist at a time, on their way or waiting. Dropping the stream aborts the requests.

mod answer;
mod http;
pub mod pagination;
mod request;
pub mod retry;
mod spec;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use bytes::Bytes;
use futures::Stream;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};
use xxhash_rust::xxh3::xxh3_64;

pub use self::spec::{Auth, SourceSpec, TotalHint};

use self::answer::{count, format_of, link, scalar};
use self::http::{Answer, Fetcher};
use self::pagination::{Facts, Pagination, Paginator, Planned, Verdict};
use crate::concurrency_time::Activity;
use crate::config::SourceConfig;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::json::{self, Envelope};
use crate::metrics::Metrics;
use crate::stage;

/// One page of rows, validated.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its number in order, from 1.
    pub index: u64,
    /// The whole body.
    pub body: Bytes,
    /// Where the rows are in it: an array with its brackets, one object, or all lines.
    pub rows: Range<usize>,
    /// How many there are; never 0.
    pub row_count: usize,
    /// How they are written.
    pub format: PageFormat,
}

/// How the rows of a page are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFormat {
    /// An array, or one object that is the only row.
    Json,
    /// One value a line.
    Ndjson,
}

/// How many rows are needed of a source, as far as is known yet. Clones share one number, which
/// may change while pages are fetched: a sample first, then what the query needs.
#[derive(Debug, Clone)]
pub struct RowBudget(Arc<AtomicU64>);

impl RowBudget {
    /// All rows are needed.
    pub fn unlimited() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// So many rows are needed from now on, counted from the first; all for none.
    pub fn set(&self, rows: Option<u64>) {
        self.0.store(rows.unwrap_or(u64::MAX), Relaxed);
    }

    fn limit(&self) -> Option<u64> {
        Some(self.0.load(Relaxed)).filter(|&rows| rows != u64::MAX)
    }
}

/// The pages of a source in order, without empty ones.
///
/// No page is requested beyond what is needed to reach the budget's rows; the last page may
/// still hold more.
///
/// The stream ends after its first error. It must be polled within a tokio runtime.
pub fn pages(
    spec: Arc<SourceSpec>,
    config: SourceConfig,
    metrics: Arc<Metrics>,
    budget: RowBudget,
) -> impl Stream<Item = Result<Page>> + Send + 'static {
    let span = tracing::debug_span!("source", source = %spec.name);
    let run = Fetcher::new(&spec, &config).map(|fetcher| Run {
        span,
        paginator: Paginator::new(spec.pagination.clone(), config.page_rows.get()),
        budget,
        shared: Arc::new(Shared {
            fetcher,
            spec,
            config,
            metrics,
        }),
        flight: VecDeque::new(),
    });
    // A run that cannot begin says so as the stream's first item.
    futures::stream::try_unfold(run, async |run| {
        let mut run = run?;
        let page = run.next().await?;
        Ok(page.map(|page| (page, Ok(run))))
    })
}

/// What the tasks of a source share.
struct Shared {
    spec: Arc<SourceSpec>,
    config: SourceConfig,
    metrics: Arc<Metrics>,
    fetcher: Fetcher,
}

struct Run {
    shared: Arc<Shared>,
    paginator: Paginator,
    budget: RowBudget,
    flight: VecDeque<(Planned, Task)>,
    span: Span,
}

/// A request under way; dropping it aborts the request.
struct Task(JoinHandle<Result<(Page, Facts)>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Run {
    /// The next page with rows; none at the end.
    async fn next(&mut self) -> Result<Option<Page>> {
        loop {
            self.fill();
            let Some((planned, mut task)) = self.flight.pop_front() else {
                self.check_total()?;
                return Ok(None);
            };
            let waiting = Instant::now();
            let joined = (&mut task.0).await;
            self.shared.metrics.source.scan.waited(waiting.elapsed());
            let fetched = joined.unwrap_or_else(|cause| {
                Err(Error::new(
                    ErrorKind::Internal,
                    Stage::Source,
                    "a request's task failed",
                )
                .caused_by(cause))
            });
            let (page, facts) = match fetched {
                Ok((page, facts)) => (Some(page), facts),
                // The end is known already: one request at a time would not have asked for this.
                Err(_) if self.paginator.is_draining() => (None, Facts::default()),
                Err(error) => return Err(self.place(error, planned.index)),
            };
            let verdict = self.paginator.accept(&planned, &facts).map_err(|fault| {
                let error = Error::new(ErrorKind::Pagination, Stage::Source, fault.to_string());
                error
                    .at(format_args!("source {}", self.shared.spec.name))
                    .hint(fault.hint())
            })?;
            if planned.index == 1 {
                self.warn_without_cursor(&facts);
            }
            if verdict == Verdict::RowsAndReplan || self.paginator.is_over() {
                self.flight.clear();
            }
            if verdict != Verdict::Empty
                && let Some(page) = page
            {
                self.shared.metrics.source.pages.fetch_add(1, Relaxed);
                self.shared.metrics.source.scan.passed(page.row_count);
                self.fill();
                return Ok(Some(page));
            }
        }
    }

    /// Sends as many requests as may be in flight.
    fn fill(&mut self) {
        self.paginator.limit_rows(self.budget.limit());
        while self.flight.len() < self.shared.config.concurrency.get()
            && let Some(planned) = self.paginator.plan()
        {
            let shared = Arc::clone(&self.shared);
            let wanted = planned.clone();
            let span = tracing::debug_span!(parent: &self.span, "page", page = planned.index);
            let page = async move {
                let metrics = &shared.metrics;
                let _wait = metrics.wait(Activity::Request);
                let page = shared.page(&wanted);
                stage::polled(Activity::Fetch, metrics, page).await
            };
            let task = tokio::spawn(page.instrument(span));
            self.flight.push_back((planned, Task(task)));
        }
    }

    fn place(&self, error: Error, index: u64) -> Error {
        error.at(format_args!(
            "source {}, page {index}",
            self.shared.spec.name
        ))
    }

    /// Rows that were announced and did not come are lost, unless the file allows it.
    fn check_total(&self) -> Result<()> {
        let Some((rows, total)) = self.paginator.shortfall() else {
            return Ok(());
        };
        let source = &self.shared.spec.name;
        if self.shared.spec.total.allow_shortfall {
            tracing::warn!(%source, rows, total, "the source ended before the total it announced");
            return Ok(());
        }
        let what = format!("source {source}: {total} rows were announced, but only {rows} came");
        let hint = match self.shared.spec.pagination {
            Pagination::None => {
                "describe how the API pages under `pagination`; if one answer is all that is wanted, write `pagination: {kind: none, allow_shortfall: true}`"
            }
            _ => {
                "the API ends early, or what total_path or total_header names is another number; if that is fine, set `allow_shortfall: true` under `pagination`"
            }
        };
        Err(Error::new(ErrorKind::Pagination, Stage::Source, what).hint(hint))
    }

    /// Guessed places for the cursor may all be wrong; one page would then pass for everything.
    fn warn_without_cursor(&self, facts: &Facts) {
        if let Pagination::Cursor {
            cursor_paths: paths,
            ..
        }
        | Pagination::NextLink { next_paths: paths } = &self.shared.spec.pagination
            && paths.len() > 1
            && facts.next.is_none()
            && facts.row_count > 0
        {
            tracing::warn!(
                source = %self.shared.spec.name,
                "page 1 names no next page in any usual place; set cursor_path or next_path if there are more"
            );
        }
    }
}

impl Shared {
    /// Fetches and examines one page.
    async fn page(&self, planned: &Planned) -> Result<(Page, Facts)> {
        let page_rows = self.config.page_rows.get();
        let url = request::url(&self.spec, page_rows, &planned.request)?;
        let answer = self
            .fetcher
            .fetch(&self.spec, planned, &url, &self.metrics)
            .await?;
        stage::scan(&self.metrics, || self.examine(planned.index, answer))
    }

    /// Finds rows and facts in an answer.
    fn examine(&self, index: u64, answer: Answer) -> Result<(Page, Facts)> {
        let Answer {
            status,
            headers,
            body,
            url,
        } = answer;
        let invalid = |cause: json::JsonError| {
            Error::new(ErrorKind::InvalidJson, Stage::Source, cause.to_string())
        };
        let mut facts = Facts::default();
        let format = format_of(&headers);
        let (rows, row_count) = match format {
            // Any other empty body may be one that was cut short. A refusal comes this far only
            // where it confirms the end.
            _ if status == StatusCode::NO_CONTENT || !status.is_success() => (0..0, 0),
            PageFormat::Ndjson => (0..body.len(), json::scan_lines(&body).map_err(invalid)?),
            PageFormat::Json => {
                let next_paths = self.next_paths();
                let wanted: Vec<&str> = next_paths
                    .iter()
                    .chain(&self.spec.total.path)
                    .map(String::as_str)
                    .collect();
                let found =
                    Envelope::scan(&body, &self.spec.data_path, &wanted).map_err(|cause| {
                        let hint = "check url and data_path, and that the API answers in JSON";
                        invalid(cause).hint(hint)
                    })?;
                let raw =
                    |slot: &Option<Range<usize>>| slot.clone().and_then(|span| body.get(span));
                let (next, total) = found.values.split_at(next_paths.len());
                facts.next = next.iter().filter_map(raw).find_map(scalar);
                facts.total = total
                    .iter()
                    .filter_map(raw)
                    .find_map(scalar)
                    .and_then(count);
                (found.rows, found.row_count)
            }
        };
        facts.row_count = row_count;
        facts.rows_hash = xxh3_64(body.get(rows.clone()).unwrap_or_default());
        self.read_headers(&headers, &mut facts);
        let is_url = matches!(
            self.spec.pagination,
            Pagination::LinkHeader | Pagination::NextLink { .. }
        );
        if is_url && let Some(link) = facts.next.take().filter(|link| !link.is_empty()) {
            facts.next = Some(self.fetcher.resolve(&url, &link)?.into());
        }
        let page = Page {
            index,
            body,
            rows,
            row_count,
            format,
        };
        Ok((page, facts))
    }

    fn next_paths(&self) -> &[String] {
        match &self.spec.pagination {
            Pagination::Cursor {
                cursor_paths: paths,
                ..
            }
            | Pagination::NextLink { next_paths: paths } => paths,
            _ => &[],
        }
    }

    fn read_headers(&self, headers: &HeaderMap, facts: &mut Facts) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if facts.total.is_none() {
            facts.total = text(&self.spec.total.header)
                .map(str::to_owned)
                .and_then(count);
        }
        let links = headers.get_all(header::LINK);
        for value in links.iter().filter_map(|value| value.to_str().ok()) {
            facts.last_link = facts.last_link.take().or_else(|| link(value, "last"));
            if self.spec.pagination == Pagination::LinkHeader {
                facts.next = facts.next.take().or_else(|| link(value, "next"));
            }
        }
    }
}
