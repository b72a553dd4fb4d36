//! Rows into PostgreSQL, all or nothing, unless `write.commit=batch` gives that up.
//!
//! A [`Load`] opens the connections, finds or makes the table, and hands out [`Writer`]s; when
//! all have finished it commits. With one connection everything happens in its transaction.
//! With several, rows go to a table that nobody else reads, and become visible in one transaction at the
//! end. That transaction is open from the beginning, because it holds the locks.
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

mod ask;
mod connect;
mod copy;
mod dial;
mod heard;
mod locate;
mod merge;
mod place;
mod plan;
mod remove;
mod replace;
mod round_trips;
mod server_error;
mod session;
mod statements;
pub(crate) mod table;
mod target;
mod tidy;
mod watch;
mod writer;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use tracing::Instrument as _;

pub use self::ask::ask;
use self::merge::Matching;
use self::place::Place;
pub use self::plan::LoadPlan;
pub use self::remove::drop_table;
use self::replace::{create_like, swap};
use self::session::Idle;
pub(crate) use self::session::Session;
pub use self::statements::insert_statement;
use self::table::create;
pub use self::table::{LoadColumn, TableName};
pub(crate) use self::target::{ANSWER_TIMEOUT, CONNECT_TIMEOUT};
pub use self::target::{SslMode, TargetSpec};
use self::tidy::Leftovers;
pub(crate) use self::tidy::Tidying;
pub use self::writer::Writer;
use crate::concurrency_time::Activity;
use crate::config::{WriteCommit, WriteConfig, WriteMode};
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
    /// What a load without rows is.
    pub empty: EmptyLoad,
}

/// What a load without rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmptyLoad {
    /// No rows, and no fault. Only a table that is replaced needs columns for them: those of the rows, or
    /// declared ones.
    #[default]
    Usual,
    /// The same, but a table that is replaced may keep the columns that it has.
    Allowed,
    /// An error. The table stays as it was.
    Refused,
}

/// The table that writers fill, and how.
#[derive(Debug)]
pub(crate) struct LoadTarget {
    pub(crate) table: TableName,
    pub(crate) columns: Vec<LoadColumn>,
    pub(crate) encoder: RowEncoder,
    /// What errors say is done.
    pub(crate) doing: String,
    /// The statements that make the table.
    pub(crate) setup: String,
    /// The key of the lock, where lock and table are part of the writer's own transaction.
    pub(crate) lock: Option<i64>,
}

/// A load under way. Dropping it leaves the table as it was.
pub struct Load {
    control: Arc<Session>,
    sink: Sink,
    place: Place,
    plan: LoadPlan,
    target: Arc<LoadTarget>,
    route: Route,
    config: WriteConfig,
    metrics: Arc<Metrics>,
    /// The session that made the load's own table, for the first writer.
    spare: Mutex<Option<Arc<Session>>>,
    tidying: Tidying,
    has_ended: bool,
}

