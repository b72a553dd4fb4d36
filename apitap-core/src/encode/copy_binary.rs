//! COPY's binary format: a header, then per row the number of fields and each as length and bytes.

use bytes::{BufMut, BytesMut};

use super::Fault;
use super::cell::Cells;

/// Signature, flags and length of the header's extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1.
pub(super) const TRAILER: &[u8] = b"\xff\xff";
const NULL: i32 = -1;

#[inline]
pub(super) fn row(cells: &[Cells<'_>], row: usize, out: &mut BytesMut) -> Result<(), Fault> {
    out.put_i16(cells.len() as i16);
    for (column, cells) in cells.iter().enumerate() {
        field(cells, row, out).map_err(|reason| Fault { column, reason })?;
    }
    Ok(())
}

/// One field with its length; also an element of a binary array.
#[inline]
pub(super) fn field(
    cells: &Cells<'_>,
    row: usize,
    out: &mut BytesMut,
) -> Result<(), super::check::Reason> {
    if cells.is_null(row) {
        out.put_i32(NULL);
        return Ok(());
    }
    cells.binary::<true>(row, out)
}
