//! Runs a module: builds the stages, lets the first error win, commits or rolls back.
//!
//! Nothing else in the crate spawns the tasks of a run.

mod move_rows;
mod no_rows;

use std::future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use futures::future::{BoxFuture, FutureExt as _};
use tracing::Instrument as _;

use self::move_rows::move_rows;
use self::no_rows::{NoRows, refuse_empty, without_columns};
use crate::concurrency_time::Activity;
use crate::config::{Config, WriteCommit, WriteMode};
use crate::decode::NulSighting;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::infer::{Columns, SchemaCache, fingerprint, infer};
use crate::job::Job;
use crate::metrics::{Metrics, RowCounter};
use crate::run_report::RunReport;
use crate::schema::arrow_schema;
use crate::source::SourceSpec;
use crate::source_table::Begun;
use crate::stage;
use crate::transform::{ApiTable, Query};
use crate::write::{Load, LoadPlan, Session, Sink, Tidying};

/// Resolves when a run is to stop.
type Stop<'a> = BoxFuture<'a, ()>;

/// How long a run that is to stop waits for the server, to remove what it made there.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Runs jobs under one configuration.
///
/// ```no_run
/// # async fn example(job: apitap_core::Job) -> apitap_core::Result<()> {
/// use apitap_core::{Config, Engine};
///
/// let engine = Engine::new(Config::preset("tuned")?.with("write.method=copy-text")?);
/// let report = engine.run(&job, Default::default()).await?;
/// println!("{} rows", report.rows_written);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Engine {
    config: Config,
    schemas: SchemaCache,
    tidying: Tidying,
}

/// What a job would do.
#[derive(Debug)]
pub struct DryRun {
    /// The columns of each source.
    pub sources: Vec<(String, Columns)>,
    /// The plan, one operator per line.
    pub plan: String,
    /// The table and the columns that would be loaded.
    pub load: LoadPlan,
}