/// Which table the writers fill, and how its rows get into the target.
enum Route {
    /// The table itself, in the transaction of the only connection.
    Direct,
    /// A new table that takes the place of the old one.
    Swap,
    /// A temporary stage that is merged.
    Merge(String, Matching),
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
        Self::begin_tidied(sink, schema, config, metrics, Tidying::default()).await
    }

    /// The same. When the load is dropped, `tidying` goes on until nothing is left of it.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(crate) async fn begin_tidied(
        sink: Sink,
        schema: &SchemaRef,
        config: WriteConfig,
        metrics: Arc<Metrics>,
        tidying: Tidying,
    ) -> Result<Self> {
        config.check_commit(sink.mode)?;
        let control = Arc::new(Session::open(&sink.target, metrics.clone()).await?);
        let prepared = Self::prepare(
            control.clone(),
            sink,
            schema,
            config,
            metrics.clone(),
            tidying,
        );
        let load = match await_server(&metrics, prepared).await {
            Ok(load) => load,
            Err(error) => {
                // At once, and not when the server notices that the client has gone.
                let rolled_back = control.execute("cleaning up after a load", "ROLLBACK");
                let _ = await_server(&metrics, rolled_back).await;
                return Err(error);
            }
        };
        match await_server(&metrics, load.make_tables()).await {
            Ok(()) => Ok(load),
            Err(error) => {
                load.end(false).await;
                Err(error)
            }
        }
    }

    async fn prepare(
        control: Arc<Session>,
        sink: Sink,
        schema: &SchemaRef,
        mut config: WriteConfig,
        metrics: Arc<Metrics>,
        tidying: Tidying,
    ) -> Result<Self> {
        let doing = format!("looking for table {}", sink.table);
        // With several, this transaction waits for the others while it keeps the locks.
        let idle = if config.connections.get() > 1 {
            Idle::Unlimited
        } else {
            Idle::Usual
        };
        control.begin(&doing, idle).await?;
        if idle == Idle::Usual {
            // The only connection; from here on it may wait for locks.
            metrics.write.backends.set_all();
        }
        let place = Place::lock(&control, &sink.table).await?;
        let (plan, encoder) =
            LoadPlan::of_load(&control, &sink, schema, config.method, &place).await?;
        if !plan.takes_several_connections(sink.mode) {
            config.connections = std::num::NonZeroUsize::MIN;
        }
        let several = config.connections.get() > 1;
        let (route, table) = match sink.mode {
            WriteMode::Append | WriteMode::Replace if several => (Route::Swap, place.own_table()),
            WriteMode::Replace if plan.exists => (Route::Swap, place.own_table()),
            WriteMode::Append | WriteMode::Replace => (Route::Direct, plan.table.clone()),
            WriteMode::Merge => {
                let stage = "_apitap_stage".to_owned();
                let table = TableName::parse(&stage)?;
                (Route::Merge(stage, plan.matching(&sink.key)?), table)
            }
        };
        let target = LoadTarget {
            setup: setup(&route, &place, &plan, &table, &sink.key),
            lock: (!several && config.commit == WriteCommit::Load).then_some(place.key),
            doing: format!("loading table {}", plan.table),
            table,
            columns: plan.columns.clone(),
            encoder,
        };
        control.calls(target.table.name(), plan.table.name());
        Ok(Self {
            control,
            target: Arc::new(target),
            sink,
            place,
            plan,
            route,
            config,
            metrics,
            spare: Mutex::default(),
            tidying,
            has_ended: false,
        })
    }

    async fn make_tables(&self) -> Result<()> {
        let LoadTarget { setup, doing, .. } = &*self.target;
        self.metrics.write.statements.fetch_add(1, Relaxed);
        if self.config.commit == WriteCommit::Batch {
            // Statements that follow are transactions of their own.
            let made = format!("{setup};COMMIT");
            return self.control.execute(doing, &made).await;
        }
        if !self.several() {
            return self.control.execute(doing, setup).await;
        }
        // Others must see it, so it cannot be part of the transaction that holds the locks.
        let maker = self.open_session().await?;
        maker.execute(doing, &format!("{setup};COMMIT")).await?;
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some(maker);
        Ok(())
    }

    /// Another session, in a transaction.
    async fn open_session(&self) -> Result<Arc<Session>> {
        let session = Session::open(&self.sink.target, self.metrics.clone()).await?;
        session.calls(self.target.table.name(), self.plan.table.name());
        session.begin(&self.target.doing, Idle::Usual).await?;
        Ok(Arc::new(session))
    }

    /// Whether the table existed when the load began.
    pub(crate) fn table_exists(&self) -> bool {
        self.plan.exists
    }

    fn several(&self) -> bool {
        self.config.connections.get() > 1
    }

    async fn execute(&self, statement: &str) -> Result<()> {
        self.metrics.write.statements.fetch_add(1, Relaxed);
        self.control.execute(&self.target.doing, statement).await
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
        let session = if self.several() {
            let spare = self
                .spare
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            match spare {
                Some(session) => {
                    session.begin(&self.target.doing, Idle::Usual).await?;
                    session
                }
                None => self.open_session().await?,
            }
        } else {
            self.control.clone()
        };
        let own_number = self.several().then_some(number);
        let (target, metrics) = (self.target.clone(), self.metrics.clone());
        Writer::start(session, target, &self.config, metrics, own_number).await
    }

    /// Waits until the load is lost, although its writers may not know it yet: the transaction that
    /// holds its locks is over. With one connection its writer knows.
    pub(crate) async fn lost(&self) -> Error {
        if !self.several() {
            return std::future::pending().await;
        }
        self.control.heard().refused().await;
        self.control.refusal(&self.target.doing)
    }

    /// Makes the rows of all writers visible at once. They must have finished.
    ///
    /// # Errors
    /// Rows that the table refuses. It then stays as it was.
    pub async fn commit(&self) -> Result<()> {
        self.make_ready().await?;
        self.commit_ready().await
    }

    /// The part of the commit that can be given up: rows move to their place, in a transaction.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub(crate) async fn make_ready(&self) -> Result<()> {
        await_server(&self.metrics, self.move_to_table()).await
    }

    /// The rest, which must be awaited: otherwise nobody knows whether rows are visible.
    ///
    /// # Errors
    /// Constraints that are checked at the end, and a connection that is lost.
    pub(crate) async fn commit_ready(&self) -> Result<()> {
        if self.config.commit == WriteCommit::Batch {
            return Ok(());
        }
        await_server(&self.metrics, self.execute("COMMIT")).await
    }

    async fn move_to_table(&self) -> Result<()> {
        let table = self.plan.table.clone();
        match &self.route {
            Route::Direct => {}
            Route::Swap => {
                let (own, exists) = (&self.target.table, self.plan.exists);
                swap(&self.control, &table, own, exists, &self.sink.key).await?;
            }
            Route::Merge(stage, matching) => {
                self.check_keys(stage).await?;
                let (columns, key) = (&self.plan.columns, &self.sink.key);
                self.execute(&merge::statement(stage, &table, columns, key, *matching))
                    .await?;
            }
        }
        Ok(())
    }

    async fn check_keys(&self, stage: &str) -> Result<()> {
        let count = merge::count_null_keys(stage, &self.sink.key);
        let rows = self.control.query(&self.target.doing, &count, &[]).await?;
        match rows.first().map_or(0, |row| row.get::<_, i64>(0)) {
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

    /// Ends the load: unless it was committed, rolls back and removes what it made, so that the table is free
    /// for the next one. It cannot fail: what is committed stays, and what remains the next load of the table
    /// removes.
    pub async fn end(mut self, committed: bool) {
        self.has_ended = true;
        if !committed {
            await_server(&self.metrics, self.leftovers().remove()).await;
        }
    }

    /// Ends a load that is to stop, whatever its connection does now.
    pub(crate) async fn abandon(mut self) {
        self.has_ended = true;
        await_server(&self.metrics, self.leftovers().interrupt()).await;
    }

    fn leftovers(&self) -> Leftovers {
        Leftovers {
            control: self.control.clone(),
            target: self.sink.target.clone(),
            metrics: self.metrics.clone(),
            removal: self.several().then(|| self.place.removal()),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.has_ended {
            self.tidying.spawn(self.leftovers().interrupt());
        }
    }
}

/// The statements that make what a load fills. If its own table exists already, an interrupted load left it.
fn setup(
    route: &Route,
    place: &Place,
    plan: &LoadPlan,
    filled: &TableName,
    key: &[String],
) -> String {
    let mut statements = vec![format!("DROP TABLE IF EXISTS {}", place.own_table())];
    match route {
        Route::Direct if plan.exists => {}
        Route::Direct => statements.push(create(&plan.table, &plan.columns, key)),
        Route::Swap if plan.exists => statements.push(create_like(filled, &plan.table)),
        // Its key comes with its name.
        Route::Swap => statements.push(create(filled, &plan.columns, &[])),
        Route::Merge(stage, _) => {
            if !plan.exists {
                statements.push(create(&plan.table, &plan.columns, key));
            }
            statements.push(merge::create_stage(stage, &plan.table, &plan.columns));
        }
    }
    statements.join(";\n")
}

/// Awaits an answer of the server, or room in the connection to it.
async fn await_server<F: Future>(metrics: &Metrics, answer: F) -> F::Output {
    let _wait = metrics.wait(Activity::ServerWait);
    let start = Instant::now();
    let answer = answer.instrument(tracing::debug_span!("write")).await;
    metrics.write.wait.add(start.elapsed());
    answer
}

#[cfg(test)]
mod name_tests;
#[cfg(test)]
mod replace_tests;
#[cfg(test)]
mod tests;
