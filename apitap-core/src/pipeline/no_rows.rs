//! Loads without rows: what is known of their columns, and what becomes of the table.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use super::Engine;
use crate::config::WriteMode;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::infer::Columns;
use crate::job::Job;
use crate::metrics::Metrics;
use crate::schema::arrow_schema;
use crate::source_table::Begun;
use crate::transform::is_empty_over_nothing;
use crate::write::{EmptyLoad, LoadPlan, Session, Sink};

/// What is known of the sources of a job where the columns of one are unknown.
pub(super) struct NoRows {
    /// That source.
    unknown: String,
    /// Whether none of the sources has a row.
    is_all: bool,
    /// All of them, and their columns.
    sources: Vec<(String, Option<SchemaRef>)>,
}

impl NoRows {
    pub(super) fn of(sources: &[(Begun, Columns)]) -> Option<Self> {
        let (unknown, _) = sources.iter().find(|(_, columns)| columns.is_empty())?;
        let known = |(begun, columns): &(Begun, Columns)| {
            let schema = (!columns.is_empty()).then(|| arrow_schema(columns));
            (begun.name().to_owned(), schema)
        };
        Some(Self {
            unknown: unknown.name().to_owned(),
            is_all: sources.iter().all(|(begun, _)| begun.has_no_rows()),
            sources: sources.iter().map(known).collect(),
        })
    }
}

impl Engine {
    /// Loads a result whose columns nobody knows, because a source has no rows. That can be done where the result
    /// has none either, and a table is there: nothing is added to it, or all is removed.
    pub(super) async fn load_no_rows(
        &self,
        job: &Job,
        no_rows: &NoRows,
        metrics: &Arc<Metrics>,
    ) -> Result<()> {
        let unknown = &no_rows.unknown;
        let columns_are_missing = || without_columns(unknown, &job.sink);
        let config = &self.config.transform;
        if !no_rows.is_all || !is_empty_over_nothing(&job.sql, &no_rows.sources, config).await {
            return Err(columns_are_missing());
        }
        let schema: SchemaRef = Arc::new(Schema::empty());
        let mut sink = job.sink.clone();
        // It is a matter of columns.
        sink.key.clear();
        let empties = match job.sink.mode {
            WriteMode::Replace => true,
            WriteMode::Append | WriteMode::Merge => false,
        };
        if empties {
            if job.sink.empty != EmptyLoad::Allowed {
                return Err(columns_are_missing());
            }
            let load = self.begin_load(sink, &schema, metrics).await?;
            let loaded = match load.table_exists() {
                true => load.commit().await,
                false => Err(columns_are_missing()),
            };
            load.end(loaded.is_ok()).await;
            loaded?;
        } else {
            sink.mode = WriteMode::Append;
            let session = Session::open(&sink.target, metrics.clone()).await?;
            let method = self.config.write.method;
            let (plan, _) = LoadPlan::find(&session, &sink, &schema, method).await?;
            if !plan.exists {
                return Err(columns_are_missing());
            }
            refuse_empty(&job.sink)?;
        }
        tracing::warn!(
            "source {unknown}: no rows, so none are loaded into {}",
            job.sink.table
        );
        Ok(())
    }
}

/// The error of a load whose columns are unknown.
pub(super) fn without_columns(source: &str, sink: &Sink) -> Error {
    let hint = match sink.mode {
        WriteMode::Replace => {
            "declare them under the source's `columns`, or let the table be emptied by sink(..., allow_empty=true); if there should be rows, check url and data_path"
        }
        WriteMode::Append | WriteMode::Merge => {
            "declare them under the source's `columns`, or check its url and data_path"
        }
    };
    let detail = format!("source {source}: no rows, so its columns are unknown");
    Error::new(ErrorKind::Value, Stage::Infer, detail).hint(hint)
}

/// Refuses a load without rows, where that was asked for.
pub(super) fn refuse_empty(sink: &Sink) -> Result<()> {
    match sink.empty {
        EmptyLoad::Usual | EmptyLoad::Allowed => Ok(()),
        EmptyLoad::Refused => Err(Error::new(
            ErrorKind::Value,
            Stage::Write,
            format!("table {}: the load has no rows", sink.table),
        )
        .hint("check the source and the module's SQL; without --fail-on-empty it is no fault")),
    }
}
