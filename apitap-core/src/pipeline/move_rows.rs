//! The way of the rows: lanes of the plan, the channel, and the writers, each a task.

use std::sync::Arc;
use std::time::Instant;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, StreamExt};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::channel::{self, Receiver, Sender};
use crate::concurrency_time::Activity;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;
use crate::stage;
use crate::transform::{Query, of_data};
use crate::write::{Load, Writer};

type Batch = arrow::array::RecordBatch;

/// Moves the rows of `query` to the load's table. Its writers have finished then.
///
/// # Errors
/// The first fault of the sources, the plan or the server.
pub(super) async fn move_rows(
    config: &Config,
    query: Query,
    load: &Load,
    metrics: &Arc<Metrics>,
) -> Result<()> {
    let collected = match config.transform.streaming {
        true => None,
        false => {
            let batches = stage::polled(Activity::Sql, metrics, query.collect()).await?;
            // From here on nothing but writing takes time.
            metrics.write.begins();
            Some(stream::iter(batches.into_iter().flatten().map(Ok)))
        }
    };
    let mut tasks = JoinSet::new();
    let capacity = config.channel.capacity.get();
    let (sender, receiver) = channel::bounded(capacity, metrics.batches_channel.clone());
    for number in 1..=load.connections() {
        let writer = write(load.writer(number).await?, receiver.clone());
        tasks.spawn(writer.in_current_span());
    }
    metrics.write.backends.set_all();
    drop(receiver);
    let lanes: Vec<SendableRecordBatchStream> = match collected {
        None => query.streams()?,
        Some(all) => vec![Box::pin(RecordBatchStreamAdapter::new(query.schema(), all))],
    };
    for lane in lanes {
        let lane = send(lane, sender.clone(), metrics.clone());
        tasks.spawn(lane.in_current_span());
    }
    drop(sender);
    tokio::select! {
        moved = first_error(tasks) => moved,
        lost = load.lost() => Err(lost),
    }
}

/// Runs one lane of the plan and hands its batches to the writers.
async fn send(
    mut lane: SendableRecordBatchStream,
    sender: Sender<Batch>,
    metrics: Arc<Metrics>,
) -> Result<()> {
    loop {
        let next = stage::polled(Activity::Sql, &metrics, lane.next());
        let Some(batch) = next.await else {
            return Ok(());
        };
        let batch = batch.map_err(of_data)?;
        let rows = batch.num_rows();
        if rows == 0 {
            continue;
        }
        metrics.sql.passed(rows);
        metrics.write.begins();
        let bytes = batch.get_array_memory_size();
        let _wait = metrics.wait(Activity::ChannelWait);
        let start = Instant::now();
        let sent = sender.send(batch, rows, bytes).await;
        metrics.sql.waited(start.elapsed());
        if sent.is_err() {
            return Err(Error::new(
                ErrorKind::Cancelled,
                Stage::Transform,
                "the writers have stopped",
            ));
        }
    }
}

/// Hands batches to a writer. When the server refuses a row, it stops at once, although the API may have
/// many more to send.
async fn write(mut writer: Writer, batches: Receiver<Batch>) -> Result<()> {
    loop {
        let batch = match batches.receive_now() {
            Some(batch) => Some(batch),
            None => {
                writer.idle().await?;
                tokio::select! {
                    batch = batches.receive() => batch,
                    () = writer.refused() => return Err(writer.refusal().await),
                }
            }
        };
        match batch {
            Some(batch) => writer.write(&batch).await?,
            None => break,
        }
    }
    writer.finish().await?;
    Ok(())
}

/// Waits for all tasks. The first that fails cancels the others; a task that merely found its
/// neighbour gone does not hide the neighbour's reason.
async fn first_error(mut tasks: JoinSet<Result<()>>) -> Result<()> {
    let mut cancelled = None;
    while let Some(ended) = tasks.join_next().await {
        let result = ended.unwrap_or_else(|error| {
            Err(Error::new(
                ErrorKind::Internal,
                Stage::Transform,
                "a task of the run panicked",
            )
            .caused_by(error))
        });
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Cancelled => cancelled = Some(error),
            Err(error) => {
                tasks.shutdown().await;
                return Err(error);
            }
        }
    }
    cancelled.map_or(Ok(()), Err)
}
