//! A source as a table. The scan requests only the columns and rows that it needs, and a table that is
//! read more than once is fetched once.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::TryFutureExt;
use futures::future::{BoxFuture, FutureExt, Shared};
use futures::stream::{StreamExt, TryStreamExt};

use super::feed::{Feed, Lane, ScanRequest};
use super::shared::SharedRows;

/// A source as a table of DataFusion.
#[derive(Debug)]
pub struct ApiTable {
    name: String,
    inner: Arc<Inner>,
}

/// The rows of a shared table, once all are fetched. Every reader that waits drives the fetch, so a
/// reader that stops early leaves it to the others.
type Gathering = Shared<BoxFuture<'static, Result<SharedRows, Arc<DataFusionError>>>>;

struct Inner {
    schema: SchemaRef,
    feed: Box<dyn Feed>,
    lanes: usize,
    state: Mutex<State>,
    gathering: Mutex<Option<Gathering>>,
}

#[derive(Default)]
struct State {
    /// Scans in the plan.
    scans: usize,
    recursive: bool,
    wildcard: bool,
    /// Columns that any scan reads.
    columns: BTreeSet<usize>,
    /// The lanes of the only scan, each taken once.
    lanes: Option<Vec<Option<Lane>>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({} scans, columns {:?})", self.scans, self.columns)
    }
}

impl ApiTable {
    /// A table over a feed whose rows have `schema`, scanned in `lanes` partitions.
    pub fn new(name: &str, schema: SchemaRef, lanes: usize, feed: Box<dyn Feed>) -> Self {
        Self {
            name: name.to_owned(),
            inner: Arc::new(Inner {
                schema,
                feed,
                lanes,
                state: Mutex::default(),
                gathering: Mutex::default(),
            }),
        }
    }

    /// Its name in SQL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The query reads every column of its sources.
    pub(super) fn read_every_column(&self) {
        self.inner.state().wildcard = true;
    }

    /// Keeps the rows for any number of scans, even if the plan has only one.
    pub(super) fn share(&self) {
        self.inner.state().recursive = true;
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inner({:?}, {:?})", self.feed, self.state())
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_shared(&self) -> bool {
        let state = self.state();
        state.recursive || state.scans > 1
    }

    fn request(&self, columns: &[usize], limit: Option<usize>) -> Result<ScanRequest> {
        Ok(ScanRequest {
            schema: Arc::new(self.schema.project(columns)?),
            wildcard: self.state().wildcard,
            limit,
            lanes: self.lanes,
        })
    }

    /// The rows for the plan's only scan, straight from the feed.
    fn lane(&self, columns: &[usize], limit: Option<usize>, partition: usize) -> Result<Lane> {
        let request = self.request(columns, limit)?;
        let mut state = self.state();
        if state.lanes.is_none() {
            let lanes = self.feed.open(request).map_err(external)?;
            state.lanes = Some(lanes.into_iter().map(Some).collect());
        }
        let lanes = state.lanes.as_mut();
        match lanes.and_then(|lanes| lanes.get_mut(partition)?.take()) {
            Some(lane) => Ok(lane),
            None => internal_err!("partition {partition} of a source was read twice"),
        }
    }

    /// The rows for one of several scans: all are fetched first, with the columns of every scan.
    fn shared_rows(&self, context: &TaskContext) -> Result<Gathering> {
        let mut gathering = self
            .gathering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(gathering) = &*gathering {
            return Ok(gathering.clone());
        }
        let columns: Vec<usize> = self.state().columns.iter().copied().collect();
        let request = self.request(&columns, None)?;
        let schema = request.schema.clone();
        let lanes = self.feed.open(request).map_err(external)?;
        let rows = SharedRows::gather(schema, lanes, context).map_err(Arc::new);
        Ok(gathering.insert(rows.boxed().shared()).clone())
    }

    fn positions(&self, columns: &[usize]) -> Vec<usize> {
        let state = self.state();
        let position = |column| state.columns.iter().position(|known| known == column);
        columns.iter().filter_map(position).collect()
    }
}

fn external(error: crate::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[async_trait]
impl TableProvider for ApiTable {
    fn schema(&self) -> SchemaRef {
        self.inner.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = 0..self.inner.schema.fields().len();
        let columns = projection.cloned().unwrap_or_else(|| all.collect());
        let mut state = self.inner.state();
        state.scans += 1;
        state.columns.extend(&columns);
        drop(state);
        Ok(Arc::new(ApiScan::new(
            &self.name,
            self.inner.clone(),
            columns,
            limit,
        )?))
    }
}

/// The scan of a source; its partitions are lanes.
#[derive(Debug, Clone)]
struct ApiScan {
    name: String,
    table: Arc<Inner>,
    columns: Vec<usize>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ApiScan {
    fn new(
        name: &str,
        table: Arc<Inner>,
        columns: Vec<usize>,
        limit: Option<usize>,
    ) -> Result<Self> {
        let schema = Arc::new(table.schema.project(&columns)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(table.lanes),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            name: name.to_owned(),
            table,
            columns,
            limit,
            properties: Arc::new(properties),
        })
    }
}

impl DisplayAs for ApiScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.properties.eq_properties.schema();
        let names: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        write!(
            f,
            "ApiScan: source={}, columns=[{}]",
            self.name,
            names.join(", ")
        )?;
        match self.limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ApiScan {
    fn name(&self) -> &str {
        "ApiScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        if !self.table.is_shared() {
            let lane = self.table.lane(&self.columns, self.limit, partition)?;
            let batches = lane.map_err(external);
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)));
        }
        let table = self.table.clone();
        let positions = table.positions(&self.columns);
        let lanes = table.lanes;
        let batches = futures::stream::once(async move {
            let rows = table
                .shared_rows(&context)?
                .await
                .map_err(DataFusionError::Shared)?;
            rows.replay(partition, lanes)
        })
        .try_flatten()
        .map(move |batch| batch.and_then(|batch| Ok(batch.project(&positions)?)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}
