//! What a load will do, according to the catalogue.

use arrow::datatypes::SchemaRef;

use super::Sink;
use super::merge::Matching;
use super::place::Place;
use super::replace::check_replaceable;
use super::session::Session;
use super::table::{
    self, ExistingTable, LoadColumn, MAX_NAME_BYTES, TableLock, TableName, quoted_list,
};
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
    /// Looks at the table and decides how `schema` gets into it, without keeping anybody from changing it.
    ///
    /// # Errors
    /// Missing columns, missing keys, tables that cannot be replaced.
    pub(crate) async fn find(
        session: &Session,
        sink: &Sink,
        schema: &SchemaRef,
        method: WriteMethod,
    ) -> Result<(Self, RowEncoder)> {
        let place = Place::find(session, &sink.table).await?;
        Self::new(session, sink, schema, method, &place, TableLock::None).await
    }

    /// The same, for a load that has its place. What was read stays true, because the table is locked.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub(super) async fn of_load(
        session: &Session,
        sink: &Sink,
        schema: &SchemaRef,
        method: WriteMethod,
        place: &Place,
    ) -> Result<(Self, RowEncoder)> {
        let lock = match sink.mode {
            WriteMode::Append | WriteMode::Merge => TableLock::RowExclusive,
            WriteMode::Replace => TableLock::AccessShare,
        };
        Self::new(session, sink, schema, method, place, lock).await
    }

    /// Whether several connections may fill the load's table: a new one, which takes its name at the end. Their
    /// transactions cannot commit as one, so into a table that exists rows would have to be written twice.
    pub(super) fn takes_several_connections(&self, mode: WriteMode) -> bool {
        match mode {
            WriteMode::Append => !self.exists,
            WriteMode::Replace => true,
            // The last of a load's duplicates wins, and connections overtake each other.
            WriteMode::Merge => false,
        }
    }

    async fn new(
        session: &Session,
        sink: &Sink,
        schema: &SchemaRef,
        method: WriteMethod,
        place: &Place,
        lock: TableLock,
    ) -> Result<(Self, RowEncoder)> {
        let table = place.table.clone();
        let existing = ExistingTable::find(session, &table, lock).await?;
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
        if sink.mode == WriteMode::Merge {
            check_identities(&table, &columns, &sink.key)?;
        }
        let targets = columns
            .iter()
            .map(|column| column.pg_type.clone())
            .collect();
        let encoder = RowEncoder::plan(schema.clone(), targets, method)
            .map_err(|error| error.at(format_args!("table {table}")))?;
        if let (Some(_), WriteMode::Replace) = (&existing, sink.mode) {
            check_replaceable(session, &table).await?;
        }
        let plan = Self {
            table,
            exists: existing.is_some(),
            columns,
            existing,
            server_version: place.server_version,
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
            always_identity: false,
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
        if column.name.len() > MAX_NAME_BYTES {
            return fault(format!(
                "column {}: a name of more than {MAX_NAME_BYTES} bytes",
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

/// A merge updates rows, and no UPDATE sets an identity that is always generated.
fn check_identities(table: &TableName, columns: &[LoadColumn], key: &[String]) -> Result<()> {
    let is_updated = |column: &&LoadColumn| column.always_identity && !key.contains(&column.name);
    match columns.iter().find(is_updated) {
        None => Ok(()),
        Some(column) => Err(Error::new(
            ErrorKind::Database,
            Stage::Write,
            format!(
                "table {table}, column {}: it is GENERATED ALWAYS AS IDENTITY, and a merge would update it",
                column.name
            ),
        )
        .hint(format!(
            "leave the column out of the module's SQL, merge by it, or ALTER TABLE {table} ALTER {} SET GENERATED BY DEFAULT",
            table::quote(&column.name)
        ))),
    }
}

fn existing_columns(
    table: &TableName,
    existing: &ExistingTable,
    schema: &SchemaRef,
) -> Result<Vec<LoadColumn>> {
    let fields = schema.fields().iter();
    let columns: Vec<_> = fields
        .map(|field| {
            if existing.computes(field.name()) {
                return Err(Error::new(
                    ErrorKind::Database,
                    Stage::Write,
                    format!(
                        "table {table}, column {}: it is a generated column, which the server computes",
                        field.name()
                    ),
                )
                .hint("leave the column out of the module's SQL: name the others instead of *"));
            }
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
