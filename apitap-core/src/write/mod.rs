//! Rows into PostgreSQL, all or nothing.
//!
//! A [`Load`] opens the connections, finds or makes the table, and hands out [`Writer`]s; when
//! all have finished it commits. With one connection everything happens in its transaction.
//! With several, rows go to a table that nobody else reads, and become visible in one transaction at the
//! end.
//!
//! ```no_run
//! # async fn example(
//! #     sink: apitap_core::write::Sink,
//! #     batch: arrow::array::RecordBatch,
//! # ) -> apitap_core::Result<()> {
//! use apitap_core::config::WriteConfig;
//! use apitap_core::write::Load;
//!
//! let config = WriteConfig::default();
//! let load = Load::begin(sink, &batch.schema(), config, Default::default()).await?;
//! let mut writer = load.writer(1).await?;
//! writer.write(&batch).await?;
//! writer.finish().await?;
//! load.commit().await?;
//! load.end(true).await;
//! # Ok(())
//! # }
//! ```

pub(crate) mod connect;
mod copy;
mod dial;
mod merge;
mod plan;
mod replace;
mod round_trips;
mod statements;
pub(crate) mod table;
mod target;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio_postgres::Client;
use tracing::Instrument as _;
use xxhash_rust::xxh3::xxh3_64;

use self::connect::{connect, database};
use self::copy::CopyWriter;
use self::merge::Matching;
pub use self::plan::LoadPlan;
use self::replace::{create_like, swap};
use self::statements::StatementWriter;
pub use self::statements::insert_statement;
pub use self::table::{LoadColumn, TableName};
use self::table::{create, quoted_list};
pub use self::target::{SslMode, TargetSpec};
use crate::concurrency_time::Activity;
use crate::config::{WriteCommand, WriteConfig, WriteMode};
use crate::encode::RowEncoder;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;

/// Where the rows of a result go.
#[derive(Debug, Clone)]
pub struct Sink {
    /// The server.
    pub target: TargetSpec,
    /// The table.
    pub table: TableName,
    /// What happens to rows already there.
    pub mode: WriteMode,
    /// The columns that identify a row; the primary key of a new table.
    pub key: Vec<String>,
}

/// The table that writers fill, and how.
#[derive(Debug)]
pub(crate) struct LoadTarget {
    pub(crate) table: TableName,
    pub(crate) columns: Vec<LoadColumn>,
    pub(crate) encoder: RowEncoder,
}

impl LoadTarget {
    fn doing(&self) -> String {
        format!("loading table {}", self.table)
    }
}

/// A load under way. Dropping it leaves the table as it was.
pub struct Load {
    control: Arc<Client>,
    sink: Sink,
    plan: LoadPlan,
    target: Arc<LoadTarget>,
    route: Route,
    config: WriteConfig,
    metrics: Arc<Metrics>,
}

/// Which table the writers fill, and how its rows get into the target.
enum Route {
    /// The table itself, in the transaction of the only connection.
    Direct,
    /// A new table that takes the place of the old one.
    Swap,
    /// A temporary stage that is merged.
    Merge(String, Matching),
    /// A separate table that several connections fill, and whose rows are then moved.
    Stage,
}

impl Load {
    /// Connects, finds out how rows of `schema` get into the table, and makes what they need.
    ///
    /// # Errors
    /// A server that cannot be reached, a table that another load is filling, or a `schema` that does
    /// not fit the table. What was begun is rolled back.
    pub async fn begin(
        sink: Sink,
        schema: &SchemaRef,
        config: WriteConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let control = Arc::new(connect(&sink.target, metrics.clone()).await?);
        await_server(&metrics, lock(&control, &sink)).await?;
        let prepared = Self::prepare(control.clone(), sink, schema, config, metrics.clone());
        let load = await_server(&metrics, prepared).await;
        if load.is_err() {
            release(&control, &format!("ROLLBACK; {UNLOCK}")).await;
        }
        load
    }

    async fn prepare(
        control: Arc<Client>,
        sink: Sink,
        schema: &SchemaRef,
        mut config: WriteConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let (plan, encoder) = LoadPlan::new(&control, &sink, schema, config.method).await?;
        if sink.mode == WriteMode::Merge && config.connections.get() > 1 {
            tracing::warn!(
                "mode merge loads through one connection: the last of a load's duplicates wins"
            );
            config.connections = std::num::NonZeroUsize::MIN;
        }
        let several = config.connections.get() > 1;
        let own_table = plan.table.sibling(format!(
            "_apitap_{:016x}",
            xxh3_64(plan.table.to_string().as_bytes())
        ));
        let (route, table) = match sink.mode {
            WriteMode::Append if several => (Route::Stage, own_table),
            WriteMode::Append => (Route::Direct, plan.table.clone()),
            WriteMode::Replace => (Route::Swap, own_table),
            WriteMode::Merge => {
                let stage = "_apitap_stage".to_owned();
                let table = TableName::parse(&stage)?;
                (Route::Merge(stage, plan.matching(&sink.key)?), table)
            }
        };
        let load = Self {
            control,
            target: Arc::new(LoadTarget {
                table,
                columns: plan.columns.clone(),
                encoder,
            }),
            sink,
            plan,
            route,
            config,
            metrics,
        };
        load.make_tables().await?;
        Ok(load)
    }

