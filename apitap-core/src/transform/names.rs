//! The names of the sources in a context.

use std::sync::Arc;

use datafusion::common::{Result, TableReference};
use datafusion::prelude::SessionContext;
use rand::RngExt;

use super::ApiTable;
use crate::config::TableNames;

/// Registers `tables` so that SQL finds each by the name of its source.
///
/// With unique names, a view has the name of the source, and planning replaces the view by the table.
/// So the rules of SQL resolve the name: columns, literals and CTEs of the same name stay what they
/// are, and it remains a qualifier.
pub(super) async fn register(
    context: &SessionContext,
    tables: &[Arc<ApiTable>],
    names: TableNames,
) -> Result<()> {
    for table in tables {
        let name = TableReference::bare(table.name());
        match names {
            TableNames::Source => context.register_table(name, table.clone())?,
            TableNames::Unique => {
                let suffix: u128 = rand::rng().random();
                let unique = TableReference::bare(format!("{}_{suffix:032x}", table.name()));
                context.register_table(unique.clone(), table.clone())?;
                let renamed = context.table(unique).await?;
                context.register_table(name, renamed.into_view())?
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests;
