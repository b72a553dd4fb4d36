//! What a load will do, according to the catalogue.

use arrow::datatypes::SchemaRef;
use tokio_postgres::Client;

use super::Sink;
use super::connect::database;
use super::merge::Matching;
use super::replace::check_replaceable;
use super::table::{self, ExistingTable, LoadColumn, TableName, quoted_list};
use crate::config::{WriteMethod, WriteMode};
use crate::encode::{PgType, RowEncoder};
use crate::error::{Error, ErrorKind, Result, Stage};

/// What a load will do. Nothing is written to find it out.
#[derive(Debug)]
pub struct LoadPlan {
    /// The table, with its schema.
    pub table: TableName,
    /// Whether the table exists already.
    pub exists: bool,
    /// The columns that the load fills, in the order of the result.
    pub columns: Vec<LoadColumn>,
    existing: Option<ExistingTable>,
    server_version: u32,
}

/// `server_version_num` of the first PostgreSQL with `MERGE`.
const VERSION_WITH_MERGE: u32 = 150_000;

impl LoadPlan {
    /// Looks at the table and decides how `schema` gets into it.
    ///
    /// # Errors
    /// Missing columns, missing keys, tables that cannot be replaced.
    pub async fn new(
        client: &Client,
        sink: &Sink,
        schema: &SchemaRef,
        method: WriteMethod,
    ) -> Result<(Self, RowEncoder)> {
        let fault = |error| database(&format!("looking for table {}", sink.table), error);
        let row = client
            .query_one(
                "SELECT coalesce((SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                                  WHERE c.oid = to_regclass($1)), current_schema())::text,
                        current_setting('server_version_num')::int",
                &[&sink.table.to_string()],
            )
            .await
            .map_err(fault)?;
        let schema_name: Option<String> = row.get(0);
        let schema_name = schema_name.ok_or_else(|| {
            Error::new(
                ErrorKind::Database,
                Stage::Write,
                "no schema to create tables in",
            )
            .hint("name the schema in the table's name, or set search_path for the user")
        })?;
        let table = sink.table.clone().or_schema(&schema_name);
        let existing = ExistingTable::find(client, &table).await?;
        let columns = match &existing {
            Some(existing) => existing_columns(&table, existing, schema)?,
            None => new_columns(schema)?,
        };
        for key in &sink.key {
            if !columns.iter().any(|column| column.name == *key) {
                return Err(Error::new(
                    ErrorKind::Config,
                    Stage::Write,
                    format!(
                        "table {table}: the result has no column {key}, which its primary key needs"
                    ),
                )
                .hint("select the column in the module's SQL, or correct primary_key_in_dest"));
            }
        }
        if sink.mode == WriteMode::Merge && sink.key.is_empty() {
            return Err(Error::new(
                ErrorKind::Config,
                Stage::Write,
                format!("table {table}: mode merge needs a primary key"),
            )
            .hint("set primary_key_in_dest for the source, or use mode append or replace"));
        }
        let targets = columns
            .iter()
            .map(|column| column.pg_type.clone())
            .collect();
        let encoder = RowEncoder::plan(schema.clone(), targets, method)
            .map_err(|error| error.at(format_args!("table {table}")))?;
        if let (Some(_), WriteMode::Replace) = (&existing, sink.mode) {
            check_replaceable(client, &table).await?;
        }
        let plan = Self {
            table,
            exists: existing.is_some(),
            columns,
            existing,
            server_version: row.get::<_, i32>(1).unsigned_abs(),
        };
        Ok((plan, encoder))
    }

    pub(super) fn matching(&self, key: &[String]) -> Result<Matching> {
        match &self.existing {
            Some(existing) if existing.is_unique(key) => Ok(Matching::UniqueIndex),
            None => Ok(Matching::UniqueIndex),
            Some(_) if self.server_version >= VERSION_WITH_MERGE => Ok(Matching::Comparison),
            Some(_) => Err(Error::new(
                ErrorKind::Database,
                Stage::Write,
                format!(
                    "table {} has no unique index on its key, and this server has no MERGE",
                    self.table
                ),
            )
            .hint(format!(
                "CREATE UNIQUE INDEX ON {} ({})",
                self.table,
                quoted_list(key)
            ))),
        }
    }
}

fn new_columns(schema: &SchemaRef) -> Result<Vec<LoadColumn>> {
    let mut columns: Vec<LoadColumn> = Vec::new();
    for field in schema.fields() {
        let pg_type = PgType::of_field(field).ok_or_else(|| {
            Error::new(
                ErrorKind::Value,
                Stage::Write,
                format!(
                    "column {}: PostgreSQL has no type for {}",
                    field.name(),
                    field.data_type()
                ),
            )
            .hint("CAST the column in the module's SQL")
        })?;
        columns.push(LoadColumn {
            name: field.name().clone(),
            pg_type,
            cast: None,
        });
    }
    check_names(&columns)?;
    Ok(columns)
}

fn check_names(columns: &[LoadColumn]) -> Result<()> {
    let fault = |detail: String| {
        Err(Error::new(ErrorKind::Sql, Stage::Write, detail)
            .hint("name it with AS in the module's SQL"))
    };
    for (index, column) in columns.iter().enumerate() {
        // NAMEDATALEN - 1: a longer name would be cut without an error.
        if column.name.len() > 63 {
            return fault(format!(
                "column {}: a name of more than 63 bytes",
                column.name
            ));
        }
        if column.name.is_empty() || column.name.contains('\0') {
            return fault(format!("column {}: the name cannot be used", index + 1));
        }
        if columns[..index]
            .iter()
            .any(|other| other.name == column.name)
        {
            return fault(format!(
                "column {} appears twice in the result",
                column.name
            ));
        }
    }
    Ok(())
}

fn existing_columns(
    table: &TableName,
    existing: &ExistingTable,
    schema: &SchemaRef,
) -> Result<Vec<LoadColumn>> {
    let fields = schema.fields().iter();
    let columns: Vec<_> = fields
        .map(|field| {
            let found = existing.columns.iter().find(|column| column.name == *field.name());
            found.cloned().ok_or_else(|| {
                Error::new(
                    ErrorKind::Database,
                    Stage::Write,
                    format!("table {table} has no column {}", field.name()),
                )
                .hint(format!(
                    "ALTER TABLE {table} ADD COLUMN {} {}, or leave the column out of the module's SQL",
                    table::quote(field.name()),
                    PgType::of_field(field).map_or("text".into(), |pg_type| pg_type.sql())
                ))
            })
        })
        .collect::<Result<_>>()?;
    check_names(&columns)?;
    Ok(columns)
}
