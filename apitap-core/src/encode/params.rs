//! Cells and columns as bind parameters of `tokio_postgres`.
//!
//! A multi-row `INSERT` takes a parameter per cell, row by row ([`of_rows`]); one that selects from
//! `unnest` takes an array per column ([`of_columns`]).

use std::error::Error as StdError;
use std::fmt;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use super::cell::Cells;
use super::check::Reason;
use super::{RowEncoder, copy_binary};
use crate::config::StatementForm;

type Refusal = Box<dyn StdError + Sync + Send>;

type Encoded = std::result::Result<IsNull, Refusal>;

/// One cell as a parameter.
pub(crate) struct CellParameter<'a> {
    cells: &'a Cells<'a>,
    row: usize,
    column: usize,
}

/// One column's cells as an array parameter.
pub(crate) struct ArrayParameter<'a> {
    cells: &'a Cells<'a>,
    rows: usize,
    column: usize,
    element: Type,
}

/// The cells of `rows` rows, row by row.
pub(crate) fn of_rows<'a>(cells: &'a [Cells<'a>], rows: usize) -> Vec<CellParameter<'a>> {
    (0..rows)
        .flat_map(|row| {
            let columns = cells.iter().enumerate();
            columns.map(move |(column, cells)| CellParameter { cells, row, column })
        })
        .collect()
}

/// The cells of `rows` rows, one array per column of `encoder`.
pub(crate) fn of_columns<'a>(
    encoder: &RowEncoder,
    cells: &'a [Cells<'a>],
    rows: usize,
) -> Vec<ArrayParameter<'a>> {
    let columns = cells.iter().zip(encoder.targets()).enumerate();
    columns
        .map(|(column, (cells, target))| ArrayParameter {
            cells,
            rows,
            column,
            element: target.parameter().0,
        })
        .collect()
}

/// A cell that cannot be written, on its way through `tokio_postgres`.
#[derive(Debug)]
pub(crate) struct CellFault {
    pub(crate) row: usize,
    pub(crate) fault: super::Fault,
}

impl fmt::Display for CellFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fault.reason.what)
    }
}

impl StdError for CellFault {}

fn boxed(column: usize, row: usize, reason: Reason) -> Refusal {
    let fault = super::Fault { column, reason };
    Box::new(CellFault { row, fault })
}

/// Appends the parameters of `rows` rows in a statement of `form`.
pub(super) fn bind(
    encoder: &RowEncoder,
    cells: &[Cells<'_>],
    rows: usize,
    form: StatementForm,
    out: &mut BytesMut,
) -> std::result::Result<(), Refusal> {
    // Parameters know their types.
    let any = Type::UNKNOWN;
    match form {
        StatementForm::Unnest => {
            for parameter in of_columns(encoder, cells, rows) {
                parameter.to_sql(&any, out)?;
            }
        }
        StatementForm::Insert | StatementForm::Prepared => {
            for parameter in of_rows(cells, rows) {
                parameter.to_sql(&any, out)?;
            }
        }
    }
    Ok(())
}

impl fmt::Debug for CellParameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the value.
        write!(f, "cell(column {}, row {})", self.column, self.row)
    }
}

impl ToSql for CellParameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Encoded {
        if self.cells.is_null(self.row) {
            return Ok(IsNull::Yes);
        }
        self.cells
            .binary::<false>(self.row, out)
            .map_err(|reason| boxed(self.column, self.row, reason))?;
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        // The statement was prepared with the types of the same table of types.
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        self.to_sql(ty, out)
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }
}

impl fmt::Debug for ArrayParameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "array(column {}, {} rows)", self.column, self.rows)
    }
}

impl ToSql for ArrayParameter<'_> {
    /// `array_recv`: dimensions, whether there are nulls, the element's type, and for the only
    /// dimension its length and lower bound; then each element with its length.
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Encoded {
        let has_nulls = (0..self.rows).any(|row| self.cells.is_null(row));
        out.put_i32(1);
        out.put_i32(i32::from(has_nulls));
        out.put_u32(self.element.oid());
        out.put_i32(i32::try_from(self.rows)?);
        out.put_i32(1);
        for row in 0..self.rows {
            copy_binary::field(self.cells, row, out)
                .map_err(|reason| boxed(self.column, row, reason))?;
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        self.to_sql(ty, out)
    }
}
