//! Rows through statements with parameters: `insert`, `prepared` and `unnest`.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};

use super::locate::locate;
use super::server_error::ServerError;
use super::session::Session;
use super::table::{LoadColumn, TableName, overriding, quote, quoted_list};
use super::{LoadTarget, await_server};
use crate::config::{StatementForm, WriteConfig};
use crate::encode::Rows;
use crate::encode::params::{self, CellFault, CellParameter};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;
use crate::stage;

/// PostgreSQL's limit of parameters in one statement: an unsigned 16-bit count in Bind.
const MAX_PARAMETERS: usize = 65_535;

/// Gathers rows into flushes and sends each as one or more statements, several under way at once
/// if the configuration allows it. All run in the transaction of their connection.
pub(super) struct StatementWriter {
    session: Arc<Session>,
    target: Arc<LoadTarget>,
    form: StatementForm,
    batch_rows: usize,
    in_flight: usize,
    /// Statements by their number of rows: those of a full flush, and of the last one.
    prepared: HashMap<usize, Statement>,
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    under_way: FuturesOrdered<BoxFuture<'static, Result<u64, Refused>>>,
    rows: u64,
    written: u64,
    metrics: Arc<Metrics>,
}

impl StatementWriter {
    pub(super) fn new(
        session: Arc<Session>,
        target: Arc<LoadTarget>,
        form: StatementForm,
        config: &WriteConfig,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            session,
            target,
            form,
            batch_rows: config.batch_rows.get(),
            in_flight: config.in_flight.get(),
            prepared: HashMap::new(),
            pending: Vec::new(),
            pending_rows: 0,
            under_way: FuturesOrdered::new(),
            rows: 0,
            written: 0,
            metrics,
        }
    }

    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let count = (self.batch_rows - self.pending_rows).min(batch.num_rows() - at);
            self.pending.push(batch.slice(at, count));
            self.pending_rows += count;
            at += count;
            if self.pending_rows == self.batch_rows {
                self.flush().await?;
            }
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<u64> {
        self.flush().await?;
        while !self.under_way.is_empty() {
            self.settle_one().await?;
        }
        Ok(self.written)
    }

    async fn flush(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.pending);
        let count = std::mem::take(&mut self.pending_rows);
        let Some(first) = batches.first() else {
            return Ok(());
        };
        let schema = first.schema();
        let parts = self.statements(count);
        let encoder = &self.target.encoder;
        let flush = stage::encode(&self.metrics, || {
            let batch = concat_batches(&schema, &batches).map_err(|error| {
                Error::new(ErrorKind::Internal, Stage::Write, "joining batches").caused_by(error)
            })?;
            // Statements share the rows evenly, so that a flush needs two sizes of them at most.
            (0..parts)
                .map(|part| {
                    let from = count * part / parts;
                    let to = count * (part + 1) / parts;
                    let slice = batch.slice(from, to - from);
                    encoder
                        .rows(&slice, self.rows + from as u64 + 1)
                        .map(Arc::new)
                })
                .collect::<Result<Vec<_>>>()
        })?;
        self.metrics.encode.passed(count);
        self.rows += count as u64;
        for rows in flush {
            while self.under_way.len() >= self.in_flight {
                self.settle_one().await?;
            }
            let command = match self.command(rows.len()).await {
                Ok(command) => command,
                Err(error) => {
                    // The statement that failed first has the reason; this one only suffers from it.
                    while !self.under_way.is_empty() {
                        self.settle_one().await?;
                    }
                    return Err(error);
                }
            };
            let execution = Execution {
                session: self.session.clone(),
                target: self.target.clone(),
                metrics: self.metrics.clone(),
                rows,
            };
            let mut execution = Box::pin(execution.run(command));
            // The first poll sends the statement; its answer is awaited when room is needed.
            if let std::task::Poll::Ready(done) = futures::poll!(execution.as_mut()) {
                self.under_way.push_back(Box::pin(async move { done }));
            } else {
                self.under_way.push_back(execution);
            }
            self.metrics.write.handed_over();
        }
        Ok(())
    }

    /// How many statements a flush of `rows` takes.
    fn statements(&self, rows: usize) -> usize {
        let width = self.target.columns.len().max(1);
        match self.form {
            StatementForm::Unnest => 1,
            StatementForm::Insert | StatementForm::Prepared => {
                rows.div_ceil(MAX_PARAMETERS / width)
            }
        }
    }

    async fn command(&mut self, rows: usize) -> Result<Command> {
        match self.form {
            StatementForm::Insert => {
                let (sql, types) = stage::encode(&self.metrics, || self.target.insert(rows));
                Ok(Command::Text(sql, types))
            }
            StatementForm::Prepared => {
                let insert = |target: &LoadTarget| target.insert(rows);
                Ok(Command::Prepared(self.prepared(rows, insert).await?))
            }
            // One text serves any number of rows of arrays.
            StatementForm::Unnest => Ok(Command::PreparedArrays(self.prepared(0, unnest).await?)),
        }
    }

    /// The statement of that `size`, prepared when it is first needed.
    async fn prepared(
        &mut self,
        size: usize,
        text: impl Fn(&LoadTarget) -> (String, Vec<Type>),
    ) -> Result<Statement> {
        if let Some(statement) = self.prepared.get(&size) {
            return Ok(statement.clone());
        }
        let (sql, types) = stage::encode(&self.metrics, || text(&self.target));
        self.metrics.write.statements.fetch_add(1, Relaxed);
        let prepared = self.session.client().prepare_typed(&sql, &types);
        let prepared = self.session.answer(&self.target.doing, prepared);
        let statement = await_server(&self.metrics, prepared).await?;
        self.prepared.insert(size, statement.clone());
        Ok(statement)
    }

    async fn settle_one(&mut self) -> Result<()> {
        let next = self
            .session
            .watched(&self.target.doing, self.under_way.next());
        match await_server(&self.metrics, next).await? {
            None => Ok(()),
            Some(Ok(written)) => {
                self.written += written;
                Ok(())
            }
            Some(Err(refused)) => Err(self.explain(refused).await),
        }
    }

    /// What was refused, with its row and column.
    async fn explain(&mut self, refused: Refused) -> Error {
        match refused {
            Refused::Known(error) => error,
            Refused::Rows(server, rows) => {
                // Those behind it only suffer from it, and must be over before the session is used.
                let rest = std::mem::take(&mut self.under_way);
                let over = self
                    .session
                    .watched(&self.target.doing, rest.collect::<Vec<_>>());
                match over.await {
                    Ok(_) => locate(&self.session, &self.target, &rows, &server).await,
                    Err(silent) => silent,
                }
            }
        }
    }

    /// Why the session was refused while nothing was asked of it.
    pub(super) async fn refusal(&mut self) -> Error {
        while !self.under_way.is_empty() {
            if let Err(error) = self.settle_one().await {
                return error;
            }
        }
        self.session.refusal(&self.target.doing)
    }
}