impl Engine {
    /// An engine with a schema cache of its own.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            schemas: SchemaCache::default(),
            tidying: Tidying::default(),
        }
    }

    /// Waits until nothing is left on a server of the runs whose futures were dropped. Until then, tasks of this
    /// engine roll back and remove.
    pub async fn tidied(&self) {
        self.tidying.done().await;
    }

    /// Runs a job to its commit. `metrics` can be watched meanwhile. Dropping the future
    /// cancels the run, and the table stays as it was, unless `write.commit=batch` gives that up.
    ///
    /// # Errors
    /// Whatever goes wrong; the table is then as it was, with the same exception.
    // Boxed, so that the engine is compiled once, here, and not again in every program that polls it.
    pub fn run<'a>(
        &'a self,
        job: &'a Job,
        metrics: Arc<Metrics>,
    ) -> BoxFuture<'a, Result<RunReport>> {
        self.run_until(job, metrics, future::pending().boxed())
    }

    /// The same, unless `stop` resolves before the commit is under way: then the run is rolled back, and
    /// what it made in the database is removed.
    ///
    /// # Errors
    /// As [`Engine::run`]; of kind `Cancelled` when it was stopped.
    pub fn run_until<'a>(
        &'a self,
        job: &'a Job,
        metrics: Arc<Metrics>,
        stop: BoxFuture<'a, ()>,
    ) -> BoxFuture<'a, Result<RunReport>> {
        self.run_to_commit(job, metrics, stop).boxed()
    }

    async fn run_to_commit(
        &self,
        job: &Job,
        metrics: Arc<Metrics>,
        stop: Stop<'_>,
    ) -> Result<RunReport> {
        let start = Instant::now();
        metrics.observe(self.config.observe);
        if metrics.is_observed() {
            metrics.activities.start();
        }
        let counter = Arc::new(RowCounter::new(self.config.counter));
        let nuls = NulSighting::default();
        let span = tracing::info_span!("run", module = %job.name, table = %job.sink.table);
        let load = self.load(job, &metrics, &counter, &nuls, stop);
        let result = load.boxed().instrument(span.clone()).await;
        if let Err(error) = result {
            return Err(self.explain(job, error, &nuls, &metrics));
        }
        let rows_read = counter.total().await;
        let report = RunReport::new(
            &job.name,
            job.sink.table.to_string(),
            rows_read,
            start,
            &metrics,
            &self.config,
        );
        span.in_scope(|| {
            tracing::info!(
                rows_read,
                rows_written = report.rows_written,
                wall_seconds = report.wall_seconds,
                rows_per_second = report.rows_per_second,
                http_p95_ms = report.http_latency.p95_ms,
                write_p95_ms = report.write_latency.p95_ms,
                send_wait_seconds = report.channels.batches.send_wait_seconds,
                peak_memory_bytes = report.process.peak_memory_bytes,
                "the load is committed"
            );
        });
        Ok(report)
    }

    /// Finds out what a job would do: fetches the samples, plans the query and looks at the
    /// table, and writes nothing.
    ///
    /// # Errors
    /// Whatever a run would find wrong before its first row is written.
    pub fn dry_run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<DryRun>> {
        self.look(job).boxed()
    }

    async fn look(&self, job: &Job) -> Result<DryRun> {
        let metrics = Arc::new(Metrics::default());
        let counter = Arc::new(RowCounter::new(self.config.counter));
        let sources = self.begin_sources(job, &metrics).await?;
        let columns = sources
            .iter()
            .map(|(source, columns)| (source.name().to_owned(), columns.clone()))
            .collect();
        if let Some((begun, _)) = sources.iter().find(|(_, columns)| columns.is_empty()) {
            return Err(without_columns(begun.name(), &job.sink));
        }
        let query = self
            .plan(job, sources, &metrics, &counter, &NulSighting::default())
            .await?;
        let session = Session::open(&job.sink.target, metrics).await?;
        let method = self.config.write.method;
        let (load, _) = LoadPlan::find(&session, &job.sink, &query.schema(), method).await?;
        Ok(DryRun {
            sources: columns,
            plan: query.display(),
            load,
        })
    }

    async fn load(
        &self,
        job: &Job,
        metrics: &Arc<Metrics>,
        counter: &Arc<RowCounter>,
        nuls: &NulSighting,
        mut stop: Stop<'_>,
    ) -> Result<()> {
        let planned = async {
            let sources = self.begin_sources(job, metrics).await?;
            match NoRows::of(&sources) {
                Some(no_rows) => Ok(Err(no_rows)),
                None => Ok(Ok(self.plan(job, sources, metrics, counter, nuls).await?)),
            }
        };
        let query = match unless(&mut stop, job, planned).await? {
            Ok(query) => query,
            Err(no_rows) => return self.load_no_rows(job, &no_rows, metrics).await,
        };
        let schema = query.schema();
        let begun = self.begin_load(job.sink.clone(), &schema, metrics).boxed();
        let load = begin_unless(&mut stop, job, begun).await?;
        let ready = async {
            move_rows(&self.config, query, &load, metrics).await?;
            if metrics.write.rows.load(Relaxed) == 0 {
                refuse_empty(&job.sink)?;
            }
            load.make_ready().await
        };
        let loaded = match unless(&mut stop, job, ready).await {
            // From here on nothing stops it: it would not be known whether rows are there.
            Ok(()) => load.commit_ready().await,
            Err(error) => Err(error),
        };
        match &loaded {
            Err(error) if error.kind() == ErrorKind::Cancelled => {
                // A server that does not answer rolls back by itself.
                let ended = tokio::time::timeout(STOPS_WITHIN, load.abandon()).await;
                if ended.is_err() {
                    tracing::warn!("the server did not answer while the load was rolled back");
                }
            }
            _ => load.end(loaded.is_ok()).await,
        }
        loaded
    }

    async fn begin_load(
        &self,
        sink: Sink,
        schema: &SchemaRef,
        metrics: &Arc<Metrics>,
    ) -> Result<Load> {
        let (config, tidying) = (self.config.write.clone(), self.tidying.clone());
        Load::begin_tidied(sink, schema, config, metrics.clone(), tidying).await
    }

    /// Begins every source and finds its columns: cached, or inferred from its first pages.
    async fn begin_sources(
        &self,
        job: &Job,
        metrics: &Arc<Metrics>,
    ) -> Result<Vec<(Begun, Columns)>> {
        self.config.write.check_commit(job.sink.mode)?;
        let begun = job
            .sources
            .iter()
            .map(|spec| self.begin_source(spec.clone(), metrics));
        futures::future::try_join_all(begun).await
    }

    async fn begin_source(
        &self,
        spec: Arc<SourceSpec>,
        metrics: &Arc<Metrics>,
    ) -> Result<(Begun, Columns)> {
        let cache = &self.config.infer.cache;
        let fingerprint = fingerprint(&spec, &self.config.infer);
        let mut begun = Begun::new(spec.clone(), &self.config, metrics.clone());
        if let Some(columns) = self.schemas.find(cache, &spec.name, fingerprint)? {
            return Ok((begun, columns));
        }
        begun
            .fetch_sample(self.config.infer.sample_rows.get())
            .await?;
        let declared = declared_columns(&spec);
        let columns = stage::infer(metrics, || {
            infer(&spec.name, &begun.sample, &declared, &self.config.infer)
        })?;
        begun.check_columns(&columns)?;
        if columns.is_empty() {
            // Whether that is a fault depends on the query and the table.
            return Ok((begun, columns));
        }
        self.schemas
            .keep(cache, &spec.name, fingerprint, &columns)?;
        Ok((begun, columns))
    }

    async fn plan(
        &self,
        job: &Job,
        sources: Vec<(Begun, Columns)>,
        metrics: &Arc<Metrics>,
        counter: &Arc<RowCounter>,
        nuls: &NulSighting,
    ) -> Result<Query> {
        let mut config = self.config.transform.clone();
        if job.sink.mode == WriteMode::Merge && config.partitions.get() > 1 {
            // Lanes overtake each other, and the last of a load's duplicates must win.
            tracing::warn!("mode merge runs in one lane; transform.partitions is ignored");
            config.partitions = std::num::NonZeroUsize::MIN;
        }
        let lanes = config.partitions.get();
        let tables = sources
            .into_iter()
            .map(|(begun, columns)| {
                let name = begun.name().to_owned();
                let feed = begun.into_feed(&self.config, nuls.clone(), counter.clone());
                ApiTable::new(&name, arrow_schema(&columns), lanes, Box::new(feed))
            })
            .collect();
        let planned = Query::plan(&job.sql, tables, &config);
        stage::polled(Activity::Sql, metrics, planned)
            .await
            .map_err(|error| error.at(format_args!("module {}", job.name)))
    }

    /// Adds what only the run as a whole knows.
    fn explain(&self, job: &Job, error: Error, nuls: &NulSighting, metrics: &Metrics) -> Error {
        if error.stage() == Stage::Decode {
            // What is cached no longer suits the data: the next run looks again.
            for source in &job.sources {
                self.schemas.forget(&self.config.infer.cache, &source.name);
            }
        }
        let error = match nuls.place() {
            Some(place) if error.kind() == ErrorKind::NulCharacter => {
                error.at(format_args!("{place} has a NUL character"))
            }
            _ => error,
        };
        let sent = metrics.write.first_rows.get().is_some();
        if sent && self.config.write.commit == WriteCommit::Batch {
            return keeps_batches(job, error);
        }
        error
    }
}

