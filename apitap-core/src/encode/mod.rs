//! Arrow to PostgreSQL's wire formats. Pure: arrays in, bytes out.
//!
//! A [`RowEncoder`] is planned once per load, from the result's schema and the columns of the
//! table. For each batch it yields [`Rows`]: cells that can be written in binary (COPY, bind
//! parameters, arrays) or as text (COPY text and CSV).

mod cell;
mod check;
mod coerce;
mod copy_binary;
mod copy_csv;
mod copy_text;
mod escape;
mod json_text;
mod numeric;
pub(crate) mod params;
pub mod pg_type;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use bytes::BytesMut;

pub(crate) use self::cell::Cells;
use self::cell::JsonText;
pub(crate) use self::check::Reason;
use self::coerce::Coercion;
pub use self::pg_type::PgType;
use self::pg_type::sql_name;
use crate::config::{CopyFormat, StatementForm, WriteCommand, WriteMethod};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::schema::is_json;

/// Turns batches of one schema into rows for one table.
#[derive(Debug, Clone)]
pub struct RowEncoder {
    schema: SchemaRef,
    columns: Vec<(PgType, Coercion)>,
}

impl RowEncoder {
    /// An encoder for rows of `schema` into columns of the types in `targets`.
    ///
    /// # Errors
    /// Columns whose values cannot be written without change, or not by `method`.
    pub fn plan(schema: SchemaRef, targets: Vec<PgType>, method: WriteMethod) -> Result<Self> {
        let fields = schema.fields().iter();
        let columns = fields
            .zip(targets)
            .map(|(field, target)| {
                let is_binary = method.command() == WriteCommand::Copy(CopyFormat::Binary);
                if is_binary && !target.has_binary() {
                    return Err(Error::new(
                        ErrorKind::Value,
                        Stage::Encode,
                        format!(
                            "column {}: copy-binary cannot write type {}",
                            field.name(),
                            target.sql()
                        ),
                    )
                    .hint("set write.method=copy-text: the server parses any type from text"));
                }
                let coercion = Coercion::plan(field, &target)?;
                Ok((target, coercion))
            })
            .collect::<Result<_>>()?;
        Ok(Self { schema, columns })
    }

    /// The types of the table's columns.
    pub fn targets(&self) -> impl Iterator<Item = &PgType> {
        self.columns.iter().map(|(target, _)| target)
    }

    /// The rows of a batch; `first_row` is the place in the result of its first, from 1.
    ///
    /// # Errors
    /// A value that its column cannot hold, with its row and column.
    pub fn rows(&self, batch: &RecordBatch, first_row: u64) -> Result<Rows> {
        let arrays = self
            .columns
            .iter()
            .zip(self.schema.fields())
            .zip(batch.columns())
            .map(|(((_, coercion), field), array)| coercion.apply(field, array, first_row))
            .collect::<Result<_>>()?;
        Ok(Rows {
            arrays,
            count: batch.num_rows(),
            first_row,
        })
    }

    /// Appends `rows` to a COPY stream of `format`.
    ///
    /// # Errors
    /// A value that PostgreSQL cannot hold, with its row and column.
    pub fn copy(&self, rows: &Rows, format: CopyFormat, out: &mut BytesMut) -> Result<()> {
        let cells = self.cells(rows)?;
        for row in 0..rows.count {
            let encoded = match format {
                CopyFormat::Csv => copy_csv::row(&cells, row, out),
                CopyFormat::Text => copy_text::row(&cells, row, out),
                CopyFormat::Binary => copy_binary::row(&cells, row, out),
            };
            encoded.map_err(|fault| self.locate(fault, rows, row))?;
        }
        Ok(())
    }

    /// Appends `rows` as a statement of `form` binds them, each value without its length.
    /// `tokio_postgres` writes what surrounds the values.
    ///
    /// # Errors
    /// A value that PostgreSQL cannot hold, with its row and column.
    pub fn bind(&self, rows: &Rows, form: StatementForm, out: &mut BytesMut) -> Result<()> {
        let cells = self.cells(rows)?;
        params::bind(self, &cells, rows.len(), form, out).map_err(|error| {
            match error.downcast_ref::<params::CellFault>() {
                Some(cell) => self.locate(cell.fault, rows, cell.row),
                None => Error::new(ErrorKind::Internal, Stage::Encode, error.to_string()),
            }
        })
    }

    pub(crate) fn cells<'a>(&self, rows: &'a Rows) -> Result<Vec<Cells<'a>>> {
        let columns = self.columns.iter().zip(self.schema.fields());
        columns
            .zip(&rows.arrays)
            .map(|(((target, coercion), field), array)| {
                let json = match coercion {
                    Coercion::Nested => JsonText::Known,
                    _ if is_json(field) => JsonText::Known,
                    _ => JsonText::Unknown,
                };
                Cells::new(array, target, json).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Internal,
                        Stage::Encode,
                        format!(
                            "column {}: {} has no encoding as {}",
                            field.name(),
                            sql_name(array.data_type()),
                            target.sql()
                        ),
                    )
                })
            })
            .collect()
    }

    pub(crate) fn locate(&self, fault: Fault, rows: &Rows, row: usize) -> Error {
        let Reason { kind, what, hint } = fault.reason;
        let column = self.schema.field(fault.column).name();
        let row = rows.first_row + row as u64;
        let detail = format!("column {column}, row {row} of the result: {what}");
        Error::new(kind, Stage::Encode, detail).hint(hint)
    }
}

/// Rows in the form in which they are encoded.
#[derive(Debug, Clone)]
pub struct Rows {
    arrays: Vec<ArrayRef>,
    count: usize,
    first_row: u64,
}

impl Rows {
    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The place in the result of the first, from 1.
    pub(crate) fn first_row(&self) -> u64 {
        self.first_row
    }

    /// The size of their values in Arrow, near to what they take on the wire.
    pub fn bytes(&self) -> usize {
        let size = |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or_default();
        self.arrays.iter().map(size).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl CopyFormat {
    /// Its name in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }

    /// What precedes the rows in a stream.
    pub fn header(self) -> &'static [u8] {
        match self {
            Self::Csv | Self::Text => b"",
            Self::Binary => copy_binary::HEADER,
        }
    }

    /// What follows the rows in a stream.
    pub fn trailer(self) -> &'static [u8] {
        match self {
            Self::Csv | Self::Text => b"",
            Self::Binary => copy_binary::TRAILER,
        }
    }
}

/// Why a cell cannot be written. Never holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) column: usize,
    pub(crate) reason: Reason,
}
