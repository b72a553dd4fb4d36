//! Pages of an API, in order.
//!
//! [`pages`] keeps up to `concurrency` requests in flight, each a task of its own that fetches,
//! retries, scans and hashes one page. Their results are joined in order and shown to the
//! pagination's state machine, which says what to ask for next. At most `concurrency` pages
//! exist at a time, on their way or waiting. Dropping the stream aborts the requests.

mod answer;
mod body;
mod client;
mod completeness;
mod http;
mod link;
mod media;
pub mod pagination;
mod pause;
mod request;
pub mod retry;
mod spec;
mod value;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use bytes::Bytes;
use futures::Stream;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};

pub use self::spec::{Auth, Limits, SourceSpec, TotalHint};

use self::answer::examine;
use self::completeness::{conclude, warn_of_first_page};
use self::http::Fetcher;
use self::pagination::{Facts, Paginator, Planned, Verdict};
use crate::concurrency_time::Activity;
use crate::config::SourceConfig;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;
use crate::stage;

/// One page of rows. Its brackets match; whether each row is JSON shows when it is read.
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
                let conclude = || conclude(&self.shared.spec, &self.paginator);
                self.span.in_scope(conclude)?;
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
                Ok(fetched) => fetched,
                Err(_) if self.paginator.can_do_without(&planned) => {
                    self.paginator.dismiss(&planned);
                    continue;
                }
                Err(error) => return Err(self.place(error, planned.index)),
            };
            let verdict = self.paginator.accept(&planned, &facts).map_err(|fault| {
                let error = Error::new(ErrorKind::Pagination, Stage::Source, fault.to_string());
                error
                    .at(format_args!("source {}", self.shared.spec.name))
                    .hint(fault.hint())
            })?;
            if planned.index == 1 {
                warn_of_first_page(&self.shared.spec, &facts);
            }
            if verdict == Verdict::RowsAndReplan || self.paginator.is_over() {
                self.flight.clear();
            }
            if verdict != Verdict::Empty {
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
        stage::scan(&self.metrics, || {
            examine(&self.spec, &self.fetcher, planned.index, answer)
        })
    }
}