    async fn make_tables(&self) -> Result<()> {
        let Self {
            plan, target, sink, ..
        } = self;
        let new_table = |table| create(table, &plan.columns, &sink.key);
        // If the separate table exists already, an interrupted load left it behind.
        let drop_leftover = || format!("DROP TABLE IF EXISTS {}", target.table);
        let mut statements = Vec::new();
        if !self.several() {
            statements.push("BEGIN".to_owned());
        }
        match &self.route {
            Route::Direct if plan.exists => {}
            Route::Direct => statements.push(new_table(&target.table)),
            Route::Swap => {
                statements.push(drop_leftover());
                statements.push(if plan.exists {
                    create_like(&target.table, &plan.table)
                } else {
                    new_table(&target.table)
                });
            }
            Route::Merge(stage, _) => {
                if !plan.exists {
                    statements.push(new_table(&plan.table));
                }
                statements.push(merge::create_stage(stage, &plan.table, &plan.columns));
            }
            Route::Stage => {
                statements.push(drop_leftover());
                statements.push(if plan.exists {
                    let names = quoted_list(plan.columns.iter().map(|column| &column.name));
                    format!(
                        "CREATE UNLOGGED TABLE {} AS SELECT {names} FROM {} WITH NO DATA",
                        target.table, plan.table
                    )
                } else {
                    create(&target.table, &plan.columns, &[]).replacen(
                        "CREATE",
                        "CREATE UNLOGGED",
                        1,
                    )
                });
            }
        }
        self.execute(&statements.join(";\n")).await
    }

    fn several(&self) -> bool {
        self.config.connections.get() > 1
    }

    async fn execute(&self, statement: &str) -> Result<()> {
        self.metrics.write.statements.fetch_add(1, Relaxed);
        let done = self.control.batch_execute(statement).await;
        done.map_err(|error| database(&format!("loading table {}", self.plan.table), error))
    }

    /// How many writers there may be.
    pub fn connections(&self) -> usize {
        self.config.connections.get()
    }

    /// A writer on the load's connection or, if there are several, on its own connection.
    /// `number` counts from 1.
    ///
    /// # Errors
    /// A connection that cannot be opened, or a statement that the server refuses.
    pub async fn writer(&self, number: usize) -> Result<Writer> {
        await_server(&self.metrics, self.open_writer(number)).await
    }

    async fn open_writer(&self, number: usize) -> Result<Writer> {
        let client = if self.several() {
            let client = connect(&self.sink.target, self.metrics.clone()).await?;
            client
                .batch_execute("BEGIN")
                .await
                .map_err(|error| database(&self.target.doing(), error))?;
            Arc::new(client)
        } else {
            self.control.clone()
        };
        let rows = match self.config.method.command() {
            WriteCommand::Statement(form) => Method::Statements(Box::new(StatementWriter::new(
                client.clone(),
                self.target.clone(),
                form,
                &self.config,
                self.metrics.clone(),
            ))),
            WriteCommand::Copy(format) => Method::Copy(Box::new(
                CopyWriter::start(
                    &client,
                    self.target.clone(),
                    format,
                    &self.config,
                    self.metrics.clone(),
                )
                .await?,
            )),
        };
        Ok(Writer {
            method: rows,
            own_connection: self.several().then_some((number, client)),
            target: self.target.clone(),
            metrics: self.metrics.clone(),
        })
    }

    /// Makes the rows of all writers visible at once. They must have finished.
    ///
    /// # Errors
    /// Rows that the table refuses. It then stays as it was.
    pub async fn commit(&self) -> Result<()> {
        await_server(&self.metrics, self.make_visible()).await
    }

    async fn make_visible(&self) -> Result<()> {
        if self.several() {
            self.execute("BEGIN").await?;
        }
        let table = self.plan.table.clone();
        match &self.route {
            Route::Direct => {}
            Route::Swap => {
                swap(&self.control, &table, &self.target.table, self.plan.exists).await?;
            }
            Route::Merge(stage, matching) => {
                self.check_keys(stage).await?;
                let (columns, key) = (&self.plan.columns, &self.sink.key);
                self.execute(&merge::statement(stage, &table, columns, key, *matching))
                    .await?;
            }
            Route::Stage => {
                let names = quoted_list(self.plan.columns.iter().map(|column| &column.name));
                let stage = &self.target.table;
                let create = if self.plan.exists {
                    String::new()
                } else {
                    create(&table, &self.plan.columns, &self.sink.key) + ";\n"
                };
                self.execute(&format!(
                    "{create}INSERT INTO {table} ({names}) SELECT {names} FROM {stage};\nDROP TABLE {stage}"
                ))
                .await?;
            }
        }
        self.execute("COMMIT").await
    }