/// Why a statement was not executed.
enum Refused {
    /// With its place, or without a row at fault.
    Known(Error),
    /// By the server, for one of these rows.
    Rows(ServerError, Arc<Rows>),
}

impl LoadTarget {
    fn insert(&self, rows: usize) -> (String, Vec<Type>) {
        insert_statement(&self.table, &self.columns, rows)
    }
}

/// What the server is asked to run.
enum Command {
    /// A statement that it knows.
    Prepared(Statement),
    /// A prepared statement that takes an array per column.
    PreparedArrays(Statement),
    /// A text with the types of its parameters, parsed every time. It goes with the parameters in one
    /// round trip.
    Text(String, Vec<Type>),
}

struct Execution {
    session: Arc<Session>,
    target: Arc<LoadTarget>,
    metrics: Arc<Metrics>,
    rows: Arc<Rows>,
}

impl Execution {
    async fn run(self, command: Command) -> Result<u64, Refused> {
        let Self {
            session,
            target,
            metrics,
            rows,
        } = self;
        let client = session.client();
        let start = Instant::now();
        let cells = target.encoder.cells(&rows).map_err(Refused::Known)?;
        let result = match command {
            Command::PreparedArrays(statement) => {
                let parameters = params::of_columns(&target.encoder, &cells, rows.len());
                encoding_first_poll(&metrics, client.execute_raw(&statement, parameters)).await
            }
            Command::Prepared(statement) => {
                let parameters = params::of_rows(&cells, rows.len());
                encoding_first_poll(&metrics, client.execute_raw(&statement, parameters)).await
            }
            Command::Text(sql, types) => {
                let parameters = params::of_rows(&cells, rows.len()).into_iter().zip(types);
                encoding_first_poll(&metrics, execute_text(client, &sql, parameters)).await
            }
        };
        if metrics.is_observed() {
            metrics.write.latency.record(start.elapsed());
        }
        metrics.write.bytes.fetch_add(rows.bytes() as u64, Relaxed);
        metrics.write.flushes.fetch_add(1, Relaxed);
        metrics.write.statements.fetch_add(1, Relaxed);
        result.map_err(|error| {
            if let Some(cell) = cell_fault(&error) {
                return Refused::Known(target.encoder.locate(cell.fault, &rows, cell.row));
            }
            match session.server_error(&error) {
                Some(server) if server.is_about_rows() => Refused::Rows(server, rows.clone()),
                _ => Refused::Known(session.fault(&target.doing, error)),
            }
        })
    }
}

