//! The rows of a source that a plan reads more than once: kept in memory within the limit of the run,
//! the rest on disk, and replayed for every reader.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::SpillFile;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use futures::stream::{BoxStream, StreamExt};

use super::feed::Lane;

/// Bytes that one shared source may hold in memory: the operators above it need some too.
#[derive(Debug)]
pub(super) struct SharedLimit(pub(super) usize);

/// Rows that any number of readers may replay.
#[derive(Debug, Clone)]
pub(super) struct SharedRows(Arc<Gathered>);

struct Gathered {
    in_memory: Vec<RecordBatch>,
    spilled: Option<(SpillManager, Arc<dyn SpillFile>)>,
    /// Returned to the pool when the last reader is gone.
    _reservation: MemoryReservation,
}

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gathered({} batches in memory)", self.in_memory.len())
    }
}

impl SharedRows {
    /// Reads all lanes to their end. Their order is kept within a lane.
    pub(super) fn gather(
        schema: SchemaRef,
        lanes: Vec<Lane>,
        context: &TaskContext,
    ) -> impl Future<Output = Result<Self>> + Send + 'static {
        let reservation = MemoryConsumer::new("shared source")
            .with_can_spill(true)
            .register(context.memory_pool());
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let spills = SpillManager::new(context.runtime_env(), metrics, schema);
        let limit = context.session_config().get_extension::<SharedLimit>();
        let limit = limit.map_or(usize::MAX, |limit| limit.0);
        Self::read(lanes, reservation, spills, limit)
    }

    async fn read(
        lanes: Vec<Lane>,
        reservation: MemoryReservation,
        spills: SpillManager,
        limit: usize,
    ) -> Result<Self> {
        let mut in_memory = Vec::new();
        let mut spill = None;
        let mut batches = futures::stream::select_all(lanes);
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| DataFusionError::External(Box::new(error)))?;
            let size = batch.get_array_memory_size();
            let fits = reservation.size() + size <= limit;
            if spill.is_none() && fits && reservation.try_grow(size).is_ok() {
                in_memory.push(batch);
                continue;
            }
            if spill.is_none() {
                spill = Some(spills.create_in_progress_file("rows of a shared source")?);
            }
            if let Some(file) = &mut spill {
                file.append_batch(&batch)?;
            }
        }
        let spilled = match spill {
            Some(mut file) => file.finish()?.map(|file| (spills, file)),
            None => None,
        };
        Ok(Self(Arc::new(Gathered {
            in_memory,
            spilled,
            _reservation: reservation,
        })))
    }

    /// The batches for one of `lanes` readers that share them.
    pub(super) fn replay(
        &self,
        lane: usize,
        lanes: usize,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let rows = self.0.clone();
        let count = rows.in_memory.len();
        let in_memory = (lane..count)
            .step_by(lanes.max(1))
            .map(move |index| Ok(rows.in_memory[index].clone()));
        let in_memory = futures::stream::iter(in_memory);
        // One lane reads the file: reading it is a small part of the work on its rows.
        match &self.0.spilled {
            Some((spills, file)) if lane == 0 => {
                let spilled = spills.read_spill_as_stream(file.clone(), None)?;
                Ok(in_memory.chain(spilled).boxed())
            }
            _ => Ok(in_memory.boxed()),
        }
    }
}