    async fn check_keys(&self, stage: &str) -> Result<()> {
        let row = self
            .control
            .query_one(&merge::count_null_keys(stage, &self.sink.key), &[])
            .await
            .map_err(|error| database(&format!("loading table {}", self.plan.table), error))?;
        match row.get::<_, i64>(0) {
            0 => Ok(()),
            count => Err(Error::new(
                ErrorKind::Value,
                Stage::Write,
                format!(
                    "table {}: {count} rows have NULL in the primary key ({})",
                    self.plan.table,
                    self.sink.key.join(", ")
                ),
            )
            .hint("filter them in the module's SQL, or correct primary_key_in_dest")),
        }
    }

    /// Ends the load: frees the table for the next one and, unless it was committed, removes
    /// what it made. It cannot fail: what is committed stays, and with one connection the server
    /// rolls back the rest by itself.
    pub async fn end(self, committed: bool) {
        let cleanup = if committed {
            UNLOCK.to_owned()
        } else if self.several() {
            format!(
                "ROLLBACK; DROP TABLE IF EXISTS {}; {UNLOCK}",
                self.target.table
            )
        } else {
            format!("ROLLBACK; {UNLOCK}")
        };
        await_server(&self.metrics, release(&self.control, &cleanup)).await;
    }
}

/// Awaits an answer of the server, or room in the connection to it.
async fn await_server<F: Future>(metrics: &Metrics, answer: F) -> F::Output {
    let _wait = metrics.wait(Activity::ServerWait);
    let start = Instant::now();
    let answer = answer.instrument(tracing::debug_span!("write")).await;
    metrics.write.wait.add(start.elapsed());
    answer
}

/// Cleans up after a load; a failure changes nothing for the user.
async fn release(control: &Client, cleanup: &str) {
    if let Err(error) = control.batch_execute(cleanup).await {
        tracing::debug!(%error, "cleaning up after a load");
    }
}

/// Frees the table for the next load at once: the session may outlive this one by a moment.
const UNLOCK: &str = "SELECT pg_advisory_unlock_all()";

/// Keeps two loads from filling one table's stage at once. Held by the session.
/// Taken before the catalogue is read, so that what was read stays true.
async fn lock(client: &Client, sink: &Sink) -> Result<()> {
    let table = &sink.table;
    // Without a schema only the name is locked: two such tables then take turns.
    let key = xxh3_64(table.name().as_bytes()) as i64;
    let row = client
        .query_one("SELECT pg_try_advisory_lock($1)", &[&key])
        .await
        .map_err(|error| database(&format!("locking table {table}"), error))?;
    if row.get::<_, bool>(0) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Database,
        Stage::Write,
        format!("table {table}: another load of it is under way"),
    )
    .hint("wait for it to end, or end its session (application_name apitap in pg_stat_activity)"))
}

/// Writes batches to the table of a load. Its rows count only once it has finished.
pub struct Writer {
    method: Method,
    /// If there are several: which one, because each counts its own rows.
    own_connection: Option<(usize, Arc<Client>)>,
    target: Arc<LoadTarget>,
    metrics: Arc<Metrics>,
}

enum Method {
    Statements(Box<StatementWriter>),
    Copy(Box<CopyWriter>),
}

impl Writer {
    /// Writes a batch, or gathers it for the next flush.
    ///
    /// # Errors
    /// A value that its column cannot hold, or rows that the server refuses.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = match &mut self.method {
            Method::Statements(writer) => writer.write(batch).await,
            Method::Copy(writer) => writer.write(batch).await,
        };
        written.map_err(|error| located(error, &self.own_connection))
    }

    /// Sends what is left and waits until the server has taken every row; returns how many.
    ///
    /// # Errors
    /// Rows that the server refuses.
    pub async fn finish(self) -> Result<u64> {
        let rows = match self.method {
            Method::Statements(writer) => writer.finish().await,
            Method::Copy(writer) => writer.finish().await,
        };
        let rows = rows.map_err(|error| located(error, &self.own_connection))?;
        self.metrics.write.rows.fetch_add(rows, Relaxed);
        if let Some((_, client)) = self.own_connection {
            await_server(&self.metrics, client.batch_execute("COMMIT"))
                .await
                .map_err(|error| database(&self.target.doing(), error))?;
        }
        Ok(rows)
    }
}

fn located(error: Error, own_connection: &Option<(usize, Arc<Client>)>) -> Error {
    match own_connection {
        Some((number, _)) => error.at(format_args!("connection {number}")),
        None => error,
    }
}

#[cfg(test)]
mod replace_tests;
#[cfg(test)]
mod tests;
