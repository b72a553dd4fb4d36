//! One writer of a load: batches into its table, on one session.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::RecordBatch;

use super::copy::CopyWriter;
use super::session::Session;
use super::statements::StatementWriter;
use super::{LoadTarget, await_server};
use crate::config::{WriteCommand, WriteConfig};
use crate::error::{Error, Result};
use crate::metrics::Metrics;

/// Writes batches to the table of a load. Its rows count only once it has finished.
pub struct Writer {
    method: Method,
    /// If there are several: which one, because each counts its own rows.
    own_number: Option<usize>,
    session: Arc<Session>,
    target: Arc<LoadTarget>,
    metrics: Arc<Metrics>,
}

enum Method {
    Statements(Box<StatementWriter>),
    Copy(Box<CopyWriter>),
}

impl Writer {
    /// A writer on a session in a transaction.
    ///
    /// # Errors
    /// A COPY that the server refuses.
    pub(super) async fn start(
        session: Arc<Session>,
        target: Arc<LoadTarget>,
        config: &WriteConfig,
        metrics: Arc<Metrics>,
        own_number: Option<usize>,
    ) -> Result<Self> {
        let (own_session, own_target) = (session.clone(), target.clone());
        let own_metrics = metrics.clone();
        let method = match config.method.command() {
            WriteCommand::Statement(form) => Method::Statements(Box::new(StatementWriter::new(
                session, target, form, config, metrics,
            ))),
            WriteCommand::Copy(format) => Method::Copy(Box::new(
                CopyWriter::start(session, target, format, config, metrics).await?,
            )),
        };
        Ok(Self {
            method,
            own_number,
            session: own_session,
            target: own_target,
            metrics: own_metrics,
        })
    }

    /// Writes a batch, or gathers it for the next flush.
    ///
    /// # Errors
    /// A value that its column cannot hold, or rows that the server refuses.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = match &mut self.method {
            Method::Statements(writer) => writer.write(batch).await,
            Method::Copy(writer) => writer.write(batch).await,
        };
        written.map_err(|error| self.located(error))
    }

    /// Says that no batch is there: what was gathered need not wait for it.
    ///
    /// # Errors
    /// Rows that the server refuses.
    pub async fn idle(&mut self) -> Result<()> {
        let sent = match &mut self.method {
            // A statement of fewer rows would be one more to wait for.
            Method::Statements(_) => Ok(()),
            Method::Copy(writer) => writer.idle().await,
        };
        sent.map_err(|error| self.located(error))
    }

    /// Waits until the server has refused the rows, or has ended the session.
    pub async fn refused(&mut self) {
        self.session.heard().refused().await;
    }

    /// Why that was.
    pub async fn refusal(mut self) -> Error {
        let error = match &mut self.method {
            Method::Statements(writer) => writer.refusal().await,
            Method::Copy(writer) => writer.refusal().await,
        };
        self.located(error)
    }

    /// Sends what is left and waits until the server has taken every row; returns how many.
    ///
    /// # Errors
    /// Rows that the server refuses.
    pub async fn finish(self) -> Result<u64> {
        let Self {
            method,
            own_number,
            session,
            target,
            metrics,
        } = self;
        let rows = match method {
            Method::Statements(writer) => writer.finish().await,
            Method::Copy(writer) => writer.finish().await,
        };
        let rows = rows.map_err(|error| located(error, own_number))?;
        metrics.write.rows.fetch_add(rows, Relaxed);
        if own_number.is_some() {
            await_server(&metrics, session.execute(&target.doing, "COMMIT")).await?;
        }
        Ok(rows)
    }

    fn located(&self, error: Error) -> Error {
        located(error, self.own_number)
    }
}

fn located(error: Error, own_number: Option<usize>) -> Error {
    match own_number {
        Some(number) => error.at(format_args!("connection {number}")),
        None => error,
    }
}
