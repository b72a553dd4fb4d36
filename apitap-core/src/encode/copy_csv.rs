//! COPY's CSV format: an unquoted empty field is null, so text is always quoted.

use bytes::{BufMut, BytesMut};

use super::Fault;
use super::cell::Cells;
use super::escape::widen;

pub(super) fn row(cells: &[Cells<'_>], row: usize, out: &mut BytesMut) -> Result<(), Fault> {
    for (column, cells) in cells.iter().enumerate() {
        if column > 0 {
            out.put_u8(b',');
        }
        if cells.is_null(row) {
            continue;
        }
        let quoted = cells.needs_escape();
        if quoted {
            out.put_u8(b'"');
        }
        let start = out.len();
        cells
            .text(row, out)
            .map_err(|reason| Fault { column, reason })?;
        if quoted {
            widen(start, out, |byte| (byte == b'"').then_some(*b"\"\""));
            out.put_u8(b'"');
        }
    }
    out.put_u8(b'\n');
    Ok(())
}
