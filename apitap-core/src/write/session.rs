//! A connection with a transaction: its statements, none of which outlives the transaction.
//!
//! Behind a pooler, the server's side of a connection changes with every transaction. So everything
//! here is unnamed, or ends with the transaction in which it began.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use super::connect::{Connected, cancel, connect};
use super::heard::Heard;
use super::server_error::ServerError;
use super::target::TargetSpec;
use super::watch::{LOOK_AFTER, Watch};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;

/// A session with the server, and what it has heard from it.
pub(crate) struct Session {
    client: Client,
    heard: Arc<Heard>,
    driver: AbortHandle,
    target: TargetSpec,
    metrics: Arc<Metrics>,
    /// The server's process, in the first transaction.
    process: OnceLock<i32>,
    /// How messages call the load's own table, and what users know it as.
    alias: OnceLock<(String, String)>,
    /// That the server answers nobody. It is not waited for again.
    silence: OnceLock<Error>,
}

/// How long a transaction may be idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// As long as the server allows.
    Usual,
    /// As long as it takes: others work meanwhile, and it holds their lock.
    Unlimited,
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// A server that cannot be reached, does not answer, or refuses the user.
    pub(crate) async fn open(target: &TargetSpec, metrics: Arc<Metrics>) -> Result<Self> {
        let Connected {
            client,
            heard,
            driver,
        } = connect(target, metrics.clone()).await?;
        Ok(Self {
            client,
            heard,
            driver,
            target: target.clone(),
            metrics,
            process: OnceLock::new(),
            alias: OnceLock::new(),
            silence: OnceLock::new(),
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Begins a transaction with the target's limits.
    pub(super) async fn begin(&self, doing: &str, idle: Idle) -> Result<()> {
        let mut statements = "BEGIN;".to_owned();
        if let Some(limit) = self.target.lock_timeout {
            // A limit of zero would be none.
            let limit_ms = limit.max(Duration::from_millis(1)).as_millis();
            // Writing to a String cannot fail.
            let _ = write!(statements, "SET LOCAL lock_timeout = {limit_ms};");
        }
        if idle == Idle::Unlimited {
            statements.push_str("SET LOCAL idle_in_transaction_session_timeout = 0;");
        }
        statements.push_str("SELECT pg_backend_pid()");
        let answer = self.client.simple_query(&statements);
        let messages = self.answer(doing, answer).await?;
        let process = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        if let Some(process) = process
            && self.process.set(process).is_ok()
        {
            self.metrics.write.backends.add(process);
        }
        Ok(())
    }

    /// Runs statements without parameters.
    pub(super) async fn execute(&self, doing: &str, statements: &str) -> Result<()> {
        self.answer(doing, self.client.batch_execute(statements))
            .await
    }

    /// Runs a query whose parameters are texts.
    pub(crate) async fn query(&self, doing: &str, sql: &str, texts: &[&str]) -> Result<Vec<Row>> {
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> = texts
            .iter()
            .map(|text| (text as &(dyn ToSql + Sync), Type::TEXT))
            .collect();
        self.answer(doing, self.client.query_typed(sql, &parameters))
            .await
    }

    /// Awaits an answer of the server to `doing` something.
    pub(super) async fn answer<T>(
        &self,
        doing: &str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let answer = self.watched(doing, answer).await?;
        answer.map_err(|error| self.fault(doing, error))
    }

    /// Awaits the server. When that takes long, it says who holds the lock that is waited for, and
    /// finds out whether the server still answers.
    ///
    /// # Errors
    /// A server that answers nobody.
    pub(super) async fn watched<F: Future>(&self, doing: &str, answer: F) -> Result<F::Output> {
        if let Some(silence) = self.silence.get() {
            return Err(silence.clone());
        }
        let mut answer = pin!(answer);
        if let Ok(answer) = tokio::time::timeout(LOOK_AFTER, answer.as_mut()).await {
            return Ok(answer);
        }
        let watch = Watch::new(&self.target, &self.metrics, self.process.get().copied());
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            silence = Box::pin(watch.keep(doing)) => {
                let _ = self.silence.set(silence.clone());
                // It would wait for the answers for ever.
                self.driver.abort();
                Err(silence)
            }
        }
    }

    /// Errors about the load's `own` table are errors about `table`.
    pub(super) fn calls(&self, own: &str, table: &str) {
        let _ = self.alias.set((own.to_owned(), table.to_owned()));
    }

    /// An error of this session in our terms. If the server ended the session, it has said why.
    pub(super) fn fault(&self, doing: &str, error: tokio_postgres::Error) -> Error {
        match self.server_error(&error) {
            Some(server) => server.while_doing(doing),
            None => Error::new(ErrorKind::Database, Stage::Write, doing)
                .caused_by(error)
                .hint("see the server's log"),
        }
    }

    /// What the server says of an error, with the names that users know.
    pub(super) fn server_error(&self, error: &tokio_postgres::Error) -> Option<ServerError> {
        let said = error.as_db_error().map(ServerError::of);
        let mut server = said.or_else(|| self.heard.error().filter(|reason| reason.is_fatal))?;
        if let Some((own, table)) = self.alias.get() {
            server.message = server.message.replace(own, table);
        }
        Some(server)
    }

    /// Why the session was refused, when it [was](Heard::refused).
    pub(super) fn refusal(&self, doing: &str) -> Error {
        match self.heard.error() {
            Some(error) => error.while_doing(doing),
            None => Error::new(
                ErrorKind::Database,
                Stage::Write,
                format!("{doing}: the connection was closed"),
            )
            .hint("see the log of the server, or of what is between"),
        }
    }

    /// Whether the server has been found to answer nobody.
    pub(super) fn is_silent(&self) -> bool {
        self.silence.get().is_some()
    }

    /// Asks the server to stop what it does for this session, as well as it can.
    pub(super) async fn cancel(&self) {
        cancel(&self.target, self.client.cancel_token()).await;
    }
}
