//! Cells and columns as bind parameters.

use std::error::Error as StdError;
use std::fmt;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use super::cell::{Cells, Reason};
use super::copy_binary;
use crate::config::WriteMethod;

type Refusal = Box<dyn StdError + Sync + Send>;

type Encoded = std::result::Result<IsNull, Refusal>;

/// One cell as a parameter.
pub(crate) struct CellParameter<'a> {
    pub(crate) cells: &'a Cells<'a>,
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// A run of one column's cells as an array parameter.
pub(crate) struct ArrayParameter<'a> {
    pub(crate) cells: &'a Cells<'a>,
    pub(crate) rows: std::ops::Range<usize>,
    pub(crate) column: usize,
    pub(crate) element: Type,
}

/// A cell that cannot be written, on its way through `tokio_postgres`.
#[derive(Debug)]
pub(crate) struct CellFault {
    pub(crate) row: usize,
    pub(crate) fault: super::Fault,
}

impl fmt::Display for CellFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fault.reason)
    }
}

impl StdError for CellFault {}

fn boxed(column: usize, row: usize, (reason, hint): Reason) -> Refusal {
    let fault = super::Fault {
        column,
        reason,
        hint,
    };
    Box::new(CellFault { row, fault })
}

/// Appends what statements of `method` have as parameters; `types` are those of a column's cells and
/// of an array of them.
pub(super) fn bind(
    cells: &[Cells<'_>],
    types: &[(Type, Type)],
    rows: usize,
    method: WriteMethod,
    out: &mut BytesMut,
) -> std::result::Result<(), Refusal> {
    if method == WriteMethod::Unnest {
        for ((column, cells), (element, array)) in cells.iter().enumerate().zip(types) {
            let parameter = ArrayParameter {
                cells,
                rows: 0..rows,
                column,
                element: element.clone(),
            };
            parameter.to_sql(array, out)?;
        }
        return Ok(());
    }
    for row in 0..rows {
        for ((column, cells), (element, _)) in cells.iter().enumerate().zip(types) {
            CellParameter { cells, row, column }.to_sql(element, out)?;
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
            .binary(self.row, out)
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
        write!(f, "array(column {}, {} rows)", self.column, self.rows.len())
    }
}

impl ToSql for ArrayParameter<'_> {
    /// `array_recv`: dimensions, whether there are nulls, the element's type, and for the only
    /// dimension its length and lower bound; then each element with its length.
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Encoded {
        let has_nulls = self.rows.clone().any(|row| self.cells.is_null(row));
        out.put_i32(1);
        out.put_i32(i32::from(has_nulls));
        out.put_u32(self.element.oid());
        out.put_i32(i32::try_from(self.rows.len())?);
        out.put_i32(1);
        for row in self.rows.clone() {
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
