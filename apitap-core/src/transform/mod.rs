//! SQL over sources, by DataFusion: a context per run.
//!
//! ```text
//! Feed (source → decode) ──lanes──▶ ApiTable ──▶ plan ──▶ batches
//! ```

mod calendar;
mod cast;
mod feed;
mod names;
mod nothing;
mod shared;
mod sql_types;
mod table;
mod types;
mod wildcard;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, collect_partitioned, displayable,
    execute_stream_partitioned,
};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};

pub use self::feed::{Feed, Lane, ScanRequest};
pub(crate) use self::nothing::is_empty_over_nothing;
use self::shared::SharedLimit;
use self::sql_types::with_sql_types;
pub use self::table::ApiTable;
use self::types::{CheckedCasts, Microseconds, Timestamps};
use crate::config::TransformConfig;
use crate::error::{Error, ErrorKind, Result, Stage};

/// A query planned over the tables of a run.
pub struct Query {
    context: SessionContext,
    plan: Arc<dyn ExecutionPlan>,
}

impl Query {
    /// Plans `sql`, one query that only reads.
    ///
    /// # Errors
    /// SQL that does not parse, uses unknown names, or does more than read.
    pub async fn plan(sql: &str, tables: Vec<ApiTable>, config: &TransformConfig) -> Result<Self> {
        let context = context(config)?;
        let tables: Vec<_> = tables.into_iter().map(Arc::new).collect();
        names::register(&context, &tables, config.table_names)
            .await
            .map_err(into_error)?;
        let options = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        if wildcard::selects_all(sql) {
            tables.iter().for_each(|table| table.read_every_column());
        }
        let frame = context
            .sql_with_options(sql, options)
            .await
            .map_err(into_error)?;
        if is_recursive(frame.logical_plan()) {
            // Its scan runs once per round, for any number of scans in the plan.
            tables.iter().for_each(|table| table.share());
        }
        let plan = frame.create_physical_plan().await.map_err(into_error)?;
        Ok(Self { context, plan })
    }

    /// The columns of the result.
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    /// How many streams [`streams`](Self::streams) yields.
    pub fn partitions(&self) -> usize {
        self.plan.output_partitioning().partition_count()
    }

    /// The plan, one operator per line.
    pub fn display(&self) -> String {
        displayable(self.plan.as_ref()).indent(false).to_string()
    }

    /// Runs the plan: a stream per partition. Dropping a stream stops its lane.
    ///
    /// # Errors
    /// Faults of the plan; those of its data come through the streams.
    pub fn streams(&self) -> Result<Vec<SendableRecordBatchStream>> {
        execute_stream_partitioned(self.plan.clone(), self.context.task_ctx()).map_err(into_error)
    }

    /// Runs the plan to its end and holds the whole result in memory.
    ///
    /// # Errors
    /// Whatever goes wrong in the sources or in the plan.
    pub async fn collect(&self) -> Result<Vec<Vec<arrow::array::RecordBatch>>> {
        collect_partitioned(self.plan.clone(), self.context.task_ctx())
            .await
            .map_err(of_data)
    }
}

/// A shared source may take a quarter of the memory: a join over it needs its own part.
const SHARED_PART: usize = 4;

fn context(config: &TransformConfig) -> Result<SessionContext> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(
            config.memory_limit_bytes.get(),
        )))
        .build_arc()
        .map_err(into_error)?;
    let mut session = SessionConfig::new()
        .with_target_partitions(config.partitions.get())
        .with_batch_size(config.batch_rows.get())
        .with_extension(Arc::new(SharedLimit(
            config.memory_limit_bytes.get() / SHARED_PART,
        )))
        .set_str("datafusion.sql_parser.dialect", "postgresql")
        // Columns are usable as the API spells them: camelCase without quotes.
        .set_bool("datafusion.sql_parser.enable_ident_normalization", false);
    // A sort must be able to merge its spills within a small limit too.
    let reservation = config.memory_limit_bytes.get() / 8;
    let default = session.options().execution.sort_spill_reservation_bytes;
    session.options_mut().execution.sort_spill_reservation_bytes = reservation.min(default);
    // Rows of several lanes come in no order that counting them could tell.
    let ordered = config.partitions.get() == 1;
    let state = SessionStateBuilder::new()
        .with_config(session)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_type_planner(Arc::new(Timestamps))
        .with_analyzer_rule(Arc::new(Microseconds { ordered }))
        .with_analyzer_rule(Arc::new(TypeCoercion::new()))
        .with_analyzer_rule(Arc::new(CheckedCasts { ordered }))
        .build();
    let mut context = SessionContext::new_with_state(state);
    for function in calendar::functions() {
        context.register_udf(function);
    }
    datafusion_functions_json::register_all(&mut context).map_err(into_error)?;
    Ok(context)
}

fn is_recursive(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::RecursiveQuery(_));
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    found
}

/// An error that came with the data. Messages about values quote them, so only their kind is kept.
pub(crate) fn of_data(error: DataFusionError) -> Error {
    if let Some(ours) = engine_error(&error) {
        return ours;
    }
    let detail = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) | DataFusionError::IoError(_) => {
            return into_error(error);
        }
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::DivideByZero => "division by zero",
            ArrowError::ArithmeticOverflow(_) => "a result out of range",
            ArrowError::ComputeError(what)
                if what.contains("out of range") || what.to_lowercase().contains("overflow") =>
            {
                "a result out of range"
            }
            ArrowError::CastError(_) | ArrowError::ParseError(_) => "a value that cannot be cast",
            _ => "a value that the SQL cannot process",
        },
        _ => "a value that the SQL cannot process",
    };
    Error::new(
        ErrorKind::Sql,
        Stage::Transform,
        format!("the SQL met {detail}"),
    )
    .hint("filter such rows, or use TRY_CAST or NULLIF in the module's SQL")
}

fn engine_error(error: &DataFusionError) -> Option<Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Some(ours.clone());
        }
        // Boxed and shared errors are between an error and its source.
        cause = match inner.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::External(external)) => {
                if let Some(ours) = external.downcast_ref::<Error>() {
                    return Some(ours.clone());
                }
                external.source()
            }
            Some(DataFusionError::Shared(shared)) => Some(shared.as_ref()),
            Some(DataFusionError::Context(_, inner)) => Some(inner.as_ref()),
            _ => inner.source(),
        };
    }
    None
}

/// The engine's own error, if it came through DataFusion; otherwise one about the SQL.
pub(crate) fn into_error(error: DataFusionError) -> Error {
    if let Some(ours) = engine_error(&error) {
        return ours;
    }
    let (kind, detail) = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => (ErrorKind::Resources, error.strip_backtrace()),
        DataFusionError::SQL(parser, _) => (ErrorKind::Sql, parser.to_string()),
        _ => (ErrorKind::Sql, with_sql_types(&error.strip_backtrace())),
    };
    let hint = match kind {
        ErrorKind::Resources => {
            "raise transform.memory_limit_bytes, lower transform.partitions, which share it, or free disk space for spilling"
        }
        _ => "correct the module's SQL; --dry-run shows the columns of a source",
    };
    Error::new(kind, Stage::Transform, detail).hint(hint)
}