/// The error of a load whose batches were committed one by one. Others say that the table is as it was.
fn keeps_batches(job: &Job, error: Error) -> Error {
    let table = &job.sink.table;
    let detail = format!("table {table} keeps the batches that were committed before");
    let kept = Error::new(error.kind(), error.stage(), detail)
        .hint("remove them before the load is run again; write.commit=load leaves none");
    match error.kind() {
        ErrorKind::Cancelled => kept.at(format_args!("module {}: interrupted", job.name)),
        _ => kept.caused_by(error),
    }
}

/// The load that `begun` makes. If it is to stop meanwhile, the load is ended in order, because it may
/// have made a table.
async fn begin_unless(
    stop: &mut Stop<'_>,
    job: &Job,
    mut begun: BoxFuture<'_, Result<Load>>,
) -> Result<Load> {
    let outcome = unless(stop, job, begun.as_mut()).await;
    if outcome
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::Cancelled)
    {
        let late = async {
            if let Ok(load) = begun.await {
                load.end(false).await;
            }
        };
        let _ = tokio::time::timeout(STOPS_WITHIN, late).await;
    }
    outcome
}

/// The result of `work`, unless the run is to stop before.
async fn unless<T>(
    stop: &mut Stop<'_>,
    job: &Job,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        () = stop => {
            let what = format!("module {}: interrupted; table {} is as it was", job.name, job.sink.table);
            Err(Error::new(ErrorKind::Cancelled, Stage::Write, what))
        }
    }
}

fn declared_columns(spec: &SourceSpec) -> Columns {
    let columns = spec.columns.iter();
    columns
        .map(|(name, column_type)| (name.clone(), *column_type))
        .collect()
}
