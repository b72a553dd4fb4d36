//! What a run needs: a module, the sources it reads and the table it loads.

use std::sync::Arc;

use crate::config::{WriteConfig, WriteMode};
use crate::error::Result;
use crate::module::Module;
use crate::pipeline_file::PipelineFile;
use crate::source::SourceSpec;
use crate::write::{EmptyLoad, Sink, TableName};

/// One module with all that it needs: sources, SQL, and where the result goes.
#[derive(Debug, Clone)]
pub struct Job {
    /// The module's name, for messages and the report.
    pub name: String,
    /// The sources that the SQL reads, each a table of the source's name.
    pub sources: Vec<Arc<SourceSpec>>,
    /// One query.
    pub sql: String,
    /// The table that its result loads.
    pub sink: Sink,
}

impl Job {
    /// The job of a module of `file`.
    ///
    /// What happens to rows already there is what the module says, else its source, else the
    /// configuration; if nobody says, rows with a primary key are merged and others appended.
    ///
    /// # Errors
    /// Sources, targets or tables that the file does not have.
    pub fn new(module: &Module, file: &PipelineFile, config: &WriteConfig) -> Result<Self> {
        let destination = module.destination(file)?;
        let target = file.target(&destination.target)?.clone();
        let mut table = TableName::parse(&destination.table)?;
        if let Some(schema) = &target.schema {
            table = table.or_schema(schema)?;
        }
        let default = if destination.key.is_empty() {
            WriteMode::Append
        } else {
            WriteMode::Merge
        };
        let sources = module
            .sources
            .iter()
            .map(|name| file.source(name).map(|spec| Arc::new(spec.clone())))
            .collect::<Result<_>>()?;
        Ok(Self {
            name: module.name.clone(),
            sources,
            sql: module.sql.clone(),
            sink: Sink {
                target,
                table,
                mode: destination.mode.or(config.mode).unwrap_or(default),
                key: destination.key,
                empty: if destination.allow_empty {
                    EmptyLoad::Allowed
                } else {
                    EmptyLoad::Usual
                },
            },
        })
    }
}
