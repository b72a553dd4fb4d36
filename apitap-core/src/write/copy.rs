//! Rows through one COPY statement per connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::CopyInSink;

use super::session::Session;
use super::table::quoted_list;
use super::{LoadTarget, await_server};
use crate::config::{CopyFormat, WriteConfig};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::stage;

/// A flush is sent early when it has this many bytes, so that wide rows do not make it large.
///
/// 50,000 rows of 600 bytes stay whole.
const MAX_FLUSH_BYTES: usize = 32 << 20;

/// Streams rows into a table. The stream ends, and the rows count, only with
/// [`finish`](Self::finish): dropping the writer makes the server discard them.
pub(super) struct CopyWriter {
    session: Arc<Session>,
    sink: Pin<Box<CopyInSink<Bytes>>>,
    target: Arc<LoadTarget>,
    format: CopyFormat,
    batch_rows: usize,
    buffer: BytesMut,
    buffered_rows: usize,
    rows: u64,
    metrics: Arc<Metrics>,
}

impl CopyWriter {
    pub(super) async fn start(
        session: Arc<Session>,
        target: Arc<LoadTarget>,
        format: CopyFormat,
        config: &WriteConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let statement = format!(
            "COPY {} ({}) FROM STDIN (FORMAT {})",
            target.table,
            quoted_list(target.columns.iter().map(|column| &column.name)),
            format.sql()
        );
        metrics.write.statements.fetch_add(1, Relaxed);
        let sink = session.client().copy_in(&statement);
        let sink = session.answer(&target.doing, sink).await?;
        Ok(Self {
            session,
            sink: Box::pin(sink),
            target,
            format,
            batch_rows: config.batch_rows.get(),
            buffer: BytesMut::from(format.header()),
            buffered_rows: 0,
            rows: 0,
            metrics,
        })
    }

    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let count = (self.batch_rows - self.buffered_rows).min(batch.num_rows() - at);
            let slice = batch.slice(at, count);
            let encoder = &self.target.encoder;
            stage::encode(&self.metrics, || {
                let rows = encoder.rows(&slice, self.rows + 1)?;
                encoder.copy(&rows, self.format, &mut self.buffer)
            })?;
            self.metrics.encode.passed(count);
            at += count;
            self.rows += count as u64;
            self.buffered_rows += count;
            if self.buffered_rows == self.batch_rows || self.buffer.len() >= MAX_FLUSH_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Sends what waits for more rows, because none are there: the server then refuses a row soon after it was
    /// fetched.
    pub(super) async fn idle(&mut self) -> Result<()> {
        match self.buffered_rows {
            0 => Ok(()),
            _ => self.flush().await,
        }
    }

    async fn flush(&mut self) -> Result<()> {
        self.buffered_rows = 0;
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.session.heard().is_refused() {
            return Err(self.refusal().await);
        }
        let size = self.buffer.len();
        let chunk = self.buffer.split().freeze();
        // What one flush needed, the next will need too.
        self.buffer.reserve(size);
        let start = Instant::now();
        let sent = self
            .session
            .watched(&self.target.doing, self.sink.send(chunk));
        let sent = await_server(&self.metrics, sent).await?;
        if self.metrics.is_observed() {
            self.metrics.write.latency.record(start.elapsed());
        }
        self.metrics.write.flushes.fetch_add(1, Relaxed);
        self.metrics.write.bytes.fetch_add(size as u64, Relaxed);
        if sent.is_err() {
            return Err(self.refusal().await);
        }
        // Without rows it was the header or the trailer.
        if self.rows > 0 {
            self.metrics.write.handed_over();
        }
        Ok(())
    }

    /// Why the server has refused the rows. It says so when they end.
    pub(super) async fn refusal(&mut self) -> Error {
        match self.end().await {
            Ok(_) => self.session.refusal(&self.target.doing),
            Err(error) => error,
        }
    }

    pub(super) async fn finish(mut self) -> Result<u64> {
        self.buffer.extend_from_slice(self.format.trailer());
        self.flush().await?;
        self.end().await
    }

    async fn end(&mut self) -> Result<u64> {
        let ended = self
            .session
            .answer(&self.target.doing, self.sink.as_mut().finish());
        await_server(&self.metrics, ended).await
    }
}
