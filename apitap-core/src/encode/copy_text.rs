//! COPY's text format: tabs between fields, `\N` for null, backslash escapes.

use bytes::{BufMut, BytesMut};

use super::Fault;
use super::cell::Cells;
use super::escape::widen;

pub(super) fn row(cells: &[Cells<'_>], row: usize, out: &mut BytesMut) -> Result<(), Fault> {
    for (column, cells) in cells.iter().enumerate() {
        if column > 0 {
            out.put_u8(b'\t');
        }
        if cells.is_null(row) {
            out.put_slice(b"\\N");
            continue;
        }
        let start = out.len();
        cells
            .text(row, out)
            .map_err(|reason| Fault { column, reason })?;
        if cells.needs_escape() {
            widen(start, out, |byte| match byte {
                b'\\' => Some(*b"\\\\"),
                b'\t' => Some(*b"\\t"),
                b'\n' => Some(*b"\\n"),
                b'\r' => Some(*b"\\r"),
                _ => None,
            });
        }
    }
    out.put_u8(b'\n');
    Ok(())
}