/// Parses and executes in one round trip, leaving no statement behind.
async fn execute_text<'a>(
    client: &Client,
    sql: &str,
    parameters: impl IntoIterator<Item = (CellParameter<'a>, Type)>,
) -> Result<u64, tokio_postgres::Error> {
    let mut answer = pin!(client.query_typed_raw(sql, parameters).await?);
    while answer.try_next().await?.is_some() {}
    Ok(answer.rows_affected().unwrap_or(0))
}

/// Counts the first poll, in which `tokio_postgres` encodes and queues the parameters, as
/// encoding.
async fn encoding_first_poll<T>(metrics: &Metrics, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut first = true;
    poll_fn(|context| {
        if std::mem::take(&mut first) {
            stage::encode(metrics, || future.as_mut().poll(context))
        } else {
            future.as_mut().poll(context)
        }
    })
    .await
}

fn cell_fault(error: &tokio_postgres::Error) -> Option<&CellFault> {
    std::error::Error::source(error)?.downcast_ref()
}

/// The text of an `INSERT` of `rows` rows into `columns` of `table`, and the types of its
/// parameters: a parameter per cell, row by row. PostgreSQL takes at most 65,535 of them.
pub fn insert_statement(
    table: &TableName,
    columns: &[LoadColumn],
    rows: usize,
) -> (String, Vec<Type>) {
    let mut sql = insert_into(table, columns);
    sql.push_str(" VALUES ");
    let mut parameter = 0;
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ",(" });
        for (index, column) in columns.iter().enumerate() {
            parameter += 1;
            if index > 0 {
                sql.push(',');
            }
            sql.push_str(&cast(&format!("${parameter}"), column));
        }
        sql.push(')');
    }
    let types = columns.iter().map(|column| column.pg_type.parameter().0);
    (sql, types.cycle().take(rows * columns.len()).collect())
}

fn unnest(target: &LoadTarget) -> (String, Vec<Type>) {
    let columns = &target.columns;
    let names = columns.iter().map(|column| &column.name);
    let selected: Vec<_> = columns
        .iter()
        .map(|column| cast(&format!("u.{}", quote(&column.name)), column))
        .collect();
    let parameters: Vec<_> = (1..=columns.len())
        .map(|index| format!("${index}"))
        .collect();
    let sql = format!(
        "{} SELECT {} FROM unnest({}) AS u ({})",
        insert_into(&target.table, columns),
        selected.join(","),
        parameters.join(","),
        quoted_list(names)
    );
    (
        sql,
        columns
            .iter()
            .map(|column| column.pg_type.parameter().1)
            .collect(),
    )
}

fn insert_into(table: &TableName, columns: &[LoadColumn]) -> String {
    format!(
        "INSERT INTO {table} ({}){}",
        quoted_list(columns.iter().map(|column| &column.name)),
        overriding(columns)
    )
}

fn cast(expression: &str, column: &LoadColumn) -> String {
    match &column.cast {
        Some(type_name) => format!("CAST({expression} AS {type_name})"),
        None => expression.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::config::WriteMethod;
    use crate::encode::{PgType, RowEncoder};

    fn target(always_identity: bool) -> LoadTarget {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("mood", DataType::Utf8, true),
        ]);
        let column = |name: &str, pg_type, cast: Option<&str>| LoadColumn {
            name: name.into(),
            pg_type,
            cast: cast.map(Into::into),
            always_identity: always_identity && name == "id",
        };
        LoadTarget {
            doing: "loading table t".into(),
            setup: String::new(),
            lock: None,
            table: TableName::parse("public.t").unwrap(),
            columns: vec![
                column("id", PgType::Int8, None),
                column("mood", PgType::Text, Some("mood")),
            ],
            encoder: RowEncoder::plan(
                Arc::new(schema),
                vec![PgType::Int8, PgType::Text],
                WriteMethod::Insert,
            )
            .unwrap(),
        }
    }

    #[test]
    fn statements_are_written_for_their_rows() {
        let given = target(true);
        let (sql, _) = insert_statement(&given.table, &given.columns, 1);
        insta::assert_snapshot!(sql, @r#"INSERT INTO "public"."t" ("id", "mood") OVERRIDING SYSTEM VALUE VALUES ($1,CAST($2 AS mood))"#);
        let target = target(false);
        let (sql, types) = insert_statement(&target.table, &target.columns, 2);
        insta::assert_snapshot!(sql, @r#"INSERT INTO "public"."t" ("id", "mood") VALUES ($1,CAST($2 AS mood)),($3,CAST($4 AS mood))"#);
        assert_eq!(types, [Type::INT8, Type::TEXT, Type::INT8, Type::TEXT]);
        let (sql, types) = unnest(&target);
        insta::assert_snapshot!(sql, @r#"INSERT INTO "public"."t" ("id", "mood") SELECT u."id",CAST(u."mood" AS mood) FROM unnest($1,$2) AS u ("id", "mood")"#);
        assert_eq!(types, [Type::INT8_ARRAY, Type::TEXT_ARRAY]);
    }
}
